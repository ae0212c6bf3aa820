"""Nets by name."""

from collections.abc import Callable

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.unet import unet

NETS: dict[str, Callable[[int, int], keras.Model]] = {"unet": unet}


def build_net(name: str, width: int, depth: int) -> keras.Model:
    """Build a net with fresh weights.

    Args:
        name: One of `NETS`.
        width: Filters at full resolution, 1 or more.
        depth: Number of halvings, 1 to 6; the sides of images must be multiples of `2 ** depth`.

    Returns:
        Model from uint8 (N, height, width, 3) to probabilities float32 (N, height, width, 1).

    Raises:
        InputError: If there is no net of that name, or a number is out of its range.
    """
    if name not in NETS:
        raise InputError(f"there is no net {name!r}; choose one of {', '.join(NETS)}")
    if width < 1 or not 1 <= depth <= 6:
        raise InputError(f"width {width} must be 1 or more and depth {depth} from 1 to 6")
    return NETS[name](width, depth)
