"""Numbers about an archive that follow from its labels and the sizes of its images: no image is decoded."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.pixels import PixelIndices, rows_and_columns, union

QUANTILES = {
    "smallest": 0.0,
    "percent_5": 0.05,
    "percent_25": 0.25,
    "median": 0.5,
    "percent_75": 0.75,
    "percent_95": 0.95,
    "largest": 1.0,
}
"""Points of a distribution: the share of its values that lie below each."""

_SIZES_LISTED = 10


@dataclass(frozen=True)
class Measures:
    """What was measured on every image and every ship, in pixels.

    Attributes:
        images: One row an image, its name as index: `height`, `width`, `ships` (how many), `ship_pixels` (a pixel of
            two overlapping ships counts once).
        ships: One row a ship: `image` (name), `pixels`, `length` and `width` of the box (see `box_sides`), `row` and
            `column` of its middle.
    """

    images: pd.DataFrame
    ships: pd.DataFrame

    def only(self, names: Collection[str]) -> "Measures":
        """Return the measures of some of the images."""
        return Measures(self.images[self.images.index.isin(names)], self.ships[self.ships["image"].isin(names)])


def measure_labels(labels: Labels, sizes: Mapping[str, tuple[int, int]]) -> Measures:
    """Measure every image and every ship.

    Args:
        labels: The ships of each image.
        sizes: (height, width) of the images to measure, all of them labelled.

    Raises:
        InputError: If a run-length text is malformed or leaves its image.
    """
    images: list[tuple[int, int, int, int]] = []
    ships: list[tuple[str, int, float, float, int, int]] = []
    for name, (height, width) in tqdm(sizes.items(), desc="ships", unit="image", disable=None):
        of_image = labels.ship_indices(name, (height, width))
        images.append((height, width, len(of_image), union(of_image).size))
        ships += [(name, ship.size, *box_sides(ship, height), *_middle(ship, height)) for ship in of_image]
    return Measures(
        pd.DataFrame(images, index=pd.Index(sizes), columns=["height", "width", "ships", "ship_pixels"]),
        pd.DataFrame(ships, columns=["image", "pixels", "length", "width", "row", "column"]),
    )


def box_sides(ship: PixelIndices, height: int) -> tuple[float, float]:
    """Return length and width, in pixels, of the box at any angle that spreads its pixels as far as the ship does.

    Exact for a box along rows and columns; within a pixel or so for a turned one, as the labels of the competition
    are. Both come from the moments: the positions in a row of n pixels have a variance of (n * n - 1) / 12.

    Args:
        ship: Pixel indices of the ship, one or more.
        height: Height of the image.
    """
    rows, columns = rows_and_columns(ship, height)
    x, y = columns - columns.mean(), rows - rows.mean()
    # No `@`: its threads wait for each other, which took ten times as long on a busy machine.
    angle = np.arctan2(2 * np.sum(x * y), np.sum(x * x) - np.sum(y * y)) / 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    sides = _side(along), _side(across)
    return max(sides), min(sides)


def _side(positions: NDArray[np.float64]) -> float:
    """Turn the positions of pixels along an axis, of mean 0, into the side of a box."""
    by_moments = np.sqrt(12 * np.mean(positions * positions) + 1)
    return min(float(by_moments), float(np.ptp(positions)) + 1)  # a label in two parts is no longer than it reaches


def _middle(ship: PixelIndices, height: int) -> tuple[int, int]:
    rows, columns = rows_and_columns(ship, height)
    return round(rows.mean()), round(columns.mean())


def summarise_measures(measures: Measures) -> dict[str, Any]:
    """Sum up what was measured on one image or more.

    Returns:
        `images`, `ship_images`, `ships` (how many); `empty_share` (share of the images without ships);
        `image_sizes` (the 10 most frequent: `height`, `width`, `images`); `ships_per_image` (number of images by
        number of ships, as text); `ship_pixels`, `ship_length`, `ship_width` (of a ship) and
        `ship_pixels_per_ship_image`, each the `mean` and the `QUANTILES`, or None without ships;
        `ship_pixel_share_ship_images` (None without ships) and `ship_pixel_share_all_images`, of all pixels together.
    """
    images, ships = measures.images, measures.ships
    with_ships = images[images["ships"] > 0]
    sizes = Counter(zip(images["height"], images["width"], strict=True)).most_common(_SIZES_LISTED)
    per_image = images["ships"].value_counts().sort_index()
    return {
        "images": len(images),
        "ship_images": len(with_ships),
        "empty_share": 1 - len(with_ships) / len(images),
        "image_sizes": [{"height": int(h), "width": int(w), "images": count} for (h, w), count in sizes],
        "ships": len(ships),
        "ships_per_image": {str(count): int(number) for count, number in per_image.items()},
        "ship_pixels": _distribution(ships["pixels"]),
        "ship_length": _distribution(ships["length"]),
        "ship_width": _distribution(ships["width"]),
        "ship_pixels_per_ship_image": _distribution(with_ships["ship_pixels"]),
        "ship_pixel_share_ship_images": _ship_pixel_share(with_ships),
        "ship_pixel_share_all_images": _ship_pixel_share(images),
    }


def _distribution(values: "pd.Series[Any]") -> dict[str, float] | None:
    if values.empty:
        return None
    points = values.quantile(list(QUANTILES.values()))
    return {"mean": float(values.mean())} | dict(zip(QUANTILES, map(float, points), strict=True))


def _ship_pixel_share(images: pd.DataFrame) -> float | None:
    pixels = int((images["height"] * images["width"]).sum())
    return int(images["ship_pixels"].sum()) / pixels if pixels else None
