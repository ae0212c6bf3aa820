"""What an archive holds before a patch is planned: the size of each image, and in which split it is."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.places import places_of
from shipseg_tiles.archive.signatures import read_signatures
from shipseg_tiles.archive.split import VALID, choose_validation
from shipseg_tiles.errors import InputError, none_usable, warn_skipped
from shipseg_tiles.images import read_size
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.plan import limit_per_ship_count
from shipseg_tiles.processes import map_images


@dataclass(frozen=True)
class Survey:
    """The images to cut.

    Attributes:
        archive: The images that are wanted and usable.
        sizes: (height, width) in pixels of each of them, by name.
        validation: Names of those that validate.
        skipped: Why images are left out, by name.
    """

    archive: Archive
    sizes: dict[str, tuple[int, int]]
    validation: list[str]
    skipped: dict[str, str]

    def without(self, bad: Mapping[str, str]) -> "Survey":
        """Leave out images that turned out bad, given the reasons; the others stay in their splits.

        Raises:
            InputError: If no image remains.
        """
        sizes = {name: size for name, size in self.sizes.items() if name not in bad}
        skipped = dict(sorted({**self.skipped, **bad}.items()))
        if not sizes:
            raise none_usable(self.archive.source, skipped)
        validation = [name for name in self.validation if name in sizes]
        return Survey(self.archive.only(sizes), sizes, validation, skipped)


def survey_archive(
    archive: Archive,
    options: PatchOptions,
    split: Mapping[str, str] | None,
    processes: Executor,
) -> Survey:
    """Read the size of every image and divide the images into training and validation.

    Args:
        archive: The labelled images.
        options: Say how many images are wanted of each number of ships, and which share of them validates.
        split: `train` or `valid` by name, instead of that share; images that it does not name are left out.
        processes: Where images are read.

    Raises:
        InputError: If no image is usable or wanted, or the fraction is out of its range.
    """
    ship_counts = wanted_images(archive.labels, options, split)
    files = {name: archive.files[name] for name in ship_counts}
    if split is None and options.valid_fraction:
        signatures, skipped = read_signatures(files, processes)
        sizes = {name: signature.size for name, signature in signatures.items()}
        places = places_of(signatures)
        counts = {name: ship_counts[name] for name in signatures}
        validation = choose_validation(counts, places, options.valid_fraction, options.seed)
    else:
        sizes, skipped = map_images(processes, read_size, files, "sizes")
        for name, reason in skipped.items():
            warn_skipped(name, reason)
        validation = [name for name in sizes if split and split[name] == VALID]
    return Survey(archive, sizes, validation, {}).without(skipped)


def wanted_images(labels: Labels, options: PatchOptions, split: Mapping[str, str] | None) -> dict[str, int]:
    """Choose images by the number of ships that they show.

    Args:
        labels: The ships of each image.
        options: Say how many images are wanted of each number of ships.
        split: Images that it does not name are left out; None names all.

    Returns:
        The number of ships by image name.

    Raises:
        InputError: If `split` names no image.
    """
    ship_counts = {name: len(ships) for name, ships in labels.ships.items() if split is None or name in split}
    if not ship_counts:
        raise InputError(f"the split names none of the {len(labels.ships)} labelled images; do they belong together?")
    return {name: ship_counts[name] for name in limit_per_ship_count(ship_counts, options)}
