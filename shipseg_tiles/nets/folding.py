"""Nets without batch normalisation: what it does is folded into the convolutions before it.

A trained normalisation multiplies each channel by one number and adds another. A convolution does both at no cost
(Jacob et al. 2017, https://arxiv.org/abs/1712.05877, section 3.2), but computed apart, as Keras does, they are passes
over all pixels that take a third of a net's time on a processor.
"""

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray


def fold_normalisation(net: keras.Model) -> keras.Model:
    """Build a net without the batch normalisations that directly follow a convolution, for inference.

    Args:
        net: A functional model, with others inside it or not. It is left as it is.

    Returns:
        Model with the other layers, which have the same names, and the same answers but for rounding. The convolutions
        that took over have a bias. Normalisation after anything else stays; if there is nothing to fold, it is the
        net itself.
    """
    normalisations = _after_convolutions(net)
    if not normalisations:
        return net
    removed = set(normalisations.values())
    originals: dict[Any, Any] = {}

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):  # `recursive` of clone_model goes one model deep and no deeper
            return copy_model(layer)
        config = layer.get_config()
        if layer in normalisations:
            config["use_bias"] = True
        twin = type(layer).from_config(config)
        originals[twin] = layer
        return twin

    def call(twin: Any, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if originals.get(twin) in removed else twin(*inputs, **options)

    def copy_model(model: keras.Model) -> keras.Model:
        return keras.models.clone_model(model, clone_function=copy, call_function=call)

    folded = copy_model(net)
    for twin, layer in originals.items():
        if layer in normalisations:
            twin.set_weights(_folded(layer, normalisations[layer]))
        elif layer not in removed and isinstance(layer, layers.Layer):  # a plain operation has no weights
            twin.set_weights(layer.get_weights())
    return folded


def _after_convolutions(net: keras.Model) -> dict[Any, Any]:
    """Return each normalisation that directly follows a convolution, by that convolution."""
    found: dict[Any, Any] = {}
    for layer in net.layers:
        if isinstance(layer, keras.Model):
            found |= _after_convolutions(layer)
        elif isinstance(layer, layers.BatchNormalization) and len(layer._inbound_nodes) == 1:
            before = layer.input._keras_history.operation
            if _is_plain_convolution(before):
                found[before] = layer
    return found


def _is_plain_convolution(layer: Any) -> bool:
    """Say whether a layer is a convolution and nothing more, that only one other looks at."""
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
    return isinstance(layer, kinds) and layer.activation is keras.activations.linear and len(layer._outbound_nodes) == 1


def _folded(convolution: Any, normalisation: Any) -> list[NDArray[Any]]:
    """Return the weights of a convolution that normalises too: its kernels and a bias."""
    arrays = convolution.get_weights()
    *kernels, last, bias = arrays if convolution.use_bias else (*arrays, 0.0)
    mean, variance = (np.asarray(array) for array in (normalisation.moving_mean, normalisation.moving_variance))
    scale = 1 / np.sqrt(variance + normalisation.epsilon)
    if normalisation.scale:
        scale = scale * np.asarray(normalisation.gamma)
    offset = (bias - mean) * scale
    if normalisation.center:
        offset = offset + np.asarray(normalisation.beta)
    # The channels that come out are the last axis of the last kernel; of a depthwise one, the last two, in and times.
    axes = last.shape[-2:] if isinstance(convolution, layers.DepthwiseConv2D) else last.shape[-1:]
    return [*kernels, last * scale.reshape(axes), offset]
