# shellcheck shell=bash
# The way back: the ledger read from its end. What is data is asked for first: $data is yes, no or ask.

# wanted_gone WHAT PATH...: whether that may go. Without a path that is there nobody is asked; without a terminal: no.
wanted_gone() {
    local what=$1 path there='' answer
    shift
    for path; do
        [[ ! -e $path ]] || there=yes
    done
    [[ -n $there ]] || return 1
    case $data in
    yes) return 0 ;;
    ask) [[ -t 0 ]] && read -r -p "Remove $what? [y/N] " answer && [[ $answer == [yY]* ]] && return 0 ;;
    esac
    say "kept: $what"
    return 1
}

# keep: seeds and files that stay whatever they are. folders: what undo_folders may remove. left: the ledger's lines of
# what stays, so that it can be taken back another day.
keep=() folders=() left=()

# undo_ledger: everything but the folders, which other things may still have to leave.
undo_ledger() {
    local lines kind value sum index
    [[ ! -f $ledger_start ]] || { mkdir -p "$(dirname "$ledger")" && mv -n "$ledger_start" "$ledger"; }
    rm -f "$ledger_start" "$ledger_start.part"
    [[ -f $ledger ]] || return 0
    mapfile -t lines <"$ledger"
    for ((index = ${#lines[@]} - 1; index >= 0; index--)); do
        IFS=$'\t' read -r kind value sum <<<"${lines[index]}"
        if [[ " ${keep[*]} " == *" $value "* ]]; then
            left+=("${lines[index]}")
            continue
        fi
        case $kind in
        dir) folders+=("$value") ;;
        file) rm -f "$value" "$value.ai-stack-new" ;;
        moved) [[ ! -e $value.before-ai-stack ]] || mv -T "$value.before-ai-stack" "$value" ;;
        seed) undo_seed "$value" "$sum" ;;
        tree) rm -rf "$value" "$value.new" ;;
        *) "undo_$kind" "$value" ;;
        esac
    done
}

# A seed that nobody edited goes; one that was edited is data.
undo_seed() {
    rm -f "$1.ai-stack-new"
    [[ -f $1 ]] || return 0
    if [[ $(sum_of "$1") == "$2" ]] || wanted_gone "$1, which was edited" "$1"; then
        rm -f "$1"
    else
        left+=("seed"$'\t'"$1"$'\t'"$2")
    fi
}

# forget_same KIND TARGET MODE OWNER COMMAND...: for a list of files: removes the target when it is as we ship it.
forget_same() {
    local target=$2
    shift 4
    [[ ! -f $target ]] || ! "$@" | cmp -s - "$target" || rm -f "$target"
}

# undo_folders: the folders that were made, where they are empty now, and the ledger, unless data of its stays.
undo_folders() {
    local folder
    rm -f "$ledger"
    for folder in "$(dirname "$ledger")" "${folders[@]}"; do
        rmdir "$folder" 2>/dev/null || true
    done
    ((${#left[@]} > 0)) || return 0
    for folder in "${folders[@]}" $(missing_folders "$ledger" | tac); do
        left+=("dir"$'\t'"$folder")
    done
    mkdir -p "$(dirname "$ledger")"
    printf '%s\n' "${left[@]}" | tac >"$ledger"
}

undo_omp() {
    BUN_INSTALL=$HOME/.bun bun remove --global --silent "$1" 2>/dev/null || true
}

undo_toolbox() {
    ! command -v toolbox >/dev/null || toolbox rm --force "$1" 2>/dev/null || true
}

undo_image() {
    ! command -v podman >/dev/null || podman image rm "$1" >/dev/null 2>&1 || true
}

# What podman and toolbox keep for a person, where nobody has put anything into it since: no image, container, volume,
# network.
undo_podman() {
    local used
    used=$(find "$1" -type f \( -path '*/volumes/*' -o -path '*/cni/*' ! -name '*.lock' \
        -o -path '*/.config/toolbox/*' ! -name podman-system-migrate \
        -o \( -name images.json -o -name '*containers.json' \) -size +2c \) 2>/dev/null) || true
    [[ -z $used ]] || return 0
    # Some of it may belong to the ids that podman gave to its containers; podman itself lays out what it needs for this.
    rm -rf "$1" 2>/dev/null || podman unshare rm -rf "$1" 2>/dev/null || true
    rm -rf "$1" || say "something of $1 is left; what is in the way is said above."
}

# Something else that stays, for whose sake the ledger does.
undo_kept() {
    :
}
