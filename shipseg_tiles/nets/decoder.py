"""The decoder of the nets whose encoder is a known classification net."""

from typing import Any

from keras import layers

from shipseg_tiles.nets.blocks import convolve


def light_decoder(maps: list[Any], width: int) -> Any:
    """Build a narrow decoder after LinkNet (Chaurasia and Culurciello 2017, https://arxiv.org/abs/1707.03718).

    What the encoder saw is added, not joined, after a convolution that brings it to few filters, and each level has
    a single convolution of 3 x 3: the levels of high resolution decide what an image costs. Use it where the encoder
    is strong; `unet_decoder` is heavier and learns more by itself.

    Args:
        maps: Features at the strides 1, 2, 4 ..., as an encoder answers; the first are the normalised pixels.
        width: Filters at full resolution; they double at each halving.

    Returns:
        Features (N, height, width, `width`).
    """
    features = maps[-1]
    for level in reversed(range(len(maps) - 1)):
        filters = width * 2**level
        features = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{level}_grow")(features)
        # These encoders begin by halving: at full size this convolution is all that looks at ships of a few pixels.
        seen = convolve(maps[level], filters, f"skip{level}", size=1 if level else 3)
        features = layers.Add(name=f"up{level}_add")([features, seen])
        features = convolve(features, filters, f"up{level}")
    return features
