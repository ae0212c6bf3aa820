"""A trained net that OpenVINO runs: how it gets there, and how precisely it computes."""

import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.simulate import SMALLEST_SIZE, simulate_scene
from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import import_extra
from shipseg_tiles.inference.views import at_training_scale
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.tiling import TileGrid

CALIBRATION_SCENES = 24
"""150 brought int8 hardly nearer to float32 on real images, and take half a minute longer."""

CALIBRATION_SIDE = 256
"""Side in pixels of a scene, at the scale that the net sees it."""

_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""What layers compute in, at each precision, but for those that were turned into integers."""

_SHAPES_KEPT = 16
"""Of tiles, for which a net is compiled, some 60 MB each: images of up to 768 px take tiles of a dozen sizes."""


class OpenVinoNet:
    """A net that OpenVINO runs on the processor, with as many threads as it finds best.

    It is compiled for each shape of tiles, which takes a tenth of a second or a few: knowing the shape it joins layers
    that it keeps apart otherwise, and a tile takes a tenth to a fifth less time, in bfloat16 a quarter.

    Attributes:
        compiled: Compiles the model for a shape (N, height, width, 3), None for any that the net takes; what was
            compiled last is kept.
    """

    def __init__(self, model: Any, precision: str = "float32") -> None:
        """Take an OpenVINO model, to compute in one of `PRECISIONS`.

        Raises:
            InputError: If OpenVINO cannot compute so on this processor.
        """
        core = import_openvino().Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("precision bfloat16 is more than OpenVINO can do on this processor; choose float32")
        self.compiled = lru_cache(_SHAPES_KEPT)(partial(_compile, core, model, _HINTS[precision]))
        self._turn = threading.Lock()

    def predict_on_batch(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer uint8 (N, height, width, 3) as the Keras net does; threads may ask at the same time."""
        # Tiles are squares of few sizes; bands, which a gate sees, may have any width.
        shape = tiles.shape if tiles.shape[1] == tiles.shape[2] else None
        with self._turn:  # each of them has all cores
            answer: NDArray[np.float32] = self.compiled(shape)(tiles, share_inputs=True)[0]
        return answer


def _compile(core: Any, model: Any, hint: str, shape: tuple[int, ...] | None) -> Any:
    """Compile an OpenVINO model for a shape, None for any, to compute in the number format of a hint."""
    if shape is not None:
        model = model.clone()
        model.reshape(shape)
    # Without the hint it takes bfloat16 by itself wherever the processor is faster in it.
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})


def on_openvino(net: Any, precision: str, contract: Contract) -> OpenVinoNet:
    """Hand a Keras net to OpenVINO.

    Args:
        net: Keras model from uint8 (N, height, width, 3).
        precision: One of `PRECISIONS`.
        contract: How the net is used.

    Raises:
        InputError: If OpenVINO, or what int8 needs, is not installed, cannot compute so on this processor, or Keras
            does not run on TensorFlow.
    """
    openvino = import_openvino()
    # It reads a SavedModel itself; its converter for nets in memory takes several times as long.
    with TemporaryDirectory() as folder:
        write_saved_model(net, Path(folder))
        model = openvino.Core().read_model(folder)
        return OpenVinoNet(_in_integers(model, contract) if precision == "int8" else model, precision)


def check_backend() -> None:
    """Refuse, before anything is loaded or built, to convert nets without TensorFlow.

    Raises:
        InputError: If Keras does not run on TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(f"nets are converted by TensorFlow, Keras runs on {backend}; set KERAS_BACKEND=tensorflow")


def write_saved_model(net: Any, folder: Path) -> None:
    """Write a Keras net as TensorFlow's SavedModel, from which others can convert it.

    Raises:
        InputError: If Keras does not run on TensorFlow.
    """
    check_backend()
    net.export(str(folder), format="tf_saved_model", verbose=False)


def _in_integers(model: Any, contract: Contract) -> Any:
    """Turn an OpenVINO model into one whose convolutions compute in 8-bit integers.

    Their ranges are found on simulated scenes, the same in each run: a mask shall not depend on which other images
    were predicted with it.
    """
    nncf = import_extra("nncf", "openvino")
    scenes = list(calibration_scenes(contract))
    with redirect_stdout(sys.stderr):  # of its progress bars
        return nncf.quantize(model, nncf.Dataset(scenes), subset_size=len(scenes))


def calibration_scenes(contract: Contract) -> Iterator[NDArray[np.uint8]]:
    """Yield simulated scenes as the net sees them, uint8 (1, side, side, 3); two of three show ships."""
    size = max(SMALLEST_SIZE, round(CALIBRATION_SIDE * contract.shrink))
    for index in range(CALIBRATION_SCENES):
        scene = at_training_scale(simulate_scene(0, index, size=size, empty=index % 3 == 0).image, contract)
        height, width = scene.shape[:2]
        grid = TileGrid.covering(height, width, CALIBRATION_SIDE, 0.0, contract.tile_multiple)
        yield grid.pad(scene)[np.newaxis, : grid.tile, : grid.tile]


def import_openvino() -> Any:
    """Import OpenVINO, without what reports to its makers that it is imported.

    Raises:
        InputError: If it is not installed.
    """
    # It does so unasked, and keeps a number for the user in their home. Where this package is missing, it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_extra("openvino", "openvino")
