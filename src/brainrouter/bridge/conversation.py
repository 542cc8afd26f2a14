"""One channel: what is said is taken in order, commands at once, questions one after the other."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from collections import deque
from dataclasses import dataclass

from brainrouter.bridge.commands import Commands, Running
from brainrouter.bridge.deliver import deliver
from brainrouter.bridge.grammar import Command, Guess, Parsed, Prompt
from brainrouter.bridge.house import Unanswered
from brainrouter.bridge.means import Means
from brainrouter.bridge.omp import Job, Outcome, Tools
from brainrouter.bridge.omp_events import Reading
from brainrouter.bridge.port import Message, NotSent
from brainrouter.bridge.state import Session
from brainrouter.bridge.workspace import Refused
from brainrouter.wire.prompt_text import masked

WAITING = 5
UNREAD = 200
TYPING_S = 8.0
_SESSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,63}")

_log = logging.getLogger("brainrouter.bridge")


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt as it was accepted: later choices of model and folder do not change it."""

    message: str
    text: str
    model: str
    folder: str
    tools: Tools


class Conversation:
    """Made when a channel first speaks. It starts its tasks in `group` and ends with them."""

    def __init__(self, means: Means, channel: str, group: asyncio.TaskGroup) -> None:
        self._means = means
        self._channel = channel
        self._group = group
        self._handling = False
        self._inbox: asyncio.Queue[tuple[Message, Parsed] | str] = asyncio.Queue()
        self._waiting: deque[_Question] = deque()
        self._some = asyncio.Event()
        self._job: asyncio.Task[None] | None = None
        self._since: float | None = None
        self._reading = Reading()
        self._commands = Commands(means, channel, self._running, self._forget)
        self._tasks = [group.create_task(self._listen()), group.create_task(self._work())]

    def full(self) -> bool:
        """Whether more waits to be read than anybody would wait for."""
        return self._inbox.qsize() >= UNREAD

    def idle(self) -> bool:
        """Whether nothing is read, waits or runs, so that `end` loses nothing."""
        return self._inbox.empty() and not (self._handling or self._waiting or self._job)

    def end(self) -> None:
        """Stop. What is remembered of the channel stays; it is taken up by a new conversation."""
        for task in self._tasks:
            task.cancel()

    def accept(self, message: Message, parsed: Parsed) -> None:
        """Take a message in, after all that came before it."""
        self._inbox.put_nowait((message, parsed))

    def note(self, text: str) -> None:
        """Say something of ours, after all that came before it."""
        self._inbox.put_nowait(text)

    async def _listen(self) -> None:
        while True:
            self._handling = False
            item = await self._inbox.get()
            self._handling = True
            try:
                if isinstance(item, str):
                    await self._say(item)
                else:
                    await self._handle(*item)
            except NotSent as error:
                self._trouble(f"not delivered: {error}")
            except Exception as error:  # one message must not end the bridge
                _log.exception("%s bridge: a message could not be handled", self._means.port.platform)
                self._trouble(f"{type(error).__name__}: {error}")

    async def _handle(self, message: Message, parsed: Parsed) -> None:
        match parsed:
            case Command("word", word):
                await self._word(message, word)
            case Command():
                await self._say(await self._commands.run(parsed))
            case Guess(_, near):
                await self._say(f"Did you mean `{self._means.word} {near}`?")
            case Prompt():
                await self._ask(message, parsed)
            case None:
                return
        await self._keep()

    async def _word(self, message: Message, word: str) -> None:
        """A single word after ours that is no verb: a model's name or an alias, else a very short question."""
        try:
            found = await self._means.find(word)
        except Unanswered:
            found = None
        if found is not None and found.model is not None:
            await self._say(await self._commands.choose(word))
        else:
            await self._ask(message, Prompt(word))

    async def _ask(self, message: Message, prompt: Prompt) -> None:
        if len(self._waiting) >= WAITING:
            await self._say(f"{WAITING} questions wait already: this one is not taken. Ask it again later.")
            return
        model = self._means.model(self._channel)
        if prompt.model is not None:
            chosen, problem = await self._commands.resolve(prompt.model)
            if chosen is None:
                await self._say(problem)
                return
            model = chosen
        await self._means.port.typing(self._channel)
        ahead = len(self._waiting) + (self._since is not None)
        folder = self._means.state.folder(self._channel)
        tools = self._means.tools(message.author)
        self._session().pending.append(message.id)
        await self._keep()
        self._waiting.append(_Question(message.id, prompt.text, model, folder, tools))
        self._some.set()
        if ahead:
            await self._say(f"Queued, {ahead} ahead.")

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            while self._waiting:
                question = self._waiting.popleft()
                self._reading = Reading()
                self._since = time.monotonic()
                self._job = self._group.create_task(self._answer(question))
                await asyncio.wait([self._job])
                self._job = self._since = None
            self._some.clear()

    async def _answer(self, question: _Question) -> None:
        typing = self._group.create_task(self._keep_typing())
        try:
            outcome = await self._run(question)
            self._remember(outcome)
            await self._keep()
            await self._deliver(outcome)
        except NotSent as error:
            self._trouble(f"an answer was not delivered: {error}")
        except Exception as error:  # one question must not end the bridge
            _log.exception("%s bridge: a question could not be answered", self._means.port.platform)
            self._trouble(f"{type(error).__name__}: {error}")
        finally:
            typing.cancel()
            self._since = None
        self._answered(question)
        await self._keep()

    async def _run(self, question: _Question) -> Outcome:
        means = self._means
        session = self._session().session
        try:
            with means.workspace.entered(question.folder) as fd:
                await means.omp.offer(await self._offered(question.model))
                path = means.workspace.root / question.folder
                history = means.state.omp_folder(self._channel)
                job = Job(question.text, question.model, fd, path, history, session, question.tools)
                outcome = await means.omp.run(job, self._reading)
                if outcome.problem and session and session in outcome.problem:
                    # omp does not know its own session any more: begin a new one.
                    job = Job(question.text, question.model, fd, path, history, None, question.tools)
                    outcome = await means.omp.run(job, self._reading)
        except Refused as error:
            word = means.word
            return Outcome(
                "", session, f"the folder cannot be used any more: {error}; `{word} cd` goes to the top"
            )
        except OSError as error:
            self._trouble(f"omp cannot be run: {error}")
            return Outcome(
                "", session, means.omp.missing() or f"omp cannot be started: {error.strerror or error}"
            )
        return outcome

    async def _offered(self, model: str) -> dict[str, int | None]:
        try:
            known = await self._means.catalogue.models()
            return known if model in known else {**known, model: None}
        except Unanswered:
            return {model: None}

    async def _deliver(self, outcome: Outcome) -> None:
        port = self._means.port
        if outcome.answer.strip():
            await deliver(port, self._channel, outcome.answer)
        if outcome.problem:
            self._trouble(outcome.problem)
            await self._say(port.literal(masked(outcome.problem)[: port.limit // 2]))

    async def _keep_typing(self) -> None:
        while True:
            await asyncio.sleep(TYPING_S)
            await self._means.port.typing(self._channel)

    async def _forget(self) -> int:
        """Stop what runs, drop what waits, and begin anew; gives how many questions go unanswered."""
        dropped = len(self._waiting)
        self._waiting.clear()
        job = self._job
        if job is not None:
            dropped += self._since is not None
            job.cancel()
            await asyncio.wait([job])
        old = self._session()
        self._means.state.sessions()[self._channel] = Session(created=time.time(), seen=old.seen)
        await asyncio.to_thread(
            shutil.rmtree, self._means.state.omp_folder(self._channel), ignore_errors=True
        )
        return dropped

    def _running(self) -> Running:
        return Running(self._since, self._reading.doing, len(self._waiting))

    def _remember(self, outcome: Outcome) -> None:
        if outcome.session and _SESSION.fullmatch(outcome.session):
            self._session().session = outcome.session

    def _answered(self, question: _Question) -> None:
        pending = self._session().pending
        if question.message in pending:
            pending.remove(question.message)

    def _session(self) -> Session:
        return self._means.state.session(self._channel)

    async def _keep(self) -> None:
        try:
            await self._means.state.keep_session(self._channel)
        except OSError as error:
            self._trouble(f"the session cannot be kept: {error.strerror or error}")

    async def _say(self, text: str) -> None:
        await deliver(self._means.port, self._channel, text)

    def _trouble(self, what: str) -> None:
        text = masked(what)[:300]
        self._means.board.last_error = text
        _log.warning("%s bridge: %s", self._means.port.platform, text)
