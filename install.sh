#!/usr/bin/env bash
# From a bare Fedora or Debian machine to a brainrouter for everybody on it. As root; safe to run again; see --help.
set -euo pipefail
exec bash "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/deploy/deploy.sh" --machine "$@"
