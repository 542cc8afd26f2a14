# shellcheck shell=bash
# What is asked of the machine: its people, its packages, its services.

# human_users: who logs in here: an ordinary uid, a shell, a home.
human_users() {
    local min max
    min=$(awk '$1 == "UID_MIN" { print $2 }' /etc/login.defs 2>/dev/null)
    max=$(awk '$1 == "UID_MAX" { print $2 }' /etc/login.defs 2>/dev/null)
    getent passwd | while IFS=: read -r name _ uid _ _ home shell; do
        ((uid >= ${min:-1000} && uid <= ${max:-60000})) || continue
        [[ -d $home ]] || continue
        case $shell in
        */nologin | */false | '') ;;
        *) printf '%s\n' "$name" ;;
        esac
    done
}

# for_each_user COMMAND...: COMMAND USER for all of them; stops at the first that fails.
for_each_user() {
    local user
    for user in $(human_users); do
        "$@" "$user" || return
    done
}

home_of() {
    getent passwd "$1" | cut -d : -f 6
}
shell_of() {
    getent passwd "$1" | cut -d : -f 7
}

# What a person's own programs need to find the network where it is not plain.
network_variables() {
    env | grep -E '^([A-Za-z]+_proxy|[A-Z]+_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS)=' || true
}

# as_user USER COMMAND...: as that person would, with nothing of root's environment.
as_user() {
    local user=$1 uid network
    shift
    uid=$(id -u "$user")
    mapfile -t network < <(network_variables)
    (
        cd /
        exec env -i PATH="$PATH" LANG="${LANG:-C.UTF-8}" HOME="$(home_of "$user")" USER="$user" LOGNAME="$user" \
            SHELL="$(shell_of "$user")" XDG_RUNTIME_DIR="/run/user/$uid" "${network[@]}" runuser -u "$user" -- "$@"
    )
}

# package_there NAME
package_there() {
    case $(system) in
    debian) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] ;;
    fedora) rpm -q --quiet "$1" ;;
    esac
}

# packages_add NAME...
packages_add() {
    case $(system) in
    debian)
        # After a power cut in the middle of apt, it does nothing before this.
        dpkg --configure -a
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
        ;;
    fedora) dnf install -y --setopt=install_weak_deps=False "$@" ;;
    esac
}

# packages_remove NAME...: those and what came with them, but for what something else here needs by now: the package
# manager is told that nobody asked for them, and what it finds unneeded for that reason goes.
packages_remove() {
    local before gone
    before=$(packages_unneeded)
    packages_unasked "$@"
    mapfile -t gone < <(LC_ALL=C comm -13 <(printf '%s\n' "$before") <(packages_unneeded))
    ((${#gone[@]} > 0)) || return 0
    case $(system) in
    debian) DEBIAN_FRONTEND=noninteractive apt-get purge -y -q "${gone[@]}" ;;
    fedora) dnf remove -y --setopt=clean_requirements_on_remove=False "${gone[@]}" ;;
    esac
}

# packages_unneeded: what nobody asked for and nothing needs, sorted.
packages_unneeded() {
    case $(system) in
    # What is merely suggested by something is not needed by it.
    debian) apt-get autoremove --simulate -o APT::AutoRemove::SuggestsImportant=false | awk '$1 == "Remv" { print $2 }' ;;
    fedora) dnf repoquery --quiet --unneeded --queryformat '%{name}\n' ;;
    esac | sed '/^$/d' | LC_ALL=C sort -u
}

# packages_unasked NAME...: nobody asked for them.
packages_unasked() {
    case $(system) in
    debian) apt-mark auto "$@" >/dev/null ;;
    # The word of dnf 5, else of dnf 4.
    fedora) dnf --quiet mark dependency "$@" 2>/dev/null || dnf --quiet mark remove "$@" ;;
    esac
}

# unit_on UNIT, unit_up UNIT: starts at boot; runs.
unit_on() {
    systemctl is-enabled --quiet "$1" 2>/dev/null
}

unit_up() {
    systemctl is-active --quiet "$1" 2>/dev/null
}

# answers URL: the service there says that it is well. That its port opens proves nothing: under Podman something listens
# there from the moment that the container is made.
answers() {
    curl --fail --silent --noproxy '*' --max-time 10 --output /dev/null "$1"
}

# containers_of UNIT [OPTION...]: those of its compose project that run, as the engine's ps says it.
containers_of() {
    "$engine" ps --quiet --filter "label=com.docker.compose.project=ai-stack-${1%.service}" "${@:2}"
}

# unit_said INVOCATION: what the unit said in this life of its, and what systemd said of it; without colours.
unit_said() {
    journalctl --no-pager --output cat "_SYSTEMD_INVOCATION_ID=$1" + "INVOCATION_ID=$1" |
        sed -e 's/\x1b\[[0-9;]*m//g' -e '/^[[:space:]]*$/d'
}

# unit_start UNIT URL: now and at boot; comes back when the service answers, and says every 15 seconds that it waits. The
# first start fetches images, which may take as long as it takes; containers that run have ten minutes. A unit that ends
# is an error at once, and so is one with a container that ends and is not up again in ten seconds, or ends again and again.
unit_start() {
    local life ended began=$SECONDS told=$SECONDS none=$SECONDS all=$SECONDS
    unit_on "$1" || remember unit "$1"
    systemctl daemon-reload
    systemctl enable --quiet "$1"
    systemctl restart "$1"
    life=$(systemctl show --property=InvocationID --value "$1")
    until answers "$2"; do
        unit_up "$1" && [[ $(systemctl show --property=NRestarts --value "$1") == 0 ]] ||
            unit_failed "$1" "$life" "does not stay up"
        # Compose itself stays: its words are the only ones that docker and podman, old and new, have in common.
        ended=$(unit_said "$life" | grep -c ' exited with code ' || true)
        [[ -n $(containers_of "$1") ]] || none=$SECONDS
        ((ended > 0)) && [[ $(containers_of "$1" --filter status=running) != "$(containers_of "$1" --all)" ]] || all=$SECONDS
        ((ended < 5 && SECONDS - all < 10)) || unit_failed "$1" "$life" "does not stay up: a container of it ended"
        ((SECONDS - none < 600)) || unit_failed "$1" "$life" "has run for ten minutes, and does not answer at $2"
        if ((SECONDS - told >= 15)); then
            told=$SECONDS
            printf '      ...   %s does not answer yet (%s s). It said last: %s\n' \
                "$1" $((SECONDS - began)) "$(unit_said "$life" | tail -n 1)"
        fi
        sleep 1
    done
}

# unit_failed UNIT INVOCATION WHAT
unit_failed() {
    fail "$1 $3. What it said (journalctl --unit $1):" "$(unit_said "$2" | tail -n 20)"
}

# gpu_here: amd, nvidia, intel or cpu.
gpu_here() {
    local vendor
    if [[ -e /dev/nvidiactl ]]; then
        echo nvidia
        return
    fi
    for vendor in /sys/class/drm/renderD*/device/vendor; do
        case $(cat "$vendor" 2>/dev/null) in
        0x1002) echo amd && return ;;
        0x8086) echo intel && return ;;
        esac
    done
    echo cpu
}
