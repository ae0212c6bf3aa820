import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.training.trainable_layers import choose_layers


def learning(net):
    """The names, without numbers and ends, of what learns in a net: down0, down1, bottom, up0 ..."""
    return {weight.path.split("/")[-2].split("_")[0] for weight in net.trainable_weights}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", {"down0", "down1", "bottom", "up0", "up1", "probability"}),
        ("decoder", {"up0", "up1", "probability"}),
        ("decoder+1", {"bottom", "up0", "up1", "probability"}),
        ("decoder+2", {"down1", "bottom", "up0", "up1", "probability"}),
    ],
)
def test_layers_are_chosen_by_level(layers, expected):
    """A U-Net of two halvings."""
    net = build_net("unet", width=1, depth=2)

    choose_layers(net, "decoder")  # what was chosen before is forgotten
    choose_layers(net, layers)

    assert learning(net) == expected


def test_a_classifier_has_a_head():
    net = build_net("classifier", width=1, depth=2)

    choose_layers(net, "decoder")

    assert learning(net) == {"ship"}


def test_frozen_normalisation_keeps_its_statistics():
    net = build_net("unet", width=1, depth=1)
    choose_layers(net, "decoder")
    before = net.get_layer("encoder").get_weights()

    net(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8), training=True)

    for now, was in zip(net.get_layer("encoder").get_weights(), before, strict=True):
        assert np.array_equal(now, was)


def test_with_frozen_normalisation_nothing_of_it_learns():
    net = build_net("unet", width=1, depth=1)

    choose_layers(net, "all", "frozen")

    learning = {weight.path.rsplit("/", 1)[-1] for weight in net.trainable_weights}
    assert learning == {"kernel", "bias"}  # of convolutions; no gamma and beta
    before = net.get_weights()
    net(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8), training=True)
    for now, was in zip(net.get_weights(), before, strict=True):
        assert np.array_equal(now, was)


@pytest.mark.parametrize("net", ["mobilenetv2-unet", "resnet34-unet", "xception-unet"])
def test_the_deepest_level_of_a_known_net_is_a_part_of_it(net):
    net = build_net(net, width=2, depth=3)
    whole = sum(np.prod(weight.shape) for weight in net.get_layer("encoder").trainable_weights)

    choose_layers(net, "decoder+1")

    part = sum(np.prod(weight.shape) for weight in net.get_layer("encoder").trainable_weights)
    assert 0.3 * whole < part < 0.95 * whole


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("head", "there are no layers 'head'; choose all, decoder, or decoder\\+N such as decoder\\+1"),
        ("decoder+3", "decoder\\+3 wants 3 halvings of an encoder that has 2"),
    ],
)
def test_layers_that_there_are_not_are_refused(layers, message):
    with pytest.raises(InputError, match=message):
        choose_layers(build_net("unet", width=1, depth=2), layers)


def test_a_net_without_an_encoder_is_refused():
    pixels = keras.Input((None, None, 3))
    with pytest.raises(InputError, match="flat has no layer `encoder`"):
        choose_layers(keras.Model(pixels, keras.layers.Conv2D(1, 1)(pixels), name="flat"), "decoder")
