import keras
import numpy as np
import pytest

from shipseg_tiles.nets.build import build_net


def unet(width, depth, **options):
    return build_net("unet", width, depth, **options)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def test_one_net_takes_any_multiple_of_its_halvings():
    net = unet(width=2, depth=2)

    for shape in ((1, 4, 4), (3, 64, 64), (2, 20, 72)):
        assert net(noise(*shape)).shape == (*shape, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_first_answer_is_near_the_share_of_ship_pixels(seed):
    """One of 55 pixels is 1.8 %: a sigmoid of -4 is 0.01799."""
    keras.utils.set_random_seed(seed)

    answer = np.asarray(unet(width=16, depth=2)(noise(2, 32, 32)))

    assert np.median(answer) == pytest.approx(0.018, rel=0.5)


def test_the_weights_follow_from_width_and_depth():
    """Width 2, depth 1, without biases but that of the last layer and of the growing one:

    - down0: 3*3*3*2 = 54 and 3*3*2*2 = 36, two normalisations of 4 numbers for each of 2 filters: 16
    - bottom: 3*3*2*4 = 72 and 3*3*4*4 = 144, normalisations 2 * 4 * 4 = 32
    - up0: growing 2*2*2*4 + 2 = 34; joined 4 channels: 3*3*4*2 = 72 and 36, normalisations 16
    - probability: 2 + 1 = 3
    """
    assert unet(width=2, depth=1).count_params() == (54 + 36 + 16) + (72 + 144 + 32) + (34 + 72 + 36 + 16) + 3


def test_equal_seeds_give_equal_weights():
    nets = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        nets.append(unet(width=2, depth=1).get_layer("encoder").get_layer("down0_conv1").get_weights()[0])

    assert np.array_equal(nets[0], nets[1])
    assert not np.array_equal(nets[0], nets[2])


def test_without_normalisation_convolutions_have_a_bias_instead():
    """As above, but each of the six convolutions has a number for each filter where the normalisation had four."""
    net = unet(width=2, depth=1, normalisation="none")

    assert net.count_params() == (54 + 36 + 2 * 2) + (72 + 144 + 2 * 4) + (34 + 72 + 36 + 2 * 2) + 3
