"""Predictions as files: masks, pictures, vectors and the competition's submission."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.prediction_files import (
    DISAGREEMENT,
    MASK_SUFFIXES,
    MASKS,
    PICTURES,
    PROBABILITIES,
    RECORD,
    SUBMISSION,
    VECTORS,
    file_of,
)
from shipseg_tiles.errors import InputError, none_readable
from shipseg_tiles.files import warn_of_others, write_json, write_text, written_whole
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction
from shipseg_tiles.inference.rasters import create_raster
from shipseg_tiles.inference.scenes import open_scene
from shipseg_tiles.inference.vectors import ship_features, write_geojson
from shipseg_tiles.masks import write_mask
from shipseg_tiles.report.pictures import shrink_step, shrunk_mask, triptych
from shipseg_tiles.rle import encode_indices, rows_and_columns, union
from shipseg_tiles.tiling import Region
from shipseg_tiles.zipped import AnyPath, identity_of

FOLDERS = {"probability": PROBABILITIES, "disagreement": DISAGREEMENT}
"""Where the rasters of each name go."""

_OUTPUTS = {PICTURES: (".jpg",), VECTORS: (".geojson",)} | dict.fromkeys((MASKS, *FOLDERS.values()), MASK_SUFFIXES)
"""All folders of what is written of an image, and the suffixes there; rasters are written as masks are."""

_JOURNAL = ".journal.jsonl"

_PICTURE_SIDE = 4096
"""Larger images are shrunk before they are drawn, in pixels: three side by side must fit into the 65,500 of a JPEG."""

_LINES = 512
"""Lines of a scene's mask that are drawn at once."""


@dataclass(frozen=True)
class Record:
    """What is known of an image that is done.

    Attributes:
        ships: Run-length text of each ship.
        passed_over: Whether a classifier passed it over.
        pixels: Those of the image, or of the region of it that was predicted.
        identity: See `identity_of`.
        calibrated: Whether the contract was calibrated on it.
        tiles: As of `TileCounts`, like the next two.
        tiles_skipped: How many of these the gate skipped.
        net_pixels: Pixels of the others.
    """

    ships: list[str]
    passed_over: bool
    pixels: int
    identity: str
    calibrated: bool = False
    tiles: int = 0
    tiles_skipped: int = 0
    net_pixels: int = 0


class PredictionFolder:
    """The folder that predictions are written to, one by one as they come.

    A journal in it says what is written, so that a run that was stopped goes on after that.

    Attributes:
        out: The folder.
        records: What is known of each image that is done, by its file name.
        strips: Folder for what is kept of scenes that are not done.
    """

    def __init__(self, out: Path, options: PredictOptions, pictures: int, vectors: bool) -> None:
        """Begin anew, unless `take_up` follows.

        Args:
            out: Folder, made if it is not there.
            options: What the predictions come from.
            pictures: Image, mask and both combined are drawn for so many of the images.
            vectors: Whether to write GeoJSON for images too, as for scenes.
        """
        self.out = out
        self.records: dict[str, Record] = {}
        self.strips = out / ".strips"
        self._options = options
        self._pictures = pictures
        self._vectors = vectors
        self._identities: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that another run could take up."""
        return not self.records and not self.strips.exists()

    def begin(self, paths: Iterable[AnyPath]) -> None:
        """Begin anew: remove what an earlier run has left for this one to take up, and warn of masks that will stay.

        Args:
            paths: The images that will be predicted.

        Raises:
            InputError: If others' files would be written over, such as labels, or the images themselves.
        """
        if (self.out / _JOURNAL).exists():
            write_text(self.out / _JOURNAL, "")
        elif not (self.out / RECORD).exists():
            self._refuse_others_files()
        shutil.rmtree(self.strips, ignore_errors=True)
        self._identities = _identities(paths)
        self._warn_of_others_masks({Path(name).stem for name in self._identities})

    def _warn_of_others_masks(self, stems: set[str]) -> None:
        warn_of_others(self.out / MASKS, stems, _OUTPUTS[MASKS], "whoever takes all masks there takes it too")

    def _refuse_others_files(self) -> None:
        for name in _OUTPUTS:
            if any((self.out / name).glob("*")):
                raise InputError(
                    f"{self.out / name} would be written over, and no {RECORD} says that a prediction wrote it;"
                    " choose another --out"
                )

    def take_up(self, paths: Iterable[AnyPath]) -> None:
        """Read what an earlier run with the same options has done, of images that were not replaced or removed since.

        Args:
            paths: The images as they are now.

        Raises:
            InputError: If its journal is damaged.
        """
        self._identities = _identities(paths)
        self.records = {
            name: record
            for name, record in _read_journal(self.out / _JOURNAL).items()
            if record.identity == self._identities.get(name)
        }
        self._warn_of_others_masks({Path(name).stem for name in self._identities})

    def add(self, prediction: Prediction, path: AnyPath) -> None:
        """Write the files of an image that is at `path`, then note that it is done.

        What an earlier run has left of the image, or tells of all of them, is removed, as it no longer holds.

        Raises:
            InputError: If the image turns out to be bad.
            OSError: If the disk is full.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / _JOURNAL).touch()  # which says whose folder it is, as run.json did
        for told in (SUBMISSION, RECORD):
            (self.out / told).unlink(missing_ok=True)
        self._remove_files(prediction.name)
        ships = [encode_indices(ship) for ship in prediction.pixels]
        try:
            self._write_files(prediction, path, ships)
        except InputError:
            self._remove_files(prediction.name)
            raise
        region = self._options.region_in(*prediction.shape)
        record = Record(
            ships,
            prediction.passed_over,
            (region.bottom - region.top) * (region.right - region.left),
            # Of the file as it was before it was read: one that was replaced since is another.
            self._identities.get(prediction.name) or identity_of(path),
            prediction.calibrated,
            **asdict(prediction.counts),
        )
        with (self.out / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps([prediction.name, asdict(record)]) + "\n")
        self.records[prediction.name] = record

    def finish(self, origin: Mapping[str, Any]) -> dict[str, Any]:
        """Write `submission.csv`, then `run.json`, and only then forget what another run would need.

        Args:
            origin: How the predictions came about, for `run.json`.

        Returns:
            What `run.json` says: the origin; numbers of `images`, `images_with_ships`, `ships` and `megapixels`; of
            `tiles`, those of them that the gate skipped, `tiles_skipped`, and `net_megapixels` of the others; how many
            images a classifier has `passed_over`, and the names of those that the contract was calibrated on,
            `calibration_images`.

        Raises:
            InputError: If there is no prediction at all.
        """
        if not self.records:
            raise none_readable()
        records = dict(sorted(self.records.items()))
        labels = Labels("", {name: tuple(record.ships) for name, record in records.items()})
        told = {**origin, **_counts(records)}
        write_text(self.out / SUBMISSION, labels.to_csv())
        write_json(self.out / RECORD, told)
        self.forget()
        return told

    def forget(self) -> None:
        """Remove what an earlier run has left for this one to take up."""
        self.records = {}
        (self.out / _JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(self.strips, ignore_errors=True)

    def _remove_files(self, name: str) -> None:
        for folder, suffixes in _OUTPUTS.items():
            for suffix in suffixes:
                file_of(self.out, folder, name, suffix).unlink(missing_ok=True)

    def _write_files(self, prediction: Prediction, path: AnyPath, ships: list[str]) -> None:
        if self._vectors or not prediction.in_memory:
            self._write_vectors(prediction)
        if prediction.in_memory:
            self._write_image(prediction, path, ships)
        else:
            self._write_scene(prediction, Path(str(path)))

    def _write_image(self, prediction: Prediction, path: AnyPath, ships: list[str]) -> None:
        image = prediction.name
        write_mask(file_of(self.out, MASKS, image, ".png"), prediction.mask(), image, ships)
        for name in self._options.rasters:
            with written_whole(file_of(self.out, FOLDERS[name], image, ".png")) as temporary:
                Image.fromarray(_whole_raster(prediction, name)).save(temporary)
        if len(self.records) < self._pictures:
            step = shrink_step(prediction.shape, _PICTURE_SIDE)
            small = shrunk_mask(union(prediction.pixels), prediction.shape, step)
            picture = simplejpeg.encode_jpeg(triptych(read_image(path)[::step, ::step], small), quality=90)
            with written_whole(file_of(self.out, PICTURES, image, ".jpg")) as temporary:
                temporary.write_bytes(picture)

    def _write_scene(self, prediction: Prediction, path: Path) -> None:
        with open_scene(path, self._options.bands, self._options.scale) as scene:
            place = prediction.shape, prediction.georeference
            valid = scene.valid if scene.has_gaps or self._options.region else None
            with create_raster(file_of(self.out, MASKS, path.name, ".tif"), *place, valid=valid) as sink:
                for window, lines in _mask_lines(prediction, self._options.region_in(*prediction.shape)):
                    sink[window] = lines
            for name in self._options.rasters:
                with create_raster(file_of(self.out, FOLDERS[name], path.name, ".tif"), *place, valid=valid) as sink:
                    for strip in prediction.strips:
                        sink[strip.place] = strip.rasters[name]

    def _write_vectors(self, prediction: Prediction) -> None:
        features = ship_features(prediction.ships, prediction.shape[0], prediction.georeference)
        write_geojson(file_of(self.out, VECTORS, prediction.name, ".geojson"), features)


def _identities(paths: Iterable[AnyPath]) -> dict[str, str]:
    """Return by name what tells each file from others that had its name; empty of one that is not there."""
    identities = {}
    for path in paths:
        identities[path.name] = ""
        with suppress(InputError):
            identities[path.name] = identity_of(path)
    return identities


def _counts(records: Mapping[str, Record]) -> dict[str, Any]:
    return {
        "images": len(records),
        "images_with_ships": sum(bool(record.ships) for record in records.values()),
        "ships": sum(len(record.ships) for record in records.values()),
        "megapixels": sum(record.pixels for record in records.values()) / 1e6,
        "tiles": sum(record.tiles for record in records.values()),
        "tiles_skipped": sum(record.tiles_skipped for record in records.values()),
        "net_megapixels": sum(record.net_pixels for record in records.values()) / 1e6,
        "passed_over": sum(record.passed_over for record in records.values()),
        "calibration_images": [name for name, record in records.items() if record.calibrated],
    }


def _read_journal(path: Path) -> dict[str, Record]:
    """Read what is done; a last line that was cut off is as if it were not there."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n") + 1]
        records = {name: Record(**values) for name, values in map(json.loads, lines.splitlines())}
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or of another version ({error!r}); remove it, and all images are predicted again"
        ) from None
    write_text(path, lines)  # so that the next line does not go on after half a one
    return records


def _whole_raster(prediction: Prediction, name: str) -> NDArray[np.uint8]:
    """Put the strips of an image together: uint8 (height, width), 0 where nothing was predicted."""
    raster = np.zeros(prediction.shape, dtype=np.uint8)
    for strip in prediction.strips:
        raster[strip.place] = strip.rasters[name]
    return raster


def _mask_lines(prediction: Prediction, region: Region) -> Iterator[tuple[tuple[slice, slice], NDArray[np.uint8]]]:
    """Draw the mask of a scene in the region that was predicted, uint8 0 and 255: rows and columns, and lines there."""
    rows, columns = rows_and_columns(union(prediction.pixels), prediction.shape[0])
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    for top in range(region.top, region.bottom, _LINES):
        bottom = min(top + _LINES, region.bottom)
        lines = np.zeros((bottom - top, region.right - region.left), dtype=np.uint8)
        first, end = np.searchsorted(rows, (top, bottom))
        lines[rows[first:end] - top, columns[first:end] - region.left] = 255
        yield np.s_[top:bottom, region.left : region.right], lines
