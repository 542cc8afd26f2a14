"""llama-swap, asked directly: where it is, its key, its models, the fallback model and its window."""

from __future__ import annotations

from typing import Any, cast

from brainrouter.adapters.own_daemon import Answer, NoAnswer, ask
from brainrouter.config import key_from
from brainrouter.flows.discover import LLAMA_SWAP_URLS
from brainrouter.flows.doctor.elsewhere import PROBE_S, Backend, missing
from brainrouter.flows.doctor.finding import Case, Finding, fault, note, ok

LLAMA_SWAP = Backend(
    "llama-swap", "llama_swap", "local", LLAMA_SWAP_URLS, "/api/version", "version",
    "systemctl start llama-swap", "`brainrouter up` runs its embedded model instead",
)  # fmt: skip
KEYS_SHOWN = 5


async def examine_llama_swap(case: Case) -> list[Finding]:
    """The findings, in the order in which they hide each other: only the first fault is told."""
    section, part = case.settings.llama_swap, case.part("local")
    if part.get("embedded"):
        return [
            note("llama-swap", "the embedded model answers; it shows that all works, but is no coding agent")
        ]
    url = str(part.get("url") or section.base_url)
    key = key_from(case.env, section.api_key_env)
    try:
        answer = await ask(url, "/models", key=key.reveal() if key else None, timeout_s=PROBE_S)
    except NoAnswer as error:
        return [await missing(LLAMA_SWAP, url, str(error), case)]
    if answer.status == 401:
        return [_key(case, url)]
    names = _names(answer)
    if answer.status != 200 or names is None:
        what = f"{url}/models was answered {answer.status}: that is no llama-swap"
        return [fault("llama-swap", what, f"set llama_swap.base_url in {case.config_file}")]
    if not names:
        mend = "add a model to llama-swap's config.yaml, then: systemctl restart llama-swap"
        return [fault("llama-swap.models", f"llama-swap at {url} has no models", mend)]
    return [ok("llama-swap", f"llama-swap answers at {url}"), *_fallback(case, names), *_window(case)]


def _key(case: Case, url: str) -> Finding:
    named = case.settings.llama_swap.api_key_env
    if named:
        what = f"llama-swap at {url} refuses the key in ${named}"
        return fault(
            "llama-swap.key", what, f"export {named}=..., one of apiKeys in llama-swap's config.yaml"
        )
    mend = f"set llama_swap.api_key_env in {case.config_file} to the variable that holds it"
    return fault("llama-swap.key", f"llama-swap at {url} wants a key", mend)


def _fallback(case: Case, names: set[str]) -> list[Finding]:
    wanted = case.settings.llama_swap.fallback_model
    mend = f"set llama_swap.fallback_model in {case.config_file} to one of: {', '.join(sorted(names)[:KEYS_SHOWN])}"
    if wanted is None:
        return [
            note("llama-swap.fallback", "no fallback_model is set: whichever model is loaded answers", mend)
        ]
    if wanted in names:
        return []
    return [fault("llama-swap.fallback", f"llama-swap has no model {wanted!r}, the fallback_model", mend)]


def _window(case: Case) -> list[Finding]:
    if case.health is None or case.target.local_window:
        return []
    what = "nobody says how large the local model's window is, so harnesses compact too late"
    mend = f"set llama_swap.context_tokens in {case.config_file}, or capabilities.context in llama-swap's config.yaml"
    return [fault("llama-swap.window", what, mend)]


def _names(answer: Answer) -> set[str] | None:
    body = answer.json
    rows = cast("dict[str, Any]", body).get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None
    names: set[str] = set()
    for row in cast("list[dict[str, Any]]", rows):
        names |= {str(row.get("id")), *_aliases(row)}
    return names


def _aliases(row: dict[str, Any]) -> list[str]:
    held: Any = row
    for key in ("meta", "llamaswap", "aliases"):
        held = cast("dict[str, Any]", held).get(key) if isinstance(held, dict) else None
    return list(map(str, cast("list[Any]", held))) if isinstance(held, list) else []
