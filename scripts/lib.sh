# Sourced by the scripts beside it: how they speak, and how they find a Python. POSIX sh only.
# shellcheck shell=sh

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
    bold='' red='' plain=''
fi

say() {
    printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2
}

# fail SENTENCE [MEND]
fail() {
    printf '%sbrainrouter:%s %s\n' "$red" "$plain" "$1" >&2
    if [ -n "${2:-}" ]; then
        printf '%s\n' "$2" >&2
    fi
    exit 1
}

# Which family of systems this is: debian, fedora, macos, or nothing when it is none of them.
system() {
    case "$(uname -s)" in
    Darwin)
        echo macos
        return
        ;;
    esac
    [ -r /etc/os-release ] || return 0
    # shellcheck source=/dev/null
    family=$(. /etc/os-release && echo " ${ID:-} ${ID_LIKE:-} ")
    case "$family" in
    *' debian '* | *' ubuntu '*) echo debian ;;
    *' fedora '* | *' rhel '*) echo fedora ;;
    esac
}

# mend DEBIAN-PACKAGES FEDORA-PACKAGES BREW-PACKAGES: the command for this system, or all three where it is unknown.
mend() {
    sudo='sudo '
    if [ "$(id -u)" = 0 ]; then
        sudo=''
    fi
    debian="${sudo}apt-get update && ${sudo}apt-get install -y $1"
    fedora="${sudo}dnf install -y $2"
    macos="brew install $3"
    case "$(system)" in
    debian) printf '  Install it:  %s\n' "$debian" ;;
    fedora) printf '  Install it:  %s\n' "$fedora" ;;
    macos) printf '  Install it:  %s\n' "$macos" ;;
    *) printf '  Debian, Ubuntu:  %s\n  Fedora:          %s\n  macOS:           %s\n' "$debian" "$fedora" "$macos" ;;
    esac
}

# need COMMAND REASON: stops with the mend when COMMAND is not installed.
need() {
    command -v "$1" >/dev/null 2>&1 || fail "$1 is not installed, and $2." "$(mend "$1" "$1" "$1")"
}

# True when $1 runs and is a Python that the locks are made for.
python_fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Prints the first Python that fits: the caller's choice, the system's, a versioned one, one of pyenv's.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        python_fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or newer that runs."
        command -v "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && python_fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null) || found=''
    if [ -n "$found" ]; then
        fail "Python 3.11 or newer is needed, and the python3 here is $found." \
            "$(mend 'python3.12 python3.12-venv libgomp1' 'python3.12 libgomp' python@3.13)"
    fi
    fail "Python 3.11 or newer is needed, and no python3 was found." \
        "$(mend 'python3 python3-venv libgomp1' 'python3 libgomp' python@3.13)"
}

# need_venv PYTHON: Debian ships Python without the parts that make a virtual environment with pip in it.
need_venv() {
    if "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        return
    fi
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$1 cannot make a virtual environment with pip: its venv and ensurepip modules are missing." \
        "$(mend "python$version-venv libgomp1" 'python3 python3-pip libgomp' python@3.13)"
}

# need_openmp PYTHON: llama.cpp's build for Linux wants the system's OpenMP, which a minimal system lacks.
need_openmp() {
    if [ "$(uname -s)" != Linux ] || "$1" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' >/dev/null 2>&1; then
        return
    fi
    fail "libgomp.so.1, the OpenMP library that llama.cpp runs on, is not installed." "$(mend libgomp1 libgomp libomp)"
}
