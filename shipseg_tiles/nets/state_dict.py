"""Read named arrays from a file as data: `.safetensors` or `.npz`, never a pickle."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.saved import check_unpacked_size, first_line

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file by name.

    Whoever has torch makes such a file of a `.pth` by `numpy.savez("FILE.npz", **{name: value.numpy() for name, value
    in state.items()})`; many weights are published as `.safetensors`
    (https://huggingface.co/docs/safetensors/index#format) as well.

    Raises:
        InputError: If the file is missing, of another kind or damaged, or holds pickled objects.
    """
    readers = {".safetensors": _read_safetensors, ".npz": _read_npz}
    if path.suffix not in readers:
        raise InputError(f"{path} must end in {' or '.join(readers)}; a pickle such as .pth is never opened")
    try:
        return readers[path.suffix](path)
    except Exception as error:  # a damaged file makes numpy and json raise nearly every kind
        raise InputError(f"{path} cannot be read as {path.suffix}: {first_line(error)}; get the file again") from None


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    check_unpacked_size(path)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the length of a JSON header, the header, and the bytes that it describes."""
    content = memoryview(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    if begin > len(content):
        raise ValueError(f"its header ends at byte {begin} of {len(content)}")
    header = json.loads(bytes(content[8:begin]))
    header.pop("__metadata__", None)
    return {name: _tensor(content[begin:], entry) for name, entry in header.items()}


def _tensor(data: memoryview, entry: dict[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    if not 0 <= first <= last <= len(data) or last - first != math.prod(entry["shape"]) * dtype.itemsize:
        raise ValueError(f"an array of shape {entry['shape']} does not stand from byte {first} to {last}")
    return np.frombuffer(data[first:last], dtype).reshape(entry["shape"])
