from importlib.util import find_spec

import keras
import numpy as np
import pytest

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.engines import load_engine
from shipseg_tiles.inference.openvino_engine import OpenVinoNet
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.nets.ensemble import write_ensemble
from shipseg_tiles.nets.load import load_net

# Not importorskip: it would import OpenVINO with its reports.
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")


def save(net, path):
    net.save(path)
    values = {"weights_sha256": checksum(path), "net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 4}
    use = {"tile": 64, "overlap": 0.25, "tile_multiple": 4, "receptive_field": 0}
    write_contract(Contract(**values | use), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A net that is not trained, but answers from nearly 0 to nearly 1."""
    keras.utils.set_random_seed(0)
    net = build_net("unet", width=4, depth=2)
    kernel, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([20 * kernel, 0 * bias])
    return save(net, tmp_path_factory.mktemp("weights") / "net.keras")


TILES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def test_keras_at_float32_is_the_net_as_it_is(weights):
    engine = load_engine(weights)

    assert isinstance(engine, keras.Model)
    answer = engine.predict_on_batch(TILES)
    assert np.array_equal(answer, load_net(weights).predict_on_batch(TILES))
    assert answer.min() < 0.2
    assert answer.max() > 0.8


def test_keras_computes_in_bfloat16_all_but_the_probability(weights):
    """The encoder is a net inside the net; its layers count as well. Seen are 8 of the 24 bits of each number, so the
    answers differ, by 2 ** -8 of the log odds at each of a dozen layers: a few hundredths where the slope is 1 / 4."""
    net = load_engine(weights, precision="bfloat16")

    answer = net.predict_on_batch(TILES)

    encoder = net.get_layer("encoder")
    computed = {layer.name: layer.compute_dtype for layer in [*net.layers, *encoder.layers] if layer.weights}
    assert computed.pop("probability") == "float32"
    assert computed.pop("encoder") == "float32"  # the net inside computes nothing itself
    assert "down0_conv1" in computed
    assert set(computed.values()) == {"bfloat16"}
    assert {str(variable.dtype) for variable in net.variables} == {"float32"}
    assert answer.dtype == np.float32
    difference = np.abs(answer - load_net(weights).predict_on_batch(TILES)).max()
    assert 1e-4 < difference < 0.1


def test_members_of_an_ensemble_make_their_probabilities_in_float32_and_so_are_they_joined(weights, tmp_path):
    write_ensemble([weights, weights], tmp_path / "both.keras")

    net = load_engine(tmp_path / "both.keras", precision="bfloat16")

    for layer in net.layers:
        member = isinstance(layer, keras.Model)
        assert (layer.layers[-1] if member else layer).compute_dtype == "float32"
        assert not member or layer.get_layer("up0_conv1").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("engine", "precision", "reason"),
    [
        ("tensorrt", "float32", "there is no engine 'tensorrt'; choose one of keras, openvino"),
        ("openvino", "float16", "there is no precision 'float16' to predict in; choose one of float32, bfloat16, int8"),
        ("keras", "int8", "keras does not compute in int8; choose engine openvino or precision bfloat16"),
    ],
)
def test_an_engine_or_precision_that_is_none_is_refused(weights, engine, precision, reason):
    with pytest.raises(InputError, match=reason):
        load_engine(weights, engine, precision)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_a_classifier_is_refused(tmp_path, engine):
    weights = save(build_net("classifier", width=1, depth=1), tmp_path / "net.keras")

    with pytest.raises(InputError, match=r"net\.keras is a classifier"):
        load_engine(weights, engine)


@needs_openvino
def test_openvino_runs_the_net_if_it_is_asked_to(weights):
    engine = load_engine(weights, "openvino")

    assert isinstance(engine, OpenVinoNet)
    np.testing.assert_allclose(
        engine.predict_on_batch(TILES), load_net(weights).predict_on_batch(TILES), rtol=0, atol=1e-5
    )
