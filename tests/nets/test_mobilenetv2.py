from pathlib import Path

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.mobilenetv2 import LEVELS, mobilenetv2_encoder

FILE = Path(__file__).parents[3] / "shared" / "pretrained" / "mobilenet_v2_1.0_224_no_top.weights.h5"


@pytest.fixture(scope="module")
def whole():
    """Keras's net with weights of its own, among them moving averages that are not those of a fresh net."""
    keras.utils.set_random_seed(1)
    net = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))
    random = np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return net


@pytest.fixture(scope="module")
def file(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    whole.save_weights(path)
    return path


def assert_same_features(encoder, whole):
    """All levels of the encoder see what Keras's net sees of the same pixels, brought to -1 to 1 here."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    levels = keras.Model(whole.input, [whole.get_layer(name).output for name in LEVELS])
    expected = levels(pixels.astype(np.float32) / 127.5 - 1)

    found = encoder(pixels)

    np.testing.assert_allclose(found[0], pixels / 127.5 - 1, atol=1e-6)
    for mine, theirs in zip(found[1:], expected, strict=False):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("depth", [2, 5])
def test_weights_of_kerass_net_give_its_features(whole, file, depth):
    net = build_net("mobilenetv2-unet", width=2, depth=depth, encoder_weights=str(file))

    assert_same_features(net.get_layer("encoder"), whole)


@pytest.mark.skipif(not FILE.is_file(), reason="the pretrained file is not part of the repository")
def test_the_pretrained_file_gives_its_features():
    net = build_net("mobilenetv2-unet", width=2, depth=4, encoder_weights=str(FILE))

    whole = keras.applications.MobileNetV2(include_top=False, weights=str(FILE), input_shape=(64, 64, 3))
    assert_same_features(net.get_layer("encoder"), whole)


def test_depth_cuts_weights_off():
    """Without its top MobileNetV2 has 2,257,984 numbers; the last convolution and its normalisation, which the encoder
    does without, have 320 * 1280 + 4 * 1280."""
    assert mobilenetv2_encoder(5).count_params() == 2_257_984 - 321 * 1280 - 3 * 1280
    assert mobilenetv2_encoder(4).count_params() < 2_257_984 / 3


def test_moving_averages_follow_a_short_fine_tuning(tmp_path):
    """In all normalisations, also when the net comes back from a file."""
    build_net("mobilenetv2-unet", width=1, depth=2).save(tmp_path / "net.keras")
    encoder = keras.saving.load_model(tmp_path / "net.keras", safe_mode=True).get_layer("encoder")

    momenta = [layer.momentum for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]

    assert len(momenta) > 5
    assert set(momenta) == {0.9}


@pytest.mark.parametrize("length", [0, 1000, 100_000])
def test_a_damaged_file_is_refused_by_name(file, tmp_path, length):
    damaged = tmp_path / "damaged.weights.h5"
    damaged.write_bytes(file.read_bytes()[:length])

    with pytest.raises(InputError, match=r"damaged\.weights\.h5 cannot be loaded: .*; give an \.h5 of") as caught:
        build_net("mobilenetv2-unet", 2, 2, encoder_weights=str(damaged))
    assert "\n" not in str(caught.value)


def test_a_file_of_another_net_is_refused_by_name(tmp_path):
    narrow = keras.applications.MobileNetV2(include_top=False, weights=None, alpha=0.35, input_shape=(64, 64, 3))
    narrow.save_weights(tmp_path / "narrow.weights.h5")

    with pytest.raises(InputError, match=r"narrow\.weights\.h5 cannot be loaded"):
        build_net("mobilenetv2-unet", 2, 2, encoder_weights=str(tmp_path / "narrow.weights.h5"))


@pytest.mark.skipif(
    any((Path.home() / ".keras" / "models").glob("mobilenet_v2_weights*_1.0_224_no_top.h5")),
    reason="the download was made already",
)
def test_a_download_that_fails_is_refused_with_a_remedy(monkeypatch):
    """All traffic goes to a port that nobody listens on."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(
        InputError, match=r"imagenet cannot be loaded: .*; download the file yourself and give its path"
    ):
        build_net("mobilenetv2-unet", 2, 2, encoder_weights="imagenet")
