"""What runs a trained net: Keras itself, or OpenVINO, which is made for processors; and how precisely it computes."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import load_net

ENGINES = ("keras", "openvino")

PRECISIONS = ("float32", "bfloat16")

_OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class Engine(Protocol):
    """What runs a net; a Keras net is one."""

    def predict_on_batch(self, tiles: NDArray[np.uint8], /) -> Any:
        """Answer uint8 (N, height, width, 3) of any size that the net takes: float32 (N, height, width, 1), 0 to 1."""


def load_engine(weights: Path, engine: str = "keras", precision: str = "float32") -> Engine:
    """Load a segmenter and let an engine run it.

    Args:
        weights: `.keras` file.
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`, which layers compute in; the probability itself is float32 either way.

    Raises:
        InputError: If there is no such engine or precision, the file holds no segmenter, or the engine is not installed
            or cannot run that precision here.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r} to predict in; choose one of {', '.join(PRECISIONS)}")
    net: Engine = load_net(weights)
    if engine == "openvino":
        return _on_openvino(net, precision)
    if precision == "bfloat16":
        _compute_in_bfloat16(net)
    return net


class OpenVinoNet:
    """A net that OpenVINO runs on the processor, with as many threads as it finds best.

    Attributes:
        compiled: OpenVINO's compiled model; it takes any size that the net takes.
    """

    def __init__(self, path: Path, precision: str = "float32") -> None:
        """Compile what `path` holds, a SavedModel or OpenVINO's own `.xml`; it is not needed any more afterwards.

        Raises:
            InputError: If OpenVINO is not installed, or cannot compute in that precision on this processor.
        """
        core = import_openvino().Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("precision bfloat16 is more than OpenVINO can do on this processor; choose float32")
        # Without the hint it takes bfloat16 by itself wherever the processor is faster in it.
        hint = {"INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[precision]}
        self.compiled = core.compile_model(core.read_model(path), "CPU", hint)

    def predict_on_batch(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer uint8 (N, height, width, 3) as the Keras net does."""
        answer: NDArray[np.float32] = self.compiled(tiles)[0]
        return answer


def write_saved_model(net: Any, folder: Path) -> None:
    """Write a Keras net as TensorFlow's SavedModel, from which others can convert it.

    Raises:
        InputError: If Keras does not run on TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(f"nets are converted by TensorFlow, Keras runs on {backend}; set KERAS_BACKEND=tensorflow")
    net.export(str(folder), format="tf_saved_model", verbose=False)


def import_openvino() -> Any:
    """Import OpenVINO, without what reports to its makers that it is imported.

    Raises:
        InputError: If it is not installed.
    """
    # It does so unasked, and keeps a number for the user in their home. Where this package is missing, it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_extra("openvino", "openvino")


def import_extra(module: str, extra: str) -> Any:
    """Import a module that comes with an extra of this package.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'shipseg-tiles[{extra}]'") from None


def _on_openvino(net: Any, precision: str) -> OpenVinoNet:
    import_openvino()  # so that it is missed before the slow part
    # OpenVINO reads a SavedModel itself; its converter for nets in memory takes several times as long.
    with TemporaryDirectory() as folder:
        write_saved_model(net, Path(folder))
        return OpenVinoNet(Path(folder), precision)


def _compute_in_bfloat16(net: Any) -> None:
    """Let all layers compute in bfloat16 but the last one, the probability; weights stay float32."""
    for layer in _layers(net):
        if layer is not net.layers[-1]:
            layer.dtype_policy = "mixed_bfloat16"


def _layers(net: Any) -> Iterator[Any]:
    """Yield all layers of a net and of the nets inside it."""
    for layer in net.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
