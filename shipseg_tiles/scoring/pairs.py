"""Labels and predictions of the same images, side by side, once it is certain that they belong together."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np

from shipseg_tiles.archive.labels import COMPETITION_SHAPE, Labels
from shipseg_tiles.errors import InputError, first_of
from shipseg_tiles.images import read_size
from shipseg_tiles.names import by_stem
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.rle import OutsideImageError
from shipseg_tiles.scoring.dice import overlap
from shipseg_tiles.zipped import AnyPath

MISSING = ("error", "empty", "skip")
"""What may be done with labelled images that have no prediction: stop, nothing was found in them, leave them out."""


@dataclass(frozen=True)
class ImagePair:
    """What is labelled and what is predicted in an image.

    Attributes:
        image: File name of the image, as the labels have it.
        shape: (height, width) in pixels.
        truth: Sorted distinct pixel indices of each labelled ship; they may overlap.
        predicted: The same of each predicted ship; no two share a pixel.
    """

    image: str
    shape: tuple[int, int]
    truth: list[PixelIndices]
    predicted: list[PixelIndices]


def pair_images(
    truth: Labels, predicted: Labels, missing: str = "error", files: Sequence[AnyPath] | None = None
) -> Iterator[ImagePair]:
    """Put the labels and the predictions of each image side by side. They find each other by the name without suffix.

    The size of an image is that of its file, else of its mask among the labels or predictions, else the competition's.

    Args:
        truth: The labels.
        predicted: The predictions, in the same form.
        missing: One of `MISSING`.
        files: The images, whose headers tell their sizes; None if they are not at hand. Others may be among them.

    Raises:
        InputError: If a prediction has no label, or a label no prediction and `missing` is `error`; if two images
            differ in their suffix only; if an image has no file among `files`, or is of two sizes; if pixels lie
            outside it; or if its predicted ships overlap.
    """
    names = _matched(truth, predicted, missing)
    paths = {} if files is None else find_files(names, files)
    for image, name in names.items():
        told = [_Size(read_size(paths[image], to_decode=False), str(paths[image]))] if image in paths else []
        told += [*_told_by_mask(truth, image), *_told_by_mask(predicted, name)]
        size = _agreed_size(image, told)
        ships = [] if name is None else _disjoint_ships(predicted, name, size)
        yield ImagePair(image, size.shape, _ships(truth, image, size), ships)


def find_files(images: Collection[str], files: Sequence[AnyPath]) -> dict[str, AnyPath]:
    """Return the file of each image: the one of its very name, else one that differs in its suffix only.

    Raises:
        InputError: If an image has none, or several that differ in their suffix only.
    """
    by_name = {path.name: path for path in files}
    stems = {Path(image).stem for image in images if image not in by_name}
    names = by_stem((path.name for path in files if path.stem in stems), "images")
    found = {}
    for image in images:
        path = by_name.get(image) or by_name.get(names.get(Path(image).stem, ""))
        if path is None:
            raise InputError(f"{image} is not among the images given; give --images the folder that was predicted")
        found[image] = path
    return found


def _matched(truth: Labels, predicted: Labels, missing: str) -> dict[str, str | None]:
    """Return the labelled images that count, each with the name that its prediction goes by, None if there is none."""
    if missing not in MISSING:
        raise InputError(f"missing {missing!r} must be one of {', '.join(MISSING)}")
    names, stems = by_stem(predicted.ships, predicted.source), by_stem(truth.ships, truth.source)
    complaint = f"{predicted.source} predicts images that {truth.source} does not label"
    _refuse(names.keys() - stems.keys(), complaint, "; label them, or remove their predictions")
    if missing == "error":
        complaint = f"{truth.source} labels images that {predicted.source} does not predict"
        _refuse(stems.keys() - names.keys(), complaint, "; use --missing empty or skip")
    return {image: names.get(stem) for stem, image in stems.items() if stem in names or missing == "empty"}


def _refuse(names: set[str], complaint: str, remedy: str) -> None:
    if names:
        raise InputError(f"{complaint}: {len(names)} of them, {first_of(sorted(names), 5)}{remedy}")


@dataclass(frozen=True)
class _Size:
    """The size of an image.

    Attributes:
        shape: (height, width) in pixels.
        teller: File or folder that tells it, for messages; empty if none does.
    """

    shape: tuple[int, int]
    teller: str

    def __str__(self) -> str:
        return f"{self.shape[0]} x {self.shape[1]} pixels by {self.teller}"


def _told_by_mask(labels: Labels, name: str | None) -> list[_Size]:
    shape = labels.shapes.get(name) if name else None
    return [_Size(shape, labels.source)] if shape else []


def _agreed_size(image: str, told: Sequence[_Size]) -> _Size:
    """Return the size that all agree about; the competition's if nobody says anything."""
    for size in told:
        if size.shape != told[0].shape:
            raise InputError(f"{image} has {told[0]} but {size}; give labels and predictions of the same images")
    return told[0] if told else _Size(COMPETITION_SHAPE, "")


def _ships(labels: Labels, name: str, size: _Size) -> list[PixelIndices]:
    try:
        return labels.ship_indices(name, size.shape)
    except OutsideImageError as error:
        height, width = size.shape
        assumed = f"{height} x {width} as in the competition, since nothing tells its size; give --images"
        raise InputError(f"{error}, {f'which has {size}; correct the row' if size.teller else assumed}") from None


def _disjoint_ships(predicted: Labels, name: str, size: _Size) -> list[PixelIndices]:
    """Return the predicted ships of an image; refuse some that share pixels, as the competition does."""
    ships = _ships(predicted, name, size)
    if sum(ship.size for ship in ships) == union(ships).size:
        return ships
    first, second = _overlapping(ships)
    rows = " and ".join(f"{row + 1} ({shorten(predicted.ships[name][row], 40)!r})" for row in (first, second))
    raise InputError(
        f"{predicted.source}: {name}: its rows {rows} share {overlap(ships[first], ships[second])} pixels; the ships of"
        " a prediction may not overlap: give each pixel to one of them"
    )


def _overlapping(ships: Sequence[PixelIndices]) -> tuple[int, int]:
    """Return the numbers of two ships that share a pixel, in linear memory and nearly linear time."""
    pixels = np.concatenate(ships)
    owners = np.repeat(np.arange(len(ships)), [ship.size for ship in ships])
    order = np.argsort(pixels, kind="stable")
    twice = order[np.flatnonzero(np.diff(pixels[order]) == 0)[0] :][:2]
    first, second = owners[twice].tolist()
    return first, second
