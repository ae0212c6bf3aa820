"""The charts of a scored run, each with its heading and a line on how to read it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from bokeh.plotting import figure

from shipseg_tiles.report import charts
from shipseg_tiles.scoring.image_score import FOUND, ImageScore
from shipseg_tiles.scoring.metrics import LARGE_SHIP, SMALL_SHIP
from shipseg_tiles.training.history import CURVES

_SIZES = (10, 25, SMALL_SHIP, 200, 600, LARGE_SHIP + 1)
"""Pixels at which the next class of ships begins; two of them are those of the metrics."""

_BINS = 20


@dataclass(frozen=True)
class Panel:
    """A chart on a page.

    Attributes:
        name: Id of its element.
        title: Its heading.
        chart: The chart.
        note: How to read it.
    """

    name: str
    title: str
    chart: figure
    note: str = ""


def score_panels(scores: Sequence[ImageScore]) -> list[Panel]:
    """Draw how the dice of ship images is spread, and which ships are found; nothing without ships."""
    with_ships = [score.dice for score in scores if score.truth_pixels]
    if not with_ships:
        return []
    edges = np.linspace(0, 1, _BINS + 1).round(2)
    spread = charts.histogram(with_ships, edges, "dice of an image", "images with ships")
    return [
        Panel("dice", "Dice of the images with ships", spread, "Bars at 0 are images whose ships were all missed."),
        Panel(
            "recall",
            "Which ships are found",
            _recall(scores),
            f"Share of the true ships that a predicted one hits with an IoU above {FOUND:g}; how many there are stands"
            " behind each bar.",
        ),
    ]


def _recall(scores: Sequence[ImageScore]) -> figure:
    there, found = (
        np.histogram([size for sizes in kinds for size in sizes], [0, *_SIZES, np.inf])[0].tolist()
        for kinds in ([score.truth_sizes for score in scores], [score.found_sizes for score in scores])
    )
    ranges = [f"{first} to {following - 1}" for first, following in zip((1, *_SIZES), _SIZES, strict=False)]
    names = [*ranges, f"above {LARGE_SHIP}"]
    counted = [(name, hits, ships) for name, hits, ships in zip(names, found, there, strict=True) if ships]
    chart = charts.bars(
        {name: hits / ships for name, hits, ships in counted},
        {name: f"{hits} of {ships}" for name, hits, ships in counted},
        "share that is found",
        "pixels of a ship",
        x_range=(0, 1.25),
    )
    chart.xaxis.ticker = [0, 0.25, 0.5, 0.75, 1]
    return chart


def training_panels(history: pd.DataFrame) -> list[Panel]:
    """Draw the curves of a training over its epochs, those that there are."""
    panels = []
    for number, (title, pattern) in enumerate(CURVES.items()):
        columns = {str(name): history[name].tolist() for name in history.filter(regex=pattern)}
        if columns:
            chart = charts.lines(history["epoch"].tolist(), columns, "epoch", title)
            panels.append(Panel(f"training{number}", f"Training: {title}", chart))
    return panels


def seam_panel(profiles: pd.DataFrame) -> Panel:
    """Draw how far tiles are from the whole image over the distance to their border, see `docs/seams.md`."""
    chart = charts.bare_chart("pixels to the tile's border", "difference")
    for number, (tile, rows) in enumerate(profiles.groupby("tile")):
        charts.add_line(chart, number, f"tile {tile}", rows["distance"].tolist(), rows["percentile_99"].tolist())
    charts.explain_lines(chart)
    return Panel(
        "seams",
        "Seams",
        chart,
        "By how much the probability of a pixel in a raw tile differs from that in the whole image: 99 of 100 pixels"
        " that are at stake differ by less.",
    )
