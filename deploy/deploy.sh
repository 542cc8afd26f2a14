#!/usr/bin/env bash
# Puts brainrouter on a machine. Without an option: for you alone, without root. With --multi-user, as root: for
# everybody, with Manifest and llama-swap as services. install.sh does that and everything around it.
set -euo pipefail
deploy=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
checkout=$(dirname "$deploy")
. "$checkout/scripts/lib.sh"
. "$deploy/lib/steps.sh"
. "$deploy/lib/files.sh"
. "$deploy/lib/machine.sh"
. "$deploy/lib/fetch.sh"
. "$deploy/lib/options.sh"
. "$deploy/steps/machine.sh"
. "$deploy/steps/programs.sh"
. "$deploy/steps/services.sh"
. "$deploy/steps/people.sh"

deploy_options "$@"
cd /
case $scope in
person)
    . "$deploy/lib/person.sh"
    [[ $(id -u) != 0 ]] || fail "for root there is --multi-user; without it this is for one person."
    prefix=$HOME/.local cache=$HOME/.cache/ai-stack
    run_steps brainrouter config unit start
    [[ $mode != make ]] || say "Ready. Your harnesses: $deploy/user-setup.sh"
    exit
    ;;
services) steps=(group folders share brainrouter settings manifest llama_swap polkit profile skel users) ;;
machine)
    steps=(packages engine group folders share bun omp model brainrouter settings manifest llama_swap polkit profile
        skel users toolbox)
    ;;
esac

if [[ $mode == make ]]; then
    [[ $(id -u) == 0 ]] || fail "this changes the machine and needs root: sudo bash $0"
    exec 9>/run/lock/ai-stack
    flock --nonblock 9 || fail "another run is under way."
fi
run_steps "${steps[@]}"
[[ $mode == make && -z $only ]] || exit 0
# The unit is of a step before this one; the key is what only a person can bring.
if grep -q mnfst_REPLACE_WITH_YOUR_KEY /etc/brainrouter/env 2>/dev/null; then
    cat <<'NEXT'

What is left for you:
  1. http://localhost:3001 in a browser: finish Manifest's wizard, add your providers, create a key (mnfst_...).
  2. sudoedit /etc/brainrouter/env, and put the key there.
  3. Reboot, or run this again: it restarts what reads the key.
NEXT
fi
