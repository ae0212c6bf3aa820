"""The small U-Net with separable convolutions of the Keras example on the Oxford pets.

After https://keras.io/examples/vision/oxford_pets_image_segmentation: blocks of Xception (Chollet 2017,
https://arxiv.org/abs/1610.02357), each with a residual around it, and no connections from encoder to decoder. Cheap and
quick to train on small images; ships of a few pixels do not come through its narrowest part.
"""

from typing import Any

import keras
from keras import layers

from shipseg_tiles.nets.blocks import MOMENTUM, convolve, encoder_model, raw_pixels, scaled


def xception_encoder(width: int, depth: int) -> keras.Model:
    """Build the half that looks.

    Args:
        width: Filters at half resolution; they double at each further halving.
        depth: Number of halvings.

    Returns:
        Model from uint8 (N, height, width, 3) to features at the strides 1, 2, 4 ... `2 ** depth`; the first are the
        pixels from -1 to 1.
    """
    pixels = raw_pixels()
    maps = [scaled(pixels)]
    maps.append(convolve(maps[0], width, "down0", strides=2))
    for level in range(1, depth):
        maps.append(_shrink(maps[-1], width * 2**level, f"down{level}"))
    return encoder_model(pixels, maps)


def xception_decoder(maps: list[Any], width: int) -> Any:
    """Build the half that draws, from the last of `maps` alone, to features (N, height, width, `width`)."""
    features = maps[-1]
    for level in reversed(range(len(maps) - 1)):
        features = _grow(features, width * 2**level, f"up{level}")
    return features


def _shrink(features: Any, filters: int, name: str) -> Any:
    """Two separable convolutions and a pooling, with a residual around them."""
    residual = layers.Conv2D(filters, 1, strides=2, name=f"{name}_residual")(features)
    for number in (1, 2):
        features = layers.ReLU(name=f"{name}_relu{number}")(features)
        features = layers.SeparableConv2D(filters, 3, padding="same", name=f"{name}_conv{number}")(features)
        features = _normalise(features, f"{name}_normalise{number}")
    features = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(features)
    return layers.Add(name=f"{name}_add")([features, residual])


def _grow(features: Any, filters: int, name: str) -> Any:
    """Two convolutions and a doubling, with a residual around them."""
    residual = layers.Conv2D(filters, 1, name=f"{name}_residual")(features)
    for number in (1, 2):
        features = layers.ReLU(name=f"{name}_relu{number}")(features)
        features = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv{number}")(features)
        features = _normalise(features, f"{name}_normalise{number}")
    return layers.UpSampling2D(name=f"{name}_double")(layers.Add(name=f"{name}_add")([features, residual]))


def _normalise(features: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=MOMENTUM, name=name)(features)
