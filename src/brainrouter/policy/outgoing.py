"""What is sent to an upstream: path, headers and body. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import msgspec

from brainrouter.policy import adapt
from brainrouter.policy import failure as kinds
from brainrouter.policy.failure import Failure
from brainrouter.policy.lean.deferral import Call, Deferral, answered
from brainrouter.policy.lean.fit import foreseen, trimmed
from brainrouter.policy.lean.offer import offer
from brainrouter.policy.lean.turn import Saving, lean_turn
from brainrouter.policy.model_name import PREFIX
from brainrouter.policy.plan import Attempt
from brainrouter.remembered import remembered
from brainrouter.wire.ask import Ask, Dialect
from brainrouter.wire.chat_request import CannotTranslate, ChatRequest
from brainrouter.wire.json_body import BadBody, kind_of, parse_object, with_fields
from brainrouter.wire.native import Body, native_body
from brainrouter.wire.translate import to_chat

DIALECTS: tuple[Dialect, ...] = ("chat", "messages", "responses")
Lines = tuple[tuple[bytes, bytes], ...]
PATHS = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}

_MESSAGES = msgspec.json.Decoder(list[dict[str, Any]])
_RAW_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])

# Never passed on: hop-by-hop, framing, the caller's credentials for us, what a browser adds, our own.
_NOT_FORWARDED = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te",
        "trailer", "upgrade", "expect", "authorization", "proxy-authorization", "x-api-key", "cookie",
        "accept-encoding", "content-type", "origin", "referer", "forwarded", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-proto", "x-real-ip", "x-session-key",
    }
)  # fmt: skip
# Said of the caller's own dialect: meaningless or refused in another.
_NATIVE_PREFIXES = (b"anthropic-", b"openai-", b"x-codex-", b"x-stainless-")
# What only llama.cpp takes.
_LOCAL_ONLY = frozenset({"top_k"})
MANIFEST_KEY_PREFIX = "mnfst_"
_NOT_FORWARDED_PREFIXES = ("sec-", "x-brainrouter-", "access-control-")


class Outgoing(msgspec.Struct, frozen=True):
    """One request to an upstream. `path` is relative to the upstream's base path.

    `shared` are header lines that every request with the same head carries: one object for all of them.

    `dialect` is what the upstream is spoken to in. `translated` is set where that is not the caller's: what turns the
    answer back. `saving` is what the local side is spared, `deferral` what its model has to ask us for.
    """

    path: str
    headers: list[tuple[bytes, bytes]]
    body: Body
    dialect: Dialect
    translated: ChatRequest | None = None
    saving: Saving | None = None
    deferral: Deferral | None = None
    shared: Lines = ()

    @property
    def document(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.body) if isinstance(self.body, tuple) else self.body


def to_cloud(
    ask: Ask, attempt: Attempt, key: str | None, protocols: Collection[Dialect] = DIALECTS
) -> Outgoing:
    """The caller's own request with the model set: body, query and headers otherwise as they came.

    Manifest reads the key from Authorization only, and keeps a conversation on one provider by x-session-key
    (reference: Manifest's agent-key guard and momentum). Where the cloud does not speak the caller's dialect, the
    request is said in chat completions. Raises Failure for one that cannot be.
    """
    translated = None if ask.dialect in protocols else _translated(ask, as_came=True)
    shared = _leaving(ask.headers).lines(key, native=translated is None)
    headers = [(b"x-session-key", ask.session.encode("latin-1", "replace"))] if ask.session else []
    if translated is not None:
        messages = _without_reasoning(adapt.adapt(translated.messages))
        fields = {name: value for name, value in translated.fields.items() if name not in _LOCAL_ONLY}
        body = _chat_body(ask, attempt.model, messages, fields)
        return Outgoing(PATHS["chat"], headers, body, "chat", translated, shared=shared)
    try:
        body = native_body(ask, attempt.model)
    except BadBody as bad:
        raise Failure(kinds.REFUSED, bad.message, status=bad.status) from None
    path = PATHS[ask.dialect] + (f"?{ask.query}" if ask.query else "")
    return Outgoing(path, headers, body, ask.dialect, shared=shared)


class _Leaving:
    """The header lines that leave for the cloud with the requests of one head."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self._made: dict[tuple[str | None, bool], Lines] = {}

    def lines(self, key: str | None, *, native: bool) -> Lines:
        """The caller's lines that may leave, and the key; only a `native` request takes those of its dialect along."""
        found = self._made.get((key, native))
        return found if found is not None else self._make(key, native)

    def _make(self, key: str | None, native: bool) -> Lines:
        lines = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in self._headers.items()
            if name not in _NOT_FORWARDED and not name.startswith(_NOT_FORWARDED_PREFIXES)
        ]
        kept = [line for line in lines if native or not line[0].startswith(_NATIVE_PREFIXES)]
        self._made[key, native] = made = (*kept, *_always(key or _own_key(self._headers)))
        return made


_leaving = remembered(_Leaving, 128)


def to_local(
    ask: Ask,
    attempt: Attempt,
    key: str | None,
    lean_override: str | None,
    *,
    vision: bool = True,
    slimming: int = 1,
    keep: Collection[str] = (),
    window: int | None = None,
    overflow: Failure | None = None,
) -> Outgoing:
    """The request as a local model should get it: roles adapted, a harness' prose replaced, tools slimmed.

    Where `local` was asked for by name, the heavy prompt of a program nobody knows is replaced, too.
    A model without `vision` is told of images in place of being shown them. Where a `window` is given nobody else can
    take the request: old tool results are left out of one that seems longer. `overflow` is the server's refusal of the
    same request as too long: more of them are then; where that is not enough, it is raised again.
    Raises Failure for messages that pass as bytes but cannot be taken apart (nested to the very limit) or said in
    chat completions.
    """
    headers = [(b"accept", b"application/json"), *_always(key)]
    if key:
        headers.append((b"x-api-key", key.encode("latin-1")))
    if ask.session:
        headers.append((b"x-session-id", ask.session.encode("latin-1", "replace")))
    translated = None if ask.dialect == "chat" else _translated(ask)
    try:
        messages = translated.messages if translated else _MESSAGES.decode(ask.body["messages"])
        level = 1 if slimming > 1 and _picked(ask, translated) else slimming
        turn = lean_turn(
            messages,
            offer(_tools_of(ask, translated), level, tuple(keep)),
            lean_override,
            unknown_too=ask.model.removeprefix(PREFIX) == "local",
        )
        messages = adapt.adapt(turn.messages if vision else adapt.without_images(turn.messages))
        saving = turn.saving
        if overflow is not None or (window is not None and saving.after >= window):
            messages, saving = _fitted(messages, saving, turn.offer.after, window, overflow)
        tools = {"tools": msgspec.Raw(turn.offer.encoded)} if turn.offer.encoded else {}
        body = _local_body(ask, translated, attempt.model, messages, tools)
    except (RecursionError, BadBody):  # what was read without being taken apart may be too deep for that
        raise Failure(kinds.REFUSED, "messages: nested too deeply") from None
    return Outgoing(PATHS["chat"], headers, body, "chat", translated, saving, turn.offer.deferral)


def after_search(out: Outgoing, said: adapt.Message, asked: Sequence[tuple[Call, str]]) -> Outgoing:
    """The request that goes on from one whose answer asked for nothing but our own tools: what was sent stays as it
    was, and the calls with their answers come after it.
    """
    body = parse_object(out.document)
    messages = _RAW_MESSAGES.decode(body["messages"])
    added = answered(len(messages), said, asked)
    return msgspec.structs.replace(out, body=with_fields(body, messages=[*messages, *added]))


def _picked(ask: Ask, translated: ChatRequest | None) -> bool:
    """Whether the caller says which tool must be called: then that one may not wait, and little would be spared."""
    choice = translated.fields.get("tool_choice") if translated else ask.body.get("tool_choice")
    return isinstance(choice, dict) or (isinstance(choice, msgspec.Raw) and kind_of(choice) == "object")


def _local_body(
    ask: Ask,
    translated: ChatRequest | None,
    model: str,
    messages: list[adapt.Message],
    tools: dict[str, Any],
) -> bytes:
    if translated is not None:
        return _chat_body(
            ask, model, messages, {**translated.fields, **_thinking(translated, messages), **tools}
        )
    changes: dict[str, Any] = {"model": model, "messages": messages, **tools}
    if ask.stream:
        changes["stream_options"] = {**_options(ask), "include_usage": True}
    return with_fields(ask.body, **changes)


def _fitted(
    messages: list[adapt.Message],
    saving: Saving,
    tools: float,
    window: int | None,
    overflow: Failure | None,
) -> tuple[list[adapt.Message], Saving]:
    count = 0
    if window is not None:
        messages, count = foreseen(messages, window, tools)
    if overflow is not None:
        found = trimmed(messages, *overflow.window, tools) if overflow.window else None
        if found is None:
            raise overflow
        messages, count = found[0], count + found[1]
    if not count:
        return messages, saving
    words = f"{count} old tool results left out: the window is full"
    return messages, msgspec.structs.replace(saving, note="; ".join(filter(None, (saving.note, words))))


def _tools_of(ask: Ask, translated: ChatRequest | None) -> bytes | None:
    """The JSON of the tools, as chat functions."""
    if translated is None:
        return bytes(ask.body["tools"]) if "tools" in ask.body else None
    found = translated.fields.get("tools")
    return msgspec.json.encode(found) if found else None


def to_count(ask: Ask, model: str) -> bytes:
    """The request as a local model would be asked it, for its own tokenizer to count: nothing left out, nothing made
    lean. Raises Failure for one that cannot be said in chat completions.
    """
    translated = _translated(ask)
    messages = adapt.adapt(adapt.without_images(translated.messages))
    fields = {name: translated.fields[name] for name in ("tools",) if name in translated.fields}
    return msgspec.json.encode({"model": model, "messages": messages, **fields})


def _translated(ask: Ask, *, as_came: bool = False) -> ChatRequest:
    try:
        return to_chat(ask, as_came=as_came)
    except CannotTranslate as beyond:
        raise Failure(kinds.NOT_TRANSLATABLE, beyond.message) from None
    except BadBody as bad:
        raise Failure(kinds.REFUSED, bad.message, status=bad.status) from None


def _chat_body(ask: Ask, model: str, messages: list[adapt.Message], fields: dict[str, Any]) -> bytes:
    body: dict[str, Any] = {"model": model, "messages": messages, **fields, "stream": ask.stream}
    if ask.stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _thinking(request: ChatRequest, messages: list[adapt.Message]) -> dict[str, Any]:
    """How hard a local model shall think. One that must go on from words put into its mouth cannot think first."""
    fields: dict[str, Any] = {}
    prefilled = bool(messages) and messages[-1].get("role") == "assistant"
    if request.thinks is False or prefilled:
        fields["chat_template_kwargs"] = {"enable_thinking": False}
    elif request.effort:
        fields["reasoning_effort"] = request.effort
    return fields


def _without_reasoning(messages: list[adapt.Message]) -> list[adapt.Message]:
    """Messages for any OpenAI-compatible server: many refuse fields that OpenAI does not have."""
    return [
        {name: value for name, value in message.items() if name != "reasoning_content"}
        if "reasoning_content" in message
        else message
        for message in messages
    ]


def _own_key(headers: dict[str, str]) -> str | None:
    """The caller's key, where it is Manifest's and so was made to be sent there. No other key ever leaves."""
    given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ").strip()
    return given if given.startswith(MANIFEST_KEY_PREFIX) and given.isascii() else None


def _always(key: str | None) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
    if key:
        headers.append((b"authorization", b"Bearer " + key.encode("latin-1")))
    return headers


def _options(ask: Ask) -> dict[str, Any]:
    raw = ask.body.get("stream_options")
    try:
        found: Any = msgspec.json.decode(raw) if raw is not None else None
    except RecursionError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
