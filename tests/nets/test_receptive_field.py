import keras
import numpy as np

from shipseg_tiles.nets.receptive_field import PROBE_SIDE, measure_receptive_field
from shipseg_tiles.nets.unet import unet


def net_of(*layers):
    pixels = keras.Input((None, None, 3), dtype="uint8")
    features = keras.layers.Rescaling(1 / 255)(pixels)
    for layer in layers:
        features = layer(features)
    return keras.Model(pixels, features)


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


def test_poolings_are_seen_from_the_least_favourable_pixel():
    """Cells of 8: a pixel at the first place of its cell changes the pixel 7 further on."""
    net = net_of(ones(1), keras.layers.AveragePooling2D(8), keras.layers.UpSampling2D(8))

    assert measure_receptive_field(net) == 7


def test_effects_below_one_in_a_thousand_are_not_counted():
    """The outer ring of a 3 x 3 kernel counts 1e-4: less than anyone could see."""
    kernel = np.full((3, 3, 3, 1), 1e-4)
    kernel[1, 1] = 0.3
    layer = ones(3, use_bias=False)
    net = net_of(layer)
    layer.set_weights([kernel])

    assert measure_receptive_field(net) == 0


def test_a_net_that_sees_everything_reaches_the_border_of_the_probe():
    """The sum over the image changes everywhere; the last probe stands 10 px off the centre, 170 from the border."""
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)
    net = net_of(mean, keras.layers.Rescaling(PROBE_SIDE**2), keras.layers.UpSampling2D(PROBE_SIDE))

    assert measure_receptive_field(net) == PROBE_SIDE // 2 + 10


def test_a_unet_sees_no_further_than_its_layers_allow():
    """Depth 1: two 3 x 3 convolutions at full size reach 2, two at half size 4, two at full size 2 again, and a
    pooling with its growing moves by 1 at most: 9 pixels."""
    keras.utils.set_random_seed(0)
    net = unet(width=4, depth=1)
    # Louder than a fresh net, so that the last pixel of the reach is above the limit of one in a thousand.
    last = net.get_layer("probability")
    last.set_weights([100 * last.get_weights()[0], np.zeros(1)])

    assert 4 < measure_receptive_field(net) <= 9
