"""An archive: images together with their labels."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.archive.labels import Labels, read_labels
from shipseg_tiles.errors import InputError, warn_all_skipped
from shipseg_tiles.images import list_images, read_size
from shipseg_tiles.names import by_stem
from shipseg_tiles.zipped import AnyPath


@dataclass(frozen=True)
class Archive:
    """Labelled images.

    Attributes:
        source: Where the images are, for messages.
        files: The file of each image, by name, sorted.
        labels: The labels of exactly those images.
        missing: Sorted names of labelled images that are not there.
    """

    source: str
    files: dict[str, AnyPath]
    labels: Labels
    missing: tuple[str, ...] = ()

    def only(self, names: Iterable[str]) -> "Archive":
        """Keep some of the images."""
        files = {name: self.files[name] for name in names}
        return Archive(self.source, files, self.labels.only(files), self.missing)

    def check_labels(self) -> None:
        """Find a ship outside its image before long work does, from headers alone.

        Raises:
            InputError: If there is one.
        """
        for name, size in self.sizes().items():
            self.labels.ship_indices(name, size)

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Read (height, width) in pixels of each image, by name; leave out those whose header is bad."""
        sizes = {}
        for name, file in self.files.items():
            with suppress(InputError):
                sizes[name] = read_size(file)
        return sizes


def open_archive(images: Path, labels: Path) -> Archive:
    """Open images with their labels; warn of labelled images that are not there.

    Masks find their images by the name without suffix, so that `masks/a.png` labels `images/a.tif`.

    Args:
        images: Folder or zip of images, see `list_images`.
        labels: CSV (it may lie in a zip too) or folder of masks, see `read_labels`.

    Raises:
        InputError: If one of them is missing or unreadable, or no labelled image is there.
    """
    present = {path.name: path for path in list_images(images)}
    all_labels = read_labels(labels)
    if labels.is_dir():
        all_labels = named_after(all_labels, present)
    there = [name for name in all_labels.ships if name in present]
    if not there:
        raise InputError(f"{labels} labels none of the {len(present)} images in {images}; do they belong together?")
    missing = tuple(name for name in all_labels.ships if name not in present)
    warn_all_skipped(missing, f"it is labelled, but not in {images}")
    return Archive(str(images), {name: present[name] for name in there}, all_labels.only(there), missing)


def named_after(labels: Labels, present: Collection[str]) -> Labels:
    """Give the image of each mask the suffix of the file that is `present`, unless it names one that is.

    Raises:
        InputError: If two that are present differ in their suffix only, and the mask names neither.
    """
    stems = {Path(name).stem for name in labels.ships if name not in present}
    image_of = by_stem((name for name in sorted(present) if Path(name).stem in stems), f"images of {labels.source}")
    names = {name: name if name in present else image_of.get(Path(name).stem, name) for name in labels.ships}
    ships = {names[name]: ships for name, ships in labels.ships.items()}
    shapes = {names[name]: shape for name, shape in labels.shapes.items()}
    return Labels(labels.source, dict(sorted(ships.items())), shapes)
