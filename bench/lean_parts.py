"""What of a harness' request is the user's and the project's, and the least that a request of it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from brainrouter.policy.adapt import Message, text_of
from brainrouter.policy.lean.deferral import Deferral
from brainrouter.policy.lean.envelopes import harness_texts, is_system
from brainrouter.policy.lean.tools import Tool, tool_name
from brainrouter.policy.lean.zones import zones
from brainrouter.wire.token_estimate import text_tokens

_WORDS = ("$schema", "description", "title", "examples", "default")
SERVER = "brainrouter"  # the MCP server that the user of the recorded sessions has


def weight(part: Any) -> float:
    """Tokens by estimate of something as it is sent."""
    return text_tokens(msgspec.json.encode(part))


def users(messages: Sequence[Message]) -> float:
    """Tokens of the parts that are the user's or the project's: instructions, environment, MCP instructions, the task."""
    found = 0.0
    for message in messages:
        texts = harness_texts(message)
        found += sum(text_tokens(text[start:end].encode()) for text in texts for start, end in zones(text))
        if message.get("role") == "user" and not is_system(message):
            whole = text_tokens(text_of(message.get("content")).encode())
            found += whole - sum(text_tokens(text.encode()) for text in texts)
    return found


def servers(tools: Sequence[Tool]) -> float:
    """Tokens of the tools that the user's own MCP servers brought."""
    return weight([tool for tool in tools if SERVER in tool_name(tool)])


def least(messages: Sequence[Message], waiting: Deferral | None, tools: Sequence[Tool]) -> float:
    """Tokens that no rule may take: the user's parts, the tools of everyday work without a word said of them (names,
    types, what is required), and the names of the others.
    """
    hidden = waiting.hidden if waiting else frozenset[str]()
    bare = [_bare(tool) for tool in tools if tool_name(tool) not in hidden]
    return users(messages) + weight(bare) + weight(sorted(hidden))


def _bare(part: Any) -> Any:
    """A tool without its words. A parameter may be called like one of them: what it holds is a schema."""
    if isinstance(part, list):
        return [_bare(one) for one in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    fields = cast("dict[str, Any]", part)
    return {
        key: _bare(value) for key, value in fields.items() if key not in _WORDS or isinstance(value, dict)
    }
