"""Labels: which ships each image shows, read from the competition's CSV or from a folder of mask PNGs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles import rle
from shipseg_tiles.archive.prediction_files import MASK_SUFFIXES, MASKS, SUBMISSION, file_of
from shipseg_tiles.archive.tables import read_table
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_size
from shipseg_tiles.masks import read_mask
from shipseg_tiles.names import by_stem, checked_name
from shipseg_tiles.pixels import PixelIndices, mask_of, union
from shipseg_tiles.zipped import located

COLUMNS = ["ImageId", "EncodedPixels"]

COMPETITION_SHAPE = (768, 768)
"""(height, width) in pixels of an image whose size nothing tells: all of the competition have it."""


@dataclass(frozen=True)
class Labels:
    """The ships of each image.

    Attributes:
        source: Where they came from, for messages.
        ships: By image file name, sorted: the run-length text of each ship, in the order of the source; an empty
            tuple for an image without ships.
        shapes: By image file name, (height, width) in pixels of those images whose masks tell it. A CSV tells none.
    """

    source: str
    ships: dict[str, tuple[str, ...]]
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def ship_indices(self, image: str, shape: tuple[int, int]) -> list[PixelIndices]:
        """Return the pixel indices of each ship of an image that has `shape`, (height, width).

        Raises:
            InputError: If the image's mask is of another size, or a run-length text is malformed or leaves the image.
        """
        if (told := self.shapes.get(image, shape)) != shape:
            raise InputError(
                f"{self.source}: the mask of {image} has {told[0]} x {told[1]} pixels, the image"
                f" {shape[0]} x {shape[1]}; give masks of the size of their images"
            )
        try:
            return [rle.decode_indices(ship, shape[0] * shape[1]) for ship in self.ships[image]]
        except InputError as error:
            raise type(error)(f"{self.source}: {image}: {error}") from None

    def pixel_indices(self, image: str, shape: tuple[int, int]) -> PixelIndices:
        """Return the sorted distinct indices of all ship pixels of an image; ships may overlap. Raises as above."""
        return union(self.ship_indices(image, shape))

    def mask(self, image: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the uint8 (height, width) mask of an image, 1 on ships. Raises as above."""
        return mask_of(self.pixel_indices(image, shape), shape)

    def only(self, images: Iterable[str]) -> "Labels":
        """Return the labels of some of the images."""
        ships = {image: self.ships[image] for image in images}
        return Labels(self.source, ships, {image: self.shapes[image] for image in ships if image in self.shapes})

    def to_csv(self) -> str:
        """Write the competition's CSV: one row a ship, one row with an empty field for an image without."""
        rows = [(image, ship) for image, ships in self.ships.items() for ship in ships or ("",)]
        return str(pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n"))


def read_labels(source: Path) -> Labels:
    """Read labels from the competition's CSV, which may lie inside a zip, or from a folder of mask PNGs.

    Raises:
        InputError: If `source` is missing or empty, the CSV lacks a column, an image name holds a folder, or a mask
            is damaged.
    """
    if source.is_dir():
        return _from_masks(source)
    file = located(source)
    if isinstance(file, Path) and not file.is_file():
        what = "is no plain file" if file.exists() else "does not exist"
        raise InputError(f"{source} {what}; give a CSV with the columns {','.join(COLUMNS)} or a folder of PNGs")
    labels = parse_labels(file.read_bytes(), str(source))
    if not labels.ships:
        raise InputError(f"{source} holds no row below its first line; an image without ships needs one as well")
    return labels


def read_predictions(source: Path) -> Labels:
    """Read predictions from a folder that `predict` wrote, or from whatever else `read_labels` reads.

    Of such a folder the submission counts, as masks of an earlier run may lie among those of the last one. They tell
    the sizes of the images.

    Raises:
        InputError: As `read_labels`, or if the prediction in the folder is not finished.
    """
    submission, masks = source / SUBMISSION, source / MASKS
    if not submission.is_file():
        if masks.is_dir():
            raise InputError(
                f"{source} holds masks, but no {SUBMISSION}: the prediction is not finished; run the same predict"
                f" again, or give {masks}"
            )
        return read_labels(source)
    labels = read_labels(submission)
    files = [(image, file_of(source, MASKS, image, suffix)) for image in labels.ships for suffix in MASK_SUFFIXES]
    return replace(labels, shapes={image: read_size(file, to_decode=False) for image, file in files if file.is_file()})


def parse_labels(data: bytes, source: str) -> Labels:
    """Read labels from the bytes of a competition CSV; `source` is for messages. Equal rows count once.

    Raises as `read_labels`.
    """
    table = read_table(data, source, COLUMNS)
    ships: dict[str, list[str]] = {}
    for image, runs in zip(table["ImageId"], table["EncodedPixels"], strict=True):
        ships.setdefault(image, [])
        if text := " ".join(runs.split()):  # a quoted field may hold line ends
            ships[image].append(text)
    # An equal row is the same ship once more; as another one it would be missed by any prediction.
    distinct = {checked_name(image, source): tuple(dict.fromkeys(ships[image])) for image in sorted(ships)}
    return Labels(source, distinct)


def _from_masks(folder: Path) -> Labels:
    paths = sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() == ".png")
    if not paths:
        raise InputError(f"{folder} holds no mask; masks are files NAME.png")
    by_stem((path.name for path in paths), str(folder))  # two masks of one image: which one counts?
    files = [read_mask(path) for path in paths]
    files.sort(key=lambda file: file.image)
    return Labels(str(folder), {file.image: file.ships for file in files}, {file.image: file.shape for file in files})
