"""What all nets share: raw pixels in, normalised convolutions, a probability out."""

from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras import layers, ops

MOMENTUM = 0.9
"""Of the moving averages of batch normalisation: they follow the last 10 steps.

Keras's own 0.99 lags by 100: after a short training the net then finds nothing at inference.
"""

NORMALISATIONS = ("batch", "none")
"""Group or instance normalisation is left out on purpose: its statistics over a tile would make the tiles differ."""


def raw_pixels() -> Any:
    """Return the input of every net: uint8 (N, height, width, 3), 0 to 255."""
    return keras.Input((None, None, 3), dtype="uint8", name="pixels")


def scaled(pixels: Any) -> Any:
    """Map raw pixels to -1 to 1, in the layer `normalise`."""
    return layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(pixels)


def shrink_pixels(pixels: Any, times: Fraction | int) -> Any:
    """Shrink uint8 pixels along both sides to the mean of the area of each, as patches are shrunk that are stored.

    Sides must be a multiple of the fraction's numerator.
    """
    parts = ops.cast(pixels, "float32")
    if times.denominator > 1:  # of 3 / 2, each pixel of the result is 3 x 3 quarters of the pixels
        parts = layers.UpSampling2D(times.denominator)(parts)
    side = times.numerator
    # A sum by convolution: OpenVINO takes three times as long to pool three channels.
    sums = ops.depthwise_conv(parts, np.ones((side, side, 3, 1), dtype=np.float32), side, "valid")
    return ops.cast(ops.floor(sums / side**2 + 0.5), "uint8")


def encoder_model(pixels: Any, maps: list[Any]) -> keras.Model:
    """Wrap feature maps as the layer `encoder`, which nets of different purpose can hand to each other.

    Args:
        pixels: See `raw_pixels`.
        maps: Features at the strides 1, 2, 4 ... `2 ** depth`.
    """
    return keras.Model(pixels, maps, name="encoder")


def convolve(
    features: Any,
    filters: int,
    name: str,
    number: int | None = None,
    *,
    size: int = 3,
    strides: int = 1,
    normalisation: str = "batch",
) -> Any:
    """Convolve, normalise and rectify.

    Args:
        features: Features (N, height, width, channels).
        filters: Number of filters.
        name: What the names of the layers begin with: `{name}_conv`, `{name}_normalise` and `{name}_relu`.
        number: What they end with; None for nothing.
        size: Side of the kernel.
        strides: 2 to halve the side.
        normalisation: One of `NORMALISATIONS`.
    """
    end = "" if number is None else number
    batch = normalisation == "batch"
    convolution = layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=not batch, name=f"{name}_conv{end}"
    )
    features = convolution(features)
    if batch:
        features = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_normalise{end}")(features)
    return layers.ReLU(name=f"{name}_relu{end}")(features)


def probability(features: Any) -> Any:
    """Answer the ship probability of each pixel, or cell, of features: float32 (N, height, width, 1), 0 to 1.

    It stays float32 under mixed precision: with 8 bits of mantissa a threshold would mean little. The bias begins at
    the share of ship pixels in patches, 1 to 2 % (Lin et al. 2017, https://arxiv.org/abs/1708.02002): otherwise the
    first epochs only teach the net that nearly everything is background.
    """
    return layers.Conv2D(
        1,
        1,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-4.0),
        dtype="float32",
        name="probability",
    )(features)
