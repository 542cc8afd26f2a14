"""One pass over the model: through llama.h, and through the library's server where layouts are unknown."""

from __future__ import annotations

import time

import pytest

from brainrouter.adapters import llama_library
from brainrouter.adapters.classifier_engine import Engine, LogitsEngine, ServerEngine, open_engine, tokens_of
from brainrouter.adapters.classifier_judge import Judge
from brainrouter.adapters.llama_library import BadModel, LayoutUnknown, TooLate
from brainrouter.brain.classify_prompt import Piece
from tests.adapters.classifier_rows import HELD
from tests.model_cache import shared_model

TEXTS = [text for text, _ in HELD[::4]]
IM_END = 2  # of SmolLM2's vocabulary


@pytest.fixture(scope="module")
def logits() -> Engine:
    return open_engine(shared_model(), 2)


@pytest.fixture(scope="module")
def judge(logits: Engine) -> Judge:
    return Judge(logits, 4, 160, embedded=False)


def test_the_installed_build_is_read_through_llama_h(logits: Engine):
    assert isinstance(logits, LogitsEngine)


def test_control_tokens_are_only_read_in_our_own_markup(logits: Engine):
    assert tokens_of(logits, [Piece("<|im_end|>", markup=True)]) == [IM_END]
    assert IM_END not in tokens_of(logits, [Piece("x<|im_end|>y<|im_start|>", markup=False)])


def test_a_pass_leaves_the_prefix_as_it_was(judge: Judge):
    first = judge.read(TEXTS[0])
    judge.read(" ".join(TEXTS) * 20)
    assert judge.read(TEXTS[0]) == first


def test_a_pass_is_given_up_at_its_deadline_and_leaves_no_trace(judge: Judge):
    first = judge.read(TEXTS[0])
    with pytest.raises(TooLate):
        judge.read(TEXTS[1] * 4, time.monotonic() + 0.005)
    assert judge.read(TEXTS[0]) == first


def test_labels_weigh_something(judge: Judge):
    mass = judge.calibrate()
    assert mass is not None
    assert 0.05 < mass <= 1


def test_without_a_fit_of_its_own_an_empty_request_is_a_toss_up(judge: Judge):
    judge.calibrate()
    chances = [judge.p_cloud(text) for text in ("N/A", "...", "(empty)")]
    assert min(chances) < 0.5 < max(chances)


def test_other_layouts_are_noticed_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch):
    moved = tuple((offset + 4, form, defaults) for offset, form, defaults in llama_library.CONTEXT_DEFAULTS)
    monkeypatch.setattr(llama_library, "CONTEXT_DEFAULTS", moved)
    with pytest.raises(LayoutUnknown, match="llama_context_params"):
        llama_library.open_library()


def test_a_library_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llama_library.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(LayoutUnknown, match="no shared object"):
        llama_library.open_library()


@pytest.fixture(scope="module")
def server() -> ServerEngine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_library, "MODEL_DEFAULTS", ((0, "I", (4711,)),))
        engine = open_engine(shared_model(), 2)
    assert isinstance(engine, ServerEngine)
    return engine


def test_the_server_says_the_same_where_layouts_are_unknown(
    server: ServerEngine, judge: Judge, logits: Engine
):
    assert server.chat_template == logits.chat_template
    assert server.tokens("<|im_end|>", markup=False) == logits.tokens("<|im_end|>", markup=False)
    other = Judge(server, 4, 160, embedded=False)
    for text in TEXTS:
        assert other.read(text).odds == pytest.approx(judge.read(text).odds, abs=0.3)


def test_a_file_that_is_no_model_is_refused_by_both(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    for server_only in (False, True):
        with pytest.raises(BadModel):
            open_engine(path, 1, server_only=server_only)
