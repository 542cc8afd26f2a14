"""llama.h by ctypes, on the shared object that the xllamacpp wheel ships: sequences and raw logits without a compiler.

Only the classifier's worker process loads it. Struct layouts move between llama.cpp builds, so nothing is taken on
trust: the defaults must stand where we expect them, and a context must report what we asked for. Otherwise
LayoutUnknown is raised before anything was computed, and the worker takes the library's server instead.
"""

from __future__ import annotations

import ctypes
import importlib.util
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Expected = tuple[tuple[int, str, tuple[float, ...]], ...]  # (offset, struct format, defaults)

N_CTX = 1536
N_BATCH = 512
PREFIX, REQUEST = 0, 1  # sequences of the cache
LOG_WARN, LOG_ERROR = 3, 4
# Fields that only stand between are checked too: they show that nothing moved.
MODEL_DEFAULTS: Expected = (
    (0, "QQ", (0, 0)),
    (16, "iiiii", (-1, 1, -1, 1, 0)),
    (40, "QQQQ", (0, 0, 0, 0)),
    (72, "6B", (0, 0, 1, 0, 0, 0)),
)
CONTEXT_DEFAULTS: Expected = (
    (0, "9I", (512, 2048, 512, 1, 0, 0, 1, 4, 4)),
    (36, "5i", (0, -1, -1, -1, -1)),
    (56, "8f", (0.0, 0.0, -1.0, -1.0, -1.0, -1.0, 0.0, -1.0)),
    (88, "QQ", (0, 0)),
    (104, "II", (1, 1)),
    (112, "QQQ", (0, 0, 0)),
    (136, "6B", (0, 1, 1, 1, 1, 0)),
    (144, "QQQ", (0, 0, 0)),
)
SIZES, FLASH_ATTENTION, SWA_FULL, KV_UNIFIED = 0, 52, 140, 141


class LayoutUnknown(Exception):
    """This build of llama.cpp has other struct layouts than we know, or does not export its functions."""


class BadModel(Exception):
    """The file is not a model that llama.cpp loads; the message is its own."""


class TooLate(Exception):
    """The deadline passed while computing; the pass was given up."""


class _Blob(ctypes.Structure):
    # Larger than the structs it stands for, which is safe: structs of this size go by pointer or by a copy on the
    # stack, and the callee reads its own length from the front.
    _fields_ = (("raw", ctypes.c_ubyte * 512),)


class _Batch(ctypes.Structure):
    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_ABORT = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)
_P, _I, _U, _B, _S = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_bool, ctypes.c_char_p
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "llama_backend_init": (None, ()),
    "llama_log_set": (None, (_LOG, _P)),
    "llama_model_default_params": (_Blob, ()),
    "llama_context_default_params": (_Blob, ()),
    "llama_model_load_from_file": (_P, (_S, _Blob)),
    "llama_init_from_model": (_P, (_P, _Blob)),
    "llama_model_get_vocab": (_P, (_P,)),
    "llama_model_chat_template": (_S, (_P, _S)),
    "llama_model_desc": (_I, (_P, _S, ctypes.c_size_t)),
    "llama_vocab_n_tokens": (_I, (_P,)),
    "llama_vocab_get_add_bos": (_B, (_P,)),
    "llama_vocab_bos": (_I, (_P,)),
    "llama_tokenize": (_I, (_P, _S, _I, ctypes.POINTER(_I), _I, _B, _B)),
    "llama_batch_init": (_Batch, (_I, _I, _I)),
    "llama_decode": (_I, (_P, _Batch)),
    "llama_get_memory": (_P, (_P,)),
    "llama_memory_seq_rm": (_B, (_P, _I, _I, _I)),
    "llama_memory_seq_cp": (None, (_P, _I, _I, _I, _I)),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), (_P, _I)),
    "llama_set_abort_callback": (None, (_P, _ABORT, _P)),
    "llama_n_ctx": (_U, (_P,)),
    "llama_n_ctx_seq": (_U, (_P,)),
    "llama_n_batch": (_U, (_P,)),
    "llama_n_ubatch": (_U, (_P,)),
    "llama_n_seq_max": (_U, (_P,)),
    "llama_n_threads_batch": (_I, (_P,)),
}


def open_library() -> Any:
    """The shared object with its functions declared. Raises LayoutUnknown."""
    spec = importlib.util.find_spec("xllamacpp")
    folders = (spec.submodule_search_locations or []) if spec else []
    paths = [path for folder in folders for path in Path(folder).glob("xllamacpp*.so")]
    if not paths:
        raise LayoutUnknown("xllamacpp has no shared object here")
    try:
        library = ctypes.CDLL(str(paths[0]))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as trouble:
        raise LayoutUnknown(str(trouble)) from trouble
    _check(library.llama_model_default_params(), MODEL_DEFAULTS, "llama_model_params")
    _check(library.llama_context_default_params(), CONTEXT_DEFAULTS, "llama_context_params")
    return library


def _check(blob: _Blob, expected: Expected, name: str) -> None:
    for offset, form, defaults in expected:
        found = struct.unpack_from("<" + form, bytes(blob.raw), offset)
        if found != defaults:
            raise LayoutUnknown(f"{name} at {offset}: {found} where {defaults} should be")


class LlamaModel:
    """One model with one context: a prefix held in sequence 0, each request laid over it in sequence 1."""

    def __init__(self, path: Path, threads: int) -> None:
        self._library = library = open_library()
        self.complaints: list[str] = []
        self._keep = (_LOG(self._hear), _ABORT(self._is_late))  # ctypes frees a callback that nobody holds
        library.llama_log_set(self._keep[0], None)
        library.llama_backend_init()
        self._model = library.llama_model_load_from_file(
            str(path).encode(), library.llama_model_default_params()
        )
        if not self._model:
            raise BadModel((self.complaints or ["llama.cpp does not load it"])[0])
        self._vocab = library.llama_model_get_vocab(self._model)
        self._n_vocab = library.llama_vocab_n_tokens(self._vocab)
        self._context = self._new_context(threads)
        self._memory = library.llama_get_memory(self._context)
        self._batch = library.llama_batch_init(N_BATCH, 0, 1)
        if self._batch.n_tokens != 0 or not self._batch.token or self._batch.embd or not self._batch.logits:
            raise LayoutUnknown("llama_batch is another struct")
        library.llama_set_abort_callback(self._context, self._keep[1], None)
        self._held = 0
        self._deadline = float("inf")

    @property
    def chat_template(self) -> str:
        """The GGUF's own chat template, or ""."""
        return (self._library.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")

    @property
    def description(self) -> str:
        """llama.cpp's one-line description: architecture, size, quantisation."""
        buffer = ctypes.create_string_buffer(256)
        self._library.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def bos(self) -> list[int]:
        """The token that the vocabulary wants before everything else, if it wants one."""
        wanted = self._library.llama_vocab_get_add_bos(self._vocab)
        return [self._library.llama_vocab_bos(self._vocab)] if wanted else []

    def tokens(self, text: str, *, markup: bool) -> list[int]:
        """`text` as tokens; control tokens are recognised only in `markup`."""
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        buffer = (ctypes.c_int32 * room)()
        count = self._library.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, markup)
        return list(buffer[: max(0, count)])

    def hold(self, prefix: list[int]) -> None:
        """Compute `prefix` once; every later pass starts after it."""
        for sequence in (PREFIX, REQUEST):
            self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._deadline = float("inf")
        self._decode(prefix, 0, PREFIX)
        self._held = len(prefix)

    def logits_after(self, tokens: list[int], deadline: float = float("inf")) -> Logits:
        """The logits after prefix + `tokens`. Raises TooLate when time.monotonic() passes `deadline` meanwhile."""
        library, memory = self._library, self._memory
        library.llama_memory_seq_rm(memory, REQUEST, -1, -1)
        library.llama_memory_seq_cp(memory, PREFIX, REQUEST, -1, -1)
        self._deadline = deadline
        self._decode(tokens, self._held, REQUEST)
        return np.ctypeslib.as_array(library.llama_get_logits_ith(self._context, -1), shape=(self._n_vocab,))

    def _decode(self, tokens: list[int], start: int, sequence: int) -> None:
        if not tokens or start + len(tokens) > N_CTX:
            raise ValueError(f"{len(tokens)} tokens do not fit after {start}")
        batch = self._batch
        for first in range(0, len(tokens), N_BATCH):
            chunk = tokens[first : first + N_BATCH]
            batch.n_tokens = len(chunk)
            for index, token in enumerate(chunk):
                batch.token[index], batch.pos[index] = token, start + first + index
                batch.n_seq_id[index], batch.seq_id[index][0], batch.logits[index] = 1, sequence, 0
            batch.logits[len(chunk) - 1] = 1
            code = self._library.llama_decode(self._context, batch)
            if code == 2:
                raise TooLate
            if code != 0:
                raise RuntimeError(f"llama_decode: {code}; {' '.join(self.complaints[-1:])}")

    def _new_context(self, threads: int) -> int:
        library = self._library
        wanted = library.llama_context_default_params()
        struct.pack_into("<4I", wanted.raw, SIZES, N_CTX, N_BATCH, N_BATCH, 2)
        struct.pack_into("<2i", wanted.raw, SIZES + 28, threads, threads)
        struct.pack_into("<i", wanted.raw, FLASH_ATTENTION, 0)  # slower than the plain path for short batches
        struct.pack_into(
            "<2B", wanted.raw, SWA_FULL, 1, 1
        )  # swa_full, kv_unified: a copied sequence shares cells
        context = library.llama_init_from_model(self._model, wanted)
        if not context:
            raise BadModel((self.complaints or ["llama.cpp makes no context for it"])[-1])
        sizes = (
            library.llama_n_ctx(context),
            library.llama_n_ctx_seq(context),
            library.llama_n_seq_max(context),
        )
        batches = (library.llama_n_batch(context), library.llama_n_ubatch(context))
        if (
            sizes != (N_CTX, N_CTX, 2)
            or batches != (N_BATCH, N_BATCH)
            or (library.llama_n_threads_batch(context) != threads)
        ):
            raise LayoutUnknown(f"the context is not as asked for: {sizes} {batches}")
        return context

    def _hear(self, level: int, text: bytes, _data: object) -> None:
        if level in (LOG_WARN, LOG_ERROR) and (line := text.decode("utf-8", "replace").strip()):
            self.complaints = [*self.complaints[-20:], line]

    def _is_late(self, _data: object) -> bool:
        return time.monotonic() > self._deadline
