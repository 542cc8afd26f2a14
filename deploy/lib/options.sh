# shellcheck shell=bash disable=SC2034 # who sources this uses what it sets
# What deploy.sh and install.sh can be told. Everything has a default.
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
ledger=/var/lib/ai-stack/made
ledger_start=/var/lib/.ai-stack-made
prefix=/usr/local cache=/var/cache/ai-stack
scope=person
engine='' gpu='' wheel=''
bun_url=https://github.com/oven-sh/bun/releases/latest/download
model_url=https://huggingface.co/bartowski/prism-ml_Bonsai-8B-unpacked-GGUF/resolve/main/prism-ml_Bonsai-8B-unpacked-Q4_K_M.gguf
model_from='' model_sha256=''
# The newest release when this was written; a newer one: --manifest-version, or VERSION in /opt/ai/manifest/.env.
manifest_version=6.18.0
omp_version=latest
llama_swap_tag='' registry=https://ghcr.io
toolbox=llama-vulkan-radv
scratch=''

deploy_usage() {
    cat <<'HELP'
  --dry-run              say what would be done, change nothing
  --check                the same in silence: exit code 0 when nothing is missing
  --only A,B  --skip A,B these steps only; without these steps
  --engine docker|podman what runs the containers (what is here, else docker)
  --gpu amd|nvidia|intel|cpu   (found out)
  --model-url URL        the classifier's model; its sha256 is asked of the publisher
  --model-file FILE      a model that is here already
  --model-sha256 SUM     what it must be
  --omp-version V        the version of omp (the newest)
  --manifest-version V   the tag of Manifest's image
  --llama-swap-tag TAG   the tag of llama-swap's image (the newest that its publisher lists)
  --registry URL         whom to ask for that list
  --bun-url URL          where bun's zip and its SHASUMS256.txt are
  --wheel FILE           a built brainrouter, instead of building it from this checkout
HELP
}

deploy_options() {
    while (($#)); do
        case $1 in
        --multi-user) scope=services ;;
        --machine) scope=machine ;;
        --dry-run | --check)
            step_option "$1"
            ;;
        --help | -h)
            printf '%s [--multi-user] [OPTION...]\n' "$(basename "$0")"
            deploy_usage
            exit
            ;;
        --*)
            [[ $# -ge 2 ]] || fail "the option $1 is not known, or its value is missing." "$(deploy_usage)"
            deploy_value "$1" "$2"
            shift
            ;;
        *) fail "what is $1?" "$(deploy_usage)" ;;
        esac
        shift
    done
    [[ -n $engine ]] || engine=$(engine_here)
    [[ -n $gpu ]] || gpu=$(gpu_here)
}

deploy_value() {
    case $1 in
    --only | --skip) step_option "$1" "$2" ;;
    --engine) engine=$(one_of "$1" "$2" docker podman) ;;
    --gpu) gpu=$(one_of "$1" "$2" amd nvidia intel cpu) ;;
    --model-url) model_url=$2 ;;
    --model-file) model_from=$(a_file "$1" "$2") ;;
    --model-sha256)
        [[ $2 =~ ^[0-9a-f]{64}$ ]] || fail "--model-sha256: 64 hexadecimal digits are expected, and not $2."
        model_sha256=$2
        ;;
    --manifest-version) manifest_version=$2 ;;
    --llama-swap-tag) llama_swap_tag=$2 ;;
    --omp-version) omp_version=$2 ;;
    --registry) registry=$2 ;;
    --bun-url) bun_url=${2%/} ;;
    --wheel) wheel=$(a_file "$1" "$2") ;;
    *) fail "there is no option $1." "$(deploy_usage)" ;;
    esac
}

one_of() {
    local option=$1 value=$2
    shift 2
    [[ " $* " == *" $value "* ]] || fail "$option: one of $* is expected, and not $value."
    echo "$value"
}

a_file() {
    [[ -f $2 ]] || fail "$1: there is no file $2."
    readlink -f "$2"
}

# engine_here: what the services of this machine run under already; else the engine that is here (a docker command alone
# is none); else Docker.
engine_here() {
    local unit
    for unit in /etc/systemd/system/{manifest,llama-swap}.service; do
        [[ -f $unit ]] || continue
        grep -q '^Requires=podman.socket' "$unit" && echo podman || echo docker
        return
    done
    if ! command -v dockerd >/dev/null && command -v podman >/dev/null && [[ -e /usr/lib/systemd/system/podman.socket ]]; then
        echo podman
    else
        echo docker
    fi
}

# scratch: a folder that goes when the shell ends, in $scratch. Call it in a subshell, whose end is near.
scratch() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
}
