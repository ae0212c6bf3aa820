import sys
from functools import cache
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.formats import FORMATS
from shipseg_tiles.nets.build import build_net

MODULES = {"onnx": ["tf2onnx", "onnxruntime"], "openvino": ["openvino"], "saved-model": [], "litert": []}
FILES = {
    "onnx": {"net.onnx"},
    "openvino": {"net.xml", "net.bin"},
    "saved-model": {"saved_model.pb", "fingerprint.pb", "variables", "assets"},
    "litert": {"net.tflite"},
}


CASES = [
    *(("unet", to) for to in MODULES),
    *(("mobilenetv2-unet", to) for to in MODULES if to != "saved-model"),  # which converts nothing
    ("classifier", "openvino"),
]
"""All kinds of layers: joined and added features, pooling, transposed and separable convolutions, uneven padding."""


def case(name, to):
    """Skipped where packages are missing. They are found, not imported: OpenVINO reports that."""
    missing = [module for module in MODULES[to] if not find_spec(module)]
    return pytest.param(name, to, marks=pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}"))


@cache
def decided_net(name):
    """A net that is not trained, but answers from nearly 0 to nearly 1; no test may change it."""
    keras.utils.set_random_seed(0)
    net = build_net(name, width=4, depth=2)
    kernel, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([20 * kernel, 0 * bias])
    return net


@pytest.mark.parametrize(("name", "to"), [case(*names) for names in CASES])
def test_what_is_written_answers_as_keras_at_any_size(name, to, tmp_path):
    """Runtimes may sum in another order, and fold batch normalisation into convolutions: a few of the last of 24 bits,
    6e-8 each. Batches of two sizes show that none was fixed."""
    net = decided_net(name)

    FORMATS[to].write(net, tmp_path)
    answer = FORMATS[to].open(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == FILES[to]
    for shape in [(2, 32, 48, 3), (3, 64, 16, 3)]:
        tiles = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        expected = net(tiles)
        np.testing.assert_allclose(np.asarray(answer(tiles)), expected, rtol=0, atol=1e-5)


@pytest.mark.skipif(not find_spec("tf2onnx"), reason="needs tf2onnx")
def test_onnx_adds_no_axis_that_could_be_left(tmp_path):
    """It was left in about one export of ten: the answers of a gate were (1, N, height, width, 1)."""
    import onnx

    pixels = keras.Input((None, None, 3), dtype="uint8")
    answer = keras.layers.Conv2D(1, 1, activation="sigmoid")(keras.layers.Rescaling(1 / 255)(pixels))

    FORMATS["onnx"].write(keras.Model(pixels, answer), tmp_path)

    graph = onnx.load(tmp_path / "net.onnx").graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    shapes = [constants.get(node.input[1], []) for node in graph.node if node.op_type == "Reshape"]
    assert shapes
    assert max(map(len, shapes)) <= 4


def test_every_format_is_tested():
    assert set(MODULES) == set(FORMATS)


@pytest.mark.parametrize(("to", "module"), [("onnx", "tf2onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_answered_with_its_extra(to, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(InputError, match=rf"{module} is not installed; .*pip install -e '\.\[{to}\]'$"):
        FORMATS[to].write(decided_net("unet"), tmp_path)
