"""ResNet34 (He et al. 2015, https://arxiv.org/abs/1512.03385) as an encoder, and its weights from torchvision.

Keras has no ResNet34. This one computes what torchvision's does, so that its weights fit: a layer is called as the
parameters there, with `_` for `.`.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.blocks import MOMENTUM, encoder_model, raw_pixels
from shipseg_tiles.nets.encoder_weights import LayerWeights
from shipseg_tiles.nets.state_dict import read_state_dict

BLOCKS = (3, 4, 6, 3)
"""Blocks at the strides 4, 8, 16 and 32."""

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of the red, green and blue of photographs, 0 to 1, which torchvision's weights expect to be taken away."""


def resnet34_encoder(depth: int) -> keras.Model:
    """Build ResNet34 with fresh weights, cut off after `depth` halvings.

    Args:
        depth: Number of halvings, 1 to 5; 4 leave out the deepest blocks, which have three fifths of the weights.

    Returns:
        Model from uint8 (N, height, width, 3) to features at the strides 1, 2, 4 ... `2 ** depth`; the first are the
        normalised pixels.
    """
    pixels = raw_pixels()
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    maps = [layers.Rescaling(scale, offset=offset, name="normalise")(pixels)]
    features = _convolve(maps[0], 64, 7, 2, "conv1")
    maps.append(layers.ReLU(name="relu")(_normalise(features, "bn1")))
    # After a rectification the zeros around the image are what torch pads a pooling with: nothing is below them.
    features = layers.MaxPooling2D(3, strides=2, name="maxpool")(layers.ZeroPadding2D(1, name="maxpool_pad")(maps[1]))
    for stage in range(1, depth):
        for block in range(BLOCKS[stage - 1]):
            strides = 2 if stage > 1 and block == 0 else 1
            features = _block(features, 64 * 2 ** (stage - 1), strides, f"layer{stage}_{block}")
        maps.append(features)
    return encoder_model(pixels, maps)


def resnet34_weights(encoder: keras.Model, weights: str) -> LayerWeights:
    """Read torchvision's weights for the layers of a `resnet34_encoder`.

    Args:
        encoder: The encoder; what its depth leaves out is not looked for.
        weights: Path of torchvision's state dict, see `read_state_dict`.

    Raises:
        InputError: If it is `imagenet`, the file is damaged, or lacks a parameter.
    """
    if weights == "imagenet":
        raise InputError("Keras has no imagenet weights of ResNet34; give torchvision's as a .safetensors or .npz file")
    return from_torchvision(encoder, read_state_dict(Path(weights)), weights)


def from_torchvision(encoder: keras.Model, state: Mapping[str, NDArray[Any]], source: str) -> LayerWeights:
    """Convert torchvision's state dict of a `resnet34` to the weights of Keras's layers.

    Args:
        encoder: A `resnet34_encoder`.
        state: Arrays by torchvision's parameter names.
        source: What errors call the state dict.

    Returns:
        For each layer its arrays, kernels as (height, width, in, out) where torch has (out, in, height, width).

    Raises:
        InputError: If one is missing.
    """
    names = {layer.name: _parameters(layer) for layer in encoder.layers if layer.weights}
    for name in chain.from_iterable(names.values()):
        if name not in state:
            raise InputError(f"encoder weights {source} have no {name}; give the state dict of torchvision's resnet34")
    return {layer: [_keras_layout(state[name]) for name in parts] for layer, parts in names.items()}


def _parameters(layer: Any) -> list[str]:
    """Return torchvision's names of a layer's weights, in Keras's order."""
    convolution = isinstance(layer, layers.Conv2D)
    parts = ["weight"] if convolution else ["weight", "bias", "running_mean", "running_var"]
    return [f"{layer.name.replace('_', '.')}.{part}" for part in parts]


def _keras_layout(array: NDArray[Any]) -> NDArray[Any]:
    return np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array


def _block(features: Any, filters: int, strides: int, name: str) -> Any:
    """Two convolutions with a residual around them."""
    residual = features
    if strides > 1:
        residual = _normalise(_convolve(features, filters, 1, strides, f"{name}_downsample_0"), f"{name}_downsample_1")
    features = _normalise(_convolve(features, filters, 3, strides, f"{name}_conv1"), f"{name}_bn1")
    features = layers.ReLU(name=f"{name}_relu1")(features)
    features = _normalise(_convolve(features, filters, 3, 1, f"{name}_conv2"), f"{name}_bn2")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([features, residual]))


def _convolve(features: Any, filters: int, size: int, strides: int, name: str) -> Any:
    """Convolve as torch does: with the same margin on all sides, where Keras's `same` has more below and right."""
    if size > 1:
        features = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(features)
    return layers.Conv2D(filters, size, strides=strides, use_bias=False, name=name)(features)


def _normalise(features: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-5, name=name)(features)  # torch's epsilon
