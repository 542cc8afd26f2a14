# shellcheck shell=bash
# Manifest and llama-swap, each a system service around a compose file, and what brainrouter reads in /etc.

random_word() {
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

# unit_text FILE
unit_text() {
    local socket=''
    [[ $engine == docker ]] || socket='Environment=DOCKER_HOST=unix:///run/podman/podman.sock'
    render "$1" "COMPOSE=$(compose_command)" "ENGINE=$(engine_unit)" "SOCKET=$socket"
}

manifest_folder=/opt/ai/manifest
manifest_health=http://127.0.0.1:3001/api/v1/health
manifest_env() {
    local password
    password=$(random_word)
    render "$deploy/compose/manifest/env" "VERSION=$manifest_version" "SECRET=$(random_word)" "KEY=$(random_word)" \
        "PASSWORD=$password"
}
manifest_files() {
    "$1" ours "$manifest_folder/compose.yaml" 0644 root:root cat "$deploy/compose/manifest/compose.yaml"
    "$1" seed "$manifest_folder/.env" 0600 root:root manifest_env
    "$1" ours /etc/systemd/system/manifest.service 0644 root:root unit_text "$deploy/systemd/manifest.service"
}
manifest_title() {
    echo "Manifest $manifest_version on 127.0.0.1:3001 (manifest.service, $manifest_folder)"
}
manifest_done() {
    all_there manifest_files && unit_on manifest.service && unit_up manifest.service && answers "$manifest_health"
}
manifest_do() {
    manifest_files file_put
    unit_start manifest.service "$manifest_health"
}

llama_swap_folder=/opt/ai/llama-swap
llama_swap_health=http://127.0.0.1:8081/health
llama_swap_flavour() {
    case $gpu in
    amd | intel) echo vulkan ;;
    nvidia) echo cuda ;;
    *) echo cpu ;;
    esac
}
# The tag that is pinned: the one given, else the newest that the publisher lists.
llama_swap_env() {
    local flavour tag=$llama_swap_tag
    flavour=$(llama_swap_flavour)
    [[ -n $tag ]] || tag=$(python3 "$deploy/lib/newest_tag.py" "$registry" mostlygeek/llama-swap "v(\\d+)-$flavour-b(\\d+)")
    render "$deploy/compose/llama-swap/env" "TAG=$tag" "FLAVOUR=$flavour"
}
llama_swap_config() {
    local bonsai='#'
    [[ ! -f $(model_file) ]] || bonsai=''
    render "$deploy/compose/llama-swap/config.yaml" "BONSAI=$bonsai" "FILE=bonsai/$(basename "$(model_file)")"
}
llama_swap_files() {
    "$1" ours "$llama_swap_folder/compose.yaml" 0644 root:root cat "$deploy/compose/llama-swap/compose.yaml"
    "$1" ours "$llama_swap_folder/gpu.yaml" 0644 root:root \
        cat "$deploy/compose/llama-swap/gpu-$(llama_swap_flavour).yaml"
    "$1" seed "$llama_swap_folder/.env" 0644 root:root llama_swap_env
    "$1" seed "$llama_swap_folder/config.yaml" 0644 root:root llama_swap_config
    "$1" ours /etc/systemd/system/llama-swap.service 0644 root:root unit_text "$deploy/systemd/llama-swap.service"
}
llama_swap_title() {
    echo "llama-swap ($(llama_swap_flavour)) on 127.0.0.1:8081 (llama-swap.service, $llama_swap_folder)"
}
llama_swap_done() {
    all_there llama_swap_files && unit_on llama-swap.service && unit_up llama-swap.service && answers "$llama_swap_health"
}
llama_swap_do() {
    llama_swap_files file_put
    unit_start llama-swap.service "$llama_swap_health"
}

# The classifier's large model is named only where a GPU can run it in time, and a fallback only where there is a model.
settings_text() {
    local classifier='#' fallback='#'
    if [[ -f $(model_file) ]]; then
        fallback=''
        [[ $gpu == cpu ]] || classifier=''
    fi
    render "$deploy/etc/brainrouter.yaml" "CLASSIFIER=$classifier" "MODEL=$(model_file)" "FALLBACK=$fallback" \
        "TOOLBOX=$toolbox"
}
settings_files() {
    "$1" seed /etc/brainrouter/brainrouter.yaml 0640 root:aistack settings_text
    "$1" seed /etc/brainrouter/env 0640 root:aistack cat "$deploy/etc/env"
}
settings_title() {
    echo "/etc/brainrouter: brainrouter.yaml and env, which the group may read"
}
settings_done() {
    all_there settings_files
}
settings_do() {
    settings_files file_put
}
