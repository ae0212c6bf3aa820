"""Which bands of a scene are red, green and blue, and which of their values become black and white."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import WHOLE_NUMBER


def parse_bands(text: str) -> tuple[int, int, int]:
    """Read the numbers of the red, green and blue band, counted from 1: "3,2,1".

    Raises:
        InputError: If these are no three whole numbers from 1.
    """
    fields = text.split(",")
    if len(fields) != 3 or not all(WHOLE_NUMBER.fullmatch(field) and int(field) for field in fields):
        raise InputError(f"bands {text!r}: give those of red, green and blue, counted from 1, such as 3,2,1")
    red, green, blue = map(int, fields)
    return red, green, blue


def parse_scale(text: str) -> tuple[float, float]:
    """Read the values that become black and white: "0,3000".

    Raises:
        InputError: If these are no two numbers, or the second is not above the first.
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise InputError(f"scale {text!r}: give the values of black and white, such as 0,3000") from None
    return _checked_scale(low, high)


def _checked_scale(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"scale {low:g},{high:g}: the value of white must be above that of black, such as 0,3000")
    return low, high


def bands_and_scale(
    path: Path, dataset: Any, bands: Sequence[int] | None, scale: tuple[float, float] | None
) -> tuple[list[int], tuple[float, float] | None]:
    """Check bands and scale against the file, and find the bands that need no choice.

    Args:
        path: The file, for messages.
        dataset: What rasterio opened of it.
        bands: Numbers of the red, green and blue band, counted from 1, or None; see `open_scene`.
        scale: Values of black and white, or None.

    Returns:
        Three numbers of bands, and the scale.

    Raises:
        InputError: If bands or scale are missing or do not fit the file.
    """
    dtype = dataset.dtypes[0]
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * np.dtype(dtype).itemsize))
    of_bits = f", {bits} bits of it" if bits < 8 else ""
    what_it_has = f"{path} has {dataset.count} {'band' if dataset.count == 1 else 'bands'} of {dtype}{of_bits}"
    colours = _colour_bands(dataset)
    missing = []
    if bands is None and len(colours) not in (1, 3):
        missing.append("which bands are red, green and blue, such as --bands 3,2,1")
    if scale is None and (dtype != "uint8" or bits < 8):
        white = 2**bits - 1 if bits < 8 else 3000
        missing.append(f"which values become black and white, such as --scale 0,{white}")
    if missing:
        raise InputError(f"{what_it_has}; say {', and '.join(missing)}")
    if bands is None:
        bands = colours * 3 if len(colours) == 1 else colours
    elif len(bands) != 3 or not all(1 <= band <= dataset.count for band in bands):
        asked = ",".join(map(str, bands))
        raise InputError(f"{what_it_has}, not those of --bands {asked}; give three numbers from 1 to {dataset.count}")
    return list(bands), scale and _checked_scale(*scale)


def alpha_bands(dataset: Any) -> list[int]:
    """Return the numbers of the bands that say how opaque a pixel is, counted from 1."""
    return [band for band, use in zip(dataset.indexes, names_of(dataset.colorinterp), strict=True) if use == "alpha"]


def _colour_bands(dataset: Any) -> list[int]:
    """Return the bands that are no alpha: red, green and blue in this order if they are called so."""
    uses = dict(zip(names_of(dataset.colorinterp), dataset.indexes, strict=True))
    bands = sorted(set(dataset.indexes) - set(alpha_bands(dataset)))
    named = [uses.get(colour, 0) for colour in ("red", "green", "blue")]
    return named if sorted(named) == bands else bands


def names_of(values: Sequence[Any]) -> list[str]:
    """Return the names of GDAL's constants, such as those of `dataset.colorinterp`."""
    return [value.name for value in values]


def to_8_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map values linearly, low to 0 and high to 255, clipped and rounded; NaN becomes anything."""
    shares = (np.nan_to_num(values.astype(np.float64)) - low) / (high - low)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
