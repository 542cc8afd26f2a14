"""One pass of the classifier's model over a request: log odds of the two answers, and how much they weigh together.

`LogitsEngine` reads raw logits through llama.h. Where a build's layouts are unknown, `ServerEngine` asks the library's
own server for the probabilities of the two answers: the same pass, some milliseconds slower.
"""

from __future__ import annotations

import json
import math
import secrets
import urllib.request
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from brainrouter.adapters.llama_library import N_CTX, BadModel, LayoutUnknown, LlamaModel, Logits
from brainrouter.brain.classify_prompt import LABEL_FORMS, Label, Piece

BIAS = 100.0  # lifts both answers over all other tokens; being equal it cancels out between them
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Reading:
    """`odds` is log(P(cloud)/P(local)); `mass` is what the two answers have of all probability, None if not known."""

    odds: float
    mass: float | None


class Engine(Protocol):
    """What the worker needs of a loaded model."""

    name: str

    @property
    def description(self) -> str: ...
    @property
    def chat_template(self) -> str: ...
    def bos(self) -> list[int]: ...
    def tokens(self, text: str, *, markup: bool) -> list[int]: ...
    def hold(self, prefix: list[int]) -> None: ...
    def read(self, tokens: list[int], deadline: float) -> Reading: ...


def open_engine(path: Path, threads: int, *, server_only: bool = False) -> Engine:
    """The best engine for this build of the library. Raises BadModel."""
    if not server_only:
        try:
            return LogitsEngine(path, threads)
        except LayoutUnknown:
            pass
    return ServerEngine(path, threads)


def tokens_of(engine: Engine, pieces: list[Piece]) -> list[int]:
    """The pieces of a prompt as tokens."""
    return [token for piece in pieces for token in engine.tokens(piece.text, markup=piece.markup)]


def first_tokens(engine: Engine, label: Label) -> list[int]:
    """The tokens that an answer of `label` can begin with."""
    found = (engine.tokens(form, markup=False) for form in LABEL_FORMS[label])
    return sorted({tokens[0] for tokens in found if tokens})


def _labels(engine: Engine) -> tuple[list[int], list[int]]:
    cloud, local = first_tokens(engine, "cloud"), first_tokens(engine, "local")
    if not cloud or not local or set(cloud) & set(local):
        raise BadModel("its vocabulary does not tell the answers cloud and local apart by their first token")
    return cloud, local


class LogitsEngine(LlamaModel):
    """Raw logits after one decode; all spellings of an answer count."""

    name = "llama.h"

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self._cloud, self._local = _labels(self)

    def read(self, tokens: list[int], deadline: float) -> Reading:
        """Raises TooLate."""
        logits = self.logits_after(tokens, deadline)
        cloud, local = _log_sum(logits[self._cloud]), _log_sum(logits[self._local])
        mass = math.exp(np.logaddexp(cloud, local) - _log_sum(logits))
        return Reading(cloud - local, mass)


def _log_sum(logits: Logits) -> float:
    top = float(logits.max())
    return top + math.log(float(np.exp(logits - top).sum(dtype=np.float64)))


class ServerEngine:
    """The library's in-process server. It listens on a loopback port, so it gets a key that nobody else knows."""

    name = "server"

    def __init__(self, path: Path, threads: int) -> None:
        library: Any = import_module("xllamacpp")
        wanted = library.CommonParams()
        wanted.model.path = str(path)
        wanted.n_ctx, wanted.n_parallel, wanted.verbosity = N_CTX, 1, 0
        wanted.hostnames, wanted.ui, wanted.endpoint_slots = ["127.0.0.1"], False, False
        wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
        wanted.flash_attn_type, wanted.swa_full = (
            library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
            True,
        )
        self._key = secrets.token_urlsafe(24)
        wanted.api_keys = [self._key]
        try:
            self._server = library.Server(wanted)
        except RuntimeError as trouble:
            raise BadModel("llama.cpp does not load it") from trouble
        properties = self._ask("/props", None)
        self._template = str(properties.get("chat_template", ""))
        self._prefix: list[int] = []
        self._cloud, self._local = _labels(self)

    @property
    def description(self) -> str:
        """The server tells none."""
        return "behind llama.cpp's own server"

    @property
    def chat_template(self) -> str:
        """The GGUF's own chat template, or ""."""
        return self._template

    def bos(self) -> list[int]:
        """What the server itself would put first."""
        return list(self._ask("/tokenize", {"content": "", "add_special": True})["tokens"])

    def tokens(self, text: str, *, markup: bool) -> list[int]:
        """`text` as tokens; control tokens are recognised only in `markup`."""
        return list(
            self._ask("/tokenize", {"content": text, "add_special": False, "parse_special": markup})["tokens"]
        )

    def hold(self, prefix: list[int]) -> None:
        """Fill the server's prompt cache with `prefix`."""
        self._prefix = prefix
        self.read([], math.inf)

    def read(self, tokens: list[int], deadline: float) -> Reading:
        """The server's probabilities of the two answers. A pass cannot be given up here, so `deadline` is not kept."""
        del deadline
        answer = self._server.handle_completions(
            {
                "prompt": self._prefix + tokens,
                "n_predict": 1,
                "cache_prompt": True,
                "n_probs": len(self._cloud) + len(self._local),
                "post_sampling_probs": True,
                "temperature": 1.0,
                "samplers": ["temperature"],
                "logit_bias": [[token, BIAS] for token in (*self._cloud, *self._local)],
            }
        )
        rows = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
        chance = {row["id"]: float(row["prob"]) for row in rows}
        cloud, local = (
            sum(chance.get(token, 0.0) for token in label) for label in (self._cloud, self._local)
        )
        return Reading(math.log(max(cloud, LEAST) / max(local, LEAST)), None)

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        address = f"{self._server.listening_address}{path}"
        request = urllib.request.Request(address, data=data, headers=headers)  # noqa: S310 - our own loopback port
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
