"""Each test here runs one row of the catalogue."""

from __future__ import annotations

from tests.faults.fixtures import shelf, trial

__all__ = ["shelf", "trial"]
