"""Images of an archive that are worth looking at, with the outlines of their ships."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.statistics import Measures
from shipseg_tiles.archive.usable import UsableImages
from shipseg_tiles.pixels import PixelIndices, mask_of
from shipseg_tiles.report.html import jpeg_address
from shipseg_tiles.report.pictures import TRUTH, outlined, shrink_step, shrunk_mask
from shipseg_tiles.tiling import TileGrid

_IMAGES_OF_A_KIND = 2
_SMALLEST = "smallest ship"
_CLOSE_UP = 96
"""Side in pixels of the part of an image that shows a tiny ship."""

_ENLARGED = 6


@dataclass(frozen=True)
class Example:
    """A picture for a page: its data address, and a line about it."""

    picture: str
    caption: str


def draw_examples(usable: UsableImages, measures: Measures, seed: int) -> Iterator[Example]:
    """Draw two images of each kind; a damaged one is left out and makes room for the next.

    Args:
        usable: The usable images.
        measures: What was measured on them.
        seed: Chooses the empty images.
    """
    for kind, names in _candidates(measures, seed).items():
        for name, image in islice(_readable(usable, names), _IMAGES_OF_A_KIND):
            pixels = usable.archive.labels.pixel_indices(name, (image.shape[0], image.shape[1]))
            if kind == _SMALLEST:
                yield _smallest_ship(name, image, pixels, measures)
            else:
                ships = measures.images.at[name, "ships"]
                counted = f"{ships} {'ship' if ships == 1 else 'ships'}"
                caption = f"{kind}: {name}, {counted}, {pixels.size:,} ship pixels"
                yield Example(jpeg_address(_whole(image, pixels)), caption)


def _candidates(measures: Measures, seed: int) -> dict[str, Iterable[str]]:
    """Name the images of each kind, the best example first."""
    images, ships = measures.images, measures.ships
    with_ships = images[images["ships"] > 0]
    from_median = (with_ships["ship_pixels"] - with_ships["ship_pixels"].median()).abs()
    return {
        "most ships": with_ships.sort_values(["ships", "ship_pixels"], ascending=False).index,
        "typical": from_median.sort_values(kind="stable").index,
        "largest ship": ships.sort_values("pixels", ascending=False, kind="stable")["image"].unique(),
        _SMALLEST: ships.sort_values("pixels", kind="stable")["image"].unique(),
        "empty": images[images["ships"] == 0].sample(frac=1, random_state=seed).index,
    }


def _readable(usable: UsableImages, names: Iterable[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for name in names:
        image = usable.read(name) if name in usable.sizes else None
        if image is not None:
            yield name, image


def _whole(image: NDArray[np.uint8], pixels: PixelIndices) -> NDArray[np.uint8]:
    """Outline the ships of an image, shrunk by a whole number if it is large; no ship is lost by that."""
    step = shrink_step(image.shape)
    mask = shrunk_mask(pixels, (image.shape[0], image.shape[1]), step)
    return outlined(image[::step, ::step], mask, TRUTH)


def _smallest_ship(name: str, image: NDArray[np.uint8], pixels: PixelIndices, measures: Measures) -> Example:
    """Show the part of an image around its smallest ship, enlarged."""
    ships = measures.ships[measures.ships["image"] == name]
    smallest = ships["pixels"].argmin()
    size, row, column = (int(ships[field].iloc[smallest]) for field in ("pixels", "row", "column"))
    height, width = image.shape[:2]
    mask = mask_of(pixels, (height, width))
    part = TileGrid(height, width, _CLOSE_UP, _CLOSE_UP).slices_around(row, column)
    picture = outlined(_enlarged(image[part]), _enlarged(mask[part]), TRUTH)
    caption = f"{_SMALLEST}: {name}, {size} px at row {row}, column {column}, enlarged {_ENLARGED} times"
    return Example(jpeg_address(picture), caption)


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
