"""The gate: where a ship may be, at low resolution and so cheap that whole images are seen by it first.

It is fully convolutional like the nets behind it and answers one probability a cell of the image. Each halving is a
convolution that learns what to keep: a ship of 4 x 8 px is still more than a mean over pixels would leave of it. The
other kind shows the image at a quarter of its side to the encoder of a segmenter, which knows more and takes longer.
"""

from typing import Any

import keras

from shipseg_tiles.nets.blocks import convolve, encoder_model, raw_pixels, scaled
from shipseg_tiles.nets.decoder import light_decoder

_GROWTH = (0.5, 1, 2, 3, 4)
"""How many times the width each halving has filters."""

CELL = 2 ** len(_GROWTH)
"""Side in pixels of a cell: half of 5,791 ships of the competition are no longer."""

REACH = 4
"""How many cells away, at most, pixels can change the answer of a cell of the plain gate. For the other they may be
further off, but count little there."""

SHRINK = 4
"""How many times smaller, along a side, a gate with the encoder of a segmenter sees the image."""

_CELL_LEVEL = 3
"""After so many halvings of an image `SHRINK` times smaller a pixel is a cell."""

_CELLS_ASKED = 32
"""Along the shorter side, to see whether a net answers cells: other nets need sides that halve more often."""


def gate_encoder(width: int) -> keras.Model:
    """Build a plain convolutional net that ends at the cells.

    Args:
        width: Filters at quarter resolution; there are half as many at half of it, where they cost most.

    Returns:
        Model from uint8 (N, height, width, 3) to features at the strides 1, 2, 4 ... `CELL`; the first are the pixels
        from -1 to 1.
    """
    pixels = raw_pixels()
    maps = [scaled(pixels)]
    for level, growth in enumerate(_GROWTH, start=1):
        filters = max(1, int(growth * width))
        features = convolve(maps[-1], filters, f"down{level}", 1, strides=2)
        maps.append(convolve(features, filters, f"down{level}", 2) if level > 1 else features)
    return encoder_model(pixels, maps)


def look_around(features: Any) -> Any:
    """Let each cell see the cells around it: what is beside a pier is a pier, what is beside a wake a ship.

    Args:
        features: Features (N, rows, columns, channels), the deepest of an encoder.

    Returns:
        Features in the same shape.
    """
    return convolve(features, features.shape[-1], "around")


def gather_cells(maps: list[Any], width: int) -> Any:
    """Bring what an encoder saw of an image `SHRINK` times smaller to the cells.

    Args:
        maps: Features at the strides 1, 2, 4 ... of what the encoder was shown, `_CELL_LEVEL` halvings or more.
        width: Filters.

    Returns:
        Features (N, rows, columns, `width`) of cells.
    """
    return light_decoder(maps[_CELL_LEVEL:], width)


def answers_cells(net: Any) -> bool:
    """Say whether a net is a gate: a Keras model from uint8 (N, height, width, 3) to one probability a cell."""
    if getattr(net, "input_shape", None) != (None, None, None, 3):
        return False
    rows, columns = 2 * _CELLS_ASKED, _CELLS_ASKED
    try:
        shape: tuple[int | None, ...] = net.compute_output_shape((1, rows * CELL, columns * CELL, 3))
    except ValueError:  # of an ensemble whose members take other sides; a gate takes all that are whole cells
        return False
    return shape == (1, rows, columns, 1)
