"""What runs a trained net: Keras itself, or OpenVINO, which is made for processors; and how precisely it computes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.openvino_engine import check_backend, on_openvino
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.nets.ensemble import NET
from shipseg_tiles.nets.load import load_net

ENGINES = ("keras", "openvino")

PRECISIONS = ("float32", "bfloat16", "int8")
"""What layers compute in; the probability itself is float32 in the first two."""


class Engine(Protocol):
    """What runs a net; a Keras net is one."""

    def predict_on_batch(self, tiles: NDArray[np.uint8], /) -> Any:
        """Answer uint8 (N, height, width, 3) of any size that the net takes: float32 (N, height, width, 1), 0 to 1."""


def load_engine(weights: Path, engine: str = "keras", precision: str = "float32") -> Engine:
    """Load a segmenter and let an engine run it.

    Args:
        weights: `.keras` file with its contract beside it.
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`; OpenVINO alone does int8.

    Raises:
        InputError: If there is no such engine or precision, the files do not belong together or hold no segmenter, or
            the engine is not installed or cannot compute so here.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r} to predict in; choose one of {', '.join(PRECISIONS)}")
    if (engine, precision) == ("keras", "int8"):
        raise InputError("engine keras does not compute in int8; choose engine openvino or precision bfloat16")
    if engine == "openvino":
        check_backend()
    return run_by(engine, load_net(weights), read_contract(weights), precision)


def run_by(engine: str, net: Any, contract: Contract, precision: str = "float32") -> Engine:
    """Let an engine run a net that is loaded: a Keras model from uint8 (N, height, width, 3), and how it is used.

    Raises:
        InputError: If the engine is not installed or cannot compute so here.
    """
    if engine == "openvino":
        return on_openvino(net, precision, contract)
    if precision == "bfloat16":
        _compute_in_bfloat16(net)
    keras_net: Engine = net
    return keras_net


def _compute_in_bfloat16(net: Any) -> None:
    """Let all layers compute in bfloat16 but what makes and joins probabilities; weights stay float32."""
    members = [layer for layer in net.layers if isinstance(layer, keras.Model)] if net.name == NET else [net]
    for member in members:
        for layer in _layers(member):
            if layer is not member.layers[-1]:
                layer.dtype_policy = "mixed_bfloat16"


def _layers(net: Any) -> Iterator[Any]:
    """Yield all layers of a net and of the nets inside it."""
    for layer in net.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
