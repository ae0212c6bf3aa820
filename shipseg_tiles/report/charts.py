"""Charts of what is in an archive."""

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from shipseg_tiles.archive.brightness import Brightness
from shipseg_tiles.archive.statistics import Measures
from shipseg_tiles.report.pictures import PREDICTED, TRUTH

_BLUE, _AMBER = (f"#{bytes(colour).hex()}" for colour in (TRUTH, PREDICTED))
_BINS = 40
_LEVELS_PER_POINT = 4


def ships_per_image(measures: Measures) -> bytes:
    """Draw how many images show how many ships as PNG."""
    figure, axis = _chart("ships in an image", "images")
    counts = measures.images["ships"].value_counts()
    axis.bar(counts.index.to_numpy(), counts.to_numpy(), color=_BLUE)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.7)  # a bar of one image stays visible
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return _png(figure)


def ship_pixels(measures: Measures) -> bytes:
    """Draw how many ships have how many pixels as PNG; there must be a ship."""
    figure, axis = _chart("pixels of a ship", "ships")
    pixels = measures.ships["pixels"].to_numpy()
    edges = np.unique(np.floor(np.geomspace(1, pixels.max() + 1, _BINS)))  # at whole numbers, as the pixels are
    axis.hist(pixels, edges.tolist(), color=_BLUE)
    _logarithmic(axis)
    return _png(figure)


def ship_sides(measures: Measures) -> bytes:
    """Draw how many ships are how long and how wide as PNG; there must be a ship."""
    figure, axis = _chart("pixels", "ships")
    edges = np.geomspace(1, measures.ships["length"].max() + 1, _BINS // 2).tolist()
    for side, colour in (("length", _BLUE), ("width", _AMBER)):
        axis.hist(measures.ships[side], edges, histtype="step", linewidth=2, color=colour, label=side)
    axis.legend(frameon=False)
    _logarithmic(axis)
    return _png(figure)


def brightness(measured: Brightness) -> bytes:
    """Draw how bright ships and everything else are, all channels together, as PNG."""
    figure, axis = _chart("value of a channel", "share of the pixels in %")
    levels = np.arange(0, 256, _LEVELS_PER_POINT) + _LEVELS_PER_POINT / 2
    for label, values, colour in (("ships", measured.ships, _BLUE), ("all else", measured.others, _AMBER)):
        if values.any():
            shares = values.sum(axis=0).reshape(-1, _LEVELS_PER_POINT).sum(axis=1) / values.sum() * 100
            axis.plot(levels, shares, linewidth=2, color=colour, label=label)
    axis.set(xlim=(0, 255), ylim=(0, None))
    axis.legend(frameon=False)
    return _png(figure)


def _chart(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 3.5), layout="constrained")  # without pyplot, which would choose a screen
    axis = figure.subplots()
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    return figure, axis


def _logarithmic(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
