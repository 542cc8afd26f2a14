# >>> brainrouter >>>
set -gx ANTHROPIC_BASE_URL http://127.0.0.1:(cat /run/user/1000/brainrouter.port 2>/dev/null; or echo 9099)
set -gx ANTHROPIC_AUTH_TOKEN brainrouter
set -gx ANTHROPIC_MODEL auto
set -gx ANTHROPIC_DEFAULT_HAIKU_MODEL local
set -gx CLAUDE_CODE_ATTRIBUTION_HEADER 0
set -gx CLAUDE_CODE_TOTAL_TOKENS_REMINDER off
set -gx CLAUDE_CODE_MAX_CONTEXT_TOKENS 200000
set -gx CLAUDE_CODE_AUTO_COMPACT_WINDOW 200000
# <<< brainrouter <<<
