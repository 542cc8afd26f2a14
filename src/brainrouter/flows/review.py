"""The review loop: a harness asks, a model judges, a person decides where the two do not get there."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from brainrouter.adapters.git_repo import GitTrouble
from brainrouter.adapters.review_store import CannotKeep, ReviewStore
from brainrouter.adapters.work_folder import NotAllowed
from brainrouter.config import ReviewSettings
from brainrouter.flows.review_ask import Reviewer
from brainrouter.flows.review_material import Gathered, Gatherer, describe, material_of
from brainrouter.flows.review_settings import ReviewControl
from brainrouter.flows.review_view import Answer, answer_of, detail_of, page_of, row_of
from brainrouter.policy import review_session as states
from brainrouter.policy.review_session import Outcome, Session, WrongState

_log = logging.getLogger("brainrouter.review")

Say = Callable[[str, str], None]
Key = tuple[str, str]
Trouble = (NotAllowed, GitTrouble, WrongState, CannotKeep)


class Stopping(Exception):
    """The daemon is going down; the round is kept as interrupted."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a harness sends. `callers_own` is the folder its process works in, as the kernel says; else None."""

    task_id: str
    summary: str
    cwd: str
    details: str | None = None
    history: tuple[str, ...] = ()
    callers_own: str | None = None
    harness: str | None = None


@dataclass(slots=True)
class _Work:
    """One step on a session that is under way, and who wants to hear of it."""

    future: asyncio.Future[Answer]
    listeners: list[Say] = field(default_factory=list[Say])
    task: asyncio.Task[None] | None = None

    def say(self, step: str, message: str) -> None:
        for listener in list(self.listeners):
            listener(step, message)


class ReviewDesk:
    """All reviews of one daemon. A round goes on when its caller leaves: the next call gets its result."""

    def __init__(
        self, store: ReviewStore, gatherer: Gatherer, reviewer: Reviewer, control: ReviewControl
    ) -> None:
        self._store = store
        self._gatherer = gatherer
        self._reviewer = reviewer
        self.control = control
        self.address = "http://127.0.0.1:9099"
        self._group: asyncio.TaskGroup | None = None
        self._work: dict[Key, _Work] = {}

    def follow(self, gatherer: Gatherer, reviewer: Reviewer, settings: ReviewSettings) -> None:
        """Work with these from now on; a round under way ends with the ones it began with."""
        self._gatherer, self._reviewer = gatherer, reviewer
        self.control.follow(settings)

    async def open(self, group: asyncio.TaskGroup, address: str) -> None:
        """Begin to serve: what a killed daemon left running shows as interrupted."""
        self._group, self.address = group, address
        try:
            for session in await self._store.unfinished():
                states.interrupt(session, time.time())
                await self._keep(session)
        except CannotKeep as trouble:
            _log.warning("%s", trouble)

    def close(self) -> None:
        """End what runs; it shows as interrupted after the next start."""
        for work in list(self._work.values()):
            if work.task is not None:
                work.task.cancel()
        self._group = None

    async def request(self, call: Call, say: Say) -> Answer:
        """Start or continue the review of a task. Raises one of Trouble, or Stopping."""
        root = await self._gatherer.root_of(call.cwd, call.callers_own)
        key = (call.task_id, str(root))
        work = self._work.get(key)
        if work is None:
            work = self._start(key, lambda work: self._request(call, str(root), work))
        answer = await self._wait(work, say)
        await self._delivered(answer)
        return answer

    async def proceed(self, session_id: str, feedback: str | None) -> dict[str, Any] | None:
        """A person wants one more round, on the code as it is now; it has begun when this returns."""
        session = await self._store.get(session_id)
        if session is None:
            return None
        key = (session.task_id, session.cwd)
        if key in self._work or session.running:
            raise WrongState("a round of this review is running")
        if session.status == "approved":
            raise WrongState("this review is approved")
        now = time.time()
        if feedback and feedback.strip():
            states.note_to_reviewer(session, feedback.strip(), now)
        states.grant(session)
        begun: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._start(key, lambda work: self._proceed(session, work, begun))
        return await begun

    async def resolve(self, session_id: str, feedback: str) -> dict[str, Any] | None:
        """A person decides. None when there is no such session; raises WrongState, CannotKeep."""
        session = await self._store.get(session_id)
        if session is None:
            return None
        if (session.task_id, session.cwd) in self._work:
            raise WrongState("a round of this review is running; wait for its end")
        states.resolve(session, feedback, time.time())
        await self._keep(session)
        return row_of(session, self.address)

    async def get(self, session_id: str) -> dict[str, Any] | None:
        """Everything about one session."""
        session = await self._store.get(session_id)
        return None if session is None else detail_of(session, self.address)

    async def rows(self, limit: int, status: str | None) -> tuple[list[dict[str, Any]], int]:
        """The sessions as lists show them, and how many there are."""
        rows, total = await self._store.rows(limit, status)
        return [{**row, "reviewUrl": page_of(row["id"], self.address)} for row in rows], total

    def _start(self, key: Key, step: Callable[[_Work], Any]) -> _Work:
        if self._group is None:
            raise Stopping
        work = _Work(asyncio.get_running_loop().create_future())
        self._work[key] = work
        work.task = self._group.create_task(self._run(key, work, step))
        return work

    async def _run(self, key: Key, work: _Work, step: Callable[[_Work], Any]) -> None:
        """One step to its end; whatever goes wrong in it goes to those who wait, never into the task group."""
        try:
            answer = await step(work)
        except asyncio.CancelledError:
            if not work.future.done():
                work.future.set_exception(Stopping())
            raise
        except Exception as error:
            if not isinstance(error, Trouble):
                _log.exception("a review failed")
            if not work.future.done():
                work.future.set_exception(error)
        else:
            if not work.future.done():
                work.future.set_result(answer)
        finally:
            self._work.pop(key, None)
            if work.future.done() and not work.future.cancelled():
                work.future.exception()  # somebody may have left before it was fetched

    async def _wait(self, work: _Work, say: Say) -> Answer:
        work.listeners.append(say)
        try:
            return await asyncio.shield(work.future)
        finally:
            work.listeners.remove(say)

    async def _request(self, call: Call, root: str, work: _Work) -> Answer:
        work.say("gathering", f"reading the changes in {root}")
        now = time.time()
        session = await self._store.latest(call.task_id, root)
        gathered = await self._gatherer.gather(call.cwd, call.callers_own, session.base if session else None)
        if session is not None and session.status == "escalated":
            return answer_of(session, self.address)
        if session is not None and gathered.digest is not None and states.judged(session, gathered.digest):
            return await self._unchanged(session, now)
        if session is None or session.status == "approved":
            if session is not None:
                gathered = await self._gatherer.gather(call.cwd, call.callers_own, None)
            session = self._opened(call, root, gathered, now)
        states.ask_again(session, call.summary, call.details, list(call.history), now)
        return await self._round(session, gathered, work)

    async def _proceed(self, session: Session, work: _Work, begun: asyncio.Future[dict[str, Any]]) -> Answer:
        try:
            gathered = await self._gatherer.gather(session.cwd, session.cwd, session.base)
            return await self._round(session, gathered, work, begun)
        except BaseException as error:
            if not begun.done():
                begun.set_exception(error if isinstance(error, Exception) else Stopping())
            raise

    async def _round(
        self,
        session: Session,
        gathered: Gathered,
        work: _Work,
        begun: asyncio.Future[dict[str, Any]] | None = None,
    ) -> Answer:
        material = await asyncio.to_thread(material_of, session, gathered)
        round_ = states.begin_round(session, time.time())
        describe(round_, material, gathered)
        await self._keep(session)
        if begun is not None:
            begun.set_result(detail_of(session, self.address))
        if gathered.is_empty:
            outcome = Outcome("escalated", reason=_nothing(gathered))
        else:
            outcome = await self._reviewer.review(session, round_, material, self.control.now(), work.say)
        states.end_round(session, outcome, time.time())
        await self._keep(session)
        return answer_of(session, self.address)

    async def _unchanged(self, session: Session, now: float) -> Answer:
        if session.status == "needs_revision":
            states.still_unchanged(session, now)
            await self._keep(session)
        return answer_of(session, self.address, unchanged=True)

    def _opened(self, call: Call, root: str, gathered: Gathered, now: float) -> Session:
        config = self.control.now()
        base = gathered.change.base if gathered.change is not None else None
        return Session(
            str(uuid.uuid4()), call.task_id, root, call.summary, now, now, config.max_iterations,
            harness=call.harness, base=base, granted=config.max_iterations,
        )  # fmt: skip

    async def _delivered(self, answer: Answer) -> None:
        """The author has got this result: asking again without a change counts from here."""
        session = await self._store.get(answer.session_id)
        if (
            session is not None
            and session.rounds
            and not session.rounds[-1].delivered
            and not session.running
        ):
            session.rounds[-1].delivered = True
            await self._keep(session)

    async def _keep(self, session: Session) -> None:
        await self._store.save(session, row_of(session, self.address))


def _nothing(gathered: Gathered) -> str:
    if gathered.change is None:
        return f"{gathered.root} is in no git repository, so there is no change to review"
    return "there is no change to review"
