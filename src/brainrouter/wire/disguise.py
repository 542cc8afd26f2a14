"""Failures that look like answers, and what an upstream's error body says in any of its shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from brainrouter.wire.ask import Dialect

DisguiseKind = Literal["misconfigured", "budget", "rate", "failure"]

_JSON = msgspec.json.Decoder()
_MESSAGE_MAX = 600
_STUB_MARK = re.compile(r"\s*\[\s*\N{PEACOCK}\s*Manifest\s+(M\d{3})\s*\]\s*")
_STUB_ID = "chatcmpl-manifest-"
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_OVERFLOW_NAMES = frozenset(
    ("exceed_context_size_error", "context_length_exceeded", "model_context_window_exceeded")
)
_OVERFLOW_WORDS = re.compile(
    r"prompt is too long|maximum context length|exceeds? the (?:available )?context (?:size|window)",
    re.IGNORECASE,
)
_OVERFLOW_NUMBERS = (
    re.compile(r"prompt is too long: (?P<n>\d+) tokens > (?P<m>\d+)"),
    re.compile(r"request \((?P<n>\d+) tokens\) exceeds the available context size \((?P<m>\d+)"),
    re.compile(r"maximum context length is (?P<m>\d+) tokens.{0,80}?(?P<n>\d+) tokens", re.DOTALL),
)
_MODEL_REASONS = ("no_provider", "no_provider_key", "model_not_available")


class ErrorInfo(msgspec.Struct, frozen=True):
    """What an error body says. `message` is plain text and may be empty; `src` is who said it, if it is told."""

    message: str
    type: str | None = None
    code: str | None = None
    src: str | None = None
    status: int | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None

    @property
    def overflow(self) -> bool:
        """Whether it says that the request does not fit the model's window."""
        if self.type in _OVERFLOW_NAMES or self.code in _OVERFLOW_NAMES:
            return True
        return bool(_OVERFLOW_WORDS.search(self.message))


class Disguise(msgspec.Struct, frozen=True):
    """A failure that came with status 200. `sign` is what gave it away; `code` is Manifest's (M101) or the error's."""

    kind: DisguiseKind
    sign: Literal["stub", "error", "wrong_envelope"]
    message: str
    code: str | None = None
    info: ErrorInfo | None = None


def disguised(
    status: int, headers: Mapping[str, str], first: Mapping[str, Any] | None, dialect: Dialect
) -> Disguise | None:
    """The failure behind a 2xx answer, or None. `first` is the whole JSON body, or the first event's data.

    Words alone never make a disguise: a user's text may hold any of them.
    """
    if not 200 <= status < 300:
        return None
    text = _first_text(first) if first else ""
    mark = _STUB_MARK.match(text)
    if says_stub(headers) or (first and _is_stub(first, mark)):
        return _stub(text, mark, headers.get("x-manifest-reason", ""))
    if first is None:
        return None
    error = first.get("error")
    if error:
        return _error_inside(error_of(first))
    streamed = "text/event-stream" in headers.get("content-type", "")
    if envelope_of(first) not in (dialect, None if streamed else dialect):
        return Disguise("failure", "wrong_envelope", f"the answer is not in the {dialect} dialect")
    return None


def envelope_of(answer: Mapping[str, Any]) -> Dialect | None:
    """The dialect whose hallmark an answer or an event carries."""
    said = (answer.get("object"), answer.get("type"))
    kind = " ".join(word for word in said if isinstance(word, str))
    if isinstance(answer.get("choices"), list) or "chat.completion" in kind:
        return "chat"
    if kind.startswith("response") or isinstance(answer.get("output"), list):
        return "responses"
    if kind in ("message", "message_start", "ping") or kind.startswith(("message_", "content_block_")):
        return "messages"
    return "messages" if isinstance(answer.get("content"), list) else None


def error_message(body: bytes) -> ErrorInfo:
    """What an upstream's error body says: OpenAI, llama-server, llama-swap, Manifest, Anthropic, text, HTML."""
    try:
        decoded = _JSON.decode(body)
    except (ValueError, RecursionError):
        return ErrorInfo(_plain(body.decode("utf-8", "replace")))
    if isinstance(decoded, dict):
        return error_of(cast("dict[str, Any]", decoded))
    return ErrorInfo(_plain(decoded) if isinstance(decoded, str) else "")


def error_of(answer: Mapping[str, Any]) -> ErrorInfo:
    """The same of a decoded object."""
    error = answer.get("error")
    nested = answer.get("response")
    if not error and isinstance(nested, dict):
        error = cast("dict[str, Any]", nested).get("error")
    fields = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    outer: Mapping[str, Any] = {} if fields else answer
    message = fields.get("message") or outer.get("message") or outer.get("detail") or outer.get("msg")
    if isinstance(error, str):
        message = error
    text = _plain(message) if isinstance(message, str) else ""
    n_prompt, n_ctx = _integer(fields.get("n_prompt_tokens")), _integer(fields.get("n_ctx"))
    if n_prompt is None or n_ctx is None:
        n_prompt, n_ctx = _window(text)
    code = fields.get("code", outer.get("code"))
    return ErrorInfo(
        message=text,
        type=_text(fields.get("type")),
        code=str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None,
        src=_text(answer.get("src")) or _text(fields.get("source")),
        status=_integer(fields.get("status")) or _http_status(code),
        n_prompt_tokens=n_prompt,
        n_ctx=n_ctx,
    )


def says_stub(headers: Mapping[str, str]) -> bool:
    """Whether the headers of an answer say that Manifest itself gave it."""
    return headers.get("x-manifest-provider", "").lower() == "manifest"


def marks_stub(model: object, identity: object, text: str) -> bool:
    """Whether anything about an answer hints at Manifest answering for itself; `disguised` then tells."""
    manifest = isinstance(identity, str) and identity.startswith(_STUB_ID)
    return model == "manifest" or manifest or "\N{PEACOCK}" in text[:40]


def _is_stub(first: Mapping[str, Any], mark: re.Match[str] | None) -> bool:
    identity = first.get("id")
    if first.get("model") == "manifest" or (isinstance(identity, str) and identity.startswith(_STUB_ID)):
        return True
    # A model may have been asked to write the mark; then it has counted the tokens it wrote.
    usage = first.get("usage")
    counts = cast("dict[str, Any]", usage) if isinstance(usage, dict) else {}
    return mark is not None and not (counts.get("completion_tokens") or counts.get("output_tokens"))


def _stub(text: str, mark: re.Match[str] | None, reason: str) -> Disguise:
    code = mark[1] if mark else None
    message = (
        _plain(text[mark.end() :] if mark else text)
        or f"Manifest answered for itself ({reason or 'no reason'})"
    )
    return Disguise(_stub_kind(code or "", reason), "stub", message, code)


def _stub_kind(code: str, reason: str) -> DisguiseKind:
    if code in ("M200", "M204") or reason == "limit_exceeded":
        return "budget"
    if code in ("M201", "M202", "M203"):
        return "rate"
    if code.startswith(("M0", "M1")) or code == "M302" or reason in _MODEL_REASONS:
        return "misconfigured"
    return "failure"


def _error_inside(info: ErrorInfo) -> Disguise:
    kind: DisguiseKind = "failure"
    names = (info.type, info.code)
    if info.status == 429 or "rate_limit_error" in names or "rate_limit_exceeded" in names:
        kind = "rate"
    elif info.status == 402 or "insufficient_quota" in names:
        kind = "budget"
    elif info.status in (401, 403) or "authentication_error" in names or "auth_error" in names:
        kind = "misconfigured"
    return Disguise(kind, "error", info.message or "the answer is an error", info.code, info)


def _first_text(answer: Mapping[str, Any]) -> str:
    """The first text of an answer in any dialect; empty when it holds none."""
    node: Any = answer
    for _ in range(6):
        if isinstance(node, str):
            return node
        if isinstance(node, list):
            items = cast("list[Any]", node)
            node = items[0] if items else None
        elif isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            node = next((fields[key] for key in _TEXT_PATH if fields.get(key)), None)
    return node if isinstance(node, str) else ""


_TEXT_PATH = ("choices", "message", "delta", "output", "content", "content_block", "text")


def _window(text: str) -> tuple[int | None, int | None]:
    for pattern in _OVERFLOW_NUMBERS:
        found = pattern.search(text)
        if found:
            return int(found["n"]), int(found["m"])
    return None, None


def _plain(text: str) -> str:
    """Text fit for showing: no HTML, one line, not long."""
    if "<" in text and re.match(r"\s*<(?:!doctype|html|head|body|\?xml)", text, re.IGNORECASE):
        text = _TAGS.sub(" ", text[:20_000])
    return " ".join(text[:20_000].split())[:_MESSAGE_MAX]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _http_status(code: object) -> int | None:
    number = int(code) if isinstance(code, str) and re.fullmatch(r"[45]\d\d", code) else _integer(code)
    return number if number is not None and 400 <= number < 600 else None
