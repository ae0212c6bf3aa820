"""Kinds of files that other runtimes read a net from: how each is written, and how it is opened in its own runtime."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.extras import import_extra
from shipseg_tiles.inference.openvino_engine import OpenVinoNet, import_openvino, write_saved_model

Answers = Callable[[NDArray[np.uint8]], Any]
"""Maps uint8 (N, height, width, 3) to what a net answers."""


@dataclass(frozen=True)
class Format:
    """A kind of files that other runtimes read.

    Attributes:
        write: Writes a Keras net into a folder.
        open: Opens what was written, in a runtime of that kind.
    """

    write: Callable[[Any, Path], None]
    open: Callable[[Path], Answers]


def _write_onnx(net: Any, folder: Path) -> None:
    import_extra("tf2onnx", "onnx")
    # This step makes a reshape of the last transposition and at times, as its order is that of chance, leaves the axis
    # of 1 in front of the answers that it has added to them.
    import_extra("tf2onnx.optimizer", "onnx")._optimizers.pop("reshape_optimizer", None)
    # Said explicitly, since Keras refuses to find it out from a net that was loaded and not yet used.
    pixels = keras.InputSpec(shape=net.input_shape, dtype="uint8", name="pixels")
    net.export(str(folder / "net.onnx"), format="onnx", verbose=False, input_signature=[pixels])


def _open_onnx(folder: Path) -> Answers:
    runtime = import_extra("onnxruntime", "onnx")
    session = runtime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    pixels = session.get_inputs()[0].name
    return lambda tiles: session.run(None, {pixels: tiles})[0]


def _write_openvino(net: Any, folder: Path) -> None:
    openvino = import_openvino()
    with TemporaryDirectory() as saved_model:
        write_saved_model(net, Path(saved_model))
        model = openvino.Core().read_model(saved_model)
        openvino.save_model(model, folder / "net.xml", compress_to_fp16=False)


def _open_openvino(folder: Path) -> Answers:
    return OpenVinoNet(import_openvino().Core().read_model(folder / "net.xml")).predict_on_batch


def _open_saved_model(folder: Path) -> Answers:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    return lambda tiles: loaded.serve(tiles)  # `loaded.serve` alone would let go of the weights


def _write_litert(net: Any, folder: Path) -> None:
    import tensorflow as tf

    with TemporaryDirectory() as saved_model:
        write_saved_model(net, Path(saved_model))
        (folder / "net.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(saved_model).convert())


def _open_litert(folder: Path) -> Answers:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it moves to a package of its own
        interpreter = tf.lite.Interpreter(str(folder / "net.tflite"))
    pixels, answers = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def answer(tiles: NDArray[np.uint8]) -> Any:
        interpreter.resize_tensor_input(pixels, tiles.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(pixels, tiles)
        interpreter.invoke()
        return interpreter.get_tensor(answers)

    return answer


FORMATS = {
    "onnx": Format(_write_onnx, _open_onnx),
    "openvino": Format(_write_openvino, _open_openvino),
    "saved-model": Format(write_saved_model, _open_saved_model),
    "litert": Format(_write_litert, _open_litert),
}
"""What a net can be exported to."""
