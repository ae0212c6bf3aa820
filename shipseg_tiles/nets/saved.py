"""Load files that others may have made: as data, within bounds, with one clear error."""

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import keras

from shipseg_tiles.errors import InputError

MAXIMUM_BYTES = 2**32
"""Larger archives are refused before they are unpacked."""


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


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
