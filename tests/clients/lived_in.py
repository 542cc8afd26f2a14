"""Configurations as people have them: comments, other providers, other servers, their own order and spacing."""

from __future__ import annotations

from pathlib import Path

FILES: dict[str, dict[str, str]] = {
    "claude": {
        ".claude/settings.json": """{
    "permissions": { "allow": ["Bash(git status)"], "deny": [] },
    "env": { "EDITOR": "vi" },
    "includeCoAuthoredBy": false
}
""",
        ".claude.json": """{
  "numStartups": 7,
  "hasCompletedOnboarding": true,
  "theme": "dark",
  "mcpServers": {
    "notes": { "type": "stdio", "command": "true", "args": [] }
  },
  "projects": {}
}
""",
        ".claude/CLAUDE.md": "Answer in English.\n\n- no emojis",
    },
    "codex": {
        ".codex/config.toml": """# my codex
model = "gpt-5.6"   # the good one
approval_policy = "on-request"

[analytics]
enabled = false

[projects."/srv/app"]
trust_level = "trusted"

[mcp_servers.notes]
command = "true"
args = []
"""
    },
    "opencode": {
        ".config/opencode/opencode.jsonc": """{
  "$schema": "https://opencode.ai/config.json",
  // keep it plain
  "theme": "system",
  "autoupdate": false,
  "model": "anthropic/claude-opus-5", /* until Friday */
  "provider": {
    "mine": {
      "npm": "@ai-sdk/openai-compatible",
      "options": { "baseURL": "http://127.0.0.1:1/v1" },
      "models": { "m": {} },
    },
  },
}
"""
    },
    "vibe": {
        ".vibe/config.toml": """active_model = "devstral-2"
enable_telemetry = false
enable_update_checks = false
enable_auto_update = false

# the usual
[[providers]]
name = "mistral"
api_base = "https://api.mistral.ai/v1"
api_key_env_var = "MISTRAL_API_KEY"
backend = "mistral"

[[models]]
name = "mistral-vibe-cli-latest"
provider = "mistral"
alias = "devstral-2"
"""
    },
    "omp": {
        ".omp/agent/models.yml": """# my models
providers:
    mine:
        baseUrl: http://127.0.0.1:1/v1   # the box downstairs
        api: openai-completions
        auth: none
        models:
            - id: m
""",
        ".omp/agent/config.yml": "theme:\n  dark: titanium  # easy on the eyes\nmodelRoles: {default: mine/m}\n",
        ".omp/agent/mcp.json": '{"mcpServers": {}}',
    },
    "pi": {
        ".pi/agent/settings.json": '{\n\t"theme": "light",\n\t"defaultProvider": "anthropic",\n\t"quietStartup": true\n}',
        ".pi/agent/models.json": """{
  "providers": {
    "mine": {
      "baseUrl": "http://127.0.0.1:1/v1", "api": "openai-completions", "apiKey": "x",
      "models": [ { "id": "m" } ]
    }
  }
}
""",
    },
    "droid": {
        ".factory/settings.json": """{
  // ours
  "cloudSessionSync": false,
  "customModels": [
    {
      "model": "m",
      "displayName": "the box downstairs",
      "baseUrl": "http://127.0.0.1:1/v1",
      "apiKey": "x",
      "provider": "generic-chat-completion-api",
      "maxOutputTokens": 4096
    }
  ]
}
""",
        ".factory/mcp.json": '{\n  "mcpServers": {\n  }\n}\n',
    },
}


def move_in(home: Path, client: str) -> dict[str, bytes]:
    """Put the client's files into a home; what was written, by path."""
    written: dict[str, bytes] = {}
    for name, text in FILES[client].items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(0o640)
        written[name] = text.encode()
    return written
