"""The patch U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) in pure Keras 3."""

from typing import Any

import keras
from keras import layers


def unet(width: int = 16, depth: int = 4) -> keras.Model:
    """Build a U-Net that takes raw pixels of any multiple of `2 ** depth` and answers ship probabilities.

    Convolutions are followed by batch normalisation, which costs nothing at inference and lets the learning rate be
    ten times higher; the encoder halves the side `depth` times and doubles the filters each time.

    Args:
        width: Filters at full resolution.
        depth: Number of poolings.

    Returns:
        Model from uint8 (N, height, width, 3), 0 to 255, to float32 (N, height, width, 1), 0 to 1.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    features = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(pixels)
    skips = []
    for level in range(depth):
        features = _block(features, width * 2**level, f"down{level}")
        skips.append(features)
        features = layers.MaxPooling2D(name=f"down{level}_pool")(features)
    features = _block(features, width * 2**depth, "bottom")
    for level in reversed(range(depth)):
        features = layers.Conv2DTranspose(width * 2**level, 2, strides=2, name=f"up{level}_grow")(features)
        features = layers.Concatenate(name=f"up{level}_join")([features, skips[level]])
        features = _block(features, width * 2**level, f"up{level}")
    # Probabilities stay float32 under mixed precision: with 8 bits of mantissa a threshold would mean little.
    # The bias begins at the share of ship pixels in patches, 1 to 2 % (Lin et al. 2017, https://arxiv.org/abs/1708.02002):
    # otherwise the first epochs only teach the net that nearly everything is background.
    probability = layers.Conv2D(
        1,
        1,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-4.0),
        dtype="float32",
        name="probability",
    )(features)
    return keras.Model(pixels, probability, name="unet")


def _block(features: Any, filters: int, name: str) -> Any:
    """Two convolutions of 3 x 3, each normalised and rectified."""
    for number in (1, 2):
        features = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(features)
        features = layers.BatchNormalization(momentum=0.98, name=f"{name}_normalise{number}")(features)
        features = layers.ReLU(name=f"{name}_relu{number}")(features)
    return features
