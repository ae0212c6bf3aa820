"""Give an encoder weights that were learnt elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import keras
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.saved import load_model

LayerWeights: TypeAlias = dict[str, list[NDArray[Any]]]
"""For each layer its name and its arrays."""

Pretrained: TypeAlias = Callable[[keras.Model, str], LayerWeights]
"""Reads weights, from `imagenet` or a path, for the layers of an encoder."""


def load_encoder(encoder: keras.Model, weights: str, pretrained: Pretrained) -> None:
    """Load weights into an encoder.

    Args:
        encoder: The layer `encoder` of a net.
        weights: `none` for leaving it as it is, `imagenet`, the path of a `.keras` file with such an encoder, or a path
            that `pretrained` can read.
        pretrained: What reads the weights that others publish for this kind of encoder.

    Raises:
        InputError: If the weights cannot be had, or do not fit.
    """
    if weights == "none":
        return
    if weights != "imagenet" and not Path(weights).is_file():
        raise InputError(f"encoder weights {weights} do not exist; give none, imagenet or the path of a file")
    if weights.endswith(".keras"):
        known = weights_by_layer(encoder_of(load_model(Path(weights)), weights))
    else:
        known = pretrained(encoder, weights)
    _put(encoder, known, weights)


def encoder_of(net: keras.Model, name: str) -> keras.Model:
    """Return the encoder inside a net, its layers from the image to the depth; `name` is what errors call the net.

    Raises:
        InputError: If the net has none.
    """
    for layer in net.layers:
        if layer.name == "encoder" and isinstance(layer, keras.Model):
            return layer
    raise InputError(f"{name} has no layer `encoder`; take a net that this version of train made")


def no_pretrained(encoder: keras.Model, weights: str) -> LayerWeights:
    """Refuse whatever weights: nobody publishes any for this kind of encoder."""
    raise InputError(f"encoder weights {weights} are not for this net; give none or a .keras file with such an encoder")


def weights_by_layer(model: keras.Model) -> LayerWeights:
    """Return the weights of all layers of a model."""
    return {layer.name: layer.get_weights() for layer in model.layers}


def _put(encoder: keras.Model, known: LayerWeights, source: str) -> None:
    """Set the weights of all layers, once it is sure that all of them fit."""
    for layer in encoder.layers:
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in known.get(layer.name, [])]
        if wanted and wanted != found:
            shapes = f"shapes {found} for {wanted}" if found else "nothing"
            raise InputError(
                f"encoder weights {source} do not fit: layer {layer.name} finds {shapes}; "
                "use the same net, width and normalisation, and at most its depth"
            )
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(known[layer.name])
