import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.openvino_engine import calibration_scenes, import_openvino, on_openvino
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract

# Not importorskip: it would import OpenVINO with its reports.
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")
needs_nncf = pytest.mark.skipif(not find_spec("nncf"), reason="the extra openvino is not installed")


def contract(**changes):
    values = {"weights_sha256": "", "net": "unet", "patch": 64, "threshold": 0.5, "minimum_area": 4}
    use = {"tile": 64, "overlap": 0.25, "tile_multiple": 4, "receptive_field": 0}
    return Contract(**values | use | changes)


@pytest.fixture(scope="module")
def net():
    """A net that is not trained, but answers from nearly 0 to nearly 1."""
    keras.utils.set_random_seed(0)
    net = build_net("unet", width=4, depth=2)
    kernel, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([20 * kernel, 0 * bias])
    return net


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@needs_openvino
def test_float32_answers_as_keras_at_any_size(net):
    """OpenVINO may sum in another order, and folds the batch normalisation into the convolutions: a few of the last of
    24 bits, 6e-8 each."""
    engine = on_openvino(net, "float32", contract())

    for tiles in (noise(2, 32, 32), noise(1, 48, 64), noise(3, 16, 20)):
        answer = engine.predict_on_batch(tiles)

        assert answer.shape == (*tiles.shape[:3], 1)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, net.predict_on_batch(tiles), rtol=0, atol=1e-5)


@needs_openvino
def test_threads_may_ask_at_the_same_time(net):
    engine = on_openvino(net, "float32", contract())
    tiles = [noise(1, 96, 32 * width) for width in (1, 2, 3, 4)] * 8
    alone = [engine.predict_on_batch(tile) for tile in tiles]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(engine.predict_on_batch, tiles))

    assert all(np.array_equal(*answers) for answers in zip(alone, together, strict=True))


@needs_openvino
def test_it_is_compiled_for_the_very_shape_of_tiles_and_once_for_all_bands(net):
    """Which of the two it is depends on the shape alone, so that an answer does not depend on what came before."""
    engine = on_openvino(net, "float32", contract())

    for tiles in (noise(2, 32, 32), noise(1, 64, 64), noise(2, 32, 32), noise(1, 32, 48), noise(1, 32, 64)):
        engine.predict_on_batch(tiles)

    shapes = [engine.compiled(shape).inputs[0].partial_shape for shape in ((2, 32, 32, 3), (1, 64, 64, 3), None)]
    assert [shape.is_static for shape in shapes] == [True, True, False]
    assert engine.compiled.cache_info().misses == 3


@needs_openvino
@pytest.mark.parametrize("shape", [None, (1, 32, 32, 3)])
def test_it_never_chooses_another_precision(net, shape):
    """Left alone it computes in bfloat16 wherever the processor is made for it."""
    compiled = on_openvino(net, "float32", contract()).compiled(shape)

    assert compiled.get_property("INFERENCE_PRECISION_HINT") == import_openvino().Type.f32


@needs_openvino
def test_bfloat16_differs_a_little_or_is_refused(net):
    """8 of 24 bits are kept: each of a dozen layers moves the log odds by 2 ** -8 of them, where the slope is 1 / 4."""
    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(InputError, match="precision bfloat16 is more than OpenVINO can do on this processor"):
            on_openvino(net, "bfloat16", contract())
        return
    tiles = noise(2, 32, 32)

    answer = on_openvino(net, "bfloat16", contract()).predict_on_batch(tiles)

    assert answer.dtype == np.float32
    assert 1e-4 < np.abs(answer - net.predict_on_batch(tiles)).max() < 0.1


@needs_openvino
@needs_nncf
def test_int8_differs_more_and_says_nothing_of_it(net, capfd):
    """Each of a dozen layers is cut to 256 steps of the range that it has on simulated scenes, which noise exceeds."""
    tiles = noise(2, 32, 48)

    answer = on_openvino(net, "int8", contract()).predict_on_batch(tiles)

    assert answer.shape == (2, 32, 48, 1)
    difference = np.abs(answer - net.predict_on_batch(tiles))
    assert difference.max() > 1e-3
    assert difference.mean() < 0.1
    assert capfd.readouterr().out == ""


def test_scenes_for_calibration_are_seen_at_the_scale_of_the_training():
    """Patches of 64 px that became 32 halve a scene of 512 px to 256 px. It is the same scene each time."""
    plain, other, again = (next(calibration_scenes(contract(resize=side))) for side in (None, 32, None))

    assert plain.shape == other.shape == (1, 256, 256, 3)
    assert plain.dtype == other.dtype == np.uint8
    assert np.array_equal(plain, again)
    assert not np.array_equal(plain, other)


@needs_openvino
def test_nothing_is_reported_to_its_makers():
    """In its place stands OpenVINO's own stub, which sends nothing."""
    import_openvino()

    assert sys.modules["openvino_telemetry"] is None
    assert "openvino.tools.ovc.telemetry_stub" in sys.modules


@pytest.mark.parametrize(("module", "precision"), [("openvino", "float32"), ("nncf", "int8")])
def test_a_missing_package_is_answered_with_its_extra(net, monkeypatch, module, precision):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(InputError, match=rf"^{module} is not installed; .*pip install -e '\.\[openvino\]'$"):
        on_openvino(net, precision, contract())
