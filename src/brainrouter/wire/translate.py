"""Which translator serves which dialect."""

from __future__ import annotations

from brainrouter.wire.ask import Ask
from brainrouter.wire.chat_request import ChatRequest
from brainrouter.wire.chat_to_messages import ToMessages
from brainrouter.wire.chat_to_responses import ToResponses
from brainrouter.wire.inward import Inward, Stamp
from brainrouter.wire.messages_to_chat import messages_to_chat
from brainrouter.wire.responses_to_chat import responses_to_chat


def to_chat(ask: Ask, *, as_came: bool = False) -> ChatRequest:
    """A messages or responses request, said in chat completions. Raises BadBody, and CannotTranslate of its kind.

    With `as_came` the content of a message may be undecoded JSON.
    """
    return messages_to_chat(ask, as_came=as_came) if ask.dialect == "messages" else responses_to_chat(ask)


def inward(request: ChatRequest, stamp: Stamp) -> Inward:
    """What turns the answer to a translated request back into the caller's dialect. One for each answer."""
    return ToMessages(request, stamp) if request.dialect == "messages" else ToResponses(request, stamp)
