"""Rarely used tools kept out of the prompt, behind two of ours that the proxy serves itself. Pure.

A chat template renders the tools into the system prompt, so a tool that joins them costs the server all it has read.
Ours therefore never change: one shows a tool's schema as the text of its result, the other calls it by name. The
harness sees neither, only the call of its own tool; in its history that call is said our way again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec import Raw

from brainrouter.policy.adapt import Message
from brainrouter.policy.lean.everyday import everyday
from brainrouter.policy.lean.tools import FULL, TERSE, Tool, parameters_of, slim, tool_name
from brainrouter.policy.lean.words import cut_short, shortened
from brainrouter.wire.chat_request import call_of, function_of
from brainrouter.wire.json_body import TEXT, opening
from brainrouter.wire.token_estimate import text_tokens

FIND, CALL = "find_tools", "call_tool"
SHOWN_MAX = 3  # tools that one search by words shows
LISTED_WITH_WORDS = 40  # tools up to which each is listed with what it does
LISTED_MAX = 150
_LISTED_WORDS = 40
WORTH = 150  # tokens from which two more tools in the way are a gain

_SEARCHES = re.compile(r"tool_?search|search_?tools?", re.IGNORECASE).fullmatch
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ARGUMENTS = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True, slots=True)
class Call:
    """A model's call of a tool. `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Deferral:
    """`offered` goes to the model: the tools of everyday work, and ours as `find` and `call`. `hidden` are the names
    of those that wait; `known` has all of the harness' tools, with more words than are offered.
    """

    offered: list[Tool]
    known: dict[str, Tool]
    hidden: frozenset[str]
    find: str
    call: str

    @property
    def rule(self) -> str:
        """What the lean prompt says of our tools."""
        return f"- `{self.find}` shows tools that are not listed here; `{self.call}` calls them."

    def settled(self, call: Call) -> Call | str:
        """The harness' own call behind a model's call, or the text that answers one of ours."""
        if call.name == self.find:
            return self.shown(_query(call.arguments))
        if call.name != self.call:
            return call
        fields = _object(call.arguments) or {}
        name = _text(fields.pop("name", None))
        if not name:
            return f"`{self.call}` takes a JSON object with `name` and `arguments`."
        return self._unwrapped(call, name, fields)

    def _unwrapped(self, call: Call, name: str, fields: dict[str, Raw]) -> Call | str:
        tool = self.known.get(name)
        if tool is None:
            return f"There is no tool named {name[:80]}. Ask `{self.find}` for one."
        arguments = _arguments(fields)
        if arguments is None:
            return f"The `arguments` of {name} must be a JSON object."
        lacking = [one for one in _required(tool) if one not in arguments]
        if lacking:
            return f"{name} was not called: {', '.join(lacking)} missing.\n{_schema(tool)}"
        return Call(call.id, name, msgspec.json.encode(arguments).decode())

    def shown(self, query: str) -> str:
        """What a search is answered with: the schemas of the tools that it names, else of those it describes best."""
        found = self._named(query) or self._described(query)
        if not found:
            return f"No tool fits. The names are: {', '.join(sorted(self.hidden)[:LISTED_MAX])}."
        return "\n".join([f"Call with `{self.call}`:", *map(_schema, found)])

    def _named(self, query: str) -> list[Tool]:
        asked = {word.strip("`'\"()[]") for word in re.split(r"[\s,]+", query)}
        return [tool for name, tool in self.known.items() if name in asked or name == query.strip()]

    def _described(self, query: str) -> list[Tool]:
        asked = _words(query)
        scores = [(_score(tool, asked), tool) for name, tool in self.known.items() if name in self.hidden]
        ranked = sorted((pair for pair in scores if pair[0]), key=lambda pair: -pair[0])
        return [tool for _, tool in ranked[:SHOWN_MAX]]

    def wrapped(self, messages: Sequence[Message]) -> list[Message]:
        """The conversation as this model had it: every call of a hidden tool made through ours, found before its first.

        What is done to a message depends on those before it alone, so the prefix stands still.
        """
        made: list[Message] = []
        known: set[str] = set()
        for message in messages:
            calls = message.get("tool_calls")
            if message.get("role") != "assistant" or not isinstance(calls, list):
                made.append(message)
                continue
            names = dict.fromkeys(map(_called, cast("list[Any]", calls)))
            new = [name for name in names if name in self.hidden and name not in known]
            known.update(new)
            if new:
                made += self._search(message, new, len(made))
                message = {**_bare(message), "content": ""}
            made.append({**message, "tool_calls": [self._wrapped(one) for one in cast("list[Any]", calls)]})
        return made

    def _search(self, message: Message, names: list[str], at: int) -> list[Message]:
        query = ", ".join(names)
        asked = call_of(search_id(at), self.find, msgspec.json.encode({"query": query}).decode())
        said = {name: value for name, value in message.items() if name in ("content", "reasoning_content")}
        return [
            {"role": "assistant", **said, "tool_calls": [asked]},
            _result(search_id(at), self.shown(query)),
        ]

    def _wrapped(self, call: Any) -> Any:
        name = _called(call)
        if name not in self.hidden:
            return call
        told = call["function"].get("arguments")
        arguments = _object(told if isinstance(told, str) else "")
        fields = {"name": name, "arguments": told if arguments is None else arguments}
        return {**call, "function": {**call["function"], "name": self.call, "arguments": _dump(fields)}}


def deferral(tools: list[Tool], keep: Collection[str] = ()) -> Deferral | None:
    """Which of these tools wait; None where that spares too little. `keep` are names that never do.

    The tools of everyday work never wait (running, reading, editing, writing, searching), nor does a harness' own
    search for tools. Names of ours give way to tools that are called the same.
    """
    full = {tool_name(tool): tool for tool in slim(tools, FULL)}
    stays = everyday(tools) | set(keep) | set(filter(_SEARCHES, full))
    hidden = {name: tool for name, tool in full.items() if name not in stays}
    find, call = _free(FIND, full), _free(CALL, full)
    ours = _ours(find, call, hidden)
    spared = _weight([tool for tool in slim(tools) if tool_name(tool) in hidden]) - _weight(ours)
    if spared < WORTH:
        return None
    core = slim([tool for tool in tools if tool_name(tool) not in hidden], TERSE)
    return Deferral([*core, *ours], full, frozenset(hidden), find, call)


def search_id(at: int) -> str:
    """The id of a call that only we and the model know: nine letters and digits, which every template takes."""
    return f"find{at % 100_000:05d}"


def is_search(call_id: object) -> bool:
    """Whether a tool result with this id is one of our own."""
    return isinstance(call_id, str) and re.fullmatch(r"find\d{5}", call_id) is not None


def _result(call_id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def answered(call_at: int, said: Message, asked: Sequence[tuple[Call, str]]) -> list[Message]:
    """What a round that the harness never sees adds to the conversation: the calls of ours, and their answers.

    `said` holds the text (and thoughts) of the same answer, `call_at` how many messages there were.
    """
    ids = [search_id(call_at + number) for number in range(len(asked))]
    calls = [
        call_of(one, call.name, call.arguments if _object(call.arguments) is not None else "{}")
        for one, (call, _) in zip(ids, asked, strict=True)
    ]
    results = [_result(one, text) for one, (_, text) in zip(ids, asked, strict=True)]
    return [{"role": "assistant", "content": "", **said, "tool_calls": calls}, *results]


def _ours(find: str, call: str, hidden: dict[str, Tool]) -> list[Tool]:
    listed = list(hidden.items())[:LISTED_MAX]
    if len(hidden) > LISTED_WITH_WORDS:
        lines = ", ".join(name for name, _ in listed)
    else:
        lines = "\n".join(f"- {name}: {_first_words(tool)}" for name, tool in listed)
    more = f"\nand {len(hidden) - len(listed)} more" if len(hidden) > len(listed) else ""
    query = {"type": "string", "description": "names from the list, or words"}
    finds = function_of(
        find,
        f"Shows how these further tools are called:\n{lines}{more}",
        {"type": "object", "properties": {"query": query}, "required": ["query"]},
    )
    fields = {"name": {"type": "string"}, "arguments": {"type": "object"}}
    calls = function_of(
        call,
        f"Calls a tool that `{find}` has shown.",
        {"type": "object", "properties": fields, "required": ["name", "arguments"]},
    )
    return [finds, calls]


def _first_words(tool: Tool) -> str:
    words = " ".join(str(tool["function"].get("description") or "").split())
    return cut_short(shortened(words, _LISTED_WORDS, clauses=True))


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _score(tool: Tool, asked: set[str]) -> int:
    function = tool["function"]
    return 3 * len(asked & _words(function["name"])) + len(
        asked & _words(str(function.get("description") or ""))
    )


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text) if len(word) > 1}


def _schema(tool: Tool) -> str:
    return msgspec.json.encode(tool["function"]).decode()


def _required(tool: Tool) -> list[str]:
    found = parameters_of(tool).get("required")
    return (
        [one for one in cast("list[Any]", found) if isinstance(one, str)] if isinstance(found, list) else []
    )


def _query(arguments: str) -> str:
    fields = _object(arguments) or {}
    return (
        _text(fields.get("query")) or " ".join(filter(None, map(_text, fields.values()))) or arguments[:500]
    )


def _arguments(fields: dict[str, Raw]) -> dict[str, Raw] | None:
    """The arguments beside the name: under their own key, as JSON in a string, or (as small models do) laid bare."""
    if "arguments" not in fields:
        return fields
    raw = fields["arguments"]
    return _object(_text(raw) if opening(raw) == TEXT else bytes(raw).decode())


def _object(text: str) -> dict[str, Raw] | None:
    try:
        return _ARGUMENTS.decode(text)
    except (ValueError, RecursionError):
        return None


def _text(raw: Raw | None) -> str:
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except (ValueError, RecursionError):
        return ""


def _called(call: Any) -> str:
    function = cast("dict[str, Any]", call).get("function") if isinstance(call, dict) else None
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _bare(message: Message) -> Message:
    return {name: value for name, value in message.items() if name != "reasoning_content"}


def _dump(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _weight(tools: list[Tool]) -> float:
    return text_tokens(msgspec.json.encode(tools))
