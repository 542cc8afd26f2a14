#!/usr/bin/env bash
# Sets brainrouter up for the person who runs it: settings, a systemd user unit, omp, the harnesses that are here.
# Also installed as brainrouter-user-setup. Safe to run again; see --help.
set -euo pipefail
deploy=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
checkout=$(dirname "$deploy")
. "$checkout/scripts/lib.sh"
. "$deploy/lib/steps.sh"
. "$deploy/lib/files.sh"
. "$deploy/lib/undo.sh"
. "$deploy/lib/person.sh"

usage() {
    cat <<'HELP'
user-setup.sh [OPTION...]        sets brainrouter up for you; asks before it edits a harness's files
  --yes              edit them without asking
  --no-harnesses     leave the harnesses alone
  --omp-version V    another omp than the newest
  --toolbox          also make the toolbox that llama-server-toolbox runs in (AMD; several GB)
  --dry-run          say what is missing, change nothing
  --check            the same in silence: exit code 0 when nothing is missing
  --only A,B         these steps only: config, unit, omp, toolbox, start
  --skip A,B         without these steps
  --remove           take everything back; --data yes|no|ask says what becomes of your history and edited settings
HELP
}

yes='' harnesses=yes remove='' data=ask with=()
while (($#)); do
    case $1 in
    --yes | -y) yes=--yes ;;
    --no-harnesses) harnesses='' ;;
    --toolbox) with=(toolbox) ;;
    --omp-version) omp_version=${2:-} && shift ;;
    --remove) remove=yes ;;
    --data) data=$2 && shift ;;
    --only | --skip) step_option "$1" "${2:-}" && shift ;;
    --dry-run | --check) step_option "$1" ;;
    --help | -h) usage && exit ;;
    *) fail "there is no option $1." "$(usage)" ;;
    esac
    shift
done
[[ $(id -u) != 0 ]] || fail "this is for one person and not for root; for the whole machine: install.sh."

if [[ -n $remove ]]; then
    person_remove
    exit
fi
[[ ,$only, != *,toolbox,* ]] || with=(toolbox)
run_steps config unit omp start "${with[@]}"
[[ $mode == make && -z $only ]] || exit 0
if [[ -n $harnesses ]]; then
    for name in "${harness_names[@]}"; do
        command -v "$name" >/dev/null || continue
        code=0
        brainrouter install "$name" $yes || code=$?
        # 3: the person said no.
        ((code == 0 || code == 3)) || say "$name was not set up; what is in the way is said above."
    done
fi
brainrouter doctor || true
