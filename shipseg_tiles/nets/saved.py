"""Files of nets: loaded as data, within bounds, with one clear error; or written to be small."""

from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

MAXIMUM_BYTES = 2**32
"""Larger archives are refused before they are unpacked."""

_WEIGHTS = "model.weights.h5"
"""Name of the weights inside such an archive."""

_MANTISSA_BITS = 11
"""Of a weight that is packed: as many as half precision has."""


def load_model(path: Path) -> Any:
    """Load a `.keras` file as data: code inside it (a Lambda layer, a pickle) is refused by Keras's safe mode.

    Raises:
        InputError: If the file is no such archive, is too large, or holds code.
    """
    if path.suffix != ".keras":  # Keras goes by the suffix, and by any other to loaders that are no safe ones
        raise InputError(f"{path} is no .keras file; save the net as one with Keras 3")
    try:
        check_unpacked_size(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except MemoryError:
        raise
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
    """Save a net for inference in half the bytes of its weights.

    They are rounded to 11 significant bits, in the net as well, and compressed byte by byte of all weights of a layer,
    as the first bytes of floats are alike and the last are 0 now. They stay float32, so that a net loads and computes
    as any other.

    Args:
        net: The net.
        path: `.keras` file.
    """
    net.set_weights([_rounded(array) if array.dtype.kind == "f" else array for array in net.get_weights()])
    net.save(path)
    with ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    members[_WEIGHTS] = _compressed(members[_WEIGHTS])
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _rounded(array: NDArray[Any]) -> NDArray[Any]:
    mantissas, exponents = np.frexp(array)
    rounded: NDArray[Any] = np.ldexp(np.rint(mantissas * 2**_MANTISSA_BITS) / 2**_MANTISSA_BITS, exponents)
    return rounded


def _compressed(weights: bytes) -> bytes:
    """Return an HDF5 file with what another holds, each array of it as one compressed chunk."""
    packed = BytesIO()
    with h5py.File(BytesIO(weights)) as source, h5py.File(packed, "w") as target:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                packing = {"chunks": item.shape, "shuffle": True, "compression": "gzip"}
                # A single number and an empty array cannot be cut into chunks.
                target.create_dataset(name, data=item[()], **(packing if item.ndim and item.size else {}))
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
    return packed.getvalue()


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
