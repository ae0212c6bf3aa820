"""Labels as a folder of mask PNGs."""

from pathlib import Path

from tqdm import tqdm

from shipseg_tiles.archive.labels import COMPETITION_SHAPE, Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import warn_of_others
from shipseg_tiles.images import list_images, read_size
from shipseg_tiles.masks import was_written, write_mask
from shipseg_tiles.names import by_stem


def write_masks(labels: Labels, out: Path, images: Path | None = None) -> None:
    """Write one mask PNG an image; `read_labels(out)` gives the same labels back.

    Args:
        labels: What to write.
        out: Folder to write `NAME.png` into; made if it is not there.
        images: Folder or zip of the images, which tell their sizes; None if all are 768 x 768 as in the competition.

    Raises:
        InputError: If a run leaves its image, an image is missing, two images differ in their suffix only, or a file
            would be replaced that `write_mask` has not written. Nothing is written then.
    """
    stems = by_stem(labels.ships, labels.source)  # two masks of one name would collide
    shapes = _read_sizes(labels, images) if images else dict.fromkeys(labels.ships, COMPETITION_SHAPE)
    for name, shape in shapes.items():
        labels.pixel_indices(name, shape)
    for path in (out / f"{stem}.png" for stem in stems):
        if path.is_file() and not was_written(path):
            raise InputError(f"{path} would be replaced, but is no mask that was written here; choose another --out")
    warn_of_others(out, set(stems), (".png",), "as labels the folder has it too")
    for name, shape in tqdm(shapes.items(), desc="convert-labels", unit="mask", disable=None):
        write_mask(out / f"{Path(name).stem}.png", labels.mask(name, shape), name, labels.ships[name])


def _read_sizes(labels: Labels, images: Path) -> dict[str, tuple[int, int]]:
    files = {path.name: path for path in list_images(images)}
    if missing := [name for name in labels.ships if name not in files]:
        raise InputError(f"{images} lacks labelled images, such as {missing[0]}; give the folder of all of them")
    return {name: read_size(files[name], to_decode=False) for name in labels.ships}
