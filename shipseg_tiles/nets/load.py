"""Weights to nets that are ready for inference."""

from pathlib import Path
from typing import Any, Literal

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.folding import fold_normalisation
from shipseg_tiles.nets.gate import answers_cells
from shipseg_tiles.nets.saved import load_model

NetKind = Literal["segmenter", "classifier", "gate"]

_ANSWERS = {(None, None, None, 1): "segmenter", (None, 1): "classifier"}
"""Kinds by the shape of what they answer; a gate's is that of a segmenter, but for its cells."""

_NAMES = {"segmenter": "net that segments", "classifier": "classifier, ship or no ship", "gate": "gate"}

_WANTED = {
    "segmenter": "a net that segments",
    "classifier": "a classifier such as train --net classifier makes",
    "gate": "a gate such as train --net gate makes",
}

_UNITS = {"segmenter": "a pixel", "classifier": "an image", "gate": "a cell"}


def load_net(weights: Path, kind: NetKind = "segmenter") -> Any:
    """Load a `.keras` file as data, ready for inference: its normalisation is folded, see `fold_normalisation`.

    Code inside it (a Lambda layer, a pickle) is refused by Keras's safe mode.

    Args:
        weights: The file.
        kind: What the net must be: a segmenter answers one probability a pixel, a classifier one an image, a gate one a
            cell.

    Raises:
        InputError: If the file is no such archive, holds code, or its net is none of the kind, from images of any size.
    """
    net = load_model(weights)
    found = _kind_of(net)
    if found == "":
        raise InputError(f"{weights} is no net from RGB images of any size to one probability {_UNITS[kind]}")
    if found != kind:
        raise InputError(f"{weights} is a {_NAMES[found]}; give the weights of {_WANTED[kind]}")
    return fold_normalisation(net)


def _kind_of(net: Any) -> str:
    """Say what a net is; empty if it is none of the kinds."""
    if answers_cells(net):
        return "gate"
    if getattr(net, "input_shape", None) != (None, None, None, 3):
        return ""
    return _ANSWERS.get(net.output_shape, "")
