#!/usr/bin/env bash
# Takes back what install.sh and deploy.sh made, and nothing else; what is data, it asks for. As root: for the whole
# machine and everybody on it. As a person: your own. See --help.
set -euo pipefail
deploy=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
checkout=$(dirname "$deploy")
. "$checkout/scripts/lib.sh"
. "$deploy/lib/files.sh"
. "$deploy/lib/machine.sh"
. "$deploy/lib/options.sh"
. "$deploy/lib/undo.sh"
. "$deploy/steps/machine.sh"

usage() {
    cat <<'HELP'
uninstall.sh [--data yes|no|ask] [--packages]
  --data yes     with Manifest's database and keys, the models, edited settings, everybody's history
  --data no      without them, and without asking (so it is, too, where there is no terminal to ask on)
  --packages     also the system packages that install.sh added
HELP
}

data=ask packages=''
while (($#)); do
    case $1 in
    --data) data=$(one_of --data "${2:-}" yes no ask) && shift ;;
    --packages) packages=yes ;;
    --help | -h) usage && exit ;;
    *) fail "there is no option $1." "$(usage)" ;;
    esac
    shift
done

if [[ $(id -u) != 0 ]]; then
    exec "$deploy/user-setup.sh" --remove --data "$data"
fi

# From a copy: the scripts themselves are among what goes.
if [[ -z ${AI_STACK_COPY:-} ]]; then
    copy=$(mktemp -d /tmp/ai-stack-XXXXXX)
    trap 'rm -rf "$copy"' EXIT
    mkdir -p "$copy/scripts"
    cp -a "$deploy" "$copy/"
    cp -a "$checkout/scripts/lib.sh" "$copy/scripts/"
    chmod 755 "$copy"
    AI_STACK_COPY=$copy bash "$copy/deploy/uninstall.sh" --data "$data" ${packages:+--packages}
    exit
fi
cd /

undo_package() {
    package_there "$1" || return 0
    if [[ -n $packages ]]; then packages_out+=("$1"); else packages_left+=("$1"); fi
}
packages_out=() packages_left=() packages_why='others may need them by now'
undo_member() {
    ! getent group aistack >/dev/null || gpasswd --delete "$1" aistack >/dev/null 2>&1 || true
}
undo_group() {
    ! getent group "$1" >/dev/null || groupdel "$1"
}
undo_linger() {
    ! id "$1" >/dev/null 2>&1 || loginctl disable-linger "$1"
}
undo_unit() {
    systemctl disable --now --quiet "$1" 2>/dev/null || true
}
undo_enabled() {
    systemctl disable --quiet "$1" 2>/dev/null || true
}
undo_model() {
    rm -f "$1.part"
    if wanted_gone "the model $1" "$1"; then
        rm -f "$1"
    elif [[ -f $1 ]]; then
        left+=("model"$'\t'"$1")
    fi
}

# compose_down FOLDER OPTION...: the service's containers, networks and images.
compose_down() {
    local folder=$1 command
    shift
    [[ -f $folder/compose.yaml ]] || return 0
    command=$(compose_command)
    # shellcheck disable=SC2086 # a program and its first word
    (cd "$folder" && $command down --rmi all "$@") ||
        say "the containers of $folder could not be removed; by hand: $engine ps -a"
}

say "everybody's own part"
for user in $(human_users); do
    as_user "$user" env AI_STACK_COPY="$AI_STACK_COPY" bash "$deploy/user-setup.sh" --remove --data "$data" ||
        say "something of $user is left; what is in the way is said above."
done

say "the services"
engine=$(engine_here)
[[ $engine == docker ]] || export DOCKER_HOST=unix:///run/podman/podman.sock
systemctl stop manifest.service llama-swap.service 2>/dev/null || true
compose_down /opt/ai/llama-swap
if wanted_gone "Manifest's database (with the cloud keys in it), and the secrets that open it" /opt/ai/manifest/.env; then
    compose_down /opt/ai/manifest --volumes
    rm -f /opt/ai/manifest/.env
else
    compose_down /opt/ai/manifest
    keep+=(/opt/ai/manifest/.env /opt/ai/manifest/compose.yaml)
fi

say "the machine"
undo_ledger
systemctl daemon-reload 2>/dev/null || true
if ((${#packages_out[@]})); then
    say "packages: ${packages_out[*]}"
    packages_remove "${packages_out[@]}" || say "not all of them could be removed; what is in the way is said above."
    for name in "${packages_out[@]}"; do
        ! package_there "$name" || packages_left+=("$name")
    done
    packages_why='something else here needs or recommends them'
fi
if ((${#packages_left[@]})); then
    say "these packages stay, since $packages_why: ${packages_left[*]}"
fi
undo_folders
say "Done."
