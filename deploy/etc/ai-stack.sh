# shellcheck shell=sh
# Read by every login shell: the way to the programs, and Claude Code's variables while your brainrouter runs.
# To have Claude Code go its own way again: touch ~/.config/brainrouter/no-shell-variables
case ":$PATH:" in
*":$HOME/.bun/bin:"*) ;;
*) PATH="$HOME/.bun/bin:$HOME/.local/bin:$PATH" ;;
esac
if [ -z "${ANTHROPIC_BASE_URL:-}" ] && [ -r "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/brainrouter.port" ] &&
    [ ! -e "${XDG_CONFIG_HOME:-$HOME/.config}/brainrouter/no-shell-variables" ]; then
    # The port is the daemon's own choice where several people have one.
    ANTHROPIC_BASE_URL="http://127.0.0.1:$(cat "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/brainrouter.port")"
    export ANTHROPIC_BASE_URL
    export ANTHROPIC_AUTH_TOKEN=brainrouter
    export ANTHROPIC_MODEL=auto
    export ANTHROPIC_DEFAULT_HAIKU_MODEL=local
    export CLAUDE_CODE_ATTRIBUTION_HEADER=0
    export CLAUDE_CODE_TOTAL_TOKENS_REMINDER=off
    export CLAUDE_CODE_MAX_CONTEXT_TOKENS=200000
    export CLAUDE_CODE_AUTO_COMPACT_WINDOW=200000
fi
