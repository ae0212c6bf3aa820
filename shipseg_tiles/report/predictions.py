"""The folder of predictions: files of each image, the competition's submission, and what a stopped run goes on with."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.prediction_files import MASK_SUFFIXES, MASKS, RECORD, SUBMISSION
from shipseg_tiles.errors import InputError, none_readable
from shipseg_tiles.files import warn_of_others, write_json, write_text
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction
from shipseg_tiles.report.prediction_images import SUFFIXES, remove_files, write_files, write_picture
from shipseg_tiles.report.prediction_records import Record, append_record, count_records, read_records
from shipseg_tiles.zipped import AnyPath, identity_of

_JOURNAL = ".journal.jsonl"


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
        self._look_at(paths)

    def _look_at(self, paths: Iterable[AnyPath]) -> None:
        """Learn which images will be predicted; warn of masks of others."""
        self._identities = _identities(paths)
        stems = {Path(name).stem for name in self._identities}
        warn_of_others(self.out / MASKS, stems, MASK_SUFFIXES, "whoever takes all masks there takes it too")

    def _refuse_others_files(self) -> None:
        for name in SUFFIXES:
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
        self._look_at(paths)
        self.records = {
            name: record
            for name, record in read_records(self.out / _JOURNAL).items()
            if record.identity == self._identities.get(name)
        }

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
        remove_files(self.out, prediction.name)
        try:
            ships = write_files(self.out, prediction, path, self._options, vectors=self._vectors)
            if prediction.in_memory and len(self.records) < self._pictures:
                write_picture(self.out, prediction, path)
        except InputError:
            remove_files(self.out, prediction.name)
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
        append_record(self.out / _JOURNAL, prediction.name, record)
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
        told = {**origin, **count_records(records)}
        write_text(self.out / SUBMISSION, labels.to_csv())
        write_json(self.out / RECORD, told)
        self.forget()
        return told

    def forget(self) -> None:
        """Remove what an earlier run has left for this one to take up."""
        self.records = {}
        (self.out / _JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(self.strips, ignore_errors=True)


def _identities(paths: Iterable[AnyPath]) -> dict[str, str]:
    """Return by name what tells each file from others that had its name; empty of one that is not there."""
    identities = {}
    for path in paths:
        identities[path.name] = ""
        with suppress(InputError):
            identities[path.name] = identity_of(path)
    return identities
