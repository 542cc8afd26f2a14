"""The embedded model for tests: fetched once into .cache/models, then found there."""

from __future__ import annotations

from pathlib import Path

from brainrouter.adapters.model_file import embedded_model

ROOT = Path(__file__).resolve().parent.parent


def shared_cache() -> Path:
    """A cache folder (for EmbeddedBackend and embedded_model) that outlives the run."""
    return ROOT / ".cache" / "models"


def shared_model() -> Path:
    """The Q8_0 GGUF of the embedded model. Fetches it when it is not there yet; without network that is an error."""
    return embedded_model(shared_cache(), lambda _label, _share: None)
