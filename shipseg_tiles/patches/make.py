"""Make a patch store: survey the images, plan, reserve the file, and let processes fill their slots.

Every patch has its own place in a file before the work starts, so the processes share no lock, and the file is the
same byte for byte however many there are. A patch is written with its checksum, so a run that was killed is taken up by
looking which slots are filled.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.split import choose_evenly
from shipseg_tiles.archive.split_file import split_identity
from shipseg_tiles.digests import text_digest
from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.jobs import Job, open_job
from shipseg_tiles.patches.fill import check_image, fill_slots, image_tasks
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.plan import PatchPlan, plan_patches
from shipseg_tiles.patches.shards import fill_shard, finish, partial_path
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import shard_name, shard_path, shards_folder
from shipseg_tiles.patches.store_writer import create_store, join_shards, packing_of
from shipseg_tiles.patches.survey import Survey, survey_archive
from shipseg_tiles.processes import chunked, map_images, open_workers
from shipseg_tiles.zipped import AnyPath, identity_of


@dataclass(frozen=True)
class MadeStore:
    """What a run of `make_patches` did.

    Attributes:
        plan: The plan that was carried out.
        images: Number of images that were used.
        skipped: Why images were left out, by name.
    """

    plan: PatchPlan
    images: int
    skipped: dict[str, str]


def make_patches(
    archive: Archive,
    out: Path,
    options: PatchOptions,
    *,
    workers: int = 1,
    cluster: str = "",
    layout: Layout | None = None,
    split: Mapping[str, str] | None = None,
) -> MadeStore:
    """Cut an archive into patches and store them.

    A run that was stopped in any way is taken up by the same call; what it has done so far stands beside `out`, in
    names that begin with a dot, or in the folder of the shards.

    Bad images are left out with a warning. One that turns out bad only while it is cut makes the run plan anew
    without it: a store never holds a slot without a patch.

    Args:
        archive: The labelled images.
        out: HDF5 file to write; it appears when it is complete.
        options: See `PatchOptions`.
        workers: Number of processes, 1 or more. Neither they nor a cluster change a byte.
        cluster: See `open_workers`. The images and the folder of `out` must have the same paths on all machines.
        layout: One plain file unless something else is said.
        split: `train` or `valid` by image, instead of `valid_fraction`; images that it does not name are left out.

    Raises:
        InputError: If `out` does not end in `.h5`, no image is usable, no training image shows a ship, an option is
            out of its range, or a run that was begun had other options.
        OSError: If the disk is full or `out` cannot be written.
    """
    if out.suffix != ".h5":  # so that no other store has the folder of shards that is called like this one
        raise InputError(f"{out} must end in .h5")
    layout = layout or Layout()
    if layout.shards > 1 and "%" in out.name:
        raise InputError(f"{out}: shards may not be called so, as HDF5 reads % as a pattern; choose another name")
    if layout.compression:
        packing_of(layout.compression)  # complains of a package that is missing before all is cut
    recorded = asdict(options) | {"split": split_identity(split)}
    with (
        open_job(out, recorded | asdict(layout) | _identities(archive), {"left_out": {}, "shards": []}) as job,
        open_workers(workers, cluster) as processes,
    ):
        survey = survey_archive(archive, options, split, processes)
        return _Run(survey, out, options, layout, recorded, job, processes).carry_out()


def _identities(archive: Archive) -> dict[str, str]:
    """Tell images and labels from others, so that no run goes on with patches of what was replaced since."""
    files = "".join(f"{name} {_identity_or_reason(path)}\n" for name, path in archive.files.items())
    texts = {"images": files, "labels": archive.labels.to_csv()}
    return {name: f"of digest {text_digest(text)}" for name, text in texts.items()}


def _identity_or_reason(path: AnyPath) -> str:
    """Return what tells a file from others; of one that is not there why, as it is left out when it is looked at."""
    try:
        return identity_of(path)
    except InputError as error:
        return str(error)


@dataclass
class _Run:
    """One run over an archive."""

    survey: Survey
    out: Path
    options: PatchOptions
    layout: Layout
    recorded: dict[str, Any]
    job: Job
    processes: Executor

    def carry_out(self) -> MadeStore:
        """Plan and fill until no image turns out bad."""
        fill = self._fill_file if self.layout.shards == 1 else self._fill_shards
        bad = self._left_out
        while True:
            plan = self._plan_without(bad)
            whole = self._choose_full_images()
            bad = self._find_damaged(whole) or fill(plan, whole)
            if not bad:
                return MadeStore(plan, len(self.survey.sizes), self.survey.skipped)
            self._left_out.update(bad)
            self.job.save()

    @property
    def _left_out(self) -> dict[str, str]:
        """Why images turned out bad while they were cut, by name."""
        left_out: dict[str, str] = self.job.progress["left_out"]
        return left_out

    @property
    def _shards_done(self) -> list[str]:
        """Names of the shards that are complete."""
        shards: list[str] = self.job.progress["shards"]
        return shards

    def _plan_without(self, bad: Mapping[str, str]) -> PatchPlan:
        """Plan the images that are not known to be bad; the split stays as it is, so that little else changes."""
        for name, reason in bad.items():
            warn_skipped(name, reason)
        try:
            self.survey = self.survey.without(bad)
            return plan_patches(self.survey.archive.labels, self.survey.sizes, self.survey.validation, self.options)
        except InputError:  # there is nothing to go on with
            self.job.forget()
            self._partial.unlink(missing_ok=True)
            raise

    def _choose_full_images(self) -> list[str]:
        """Choose validation images to keep whole, evenly over the numbers of ships."""
        ships = self.survey.archive.labels.ships
        ship_counts = {name: len(ships[name]) for name in self.survey.validation}
        return choose_evenly(ship_counts, min(self.options.full_images, len(ship_counts)), self.options.seed)

    def _find_damaged(self, names: list[str]) -> dict[str, str]:
        """Decode images that are kept whole: the plan may hold no patch of them, so that nobody else would."""
        files = {name: self.survey.archive.files[name] for name in names}
        _, reasons = map_images(self.processes, check_image, files, "full images")
        return reasons

    def _read_full_images(self, names: list[str]) -> list[FullImage]:
        archive = self.survey.archive
        return [FullImage(name, archive.files[name].read_bytes(), archive.labels.ships[name]) for name in names]

    @property
    def _partial(self) -> Path:
        return partial_path(self.out)

    def _fill_file(self, plan: PatchPlan, whole: list[str]) -> dict[str, str]:
        """Let all processes fill one file; return the reasons, by name, of images that turn out bad."""
        resumed = self.job.resumed and self._partial.exists()
        resumed = resumed and PatchStore(self._partial).fingerprint == plan.fingerprint
        if not resumed:
            create_store(self._partial, plan, self.recorded, self._read_full_images(whole), self.survey.skipped)
            self.job.save()
        chunks = chunked(image_tasks(self.survey.archive, plan))
        fill = partial(fill_slots, find_slots(self._partial), self.options.patch, resumed)
        bad: dict[str, str] = {}
        with _progress(sum(map(len, chunks))) as bar:
            for chunk, reasons in zip(chunks, self.processes.map(fill, chunks), strict=True):
                bad.update(reasons)
                bar.update(len(chunk))
        if not bad:
            finish(self._partial, self.out, self.layout.compression)
        return bad

    def _fill_shards(self, plan: PatchPlan, whole: list[str]) -> dict[str, str]:
        """Let each process fill a file of its own, one after the other; return as above."""
        parts = [plan.shard(number, self.layout.shards) for number in range(self.layout.shards)]
        shards = {shard_name(self.recorded, part.fingerprint): part for part in parts if len(part.table)}
        todo = {name: part for name, part in shards.items() if name not in self._shards_done}
        tasks = [image_tasks(self.survey.archive, part) for part in todo.values()]
        paths = [shard_path(self.out, name) for name in todo]
        if not self.job.resumed:
            for path in paths:  # whatever an earlier run began and was not to be finished
                partial_path(path).unlink(missing_ok=True)
            if any(path.exists() for path in paths):  # an earlier store would mix its patches with those of this one
                self.out.unlink(missing_ok=True)
        self.job.save()
        fill = partial(fill_shard, self.recorded, self.layout.compression)
        results = self.processes.map(fill, paths, list(todo.values()), tasks)
        bad: dict[str, str] = {}
        with _progress(sum(map(len, tasks))) as bar:
            for name, of_shard, reasons in zip(todo, tasks, results, strict=True):
                bad.update(reasons)
                bar.update(len(of_shard))
                if not reasons:
                    self._shards_done.append(name)
                    self.job.save()
        if not bad:
            full_images = self._read_full_images(whole)
            join_shards(self.out, plan, self.recorded, list(shards), full_images, self.survey.skipped)
            _remove_other_shards(self.out, shards)
        return bad


def _remove_other_shards(out: Path, names: Collection[str]) -> None:
    """Remove what an earlier store of the same name, or a plan that was given up, left in the folder of shards."""
    kept = {shard_path(out, name) for name in names}
    for path in shards_folder(out).glob("*.h5*"):
        if path not in kept:
            path.unlink()


def _progress(images: int) -> "tqdm[NoReturn]":
    return tqdm(total=images, desc="make-patches", unit="image", disable=None)
