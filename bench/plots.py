"""Draws the plots of docs/performance.md from figures.json in the folder given. Runs by a Python that has matplotlib."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

COLOURS = {
    "nginx": "#8a8f98", "brainrouter": "#2563eb", "brainrouter auto": "#0ea5a4", "litellm": "#d97706",
    "portkey": "#9333ea",
}  # fmt: skip
SIZES = {"whole 1 KB": 1, "whole 60 KB": 60, "whole 600 KB": 600}


def main() -> None:
    """Two files: added.svg, growth.svg."""
    folder = Path(sys.argv[1])
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    plt: Any = importlib.import_module("matplotlib.pyplot")
    plt.rcParams |= {
        "svg.hashsalt": "brainrouter", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e5e7eb",
        "axes.axisbelow": True, "figure.facecolor": "white",
    }  # fmt: skip
    for name, draw in (("added", _added), ("growth", _growth)):
        figure = draw(plt, figures)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def _added(plt: Any, figures: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for name, colour in COLOURS.items():
        points = [(size, figures["added"][name][scenario]) for scenario, size in SIZES.items()]
        points = [point for point in points if (point[1] or 0) > 0]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=name, linewidth=2)
    axes.set(xscale="log", yscale="log", xlabel="body, KB", ylabel="added to a whole answer, microseconds")
    axes.set_xticks(list(SIZES.values()), [str(size) for size in SIZES.values()])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _growth(plt: Any, figures: dict[str, Any]) -> Any:
    grown = figures["growth"]
    figure, grid = plt.subplots(2, 2, figsize=(10, 7))
    panels = (
        (
            grid[0][0],
            "bytes",
            (("cpu", "cloud"), ("auto_cpu", "auto")),
            "body, KB",
            "CPU a request, us",
            1000,
        ),
        (
            grid[0][1],
            "turns",
            (("cpu", "cloud"), ("auto_cpu", "auto")),
            "turns in 120 KB",
            "CPU a request, us",
            1,
        ),
        (grid[1][0], "streams", (("cpu_chunk", "CPU a chunk"),), "streams at once", "CPU a chunk, us", 1),
        (grid[1][1], "events", (("cpu", "CPU a request"),), "events stored", "CPU a request, us", 1),
    )
    colours = ("#2563eb", "#0ea5a4")
    for axes, name, lines, x, y, unit in panels:
        rows = grown[name]
        for (key, label), colour in zip(lines, colours, strict=False):
            at = [row["x"] / unit for row in rows]
            axes.plot(at, [row[key] for row in rows], marker="o", color=colour, label=label, linewidth=2)
        axes.set(xlabel=x, ylabel=y)
        axes.set_ylim(bottom=0)
        if name == "events":
            axes.set_xscale("symlog", linthresh=1000)
        if len(lines) > 1:
            axes.legend(frameon=False)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
