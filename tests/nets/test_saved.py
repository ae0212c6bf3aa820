from zipfile import ZipFile

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets import saved
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.saved import first_line, load_model, save_packed


def test_a_net_comes_back(tmp_path):
    net = build_net("classifier", width=2, depth=1)
    net.save(tmp_path / "net.keras")

    loaded = load_model(tmp_path / "net.keras")

    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(loaded(pixels), net(pixels), atol=1e-6)


@pytest.mark.parametrize("content", [None, b"", b"no net"])
def test_a_file_that_is_no_net_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "net.keras").write_bytes(content)

    with pytest.raises(InputError, match=r"net\.keras cannot be loaded as a Keras net: .") as caught:
        load_model(tmp_path / "net.keras")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["net.h5", "net.hdf5", "net.KERAS", "net"])
def test_a_net_in_another_format_is_refused_whatever_hangs_on_it(tmp_path, name):
    """Keras chooses what loads a file by its suffix, and what loads HDF5 has no safe mode. It is a zip as well here."""
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "net.h5")
    with ZipFile(tmp_path / "net.h5", "a") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "net.h5").rename(tmp_path / name)

    with pytest.raises(InputError, match=rf"{name} is no \.keras file; save the net as one with Keras 3"):
        load_model(tmp_path / name)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "net.keras")
    monkeypatch.setattr(saved, "MAXIMUM_BYTES", 100)

    with pytest.raises(InputError, match=r"net\.keras cannot be loaded .* more than 100$"):
        load_model(tmp_path / "net.keras")


def test_an_error_without_words_is_called_by_its_kind():
    assert first_line(KeyError()) == "KeyError"
    assert first_line(ValueError("\n one\ntwo")) == "one"


def test_a_net_with_code_inside_is_refused_and_the_code_does_not_run(tmp_path):
    """The lambda of the layer would leave a file behind if it ever ran while loading."""
    evidence = tmp_path / "the code ran"
    pixels = keras.Input((None, None, 3), dtype="uint8")

    def code(values, path=str(evidence)):
        from pathlib import Path

        Path(path).touch()
        return values[..., :1]

    answer = keras.layers.Lambda(code, output_shape=(None, None, 1))(keras.layers.Rescaling(1 / 255)(pixels))
    keras.Model(pixels, answer).save(tmp_path / "net.keras")
    evidence.unlink(missing_ok=True)

    with pytest.raises(InputError, match="cannot be loaded as a Keras net"):
        load_model(tmp_path / "net.keras")
    assert not evidence.exists()


def test_a_packed_net_is_smaller_and_answers_nearly_the_same(tmp_path):
    """11 bits, the first of which is 1, are an error of one in 2048 at most."""
    net = build_net("mobilenetv2-classifier", width=4, depth=2)
    before = [array.copy() for array in net.get_weights()]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    answer = net(pixels)
    net.save(tmp_path / "net.keras")

    save_packed(net, tmp_path / "packed.keras")

    loaded = load_model(tmp_path / "packed.keras")
    for now, was in zip(loaded.get_weights(), before, strict=True):
        np.testing.assert_allclose(now, was, rtol=1 / 2048)
    assert any((now != was).any() for now, was in zip(loaded.get_weights(), before, strict=True))
    np.testing.assert_allclose(loaded(pixels), answer, atol=1e-2)
    sizes = [(tmp_path / name).stat().st_size for name in ("packed.keras", "net.keras")]
    assert sizes[0] < 0.3 * sizes[1]


def test_a_net_with_a_number_among_its_weights_is_packed_too(tmp_path):
    """This layer counts what it has seen."""
    net = keras.Sequential([keras.Input((4,)), keras.layers.Normalization()])

    save_packed(net, tmp_path / "packed.keras")

    assert [array.shape for array in load_model(tmp_path / "packed.keras").get_weights()] == [(4,), (4,), ()]
