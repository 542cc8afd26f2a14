"""POST /api/conversation-route: a person says where a conversation shall be answered, over what it asks for itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from brainrouter.brain.session import Sessions
from brainrouter.edge.http.page_token import PageToken
from brainrouter.edge.http.routes import Answer, problem
from brainrouter.edge.http.views import as_json
from brainrouter.http1.message import Request
from brainrouter.wire.json_body import BadBody, decode_field, parse_object

_TEXT = msgspec.json.Decoder(str)
_ROUTE = msgspec.json.Decoder(Literal["local", "cloud", "auto"])


class ConversationRoute:
    """Takes `{"conversation": ..., "route": "local" | "cloud" | "auto"}`; holds from the next request on."""

    def __init__(self, sessions: Sessions, token: PageToken) -> None:
        self._sessions = sessions
        self._token = token

    async def __call__(self, request: Request) -> Answer:
        refused = self._token.refusal(request)
        if refused is not None:
            return refused
        try:
            body = parse_object(request.body)
            for name in ("conversation", "route"):
                if name not in body:
                    raise BadBody(f"{name}: this field is required", name)
            key = decode_field(body, "conversation", _TEXT)
            route = decode_field(body, "route", _ROUTE)
        except BadBody as bad:
            return problem(request.path, bad.status, bad.message, param=bad.param)
        session = self._sessions.find(key)
        if session is None:
            what = "this conversation is not known any more; its next request begins a new one"
            return problem(request.path, 404, what, param="conversation")
        session.pinned = None if route == "auto" else route
        return as_json({"conversation": key, "route": route})
