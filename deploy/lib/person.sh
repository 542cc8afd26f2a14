# shellcheck shell=bash
# The steps of one person, run as that person, and their way back.
PATH=$HOME/.bun/bin:$HOME/.local/bin:$PATH:/usr/local/bin
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
ledger=$HOME/.local/state/ai-stack/made
ledger_start=$HOME/.ai-stack-made
config=${XDG_CONFIG_HOME:-$HOME/.config}
toolbox=llama-vulkan-radv toolbox_image=docker.io/kyuz0/amd-strix-halo-toolboxes:vulkan-radv
omp_package=@oh-my-pi/pi-coding-agent omp_version=latest
# A harness's name is its program's name, too.
harness_names=(omp claude vibe opencode codex droid pi)
unit=brainrouter.service

config_files() {
    "$1" seed "$config/brainrouter/brainrouter.yaml" 0600 - cat "$deploy/etc/user.yaml"
}
config_title() {
    echo "$config/brainrouter/brainrouter.yaml, all comments"
}
config_done() {
    all_there config_files
}
config_do() {
    config_files file_put
}

# The unit runs the machine's brainrouter, or the person's own where deploy.sh put one.
unit_of_mine() {
    local own="$HOME/.local/bin/brainrouter"
    if [[ -x $own ]]; then
        sed "s|^ExecStart=[^ ]*|ExecStart=%h/.local/bin/brainrouter|" "$deploy/systemd/$unit"
    else
        cat "$deploy/systemd/$unit"
    fi
}
unit_files() {
    "$1" ours "$config/systemd/user/$unit" 0644 - unit_of_mine
}
unit_link() {
    "$1" "$config/systemd/user/default.target.wants/$unit" "../$unit"
}
unit_title() {
    echo "$config/systemd/user/$unit, begun at boot"
}
unit_done() {
    all_there unit_files && unit_link link_is && ((differs == 0))
}
unit_do() {
    unit_files file_put
    unit_link link_put
}

omp_title() {
    echo "omp ($omp_package) by bun in ~/.bun"
}
omp_done() {
    command -v omp >/dev/null
}
omp_do() {
    command -v bun >/dev/null || fail "bun is not installed, and omp runs on it." "  Go on without omp: --skip omp"
    make_folder "$HOME/.cache"
    if [[ -d $HOME/.bun ]] && ! remembered "tree"$'\t'"$HOME/.bun"; then
        remember omp "$omp_package"
    else
        remember tree "$HOME/.bun"
    fi
    BUN_INSTALL=$HOME/.bun bun install --global --silent "$omp_package@$omp_version"
}

# The daemon's sandbox keeps podman from making its namespaces, so who has a toolbox gets the unit without it.
toolbox_files() {
    "$1" ours "$config/systemd/user/$unit.d/toolbox.conf" 0644 - cat "$deploy/systemd/brainrouter-toolbox.conf"
}
toolbox_title() {
    echo "the toolbox $toolbox from $toolbox_image"
}
toolbox_done() {
    podman container exists "$toolbox" 2>/dev/null && all_there toolbox_files
}
toolbox_do() {
    remember_podman
    if ! podman container exists "$toolbox"; then
        podman image exists "$toolbox_image" || remember image "$toolbox_image"
        remember toolbox "$toolbox"
        toolbox --assumeyes create --image "$toolbox_image" "$toolbox" </dev/null
    fi
    toolbox_files file_put
    # The daemon that runs is still in the sandbox.
    if [[ -f $config/systemd/user/$unit ]]; then
        systemctl --user daemon-reload
        systemctl --user try-restart "$unit"
    fi
}
# podman lays its storage out the first time it is asked for anything, by the daemon or by us.
remember_podman() {
    local place
    make_folder "$HOME/.local/share"
    for place in "$config/cni" "$config/toolbox" "$HOME/.local/share/containers"; do
        [[ -d $place ]] || remember podman "$place"
    done
}

# When the running daemon was started, in seconds; nothing when it does not run.
running_since() {
    [[ $(systemctl --user is-active "$unit" 2>/dev/null) == active ]] || return 0
    systemctl --user show --property=ActiveEnterTimestamp --value --timestamp=unix "$unit" | tr -d @
}
# When the newest thing that it reads at its start was changed.
changed_at() {
    local program
    program=$(command -v brainrouter) || true
    # The link `current`, which an upgrade moves.
    program=$(dirname "$(dirname "$(readlink "$program" || true)")")
    stat -c %Y "$program" "$config/systemd/user/$unit" "$config/systemd/user/$unit.d/toolbox.conf" \
        "$config/brainrouter/brainrouter.yaml" \
        /etc/brainrouter/brainrouter.yaml /etc/brainrouter/env 2>/dev/null | sort -n | tail -n 1
}
# Whether the person's services run without the group aistack, because they were begun before it was theirs.
logged_in_before() {
    local manager group
    group=$(getent group aistack | cut -d : -f 3)
    manager=$(systemctl show --property=MainPID --value "user@$(id -u).service" 2>/dev/null) || return 1
    [[ -n $group && -r /proc/${manager:-0}/status ]] || return 1
    ! grep -q "^Groups:.*\b$group\b" "/proc/$manager/status"
}
start_title() {
    if logged_in_before; then
        echo "brainrouter runs after the next boot: your services were begun before you came into the group aistack"
    else
        echo "brainrouter runs ($unit)"
    fi
}
start_done() {
    local since
    logged_in_before && return
    since=$(running_since)
    [[ -n $since ]] && ((since >= $(changed_at)))
}
start_do() {
    local tries
    make_folder "$HOME/.local/state"
    make_folder "$HOME/.cache"
    remember_podman
    # The person's service manager comes up a moment after linger was switched on.
    for ((tries = 0; tries < 100; tries++)); do
        [[ ! -S $XDG_RUNTIME_DIR/systemd/private ]] || break
        sleep 0.2
    done
    systemctl --user daemon-reload
    systemctl --user restart "$unit"
    for ((tries = 0; tries < 150; tries++)); do
        [[ ! -e $XDG_RUNTIME_DIR/brainrouter.port ]] || return 0
        [[ $(systemctl --user is-failed "$unit") != failed ]] || break
        sleep 0.2
    done
    fail "brainrouter of $(id -un) did not start; what it said: journalctl --user -u $unit (as root: journalctl _UID=$(id -u))."
}

# person_remove: everything back; history and edited settings as $data says.
person_remove() {
    local name
    for name in "${harness_names[@]}"; do
        ! command -v brainrouter >/dev/null || brainrouter uninstall "$name" --yes >/dev/null ||
            say "the files of $name were left as they are; look: brainrouter uninstall $name"
    done
    systemctl --user disable --now --quiet "$unit" 2>/dev/null || true
    # What came from /etc/skel is in no ledger.
    unit_files forget_same
    config_files forget_same
    undo_ledger
    rm -f "$config/systemd/user/default.target.wants/$unit"
    rm -rf "$HOME/.cache/brainrouter"
    if wanted_gone "the history and the settings of $(id -un) (~/.local/state/brainrouter, $config/brainrouter)" \
        "$HOME/.local/state/brainrouter" "$config/brainrouter"; then
        rm -rf "$HOME/.local/state/brainrouter" "$config/brainrouter"
    elif [[ -e $HOME/.local/state/brainrouter ]]; then
        left+=("kept"$'\t'"$HOME/.local/state/brainrouter")
    fi
    undo_folders
    systemctl --user daemon-reload 2>/dev/null || true
}
