"""Fit EMBEDDED_CALIBRATION on FIT and say how good it is on HELD: `python -m tests.adapters.fit_classifier`.

To be run with OMP_WAIT_POLICY=passive on a busy machine. Prints one line per setting, as brain/classify_prompt.py
wants it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brainrouter.adapters.classifier_engine import open_engine
from brainrouter.adapters.classifier_judge import Judge
from brainrouter.brain.classify_prompt import EMBEDDED_SETTINGS
from tests.adapters.classifier_rows import FIT, HELD
from tests.model_cache import shared_model

RIDGE = 0.05  # forty rows do not bear a steeper curve than they show


def platt(odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and offset by Newton's method on Platt's smoothed targets, with a small ridge on the slope."""
    ones = labels.sum()
    targets = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))
    inputs = np.stack([odds, np.ones_like(odds)])
    weights = np.array([1.0, 0.0])
    ridge = np.diag([RIDGE, 1e-6])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(weights @ inputs, -30, 30)))
        slope = inputs @ (p - targets) + ridge @ weights
        curve = (inputs * (p * (1 - p))) @ inputs.T + ridge
        weights = weights - np.linalg.solve(curve, slope)
    return float(weights[0]), float(weights[1])


def auc(odds: np.ndarray, labels: np.ndarray) -> float:
    hard, easy = odds[labels == 1][:, None], odds[labels == 0][None, :]
    return float((hard > easy).mean() + (hard == easy).mean() / 2)


def read(judge: Judge, rows: Sequence[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([judge.read(text).odds for text, _ in rows]), np.array([label for _, label in rows])


def main() -> None:
    engine = open_engine(shared_model(), 2)
    for shots, cap in EMBEDDED_SETTINGS:
        judge = Judge(engine, shots, cap, embedded=True)
        odds, labels = read(judge, FIT)
        a, b = platt(odds, labels)
        report = f"    ({shots}, {cap}): ({a:.3f}, {b:.3f}),"
        for name, rows in (("fit", FIT), ("held", HELD)):
            odds, labels = read(judge, rows)
            p = 1 / (1 + np.exp(-(a * odds + b)))
            right, brier = ((p > 0.5) == labels).mean(), ((p - labels) ** 2).mean()
            report += f"  # {name}: auc {auc(odds, labels):.3f} accuracy {right:.3f} brier {brier:.3f}"
        print(report, flush=True)


if __name__ == "__main__":
    main()
