# shellcheck shell=bash
# The machine itself: packages, the container engine, the group, the shared folders.

engine_packages() {
    case $engine in
    docker)
        command -v dockerd >/dev/null || { [[ $(system) == fedora ]] && echo moby-engine || echo docker.io; }
        ;;
    # Without these the containers of a service have no network, or no names in it; podman merely recommends them.
    podman)
        echo podman netavark aardvark-dns
        [[ $(system) == fedora ]] || echo iptables
        ;;
    esac
    [[ -n $(compose_command) ]] || echo docker-compose
}

wanted_packages() {
    case $(system) in
    debian)
        echo git golang podman-toolbox libvulkan-dev mesa-vulkan-drivers
        echo python3 python3-venv libgomp1 curl ca-certificates unzip polkitd
        ;;
    fedora)
        echo git golang toolbox vulkan-headers vulkan-loader-devel mesa-vulkan-drivers
        echo python3 libgomp curl ca-certificates unzip polkit
        ;;
    *) fail "this system is neither of the Debian nor of the Fedora family." "  Install the packages by hand, then: --skip packages" ;;
    esac
    engine_packages
}

missing_packages() {
    local name
    for name in $(wanted_packages); do
        package_there "$name" || printf '%s ' "$name"
    done
}

packages_title() {
    local names
    names=$(missing_packages)
    echo "system packages${names:+: $names}"
}
packages_done() {
    [[ -z $(missing_packages) ]]
}
packages_do() {
    local name names
    names=$(missing_packages)
    for name in $names; do
        remember package "$name"
    done
    # shellcheck disable=SC2086 # a list of names
    packages_add $names
}

# compose_command: the program that reads compose files, with its path, as a unit needs it.
compose_command() {
    if docker compose version >/dev/null 2>&1; then
        echo "$(command -v docker) compose"
    else
        command -v docker-compose || true
    fi
}

engine_unit() {
    [[ $engine == docker ]] && echo docker.service || echo podman.socket
}

engine_title() {
    echo "$engine runs now and at every boot ($(engine_unit))"
}
engine_done() {
    unit_on "$(engine_unit)" && unit_up "$(engine_unit)"
}
engine_do() {
    unit_on "$(engine_unit)" || remember enabled "$(engine_unit)"
    systemctl enable --now --quiet "$(engine_unit)"
}

outside_group() {
    local user
    for user in $(human_users); do
        [[ " $(id -nG "$user") " == *' aistack '* ]] || echo "$user"
    done
}

group_title() {
    # shellcheck disable=SC2046 # one line
    echo "the group aistack, and in it:" $(human_users)
}
group_done() {
    getent group aistack >/dev/null && [[ -z $(outside_group) ]]
}
group_do() {
    local user
    getent group aistack >/dev/null || {
        remember group aistack
        groupadd --system aistack
    }
    for user in $(outside_group); do
        remember member "$user"
        usermod --append --groups aistack "$user"
    done
}

folders_title() {
    echo "/opt/models, which the group may read"
}
folders_done() {
    stamped /opt/models 2750 root:aistack
}
folders_do() {
    make_folder /opt/models 2750 root:aistack
}

profile_files() {
    "$1" ours /etc/profile.d/ai-stack.sh 0644 root:root cat "$deploy/etc/ai-stack.sh"
}
profile_title() {
    echo "/etc/profile.d/ai-stack.sh: PATH and the variables of Claude Code for every shell"
}
profile_done() {
    all_there profile_files
}
profile_do() {
    profile_files file_put
}

polkit_rules=/etc/polkit-1/rules.d/50-ai-stack.rules
polkit_files() {
    "$1" ours "$polkit_rules" 0644 root:root cat "$deploy/etc/50-ai-stack.rules"
}
polkit_title() {
    echo "the group may restart llama-swap and manifest, and nothing else ($polkit_rules)"
}
polkit_done() {
    all_there polkit_files
}
polkit_do() {
    polkit_files file_put
}
