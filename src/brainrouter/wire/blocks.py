"""The blocks of an answer in an order that every client accepts: one open at a time, each closed before the next.

A chat stream may mix its tool calls, leave gaps in their numbers and put text between their pieces. What belongs to a
block that cannot be open yet waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from brainrouter.wire.chat_chunk import BadAnswer, Call, Delta

Kind = Literal["thinking", "text", "refusal", "call"]

_WHOLE = msgspec.json.Decoder(msgspec.Raw)
_FIRST_LOOK = 2


@dataclass(slots=True)
class Block:
    """One block. `number` is its place in the answer, known once it is open; `said` is what was sent of it."""

    kind: Kind
    id: str = ""
    name: str = ""
    number: int = -1
    said: list[str] = field(default_factory=list[str])
    held: list[str] = field(default_factory=list[str])
    closed: bool = False
    _look_at: int = _FIRST_LOOK

    @property
    def text(self) -> str:
        """What was sent of it so far."""
        return "".join(self.said)

    def is_blank(self) -> bool:
        """Whether nothing but white space waits: providers refuse a block of that in a later request."""
        return self.kind != "call" and not any(piece and not piece.isspace() for piece in self.held)

    def is_done(self) -> bool:
        """Whether nothing more can come: for a call, its arguments are whole JSON.

        Looked at only where a closing brace was just seen, at sizes that double: linear in all.
        """
        if self.kind != "call":
            return True
        if not self.said or not self.said[-1].rstrip().endswith("}"):
            return False
        text = self.text
        if len(text) < self._look_at:
            return False
        self._look_at = 2 * len(text)
        return is_json(text)


def is_json(text: str) -> bool:
    """Whether `text` is one whole JSON document."""
    try:
        _WHOLE.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class Blocks:
    """Takes deltas, and calls back in valid order: `opened`, then `grew` for each piece, then `closed`."""

    def __init__(
        self,
        opened: Callable[[Block], None],
        grew: Callable[[Block, str], None],
        closed: Callable[[Block], None],
    ) -> None:
        self._opened, self._grew, self._closed = opened, grew, closed
        self._queue: deque[Block] = deque()
        self._by_index: dict[int, Block] = {}
        self._last_call: Block | None = None
        self.count = 0
        self.called = False

    def take(self, delta: Delta) -> None:
        """What one delta of the answer says. Raises BadAnswer when its pieces cannot be put together."""
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self._say("thinking", thought)
        if delta.content:
            self._say("text", delta.content)
        if delta.refusal:
            self._say("refusal", delta.refusal)
        if delta.function_call is not None:
            self._call(Call(0, None, delta.function_call))
        for call in delta.tool_calls or ():
            self._call(call)

    def end(self) -> None:
        """Close everything, in order. Raises BadAnswer for a call that never got a name."""
        self._advance(ended=True)

    def _say(self, kind: Kind, piece: str) -> None:
        queue = self._queue
        if queue and queue[-1].kind == kind:
            block = queue[-1]
            if block.number >= 0 and len(queue) == 1:
                block.said.append(piece)
                self._grew(block, piece)
                return
        else:
            block = Block(kind)
            queue.append(block)
        block.held.append(piece)
        self._advance()

    def _call(self, call: Call) -> None:
        block = self._block_of(call)
        function = call.function
        piece = (function.arguments if function else None) or ""
        if block.closed:
            if piece.strip():
                raise BadAnswer(f"more arguments for the call of {block.name} after it was whole")
            return
        if piece:
            block.held.append(piece)
        self._advance()

    def _block_of(self, call: Call) -> Block:
        """The call a delta belongs to. Some servers number all their calls 0, or none: then a new id tells."""
        name = (call.function.name if call.function else None) or ""
        block = self._last_call if call.index is None else self._by_index.get(call.index)
        if block is not None and not (call.id and name and block.name and call.id != block.id):
            block.id = block.id or call.id or ""
            block.name = block.name or name
            return block
        block = Block("call", id=call.id or "", name=name)
        self._queue.append(block)
        self._last_call = block
        if call.index is not None:
            self._by_index[call.index] = block
        return block

    def _advance(self, *, ended: bool = False) -> None:
        queue = self._queue
        while queue:
            head = queue[0]
            more = ended or len(queue) > 1
            if head.number < 0:
                if head.kind == "call" and not head.name:
                    if ended:
                        raise BadAnswer("a tool call without a name")
                    return
                if head.is_blank():
                    if not more:
                        return
                    queue.popleft()
                    continue
                self._open(head)
            for piece in head.held:
                head.said.append(piece)
                self._grew(head, piece)
            head.held.clear()
            if not (ended or (more and head.is_done())):
                return
            head.closed = True
            self._closed(head)
            queue.popleft()

    def _open(self, block: Block) -> None:
        block.number = self.count
        self.count += 1
        if block.kind == "call":
            self.called = True
        self._opened(block)
