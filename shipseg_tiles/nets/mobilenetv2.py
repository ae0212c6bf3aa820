"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381) as an encoder."""

import keras
from keras import layers

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.blocks import MOMENTUM, encoder_model, raw_pixels, scaled
from shipseg_tiles.nets.encoder_weights import LayerWeights, weights_by_layer
from shipseg_tiles.nets.saved import first_line

LEVELS = (
    "block_1_expand_relu",
    "block_3_expand_relu",
    "block_6_expand_relu",
    "block_13_expand_relu",
    "block_16_project_BN",
)
"""The layers whose features are taken at the strides 2, 4, 8, 16 and 32: where the net is widest before it halves, and
its last block; what follows that only serves to tell a thousand classes of photographs apart."""


def mobilenetv2_encoder(depth: int) -> keras.Model:
    """Build Keras's own MobileNetV2 with fresh weights, cut off after `depth` halvings.

    Its batch normalisation is made for millions of steps: moving averages with Keras's momentum of 0.999 would
    still be those of photographs after a short fine-tuning, so it gets the momentum of the other nets.

    Args:
        depth: Number of halvings, 1 to 5; 4 leave out the deepest quarter, which has two thirds of the weights.

    Returns:
        Model from uint8 (N, height, width, 3) to features at the strides 1, 2, 4 ... `2 ** depth`; the first are the
        pixels from -1 to 1.
    """
    pixels = raw_pixels()
    normalised = scaled(pixels)
    whole = keras.applications.MobileNetV2(include_top=False, weights=None, input_tensor=normalised)
    for layer in whole.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return encoder_model(pixels, [normalised, *(whole.get_layer(name).output for name in LEVELS[:depth])])


def mobilenetv2_weights(encoder: keras.Model, weights: str) -> LayerWeights:
    """Read the weights of a whole MobileNetV2 without its top.

    Args:
        encoder: A `mobilenetv2_encoder`; the same layers are read for each.
        weights: `imagenet` for Keras's own download, or the path of an `.h5` file of Keras's layers.

    Raises:
        InputError: If the download fails, or the file is damaged or does not fit.
    """
    remedy = (
        "download the file yourself and give its path" if weights == "imagenet" else "give an .h5 of MobileNetV2 1.0"
    )
    try:
        whole = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(224, 224, 3))
    except Exception as error:  # of the network, of h5py, or of Keras
        raise InputError(f"encoder weights {weights} cannot be loaded: {first_line(error)}; {remedy}") from None
    return weights_by_layer(whole)
