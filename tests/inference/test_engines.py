import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.engines import import_openvino, load_engine
from shipseg_tiles.inference.predictor import load_net
from shipseg_tiles.nets.build import build_net

# Not importorskip: it would import OpenVINO with its reports.
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")

SHAPES = [(2, 32, 32), (1, 48, 64), (3, 16, 20)]
"""Of batches that a net of depth 2 takes: multiples of 4."""


def decided_net(name="unet"):
    """A net that is not trained, but answers from nearly 0 to nearly 1."""
    keras.utils.set_random_seed(0)
    net = build_net(name, width=4, depth=2)
    kernel, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([20 * kernel, 0 * bias])
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.keras"
    decided_net().save(path)
    return path


def noise(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def has_bfloat16():
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_keras_at_float32_is_the_net_as_it_is(weights):
    tiles = noise((2, 32, 32))

    engine = load_engine(weights)

    assert isinstance(engine, keras.Model)
    answer = engine.predict_on_batch(tiles)
    assert np.array_equal(answer, load_net(weights).predict_on_batch(tiles))
    assert answer.min() < 0.2
    assert answer.max() > 0.8


def test_keras_computes_in_bfloat16_all_but_the_probability(weights):
    """The encoder is a net inside the net; its layers count as well. Seen are 8 of the 24 bits of each number, so the
    answers differ, by 2 ** -8 of the log odds at each of a dozen layers: a few hundredths where the slope is 1 / 4."""
    tiles = noise((2, 32, 32))
    net = load_engine(weights, precision="bfloat16")

    answer = net.predict_on_batch(tiles)

    encoder = net.get_layer("encoder")
    computed = {layer.name: layer.compute_dtype for layer in [*net.layers, *encoder.layers] if layer.weights}
    assert computed.pop("probability") == "float32"
    assert computed.pop("encoder") == "float32"  # the net inside computes nothing itself
    assert "down0_conv1" in computed
    assert set(computed.values()) == {"bfloat16"}
    assert {str(variable.dtype) for variable in net.variables} == {"float32"}
    assert answer.dtype == np.float32
    difference = np.abs(answer - load_net(weights).predict_on_batch(tiles)).max()
    assert 1e-4 < difference < 0.1


@needs_openvino
def test_openvino_at_float32_answers_as_keras_at_any_size(weights):
    """OpenVINO may sum in another order, and folds the batch normalisation into the convolutions: a few of the last of
    24 bits, 6e-8 each."""
    expected, found = load_net(weights), load_engine(weights, "openvino")

    for shape in SHAPES:
        answer = found.predict_on_batch(noise(shape))

        assert answer.shape == (*shape, 1)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected.predict_on_batch(noise(shape)), rtol=0, atol=1e-5)


@needs_openvino
def test_openvino_never_chooses_another_precision(weights):
    """Left alone it computes in bfloat16 wherever the processor is made for it."""
    engine = load_engine(weights, "openvino")

    assert engine.compiled.get_property("INFERENCE_PRECISION_HINT") == import_openvino().Type.f32


@needs_openvino
def test_openvino_computes_in_bfloat16_or_says_that_it_cannot(weights):
    """For the bounds see Keras in bfloat16."""
    if not has_bfloat16():
        with pytest.raises(InputError, match="precision bfloat16 is more than OpenVINO can do on this processor"):
            load_engine(weights, "openvino", "bfloat16")
        return
    tiles = noise((2, 32, 32))

    answer = load_engine(weights, "openvino", "bfloat16").predict_on_batch(tiles)

    assert answer.dtype == np.float32
    difference = np.abs(answer - load_net(weights).predict_on_batch(tiles)).max()
    assert 1e-4 < difference < 0.1


@needs_openvino
def test_openvino_does_not_report_to_its_makers():
    """In its place stands OpenVINO's own stub, which sends nothing."""
    import_openvino()

    assert sys.modules["openvino_telemetry"] is None
    assert "openvino.tools.ovc.telemetry_stub" in sys.modules


def test_a_missing_openvino_is_answered_with_its_extra(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(InputError, match=r"openvino is not installed: pip install 'shipseg-tiles\[openvino\]'"):
        load_engine(weights, "openvino")


@pytest.mark.parametrize(
    ("engine", "precision", "reason"),
    [
        ("tensorrt", "float32", "there is no engine 'tensorrt'; choose one of keras, openvino"),
        ("keras", "int8", "there is no precision 'int8' to predict in; choose one of float32, bfloat16"),
    ],
)
def test_an_unknown_engine_or_precision_is_refused(weights, engine, precision, reason):
    with pytest.raises(InputError, match=reason):
        load_engine(weights, engine, precision)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_a_classifier_is_refused(tmp_path, engine):
    build_net("classifier", width=1, depth=1).save(tmp_path / "net.keras")

    with pytest.raises(InputError, match=r"net\.keras is a classifier"):
        load_engine(tmp_path / "net.keras", engine)
