import functools

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import CLASSIFIERS, GATES, NETS, SEGMENTERS, build_net, side_multiple
from shipseg_tiles.nets.losses import DiceCrossEntropy


@functools.cache
def built(name):
    """A small net that no test may change."""
    keras.utils.set_random_seed(0)
    return build_net(name, width=4, depth=3)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def layers_of(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


@pytest.fixture
def mixed_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def least_depth(name):
    """2 halvings are enough for all nets but the gate that looks at a quarter of the side for cells of 32 px."""
    return 3 if name == "mobilenetv2-gate" else 2


def test_there_are_the_nets_that_presets_name():
    assert set(SEGMENTERS) == {"unet", "xception-unet", "mobilenetv2-unet", "resnet34-unet"}
    assert set(CLASSIFIERS) == {"classifier", "mobilenetv2-classifier", "resnet34-classifier"}
    assert set(GATES) == {"gate", "mobilenetv2-gate"}
    assert set(NETS) == set(SEGMENTERS) | set(CLASSIFIERS) | set(GATES)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_answers_a_probability_for_each_pixel(name):
    net = built(name)

    assert (net.input_shape, net.output_shape) == ((None, None, None, 3), (None, None, None, 1))
    assert net.inputs[0].dtype == "uint8"
    assert net.name == name
    for shape in ((2, 64, 64), (1, 96, 96), (1, 32, 72)):
        answer = np.asarray(net(noise(*shape)))
        assert answer.shape == (*shape, 1)
        assert answer.dtype == np.float32
        assert 0 <= answer.min() < answer.max() <= 1


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_one_probability_for_an_image_of_any_size(name):
    net = built(name)

    assert (net.input_shape, net.output_shape) == ((None, None, None, 3), (None, 1))
    assert net.inputs[0].dtype == "uint8"
    for shape in ((2, 64, 64), (1, 33, 47)):
        answer = np.asarray(net(noise(*shape)))
        assert answer.shape == (shape[0], 1)
        assert answer.dtype == np.float32
        assert 0 < answer.min() <= answer.max() < 1


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_first_answer_is_near_the_share_of_ship_pixels(name):
    """A sigmoid of -4 is 0.018."""
    assert np.median(built(name)(noise(2, 64, 64))) == pytest.approx(0.018, rel=0.5)


@pytest.mark.parametrize("name", NETS)
def test_a_net_comes_back_from_a_file_without_code(name, tmp_path):
    net = built(name)
    net.save(tmp_path / "net.keras")

    loaded = keras.saving.load_model(tmp_path / "net.keras", compile=False, safe_mode=True)

    pixels = noise(2, 32, 64)
    np.testing.assert_allclose(loaded(pixels), net(pixels), atol=1e-6)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in layers_of(net))
    assert loaded.get_layer("encoder").name == "encoder"


@pytest.mark.parametrize("name", NETS)
def test_steps_on_a_batch_lower_its_loss(name):
    """White ships on black water, or an image with a ship and one without."""
    keras.utils.set_random_seed(0)
    net = build_net(name, width=4, depth=least_depth(name))
    side = 256 if name in GATES else 32  # normalisation over two cells would leave nothing but their signs
    pixels = np.zeros((2, side, side, 3), dtype=np.uint8)
    pixels[0, 8:16, 8:24] = 255
    truth = np.array([[1], [0]]) if name in CLASSIFIERS else pixels[..., 0] // 255
    loss = "binary_crossentropy" if name in CLASSIFIERS else DiceCrossEntropy()
    net.compile(keras.optimizers.Adam(1e-3), loss=loss, run_eagerly=True)

    losses = [float(net.train_on_batch(pixels, truth)) for _ in range(3)]

    assert losses[2] < losses[0]


@pytest.mark.parametrize("name", NETS)
def test_probabilities_stay_float32_under_mixed_precision(name, mixed_bfloat16):
    """A bfloat16 has 8 bits of mantissa: it comes back from a rounding to 8 bits unchanged, which float32 does not."""
    net = build_net(name, width=2, depth=least_depth(name))

    answer = np.asarray(net(noise(2, 32, 32)))

    convolutions = [layer for layer in net.get_layer("encoder").layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}
    assert answer.dtype == np.float32
    assert 0 <= answer.min() <= answer.max() <= 1
    if name not in CLASSIFIERS:
        assert np.any(answer.view(np.uint32) & 0xFFFF)


@pytest.mark.parametrize("name", NETS)
def test_the_smallest_sides_that_a_net_can_see_are_those_that_are_told(name):
    side = side_multiple(name, 3)

    assert side == (32 if name in GATES else 8)
    assert built(name)(noise(1, side, 2 * side)).shape[0] == 1


def test_width_and_depth_are_obeyed():
    encoder = build_net("unet", width=3, depth=2).get_layer("encoder")

    assert encoder.get_layer("down0_conv1").filters == 3
    assert encoder.get_layer("bottom_conv1").filters == 3 * 2**2


@pytest.mark.parametrize("name", SEGMENTERS)
def test_an_encoder_answers_the_strides_1_2_4_and_so_on(name):
    maps = built(name).get_layer("encoder")(noise(1, 32, 64))

    assert [tuple(features.shape[1:3]) for features in maps] == [(32, 64), (16, 32), (8, 16), (4, 8)]


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="no net 'vgg'; choose one of unet, xception-unet, "):
        build_net("vgg", 8, 2)


@pytest.mark.parametrize(("width", "depth"), [(0, 2), (-1, 2), (8, 0), (8, 7), (8, -1)])
def test_numbers_out_of_range_are_refused(width, depth):
    with pytest.raises(InputError, match=f"width {width} must be 1 or more and depth {depth} from 1 to 6"):
        build_net("unet", width, depth)


@pytest.mark.parametrize("name", ["mobilenetv2-unet", "resnet34-unet", "mobilenetv2-classifier", "resnet34-classifier"])
def test_known_encoders_halve_five_times_at_most(name):
    assert len(build_net(name, 1, 5).get_layer("encoder").outputs) == 6
    with pytest.raises(InputError, match="depth 6 from 1 to 5"):
        build_net(name, 1, 6)


def test_a_normalisation_that_the_net_does_not_have_is_refused():
    with pytest.raises(InputError, match="unet has no normalisation 'group'; choose batch or none"):
        build_net("unet", 2, 1, normalisation="group")
    with pytest.raises(InputError, match="xception-unet has no normalisation 'none'; choose batch"):
        build_net("xception-unet", 2, 1, normalisation="none")
