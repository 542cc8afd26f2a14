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
            XDG_RUNTIME_DIR="/run/user/$uid" "${network[@]}" runuser -u "$user" -- "$@"
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

packages_remove() {
    case $(system) in
    debian) DEBIAN_FRONTEND=noninteractive apt-get purge -y -q --auto-remove "$@" ;;
    fedora) dnf remove -y "$@" ;;
    esac
}

# unit_on UNIT, unit_up UNIT: starts at boot; runs.
unit_on() {
    systemctl is-enabled --quiet "$1" 2>/dev/null
}

unit_up() {
    systemctl is-active --quiet "$1" 2>/dev/null
}

# unit_start UNIT: now and at boot.
unit_start() {
    unit_on "$1" || remember unit "$1"
    systemctl daemon-reload
    systemctl enable --quiet "$1"
    systemctl restart "$1"
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
