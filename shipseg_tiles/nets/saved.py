"""Files of nets: loaded as data, within bounds, with one clear error; or written to be small."""

from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole

MAXIMUM_BYTES = 2**32
"""Larger archives are refused before they are unpacked."""

_MANTISSA_BITS = 11
"""Of a weight that is packed: as many as half precision has."""


def load_model(path: Path) -> Any:
    """Load a `.keras` file as data: code inside it (a Lambda layer, a pickle) is refused by Keras's safe mode.

    Raises:
        InputError: If the file is no such archive, is too large, or holds code.
    """
    try:
        check_unpacked_size(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises nearly every kind on a file that is not what it seems
        raise InputError(f"{path} cannot be loaded as a Keras net: {first_line(error)}") from None


def check_unpacked_size(path: Path) -> None:
    """Refuse a zip archive that unpacks to more than `MAXIMUM_BYTES`.

    Raises:
        InputError: If it does.
    """
    with ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAXIMUM_BYTES:
        raise InputError(f"it unpacks to {size} bytes, more than {MAXIMUM_BYTES}")


def save_packed(net: keras.Model, path: Path) -> None:
    """Save a net for inference in little more than half the bytes of its weights.

    They are rounded to 11 significant bits, in the net as well, and the archive is compressed, in which the bits that
    are 0 now take no room. They stay float32, so that a net loads and computes as any other.

    Args:
        net: The net.
        path: `.keras` file, written whole or not at all.
    """
    net.set_weights([_rounded(array) if array.dtype.kind == "f" else array for array in net.get_weights()])
    with written_whole(path) as temporary:
        net.save(temporary)
        with ZipFile(temporary) as archive:
            members = [(member, archive.read(member)) for member in archive.infolist()]
        with ZipFile(temporary, "w") as archive:
            for member, content in members:
                archive.writestr(member, content, ZIP_DEFLATED)


def _rounded(array: NDArray[Any]) -> NDArray[Any]:
    mantissas, exponents = np.frexp(array)
    rounded: NDArray[Any] = np.ldexp(np.rint(mantissas * 2**_MANTISSA_BITS) / 2**_MANTISSA_BITS, exponents)
    return rounded


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
