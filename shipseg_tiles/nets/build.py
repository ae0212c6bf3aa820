"""Nets by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.blocks import NORMALISATIONS, probability, raw_pixels, shrink_pixels
from shipseg_tiles.nets.classifier import ship_probability
from shipseg_tiles.nets.decoder import light_decoder
from shipseg_tiles.nets.encoder_weights import Pretrained, load_encoder, no_pretrained
from shipseg_tiles.nets.gate import CELL, SHRINK, gate_encoder, gather_cells, look_around
from shipseg_tiles.nets.mobilenetv2 import mobilenetv2_encoder, mobilenetv2_weights
from shipseg_tiles.nets.resnet34 import resnet34_encoder, resnet34_weights
from shipseg_tiles.nets.unet import unet_decoder, unet_encoder
from shipseg_tiles.nets.xception import xception_decoder, xception_encoder


@dataclass(frozen=True)
class Encoder:
    """A kind of encoder.

    Attributes:
        build: Builds it of a width, a depth and a normalisation.
        deepest: The most halvings that it can do.
        shallowest: The least that it is built with.
        shrink: How many times smaller, along a side, it is shown the image.
        normalisations: Those that it can be built with.
        pretrained: Reads the weights that others publish for it.
    """

    build: Callable[[int, int, str], keras.Model]
    deepest: int = 6
    shallowest: int = 1
    shrink: int = 1
    normalisations: tuple[str, ...] = ("batch",)
    pretrained: Pretrained = no_pretrained


PLAIN = Encoder(unet_encoder, normalisations=NORMALISATIONS)
XCEPTION = Encoder(lambda width, depth, _: xception_encoder(width, depth))
MOBILENETV2 = Encoder(lambda _width, depth, _: mobilenetv2_encoder(depth), deepest=5, pretrained=mobilenetv2_weights)
RESNET34 = Encoder(lambda _width, depth, _: resnet34_encoder(depth), deepest=5, pretrained=resnet34_weights)
GATE = Encoder(lambda width, _depth, _: gate_encoder(width))

Decoder: TypeAlias = Callable[[list[Any], int, str], Any]
"""Builds a decoder behind an encoder's features, of a width and a normalisation."""

SEGMENTERS: dict[str, tuple[Encoder, Decoder]] = {
    "unet": (PLAIN, unet_decoder),
    "xception-unet": (XCEPTION, lambda maps, width, _: xception_decoder(maps, width)),
    "mobilenetv2-unet": (MOBILENETV2, lambda maps, width, _: light_decoder(maps, width)),
    "resnet34-unet": (RESNET34, lambda maps, width, _: light_decoder(maps, width)),
}
"""Nets that answer a probability for each pixel."""

CLASSIFIERS = {"classifier": PLAIN, "mobilenetv2-classifier": MOBILENETV2, "resnet34-classifier": RESNET34}
"""Nets that answer one probability, that the image shows a ship; a segmenter can take over the encoder."""

GATES: dict[str, tuple[Encoder, Decoder]] = {
    "gate": (GATE, lambda maps, _width, _: look_around(maps[-1])),
    "mobilenetv2-gate": (
        replace(MOBILENETV2, shallowest=3, shrink=SHRINK),
        lambda maps, width, _: gather_cells(maps, width),
    ),
}
"""Nets that answer a probability for each cell of the image, that it shows a part of a ship."""

NETS = (*SEGMENTERS, *CLASSIFIERS, *GATES)

_DECODED = SEGMENTERS | GATES

_ENCODERS = {name: encoder for name, (encoder, _) in _DECODED.items()} | CLASSIFIERS


def build_net(
    name: str, width: int, depth: int, *, normalisation: str = "batch", encoder_weights: str = "none"
) -> keras.Model:
    """Build a net.

    Args:
        name: One of `NETS`.
        width: Filters at the highest resolution of what is built here, 1 or more; they double at each halving.
        depth: Number of halvings, 1 to 6, or to 5 where the encoder has no more. The plain gate halves down to its
            cells whatever is asked for, the other needs 3. What sides of images follow says `side_multiple`.
        normalisation: One of `NORMALISATIONS`; only the plain encoder can do without.
        encoder_weights: `none` for fresh ones, `imagenet`, or a path, see `load_encoder`.

    Returns:
        Model from uint8 (N, height, width, 3) to probabilities float32: (N, height, width, 1) of one of `SEGMENTERS`,
        (N, 1) of one of `CLASSIFIERS`, (N, height / CELL, width / CELL, 1) of one of `GATES`. Its layer `encoder` is a
        model of its own.

    Raises:
        InputError: If there is no net of that name, an option is out of its range, or the weights do not fit.
    """
    if name not in NETS:
        raise InputError(f"there is no net {name!r}; choose one of {', '.join(NETS)}")
    kind = _ENCODERS[name]
    if width < 1 or not kind.shallowest <= depth <= kind.deepest:
        allowed = f"from {kind.shallowest} to {kind.deepest}"
        raise InputError(f"width {width} must be 1 or more and depth {depth} {allowed}")
    if normalisation not in kind.normalisations:
        known = " or ".join(kind.normalisations)
        raise InputError(f"{name} has no normalisation {normalisation!r}; choose {known}")
    encoder = kind.build(width, depth, normalisation)
    load_encoder(encoder, encoder_weights, kind.pretrained)
    pixels = raw_pixels()
    seen = shrink_pixels(pixels, kind.shrink) if kind.shrink > 1 else pixels
    return keras.Model(pixels, _answer(name, encoder(seen), width, normalisation), name=name)


def _answer(name: str, maps: list[Any], width: int, normalisation: str) -> Any:
    if name in CLASSIFIERS:
        return ship_probability(maps[-1])
    decode = _DECODED[name][1]
    return probability(decode(maps, width, normalisation))


def side_multiple(name: str, depth: int) -> int:
    """Return what the sides of all that a net of a name and a depth sees must be multiples of, in pixels."""
    multiple: int = CELL if name == "gate" else _ENCODERS[name].shrink * 2**depth
    return multiple
