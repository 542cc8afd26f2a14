"""A local model's answer as the harness may see it: calls of our own tools answered or unwrapped. Pure, sans-IO.

Text passes as it comes. A call of one of ours is held until it is whole: then it is the harness' own call behind it, or
something that the proxy answers. Where the model wants nothing but that, its answer is not over: `asked` says so, and
the model's next answer is fed to the same machine, which tells the harness of both as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from brainrouter.policy.adapt import Message
from brainrouter.policy.lean.deferral import Call, Deferral
from brainrouter.wire.chat_chunk import Call as Piece
from brainrouter.wire.chat_chunk import Delta, chunk_of, first_choice, read_chunk
from brainrouter.wire.chat_request import call_of
from brainrouter.wire.sse import EventSplitter, frame, parse_event, plain_data

Fields = dict[str, Any]
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
_GLUE = "\n\n"


@dataclass(slots=True)
class _Made:
    """A call in the making. `number` is its place among those that the harness sees; ours is told only whole."""

    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])
    number: int = -1

    def call(self) -> Call:
        return Call(self.id, self.name, "".join(self.pieces))


class Unwrap:
    """One answer to a harness, made of as many answers of the model as it takes.

    `visible` is whether the harness has been told anything, `over` whether the model said that its answer ends. `spent`
    is set where the model still wants our tools in the answer that was to be its last, and said nothing else: then
    there is no answer at all.
    """

    def __init__(self, deferral: Deferral) -> None:
        self._deferral = deferral
        self._head: Fields = {}
        self._count = 0
        self._earlier: list[str] = []
        self._later = self._last = False
        self.visible = False
        self.spent = False
        self._begin()

    def _begin(self) -> None:
        self.asked: list[tuple[Call, str]] = []
        self.over = False
        self._split = EventSplitter()
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[_Made] = []
        self._by_index: dict[int, _Made] = {}
        self._settled = False

    def again(self, *, last: bool) -> None:
        """What the model asked is answered, and its next answer follows; after the `last` it is asked no more."""
        text = "".join(self._texts)
        if text:
            self._earlier.append(text)
        self._later, self._last = True, last
        self._begin()

    @property
    def said(self) -> Message:
        """What the model said and thought in its present answer, as fields of a message."""
        fields: Message = {"content": "".join(self._texts)}
        if self._thoughts:
            fields["reasoning_content"] = "".join(self._thoughts)
        return fields

    def feed(self, data: bytes) -> bytes:
        """The bytes of the stream to pass on for these. Raises BadAnswer for what is no chat stream."""
        return b"".join(map(self._event, self._split.feed(data)))

    def end(self) -> bytes:
        """At the end of a model's answer: what is left to pass on. `asked` and `spent` are settled now."""
        rest = self._split.end()
        out = self._event(rest + b"\n\n") if rest.strip() else b""
        return out if self._settled else out + self._settle()

    def whole(self, completion: Fields) -> Fields | None:
        """The same for an answer in one piece: what the harness gets, or None where `asked` or `spent` says why not."""
        choice = first_choice(chunk_of(completion))
        message = choice.message if choice is not None else None
        if choice is None or message is None:
            return completion
        self._note(message)
        for piece in message.tool_calls or ():
            self._piece(piece)
        calls = self._calls
        shown = [(made.call(), made) for made in calls if not self._is_ours(made)]
        unwrapped = self._unwrapped(cut=choice.finish_reason == "length")
        if self.asked or self.spent:
            return None
        own = [call for call, _ in shown]
        return self._document(completion, [*own, *unwrapped], told=len(calls) == len(own) and not self._later)

    def _document(self, completion: Fields, calls: list[Call], *, told: bool) -> Fields:
        if told:
            return completion
        choice = completion["choices"][0]
        message = {name: value for name, value in choice["message"].items() if name != "tool_calls"}
        text = _GLUE.join((*self._earlier, *filter(None, ("".join(self._texts),))))
        message["content"] = text or None
        if calls:
            message["tool_calls"] = [call_of(call.id, call.name, call.arguments) for call in calls]
        finish = _finish(choice.get("finish_reason"), called=bool(calls))
        return {**completion, "choices": [{**choice, "message": message, "finish_reason": finish}]}

    def _event(self, raw: bytes) -> bytes:
        data = plain_data(raw)
        if data is None:
            data = parse_event(raw).data
        if data is None:
            return raw
        if data.startswith(b"[DONE]"):
            out = b"" if self._settled else self._settle()
            self.over = True
            return out if self._silent() else out + raw
        chunk = read_chunk(data)
        choice = first_choice(chunk)
        if choice is None:
            return b"" if self._silent() else raw
        delta = choice.delta or Delta()
        finish = choice.finish_reason
        glued = bool(self._earlier and not self._texts and delta.content)
        self._note(delta)
        if self._head and not (self._later or delta.tool_calls or finish):
            return raw
        fields = cast("Fields", msgspec.json.decode(data))
        self._head = self._head or {name: fields[name] for name in _HEAD if name in fields}
        return self._changed(fields, delta, finish, glued=glued)

    def _changed(self, fields: Fields, delta: Delta, finish: str | None, *, glued: bool) -> bytes:
        """A chunk with the calls that may be seen in place of its own; at its end, what is settled then."""
        shown = [told for piece in delta.tool_calls or () if (told := self._piece(piece)) is not None]
        mine = {**_delta(fields)}
        mine.pop("tool_calls", None)
        if self._later:
            mine.pop("role", None)
        if glued:
            mine["content"] = _GLUE + mine["content"]
        if shown:
            mine["tool_calls"] = shown
        if not finish:
            return self._frame(mine, fields) if any(map(_told, mine.values())) else b""
        out = self._settle(cut=finish == "length")
        if self._silent():
            mine = {name: value for name, value in mine.items() if name != "role"}
            return self._frame(mine, fields) if any(map(_told, mine.values())) else b""
        return out + self._frame(mine, fields, _finish(finish, called=self._count > 0))

    def _note(self, delta: Delta) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if delta.content:
            self._texts.append(delta.content)
        if thought:
            self._thoughts.append(thought)
        if delta.content or thought or delta.refusal:
            self.visible = True

    def _piece(self, piece: Piece) -> Fields | None:
        """What the harness is told of a piece of a call: nothing where it is one of ours, or has no name yet."""
        made = self._made(piece)
        function = piece.function
        text = (function.arguments if function else None) or ""
        made.pieces.append(text)
        if not made.name or self._is_ours(made):
            return None
        self.visible = True
        if made.number >= 0:
            return {"index": made.number, "function": {"arguments": text}}
        made.number, self._count = self._count, self._count + 1
        return {"index": made.number, **call_of(made.id, made.name, "".join(made.pieces))}

    def _made(self, piece: Piece) -> _Made:
        """The call a piece belongs to. Some servers number all their calls 0, or none: then a new id tells."""
        name = (piece.function.name if piece.function else None) or ""
        index = piece.index
        made = (self._calls[-1] if self._calls else None) if index is None else self._by_index.get(index)
        if made is None or (piece.id and name and made.name and piece.id != made.id):
            made = _Made()
            self._calls.append(made)
            if index is not None:
                self._by_index[index] = made
        made.id = made.id or piece.id or ""
        made.name = made.name or name
        return made

    def _is_ours(self, made: _Made) -> bool:
        return made.name in (self._deferral.find, self._deferral.call)

    def _settle(self, *, cut: bool = False) -> bytes:
        """The answer is over: the harness' own calls behind ours, as one piece of the stream."""
        self._settled = True
        calls = self._unwrapped(cut=cut)
        if not calls:
            return b""
        shown = [
            {"index": self._count + at, **call_of(call.id, call.name, call.arguments)}
            for at, call in enumerate(calls)
        ]
        self._count += len(calls)
        return self._frame({"tool_calls": shown}, {})

    def _unwrapped(self, *, cut: bool) -> list[Call]:
        """The harness' calls behind ours; sets `asked` where there is nothing else that the harness could do.

        A call that the limit `cut` in two is nobody's. What is asked beside a call that the harness runs falls away:
        the model may ask again, with that call's result before it.
        """
        calls: list[Call] = []
        asked: list[tuple[Call, str]] = []
        for made in self._calls:
            if self._is_ours(made) and not cut:
                found = self._deferral.settled(made.call())
                if isinstance(found, Call):
                    calls.append(found)
                else:
                    asked.append((made.call(), found))
        own = any(made.name and not self._is_ours(made) for made in self._calls)
        if asked and not calls and not own:
            if not self._last:
                self.asked = asked
            elif not self.visible:
                self.spent = True
        self.visible = self.visible or bool(calls)
        return calls

    def _silent(self) -> bool:
        """Whether the rest of the model's answer is not for the harness, since it is not over for it."""
        return bool(self.asked) or self.spent

    def _frame(self, delta: Fields, fields: Fields, finish: str | None = None) -> bytes:
        choice: Fields = {"index": 0, "delta": delta, "finish_reason": finish}
        # What a server adds to its last chunk (timings, usage) goes with the end that the harness hears of.
        rest = {name: value for name, value in fields.items() if name not in _HEAD} if finish else {}
        return frame(msgspec.json.encode({**self._head, **rest, "choices": [choice]}))


def _told(value: Any) -> bool:
    return value is not None and value != "" and value != []


def _delta(fields: Fields) -> Fields:
    choices = fields.get("choices")
    for choice in cast("list[Any]", choices) if isinstance(choices, list) else []:
        delta = cast("Fields", choice).get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict):
            return cast("Fields", delta)
    return {}


def _finish(told: Any, *, called: bool) -> Any:
    """What is left of an answer without its calls of ours has another end than the server said."""
    if told in ("tool_calls", "stop"):
        return "tool_calls" if called else "stop"
    return told
