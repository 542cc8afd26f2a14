"""The daemon itself: whether it runs, on which socket, in which version, and whether answers come back."""

from __future__ import annotations

import shutil
import stat
from typing import Any, cast

from brainrouter import __version__
from brainrouter.adapters.own_daemon import Answer, NoAnswer, ask
from brainrouter.flows.doctor.finding import Case, Finding, fault, note, ok

REQUEST_S = 60.0
SHORT = "Answer with the word ok."
PROTOCOLS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": SHORT}], "max_tokens": 16}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": SHORT}], "max_tokens": 16}),
    "responses": ("/v1/responses", {"input": SHORT, "max_output_tokens": 16}),
}
RESTART = "stop it (Ctrl-C, or: systemctl --user restart brainrouter), then: brainrouter up"


async def examine_daemon(case: Case) -> list[Finding]:
    """Daemon, socket, version, configuration, classifier, breakers, record."""
    if case.health is None:
        return [_absent(case)]
    version = case.health.get("version")
    findings = [ok("daemon", f"brainrouter {version} answers at {case.target.base_url}")]
    if version != __version__:
        findings = [
            fault("daemon.version", f"the daemon is {version}, this command is {__version__}", RESTART)
        ]
    findings.append(await _socket(case))
    findings += _configuration(case)
    findings.append(_classifier(case))
    findings += _breakers(case)
    if case.health.get("events_lost"):
        lost = f"{case.health['events_lost']} events could not be written to the state folder"
        findings.append(fault("record", lost, "df -h ~/.local/state; then make room and restart the daemon"))
    return findings


async def examine_protocols(case: Case) -> list[Finding]:
    """One real request in each protocol. Nothing without a daemon."""
    if case.health is None:
        return []
    return [await _request(case, name) for name in PROTOCOLS]


def examine_environment(case: Case) -> list[Finding]:
    """What a shell's variables and missing programs can spoil."""
    findings: list[Finding] = []
    proxy = case.env.get("http_proxy") or case.env.get("HTTP_PROXY")
    without = case.env.get("no_proxy") or case.env.get("NO_PROXY") or ""
    if proxy and "127.0.0.1" not in without and without.strip() != "*":
        what = (
            "HTTP_PROXY is set and NO_PROXY does not name 127.0.0.1: harnesses ask the proxy for the daemon"
        )
        findings.append(fault("proxy", what, "export NO_PROXY=127.0.0.1,localhost"))
    if shutil.which("git", path=case.env.get("PATH")) is None:
        findings.append(
            fault("git", "git is not on the PATH; a review sees no changes without it", "install git")
        )
    return findings


def _absent(case: Case) -> Finding:
    if case.trouble and case.trouble.startswith("something else"):
        port = case.target.base_url.rsplit(":", 1)[1]
        return fault(
            "daemon.port", case.trouble, f"see who it is: ss -ltnp 'sport = :{port}'; then: brainrouter up"
        )
    if case.socket.exists() and not stat.S_ISSOCK(case.socket.lstat().st_mode):
        return fault("daemon.socket", f"{case.socket} is no socket", f"rm {case.socket} && brainrouter up")
    return fault("daemon", f"no daemon answers at {case.target.base_url} ({case.trouble})", "brainrouter up")


async def _socket(case: Case) -> Finding:
    try:
        mode = stat.S_IMODE(case.socket.stat().st_mode)
        if mode & 0o077:
            what = f"{case.socket} can be used by others (mode {mode:o})"
            return fault("daemon.socket", what, f"chmod 600 {case.socket}")
        await ask("http://localhost", "/health", socket=case.socket)
    except (OSError, NoAnswer) as error:
        return fault("daemon.socket", f"{case.socket} does not answer ({error}); reviews need it", RESTART)
    return ok("daemon.socket", f"{case.socket} answers")


def _configuration(case: Case) -> list[Finding]:
    part = case.part("config")
    if part.get("state") == "refused":
        what = f"the daemon works with an older configuration; it refused the new one: {part.get('error')}"
        return [fault("daemon.config", what, "mend the file; the daemon reads it again by itself")]
    if part.get("next_start"):
        what = f"changed, and takes effect at the next start: {', '.join(part['next_start'])}"
        return [note("daemon.config", what, RESTART)]
    return []


def _classifier(case: Case) -> Finding:
    part = case.part("classifier")
    state, detail = str(part.get("state")), str(part.get("detail") or "")
    if state == "ready":
        return ok("classifier", "the classifier is ready")
    if state in ("loading", "fetching", "starting", "restarting"):
        return note(
            "classifier", f"the classifier is not ready yet ({state}); until then `auto` decides without it"
        )
    path = case.settings.bonsai.model_path
    if path:
        mend = f"ls -l {path}; set bonsai.model_path in {case.config_file} to a GGUF file, then restart the daemon"
        return fault("classifier", f"the classifier is {state}: {detail}", mend)
    if not case.settings.decision.classifier:
        return note("classifier", "the classifier is switched off; `auto` decides without it")
    return fault("classifier", f"the classifier is {state}: {detail}", "brainrouter up --log-level debug")


def _breakers(case: Case) -> list[Finding]:
    mend = "mend what the findings here name; it closes by itself after a minute"
    return [
        fault("breaker", f"{name} is left out for a minute after failures: {state.get('cause')}", mend)
        for name, state in case.part("breakers").items()
        if state.get("phase") == "open"
    ]


async def _request(case: Case, name: str) -> Finding:
    path, body = PROTOCOLS[name]
    check = f"request.{name}"
    try:
        answer = await ask(case.target.base_url, path, {"model": "auto", **body}, timeout_s=REQUEST_S)
    except NoAnswer as error:
        return fault(check, f"a request to {path} failed: {error}", "brainrouter up --log-level debug")
    if answer.status != 200:
        what = f"a request to {path} was answered {answer.status}: {_message(answer)}"
        return fault(check, what, f"curl -s {case.target.base_url}/api/routing-events?limit=1")
    side = answer.headers.get("x-brainrouter-decision", "?")
    return ok(check, f"{path} answers ({side})")


def _message(answer: Answer) -> str:
    body = answer.json
    error: Any = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    message: Any = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else None
    return str(message or answer.body[:200].decode("utf-8", "replace"))
