import keras
import numpy as np

from shipseg_tiles.nets.build import build_net


def test_filters_are_those_of_the_example_at_width_32_and_depth_4():
    net = build_net("xception-unet", width=32, depth=4)
    encoder = net.get_layer("encoder")

    assert encoder.get_layer("down0_conv").filters == 32
    assert [encoder.get_layer(f"down{level}_conv2").filters for level in (1, 2, 3)] == [64, 128, 256]
    assert [net.get_layer(f"up{level}_conv2").filters for level in (3, 2, 1, 0)] == [256, 128, 64, 32]


def test_the_weights_follow_from_width_and_depth():
    """Width 2, depth 2; a separable convolution has 9 numbers a channel, then in * out, then a bias.

    - down0: 3*3*3*2 = 54 and a normalisation of 4 * 2
    - down1: separable 9*2 + 2*4 + 4 = 30 and 9*4 + 4*4 + 4 = 56, two normalisations of 4 * 4, residual 2*4 + 4 = 12
    - up1: 3*3*4*4 + 4 = 148 twice, two normalisations of 4 * 4, residual 4*4 + 4 = 20
    - up0: 3*3*4*2 + 2 = 74 and 3*3*2*2 + 2 = 38, two normalisations of 4 * 2, residual 4*2 + 2 = 10
    - probability: 2 + 1 = 3
    """
    down = (54 + 8) + (30 + 56 + 32 + 12)
    up = (2 * 148 + 32 + 20) + (74 + 38 + 16 + 10)

    assert build_net("xception-unet", width=2, depth=2).count_params() == down + up + 3


def test_the_answer_depends_on_the_narrowest_features_alone():
    """Blinding the last block of the encoder blinds the net: nothing goes around it."""
    keras.utils.set_random_seed(0)
    net = build_net("xception-unet", width=4, depth=2)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    assert np.ptp(np.asarray(net(pixels))[0, 8:24, 8:24]) > 1e-6

    for name in ("down1_normalise2", "down1_residual"):
        layer = net.get_layer("encoder").get_layer(name)
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])

    assert np.ptp(np.asarray(net(pixels))[0, 8:24, 8:24]) < 1e-6
