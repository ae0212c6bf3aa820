"""What `make_patches` would make and what it would cost, without making it."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import COMPETITION_SHAPE, Labels
from shipseg_tiles.archive.split import SPLITS, VALID, choose_validation
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.plan import PatchPlan, background_wanted, plan_patches
from shipseg_tiles.patches.store_layout import stored_side
from shipseg_tiles.patches.store_writer import store_bytes
from shipseg_tiles.patches.survey import survey_archive, wanted_images

RATIOS = (0.5, 1, 2, 3, 5, 10)
"""Background ratios that are compared."""

_TIMED_IMAGES = 32
_CUTTING = 1.3
"""How many times as long decoding and cutting takes as decoding alone; benchmarks/make_patches.py measures it."""


@dataclass(frozen=True)
class Preview:
    """A plan and its price.

    Attributes:
        plan: What would be carried out.
        images: Number of images that would be used.
        bytes: Size of the store without its full images, not compressed.
        ratios: Patches and bytes by background ratio.
        seconds: Expected time to cut the images; None if there are no images to measure it with.
    """

    plan: PatchPlan
    images: int
    bytes: int
    ratios: dict[float, tuple[int, int]]
    seconds: float | None


def preview_labels(labels: Labels, options: PatchOptions, split: Mapping[str, str] | None) -> Preview:
    """Preview from the labels alone: images count as 768 x 768 unless their masks tell, and the split goes by image.

    Args:
        labels: The ships of each image.
        options: As for `make_patches`.
        split: As for `make_patches`.

    Raises:
        InputError: As `plan_patches`, or if `split` names no image.
    """
    counts = wanted_images(labels, options, split)
    if split is None:
        each_its_own = {name: number for number, name in enumerate(counts)}
        validation = choose_validation(counts, each_its_own, options.valid_fraction, options.seed)
    else:
        validation = [name for name in counts if split[name] == VALID]
    sizes = {name: labels.shapes.get(name, COMPETITION_SHAPE) for name in counts}
    plan = plan_patches(labels, sizes, validation, options)
    return _priced(plan, len(counts), options, None)


def preview_archive(
    archive: Archive, options: PatchOptions, split: Mapping[str, str] | None, processes: Executor, workers: int
) -> Preview:
    """Preview exactly what `make_patches` would do; it looks at every image for its size and place, as that does.

    Args:
        archive: The labelled images.
        options: As for `make_patches`.
        split: As for `make_patches`.
        processes: Where images are looked at.
        workers: Number of processes that the time is worked out for.

    Raises:
        InputError: As `make_patches`.
    """
    survey = survey_archive(archive, options, split, processes)
    plan = plan_patches(survey.archive.labels, survey.sizes, survey.validation, options)
    cut = plan.table["image"].unique().tolist()
    seconds = _CUTTING * len(cut) * _seconds_to_decode(survey.archive, cut) / workers
    return _priced(plan, len(survey.sizes), options, seconds)


def _seconds_to_decode(archive: Archive, names: Sequence[str]) -> float:
    """Return the mean of some images; those that are damaged take their time as well."""
    timed = names[:: -(-len(names) // _TIMED_IMAGES)]
    began = time.perf_counter()
    for name in timed:
        with suppress(InputError):
            read_image(archive.files[name])
    return (time.perf_counter() - began) / len(timed)


def _priced(plan: PatchPlan, images: int, options: PatchOptions, seconds: float | None) -> Preview:
    side = stored_side(vars(options))
    ratios = {}
    for ratio in RATIOS:
        wanted = background_wanted(plan.candidates, ratio)
        there = {split: min(wanted[split], plan.candidates[split, "background"]) for split in SPLITS}
        patches = sum(plan.candidates[split, "ship"] + there[split] for split in SPLITS)
        ratios[float(ratio)] = (patches, store_bytes(patches, side))
    return Preview(plan, images, store_bytes(len(plan.table), side), ratios, seconds)
