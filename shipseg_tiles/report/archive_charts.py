"""Charts of what is in an archive."""

import numpy as np
from bokeh.plotting import figure

from shipseg_tiles.archive.brightness import Brightness
from shipseg_tiles.archive.statistics import Measures
from shipseg_tiles.report import charts

_BINS = 40
_LEVELS_PER_POINT = 4


def archive_charts(measures: Measures, brightness: Brightness) -> dict[str, figure]:
    """Draw the charts of an archive; those of ships only if there are any."""
    drawn = {"ships_per_image": _ships_per_image(measures), "brightness": _brightness(brightness)}
    if len(measures.ships):
        drawn |= {"ship_pixels": _ship_pixels(measures), "ship_sides": _ship_sides(measures)}
    return drawn


def _ships_per_image(measures: Measures) -> figure:
    ships = measures.images["ships"].to_numpy()
    edges = np.arange(ships.max() + 2) - 0.5
    return charts.histogram(ships, edges, "ships in an image", "images", y_axis_type="log")


def _ship_pixels(measures: Measures) -> figure:
    pixels = measures.ships["pixels"].to_numpy()
    edges = np.unique(np.floor(np.geomspace(1, pixels.max() + 1, _BINS)))  # whole numbers, as the pixels are
    return charts.histogram(pixels, edges, "pixels of a ship", "ships", x_axis_type="log")


def _ship_sides(measures: Measures) -> figure:
    """Draw length and width as lines through the middles of bins."""
    edges = np.geomspace(1, measures.ships["length"].max() + 1, _BINS // 2)
    counts = {side: np.histogram(measures.ships[side], edges)[0].tolist() for side in ("length", "width")}
    middles = np.sqrt(edges[:-1] * edges[1:]).tolist()
    return charts.lines(middles, counts, "pixels", "ships", x_axis_type="log")


def _brightness(measured: Brightness) -> figure:
    """Draw how bright ships and everything else are, all channels together."""
    levels = (np.arange(0, 256, _LEVELS_PER_POINT) + _LEVELS_PER_POINT / 2).tolist()
    kinds = {"ships": measured.ships, "all else": measured.others}
    shares = {
        name: (values.sum(axis=0).reshape(-1, _LEVELS_PER_POINT).sum(axis=1) / values.sum() * 100).tolist()
        for name, values in kinds.items()
        if values.any()
    }
    return charts.lines(levels, shares, "value of a channel", "share of the pixels in %")
