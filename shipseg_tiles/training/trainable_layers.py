"""Which layers of a net learn."""

import re

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.encoder_weights import encoder_of


def choose_layers(net: keras.Model, layers: str, normalisation: str = "batch") -> None:
    """Let some layers of a net learn and freeze all others; frozen batch normalisation keeps its statistics too.

    Args:
        net: A net whose layer `encoder` is a model of its own, as `build_net` makes them.
        layers: `all`; `decoder` for all but the encoder, which in a classifier is its head; or `decoder+N` for these
            and what the encoder has after its N-th halving from the end.
        normalisation: `frozen` to freeze all batch normalisation besides.

    Raises:
        InputError: If it is something else, or the encoder has fewer than N halvings.
    """
    encoder = encoder_of(net, net.name)
    form = re.fullmatch(r"all|decoder(?:\+(\d+))?", layers)
    if not form:
        raise InputError(f"there are no layers {layers!r}; choose all, decoder, or decoder+N such as decoder+1")
    levels = int(form[1] or 0)
    if levels >= len(encoder.outputs):
        raise InputError(f"{layers} wants {levels} halvings of an encoder that has {len(encoder.outputs) - 1}")
    first = 0 if layers == "all" else _first_of(encoder, levels)
    for number, layer in enumerate(encoder.layers):
        layer.trainable = number >= first
    if normalisation == "frozen":
        for layer in (*encoder.layers, *net.layers):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def _first_of(encoder: keras.Model, levels: int) -> int:
    """Return the position of the first layer of the last so many levels."""
    if not levels:
        return len(encoder.layers)
    before = encoder.outputs[-1 - levels]._keras_history.operation
    position: int = encoder.layers.index(before)
    return position + 1
