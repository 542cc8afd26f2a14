"""A backend that does not answer where it should: perhaps it does at another usual port."""

from __future__ import annotations

from dataclasses import dataclass

from brainrouter.adapters.own_daemon import NoAnswer, ask
from brainrouter.flows.doctor.finding import Case, Finding, fault, note

PROBE_S = 3.0


@dataclass(frozen=True, slots=True)
class Backend:
    """How one kind of backend is recognised, configured and started. `sign` is a key of what `path` answers."""

    check: str
    section: str
    part: str
    usual: tuple[str, ...]
    path: str
    sign: str
    start: str
    without: str


async def missing(backend: Backend, url: str, error: str, case: Case) -> Finding:
    """The finding on a backend that is not at `url`."""
    for other in backend.usual:
        root = other.removesuffix("/v1")
        if root != url.removesuffix("/v1") and await _is_at(backend, root):
            what = f"{backend.check} is at {other}, not at {url}"
            mend = f"set {backend.section}.base_url: {other} in {case.config_file}, then restart the daemon"
            return fault(f"{backend.check}.port", what, mend)
    what = f"{backend.check} does not answer at {url} ({error})"
    if case.counts_on(backend.section, backend.part):
        return fault(backend.check, what, backend.start)
    return note(backend.check, f"no {backend.check} was found; {backend.without}", backend.start)


async def _is_at(backend: Backend, root: str) -> bool:
    try:
        body = (await ask(root, backend.path, timeout_s=PROBE_S)).json
    except NoAnswer:
        return False
    return isinstance(body, dict) and backend.sign in body
