import keras
import numpy as np

from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.receptive_field import PROBE_SIDE, measure_receptive_field


def net_of(*layers):
    """A net whose log-odds are a twentieth of what the layers make of pixels from 0 to 1."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    features = keras.layers.Rescaling(1 / 255)(pixels)
    for layer in layers:
        features = layer(features)
    odds = keras.layers.Rescaling(0.05)(features)
    return keras.Model(pixels, keras.layers.Activation("sigmoid")(odds))


def ones(size, **options):
    return keras.layers.Conv2D(1, size, padding="same", kernel_initializer="ones", **options)


def test_convolutions_by_hand():
    """A kernel of side k reaches (k - 1) / 2 pixels, kernels behind each other add up, one dilated by 4 reaches 4."""
    assert measure_receptive_field(net_of(ones(1))) == 0
    assert measure_receptive_field(net_of(ones(3))) == 1
    assert measure_receptive_field(net_of(ones(7))) == 3
    assert measure_receptive_field(net_of(ones(3), ones(5))) == 1 + 2
    assert measure_receptive_field(net_of(ones(3, dilation_rate=4))) == 4


def test_a_kernel_that_looks_to_one_side_counts_with_that_arm():
    """Only the leftmost weight of a kernel of side 5 is not 0: the answer changes 2 pixels to the right."""
    kernel = np.zeros((5, 5, 3, 1))
    kernel[2, 0] = 1

    layer = ones(5, use_bias=False)
    net = net_of(layer)
    layer.set_weights([kernel])
    assert measure_receptive_field(net) == 2


def test_poolings_are_seen_from_the_least_favourable_place():
    """Cells of 8: a block that begins with the last pixel of a cell changes the 7 pixels before it."""
    louder = keras.layers.Rescaling(20.0)
    net = net_of(ones(1), keras.layers.AveragePooling2D(8), louder, keras.layers.UpSampling2D(8))

    assert measure_receptive_field(net) == 7


def test_effects_below_a_hundredth_of_the_odds_are_not_counted():
    """The outer ring of a 3 x 3 kernel counts 1e-4: less than anyone could see."""
    kernel = np.full((3, 3, 3, 1), 1e-4)
    kernel[1, 1] = 0.3
    layer = ones(3, use_bias=False)
    net = net_of(layer)
    layer.set_weights([kernel])

    assert measure_receptive_field(net) == 0


def test_a_reach_nearly_as_far_as_the_probe_can_show():
    """The first block begins in the middle, at 192: a kernel dilated by 190 changes rows and columns from 2 on."""
    assert measure_receptive_field(net_of(ones(3, dilation_rate=PROBE_SIDE // 2 - 2))) == PROBE_SIDE // 2 - 2


def test_a_net_that_is_sure_is_not_taken_for_a_blind_one():
    """With a bias of -20 all probabilities lie below 1e-7, yet the odds move as before."""
    net = net_of(ones(5, bias_initializer=keras.initializers.Constant(-400.0)))

    assert np.asarray(net(np.zeros((1, 32, 32, 3), np.uint8))).max() < 1e-7
    assert measure_receptive_field(net) == 2


def test_a_unet_sees_no_further_than_its_layers_allow():
    """Depth 1: two 3 x 3 convolutions at full size reach 2, two at half size 4, two at full size 2 again, and a
    pooling with its growing moves by 1 at most: 9 pixels."""
    keras.utils.set_random_seed(0)
    net = build_net("unet", width=4, depth=1)
    assert 4 < measure_receptive_field(net) <= 9
