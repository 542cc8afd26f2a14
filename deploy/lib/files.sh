# shellcheck shell=bash
# Files that are written whole or not at all, and the ledger of everything that was made, which uninstall.sh reads
# backwards. A line is put down before the thing is made: an interruption leaves at most a line too many.
# Whoever sources this sets $ledger, and $ledger_start, where it begins while its folder is not there yet.

# remember KIND VALUE...: one line, once.
remember() {
    local line
    line=$(printf '%s\t' "$@")
    line=${line%$'\t'}
    remembered "$line" && return
    if [[ ! -f $ledger ]]; then
        if [[ ! -f $ledger_start ]]; then
            missing_folders "$ledger" | sed 's/^/dir\t/' >"$ledger_start.part"
            mv "$ledger_start.part" "$ledger_start"
        fi
        mkdir -p "$(dirname "$ledger")"
        mv "$ledger_start" "$ledger"
    fi
    printf '%s\n' "$line" >>"$ledger"
}

# remembered LINE
remembered() {
    grep -qxF -- "$1" "$ledger" 2>/dev/null
}

# missing_folders PATH: the folders above it that are not there, the outermost first.
missing_folders() {
    local folder=$1
    while folder=$(dirname "$folder") && [[ ! -d $folder ]]; do
        printf '%s\n' "$folder"
    done | tac
}

# make_folder PATH [MODE OWNER]: with what is missing above it.
make_folder() {
    local folder
    if [[ ! -d $1 ]]; then
        missing_folders "$1/." | while IFS= read -r folder; do
            remember dir "$folder"
            # The ledger may have needed it first.
            mkdir -p "$folder"
        done
    fi
    [[ $# == 1 ]] || stamp "$1" "$2" "$3"
}

# stamp PATH MODE OWNER: owner first, since changing it may drop bits of the mode. OWNER - leaves it as it is.
stamp() {
    [[ $3 == - ]] || chown "$3" "$1"
    chmod "$2" "$1"
}

# stamped PATH MODE OWNER
stamped() {
    local mode owner
    read -r mode owner < <(stat -c '%a %U:%G' "$1" 2>/dev/null) || return 1
    ((8#$mode == 8#$2)) && [[ $3 == - || $owner == "$3" ]]
}

# A step lists its files once, as `"$1" KIND TARGET MODE OWNER COMMAND...`, where COMMAND prints the content; it is
# called with file_is to look and with file_put to write. KIND: `ours` is kept as we ship it, `seed` is written once
# and then belongs to whoever edits it.
differs=0

# all_there LIST: whether the files of that function are as they should be.
all_there() {
    differs=0
    "$1" file_is
    ((differs == 0))
}

file_is() {
    local kind=$1 target=$2 mode=$3 owner=$4
    shift 4
    if [[ -L $target || ! -f $target ]] || ! stamped "$target" "$mode" "$owner"; then
        differs=1
    elif [[ $kind == ours ]] && ! "$@" | cmp -s - "$target"; then
        differs=1
    fi
}

file_put() {
    local kind=$1 target=$2 mode=$3 owner=$4
    shift 4
    make_folder "$(dirname "$target")"
    if [[ $kind == seed && -f $target ]]; then
        stamp "$target" "$mode" "$owner"
        return
    fi
    if [[ $kind == ours && -e $target ]] && ! remembered "file"$'\t'"$target"; then
        remember moved "$target"
        mv -T "$target" "$target.before-ai-stack"
    fi
    (umask 077 && "$@" >"$target.ai-stack-new")
    stamp "$target.ai-stack-new" "$mode" "$owner"
    case $kind in
    ours) remember file "$target" ;;
    seed) remember seed "$target" "$(sum_of "$target.ai-stack-new")" ;;
    esac
    mv -fT "$target.ai-stack-new" "$target"
}

# link_is TARGET TO, link_put TARGET TO
link_is() {
    [[ $(readlink "$1") == "$2" ]] || differs=1
}

link_put() {
    make_folder "$(dirname "$1")"
    if [[ -e $1 || -L $1 ]] && ! remembered "file"$'\t'"$1"; then
        remember moved "$1"
        mv -T "$1" "$1.before-ai-stack"
    fi
    remember file "$1"
    ln -sfT "$2" "$1.ai-stack-new"
    mv -fT "$1.ai-stack-new" "$1"
}

sum_of() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# render FILE NAME=VALUE...: the file with @NAME@ replaced.
render() {
    local text pair
    text=$(<"$1")
    shift
    for pair; do
        text=${text//"@${pair%%=*}@"/"${pair#*=}"}
    done
    printf '%s\n' "$text"
}
