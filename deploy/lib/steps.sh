# shellcheck shell=bash
# The engine of install.sh, deploy.sh and user-setup.sh. A step is three functions: NAME_title says in a line what it
# leaves behind, NAME_done looks whether that is there (and changes nothing), NAME_do makes it so. Because the machine
# itself is what is looked at, a run after a failure goes on where the last one stopped, and --dry-run needs no code.
mode=make only='' skip='' step=''

# chosen NAME: what --only and --skip leave.
chosen() {
    [[ -z $only || ,$only, == *,$1,* ]] && [[ ,$skip, != *,$1,* ]]
}

# known_steps NAME...: stops when --only or --skip name something else.
known_steps() {
    local name
    for name in ${only//,/ } ${skip//,/ }; do
        [[ " $* " == *" $name "* ]] || fail "there is no step named $name." "  The steps: $*"
    done
}

# run_steps NAME...: all of them in this order, or with --dry-run and --check only what is missing.
run_steps() {
    known_steps "$@"
    local number=0 missing=0 total=$#
    for step; do
        number=$((number + 1))
        if ! chosen "$step"; then
            progress skipped
        elif "${step}_done"; then
            progress there
        elif [[ $mode != make ]]; then
            missing=$((missing + 1))
            progress missing
        else
            progress begin
            "${step}_do"
            "${step}_done" || fail "the step $step ran without an error, and what it makes is still missing."
            progress done
        fi
    done
    step=''
    case $mode in
    dry-run) say "$missing of $total steps would be done; nothing was changed." ;;
    check) ((missing == 0)) ;;
    esac
}

progress() {
    [[ $mode != check ]] || return 0
    [[ $1 != skipped || -z $only ]] || return 0
    local sign
    case $1 in
    there) sign='  ok   ' ;;
    skipped) sign='  skip ' ;;
    missing) sign='  would' ;;
    begin) sign='  ...  ' ;;
    done) sign='  done ' ;;
    esac
    printf '%2d/%-2d %s %-12s %s\n' "$number" "$total" "$sign" "$step" "$("${step}_title")"
}

# told_at_exit: what a person who sees a failure should know.
told_at_exit() {
    local code=$?
    if ((code != 0)) && [[ -n $step ]]; then
        printf '\nThe step "%s" failed (exit code %s). Nothing is lost: mend what is said above, and run this again.\n' \
            "$step" "$code" >&2
    fi
}
trap told_at_exit EXIT

# step_option NAME VALUE: the options that every script here takes; false for another one.
step_option() {
    case $1 in
    --dry-run) mode=dry-run ;;
    --check) mode=check ;;
    --only) only=$2 ;;
    --skip) skip=$skip,$2 ;;
    *) return 1 ;;
    esac
}
