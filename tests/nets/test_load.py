from itertools import permutations

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.load import load_net

NETS = {"segmenter": "unet", "classifier": "classifier", "gate": "gate"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Weights of each kind."""
    folder = tmp_path_factory.mktemp("weights")
    for kind, name in NETS.items():
        build_net(name, width=1, depth=1).save(folder / f"{kind}.keras")
    return folder


@pytest.mark.parametrize("kind", NETS)
def test_a_net_comes_back_as_it_was_with_its_normalisation_folded(saved, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)

    net = load_net(saved / f"{kind}.keras", kind)

    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in net.layers)
    expected = keras.saving.load_model(saved / f"{kind}.keras").predict_on_batch(pixels)
    np.testing.assert_allclose(net.predict_on_batch(pixels), expected, atol=1e-5)


TOLD = {
    "segmenter": "a net that segments",
    "classifier": "a classifier, ship or no ship",
    "gate": "a gate",
}

WANTED = {
    "segmenter": "a net that segments",
    "classifier": "a classifier such as train --net classifier makes",
    "gate": "a gate such as train --net gate makes",
}


@pytest.mark.parametrize(("found", "kind"), [*permutations(NETS, 2)])
def test_a_net_of_another_kind_is_refused_as_such(saved, found, kind):
    with pytest.raises(InputError, match=rf"{found}\.keras is {TOLD[found]}; give the weights of {WANTED[kind]}"):
        load_net(saved / f"{found}.keras", kind)


@pytest.mark.parametrize(
    ("shape", "answers"), [((None, None, 3), 2), ((None, None, 1), 1), ((64, 64, 3), 1)], ids=["two", "gray", "fixed"]
)
@pytest.mark.parametrize(("kind", "unit"), [("segmenter", "a pixel"), ("classifier", "an image"), ("gate", "a cell")])
def test_a_net_of_another_shape_is_refused(tmp_path, shape, answers, kind, unit):
    pixels = keras.Input(shape, dtype="uint8")
    answer = keras.layers.Conv2D(answers, 1)(keras.layers.Rescaling(1 / 255)(pixels))
    if kind == "classifier":
        answer = keras.layers.GlobalMaxPooling2D()(answer)
    keras.Model(pixels, answer).save(tmp_path / "net.keras")

    with pytest.raises(InputError, match=f"no net from RGB images of any size to one probability {unit}"):
        load_net(tmp_path / "net.keras", kind)
