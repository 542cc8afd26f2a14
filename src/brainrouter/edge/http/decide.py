"""POST /api/decide: where a request would go, without sending it anywhere."""

from __future__ import annotations

import msgspec

from brainrouter.edge.http.generate import lower
from brainrouter.edge.http.routes import Answer, problem
from brainrouter.edge.http.views import as_json
from brainrouter.flows.decide import Decider
from brainrouter.http1.message import Request
from brainrouter.live import Live
from brainrouter.policy.model_name import intent_of
from brainrouter.wire.chat import parse_chat
from brainrouter.wire.json_body import BadBody, parse_object
from brainrouter.wire.prompt_text import last_user_text


class DecideRoute:
    """Takes any body the proxy serves, or `{"text": ..., "tools"?: [...]}`."""

    def __init__(self, live: Live, decider: Decider) -> None:
        self._live = live
        self._decider = decider

    async def __call__(self, request: Request) -> Answer:
        try:
            text, model = self._read(request)
        except BadBody as bad:
            return problem(request.path, bad.status, bad.message, param=bad.param)
        verdict = await self._decider.dry_run(text, intent_of(model, self._live.local_names))
        return as_json(
            {
                "decision": verdict.route,
                "reason": verdict.reason,
                "stage": verdict.stage,
                "ok_local": verdict.ok_local,
                "ok_cloud": verdict.ok_cloud,
                "gain": verdict.gain,
                "ms": round(verdict.ms, 3),
            }
        )

    def _read(self, request: Request) -> tuple[str, str]:
        body = parse_object(request.body)
        if "text" not in body:
            ask = parse_chat(request.body, lower(request))
            return last_user_text(ask), ask.model
        try:
            return msgspec.json.decode(body["text"], type=str), "auto"
        except msgspec.ValidationError:
            raise BadBody("text must be a string", "text") from None
