"""An archive: a folder of images together with its labels."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.archive.labels import Labels, read_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import list_images


@dataclass(frozen=True)
class Archive:
    """Labelled images.

    Attributes:
        folder: Where the images are.
        labels: The labels of exactly those images that are there.
        missing: Sorted names of labelled images that the folder lacks.
    """

    folder: Path
    labels: Labels
    missing: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Sorted file names of the labelled images that are there."""
        return list(self.labels.ships)

    def path(self, name: str) -> Path:
        """Return the path of the image `name`."""
        return self.folder / name


def open_archive(images: Path, labels: Path) -> Archive:
    """Open a folder of images with its labels.

    Masks find their images by the name without suffix, so that `masks/a.png` labels `images/a.tif`.

    Args:
        images: Folder of image files.
        labels: CSV or folder of masks, see `read_labels`.

    Raises:
        InputError: If one of them is missing or unreadable, or no labelled image is there.
    """
    present = {path.name for path in list_images(images)}
    all_labels = read_labels(labels)
    if labels.is_dir():
        all_labels = _renamed(all_labels, present)
    there = [name for name in all_labels.ships if name in present]
    if not there:
        raise InputError(f"{labels} labels none of the {len(present)} images in {images}; do they belong together?")
    missing = tuple(name for name in all_labels.ships if name not in present)
    return Archive(images, all_labels.only(there), missing)


def _renamed(labels: Labels, present: set[str]) -> Labels:
    """Give each mask's image the suffix that the file in the folder has, unless it names one that is there."""
    by_stem = {Path(name).stem: name for name in sorted(present)}
    by_stem.update({Path(name).stem: name for name in labels.ships if name in present})
    ships = {by_stem.get(Path(name).stem, name): ships for name, ships in labels.ships.items()}
    return Labels(labels.source, dict(sorted(ships.items())))
