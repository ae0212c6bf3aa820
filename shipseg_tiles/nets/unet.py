"""The patch U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) in pure Keras 3.

Convolutions are followed by batch normalisation, which costs nothing at inference and lets the learning rate be ten
times higher; the encoder halves the side `depth` times and doubles the filters each time.
"""

from typing import Any

import keras
from keras import layers

from shipseg_tiles.nets.blocks import convolve, encoder_model, raw_pixels, scaled


def unet_encoder(width: int, depth: int, normalisation: str) -> keras.Model:
    """Build the half of the U-Net that looks, a plain convolutional net.

    Args:
        width: Filters at full resolution.
        depth: Number of poolings.
        normalisation: One of `NORMALISATIONS`.

    Returns:
        Model from uint8 (N, height, width, 3) to features at the strides 1, 2, 4 ... `2 ** depth`.
    """
    pixels = raw_pixels()
    features = scaled(pixels)
    maps = []
    for level in range(depth):
        maps.append(_convolve_twice(features, width * 2**level, f"down{level}", normalisation))
        features = layers.MaxPooling2D(name=f"down{level}_pool")(maps[-1])
    maps.append(_convolve_twice(features, width * 2**depth, "bottom", normalisation))
    return encoder_model(pixels, maps)


def unet_decoder(maps: list[Any], width: int, normalisation: str) -> Any:
    """Build the half that draws: grow, join what the encoder saw at that size, convolve twice.

    Args:
        maps: Features at the strides 1, 2, 4 ..., as an encoder answers.
        width: Filters at full resolution.
        normalisation: One of `NORMALISATIONS`.

    Returns:
        Features (N, height, width, `width`).
    """
    features = maps[-1]
    for level in reversed(range(len(maps) - 1)):
        features = layers.Conv2DTranspose(width * 2**level, 2, strides=2, name=f"up{level}_grow")(features)
        features = layers.Concatenate(name=f"up{level}_join")([features, maps[level]])
        features = _convolve_twice(features, width * 2**level, f"up{level}", normalisation)
    return features


def _convolve_twice(features: Any, filters: int, name: str, normalisation: str) -> Any:
    for number in (1, 2):
        features = convolve(features, filters, name, number, normalisation=normalisation)
    return features
