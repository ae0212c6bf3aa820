"""Mask files: one PNG an image, 0 on water and 255 on ships.

Any tool can read such a PNG. What it cannot show, namely where one ship ends and a touching or overlapping one
begins, travels in its text fields, so that run-length rows survive the way to a folder of masks and back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import MAX_TEXT_CHUNK, PngImageFile, PngInfo

from shipseg_tiles import rle
from shipseg_tiles.connected import separate_objects
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole
from shipseg_tiles.images import MAXIMUM_PIXELS, check_depth
from shipseg_tiles.names import checked_name

_IMAGE_FIELD = "image"
_SHIPS_FIELD = "ships"


@dataclass(frozen=True)
class MaskFile:
    """What a mask PNG says.

    Attributes:
        image: File name of the image that it belongs to.
        shape: (height, width) in pixels.
        ships: Run-length text of each ship; empty if there is none.
    """

    image: str
    shape: tuple[int, int]
    ships: tuple[str, ...]


def write_mask(path: Path, mask: NDArray[np.generic], image: str, ships: Sequence[str] | None = None) -> None:
    """Write a mask as PNG.

    Args:
        path: Where; the suffix should be `.png`.
        mask: (height, width); every value other than 0 is ship.
        image: File name of the image that the mask belongs to.
        ships: Run-length texts of the ships whose union the mask is; None if its connected objects are the ships.

    Raises:
        InputError: If the mask does not have two dimensions, or no pixel.
    """
    if mask.ndim != 2 or not mask.size:
        raise InputError(f"a mask has the shape (height, width), not {mask.shape}")
    fields = PngInfo()
    fields.add_text(_IMAGE_FIELD, image)
    if ships is not None and list(ships) != [rle.encode_indices(ship) for ship in separate_objects(mask)]:
        text = "\n".join(ships)
        fields.add_text(_SHIPS_FIELD, text, zip=len(text) <= MAX_TEXT_CHUNK)  # Pillow refuses to unpack more
    with written_whole(path) as temporary:
        Image.fromarray((mask != 0).astype(np.uint8) * 255).save(temporary, "PNG", pnginfo=fields)


def was_written(path: Path) -> bool:
    """Say whether a file is a mask that `write_mask` has written."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return _IMAGE_FIELD in getattr(image, "text", {})
    except Exception:  # Pillow's plugins raise nearly every kind
        return False


def read_mask(path: Path) -> MaskFile:
    """Read a mask PNG, made by `write_mask` or by anything else.

    Every pixel that is not black is ship. Without text fields, or if the mask was edited since, the ships are the
    connected objects. If no field names its image, or the file was renamed since, that is taken to be a `.jpg` of the
    same name.

    Raises:
        InputError: If the file is damaged or no PNG, or has colours of more than 8 bits.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                raise InputError(f"{path} has more than {MAXIMUM_PIXELS} pixels; cut it into parts")
            if not image.mode.startswith("I"):  # gray of 16 bits, which loses nothing here
                check_depth(image, str(path))
            mask = np.array(image.convert("RGB")).max(axis=2) > 0  # as gray, a dark red or blue would round to black
            fields = image.text if isinstance(image, PngImageFile) else {}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly every kind
        raise InputError(f"{path} is damaged or no PNG ({error}); write it again or remove it") from None
    name = fields.get(_IMAGE_FIELD, "")
    if Path(name).stem != path.stem:
        name = f"{path.stem}.jpg"
    ships = _stored_ships(fields.get(_SHIPS_FIELD, ""), mask)
    if ships is None:
        ships = [rle.encode_indices(ship) for ship in separate_objects(mask)]
    height, width = mask.shape
    return MaskFile(checked_name(name, str(path)), (height, width), tuple(ships))


def _stored_ships(text: str, mask: NDArray[np.bool_]) -> list[str] | None:
    """Return the rows of a text field, or None if they do not make up the mask."""
    rows = text.splitlines()
    covered = np.zeros(mask.size, dtype=bool)
    try:
        for row in rows:  # one at a time: rows that all claim the same pixels take no more memory
            pixels = rle.decode_indices(row, mask.size)
            if not pixels.size:
                return None
            covered[pixels] = True
    except InputError:
        return None
    return rows if np.array_equal(covered, mask.T.ravel()) else None
