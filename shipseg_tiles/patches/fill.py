"""The work of filling a store, image by image: decode, cut, write to the slots. Loads little, to start fast."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from patchify import patchify

from shipseg_tiles import rle
from shipseg_tiles.archive.split import SPLITS
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image, resize_image
from shipseg_tiles.patches.slots import Slots
from shipseg_tiles.patches.store_layout import CLASSES
from shipseg_tiles.pixels import mask_of, union
from shipseg_tiles.tiling import TileGrid
from shipseg_tiles.zipped import AnyPath

if TYPE_CHECKING:  # they load pandas, and are no matter of workers
    from shipseg_tiles.archive.archive import Archive
    from shipseg_tiles.patches.plan import PatchPlan


@dataclass(frozen=True)
class ImageTask:
    """The patches to cut out of one image, and the slots that they go to.

    Attributes:
        path: The image.
        ships: Run-length text of each ship.
        patches: int32 (N, 5): row, column, index into `SPLITS`, index into `CLASSES`, slot.
    """

    path: AnyPath
    ships: tuple[str, ...]
    patches: NDArray[np.int32]


def image_tasks(archive: "Archive", plan: "PatchPlan") -> list[ImageTask]:
    """Collect the rows of each image, which stand together in the plan."""
    table = plan.table
    codes = table["image"].cat.codes.to_numpy()
    columns = [table["row"], table["column"], table["split"].cat.codes, table["class"].cat.codes, table["slot"]]
    patches = np.stack(columns, axis=1).astype(np.int32)
    breaks = np.flatnonzero(np.diff(codes)) + 1
    names = table["image"].cat.categories[codes[[0, *breaks]]]
    of_images = np.split(patches, breaks)
    return [
        ImageTask(archive.files[name], archive.labels.ships[name], of_image)
        for name, of_image in zip(names, of_images, strict=True)
    ]


def check_image(path: AnyPath) -> None:
    """Decode an image and keep nothing of it, which would travel between processes; raises as `read_image`."""
    read_image(path)


def fill_slots(slots: Slots, patch: int, resumed: bool, tasks: Iterable[ImageTask]) -> dict[str, str]:
    """Write the patches of some images.

    Args:
        slots: Where they go.
        patch: Side of a patch in the image, in pixels.
        resumed: Leave out images all of whose slots are filled already.
        tasks: The images.

    Returns:
        The reason, by name, for each image that cannot be decoded.

    Raises:
        OSError: If the disk is full or fails.
    """
    reasons = {}
    with closing(slots):
        for task in tasks:
            if resumed and _is_filled(slots, task):
                continue
            try:
                _fill_image(slots, patch, task)
            except InputError as error:
                reasons[task.path.name] = str(error)
    return reasons


def _is_filled(slots: Slots, task: ImageTask) -> bool:
    patches = task.patches[:, 2:].tolist()
    return all(slots.holds(SPLITS[split], CLASSES[kind], slot) for split, kind, slot in patches)


def _fill_image(slots: Slots, patch: int, task: ImageTask) -> None:
    image = read_image(task.path)
    height, width = image.shape[:2]
    ships = union([rle.decode_indices(ship, height * width) for ship in task.ships])
    grid = TileGrid(height, width, patch, patch)
    # A view of every possible position costs nothing, and serves patches off the grid as well.
    images = patchify(grid.pad(image), (patch, patch, 3), step=1)[:, :, 0]
    masks = patchify(grid.pad(mask_of(ships, (height, width))), (patch, patch), step=1)
    for row, column, split, kind, slot in task.patches.tolist():
        pixels, mask = images[row, column], masks[row, column]
        if slots.side != patch:
            pixels = resize_image(pixels, (slots.side, slots.side))
            mask = (resize_image(mask * np.uint8(255), (slots.side, slots.side)) > 127).view(np.uint8)
        slots.write(SPLITS[split], CLASSES[kind], slot, pixels, mask)
