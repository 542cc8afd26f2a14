"""What the caller's project says of where its requests may go. Asked before every decision; may only tighten."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict

from brainrouter.adapters.rule_files import RuleFiles
from brainrouter.brain.project_rules import Hold, ProjectRules, hold
from brainrouter.wire.ask import Ask

FOLDER_S = 1.0
READ_BYTES = 64 * 1024
SESSIONS_KEPT = 2000
# How the harnesses tell a model where it works, as it stands in JSON.
_MARKS = (b"orking directory: ", b"<cwd>", b"orkspace root folder: ")
_FOLDER = re.compile(rb"\s*(/[^\\\"<\n\0]{0,1000})")
_NO_PLACE = ("/proc", "/sys", "/dev")


class ProjectGuard:
    """Knows the caller's folder by its process, and by what the harness says in its prompt: both count."""

    def __init__(self, files: RuleFiles) -> None:
        self._files = files
        self._said: OrderedDict[str, str | None] = OrderedDict()

    async def holds(
        self, ask: Ask | None, raw: bytes, cwd: str | None, finding: asyncio.Future[str | None] | None
    ) -> Hold | None:
        """What holds the request `raw`, if anything. `finding` gives the caller's folder where `cwd` is not known."""
        if cwd is None and finding is not None:
            cwd = await _found(finding)
        said = None if ask is None else self._folder_said(ask, cwd)
        rules: tuple[ProjectRules, ...] = ()
        for folder in (cwd,) if said == cwd else (cwd, said):
            if folder is not None:
                known = self._files.known(folder)
                rules += known if known is not None else await self._files.look(folder)
        return hold(rules, raw) if rules else None

    def _folder_said(self, ask: Ask, cwd: str | None) -> str | None:
        """The folder that the prompt names. Read once for each session; without one, where nothing else is known."""
        key = ask.session
        if key is None:
            return folder_said(ask) if cwd is None else None
        if key in self._said:
            return self._said[key]
        found = self._said[key] = folder_said(ask)
        if len(self._said) > SESSIONS_KEPT:
            self._said.popitem(last=False)
        return found


def folder_said(ask: Ask) -> str | None:
    """The folder that a harness' prompt says it works in, or None."""
    for name in ("system", "instructions", "messages", "input"):
        raw = ask.body.get(name)
        if raw is None:
            continue
        head = bytes(memoryview(raw)[:READ_BYTES])
        for mark in _MARKS:
            at = head.find(mark)
            found = _FOLDER.match(head, at + len(mark)) if at >= 0 else None
            if found is not None:
                folder = found[1].decode("utf-8", "replace").rstrip("/ ") or "/"
                return None if folder.startswith(_NO_PLACE) or "/../" in f"{folder}/" else folder
    return None


async def _found(finding: asyncio.Future[str | None]) -> str | None:
    await asyncio.wait((finding,), timeout=FOLDER_S)
    if not finding.done() or finding.cancelled() or finding.exception():
        return None  # what cannot be found out is not known
    return finding.result()
