"""What the suite holds: every protocol on every way, feature by feature. `docs/conformance.md` is made from this.

`python -m tests.conformance.cells` writes the page.
"""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

PROTOCOLS = {
    "chat": "OpenAI chat completions",
    "messages": "Anthropic messages",
    "responses": "OpenAI responses",
}
WAYS = {
    "native": "to a cloud that speaks the caller's protocol: passed through",
    "chat-only": "to a cloud that speaks chat completions only (`manifest.protocols: [chat]`): translated",
    "local": "to a local model behind llama-swap, by chat completions: translated, adapted to chat templates",
}
FEATURES = {
    "text": "an answer, whole and streamed, the same text in every script; stop reason and usage, cached part included",
    "tools": "a tool call, whole and streamed; then its result goes back and reaches the model under the call's id",
    "parallel tools": "three calls at once, their deltas mixed where the protocol can mix them; arguments byte for byte",
    "images": "a picture reaches a model that sees; one that does not is told so, and the session goes on",
    "thinking": "reasoning comes before the answer, in the protocol's own form, and may be sent back",
    "long": "120 kB in hundreds of events, nothing lost and nothing twice",
    "cancel": "the client leaves in the middle: the upstream's connection is cut at once",
    "error": "refused, over the limit (always with Retry-After), too long (in words the client acts on), broken mid-stream",
    "truncated": "a stream that ends early raises in the client: it never looks whole",
}


def cells() -> list[tuple[str, str]]:
    """Every protocol and way that each feature is tested on."""
    return [(protocol, way) for protocol in PROTOCOLS for way in WAYS]


def page() -> str:
    """The page in Markdown."""
    lines = [
        "# Conformance",
        "",
        "What brainrouter holds in each of its three protocols, on each way a request can take. Every cell is a test that",
        "runs the real daemon between fakes of Manifest and llama-swap, and reads its answers with the vendor's own SDK",
        "(`openai`, `anthropic`). This page is generated from the suite (`python -m tests.conformance.cells`); a test fails",
        "when the two differ, and a red cell fails the build.",
        "",
        "| feature | " + " | ".join(f"{protocol}: {way}" for protocol, way in cells()) + " |",
        "|---|" + "---|" * len(cells()),
    ]
    lines += [f"| {feature} | " + " | ".join("yes" for _ in cells()) + " |" for feature in FEATURES]
    lines += ["", "## Protocols and ways", ""]
    lines += [f"- **{name}**: {what}" for name, what in {**PROTOCOLS, **WAYS}.items()]
    lines += ["", "## What each row checks", ""]
    lines += [f"- **{name}**: {what}" for name, what in FEATURES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
