"""Turns of our own writing for training: everyday harness requests that no benchmark holds. Labels are our opinion."""

from __future__ import annotations

from bench.routing_data import Row


def house_rows() -> list[Row]:
    """The turns as rows."""
    return []
