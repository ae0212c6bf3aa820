import keras
import numpy as np

from shipseg_tiles.nets.decoder import light_decoder


def decoder(*channels, width):
    """A model from maps of so many channels, each half the size of the one before, to the decoder's features."""
    maps = [keras.Input((None, None, count)) for count in channels]
    return keras.Model(maps, light_decoder(maps, width))


def test_the_weights_follow_from_width_and_channels():
    """Width 2 over maps of 3 and 5 channels: growing 2*2*2*5 + 2 = 42, the pixels 3*3*3*2 = 54 and one normalisation
    of 4 * 2, the convolution 3*3*2*2 = 36 and another normalisation."""
    assert decoder(3, 5, width=2).count_params() == 42 + (54 + 8) + (36 + 8)


def test_filters_double_at_each_halving_whatever_the_encoder_has():
    net = decoder(3, 7, 50, 9, width=4)

    assert [net.get_layer(f"up{level}_conv").filters for level in range(3)] == [4, 8, 16]
    assert [net.get_layer(f"skip{level}_conv").kernel_size for level in range(3)] == [(3, 3), (1, 1), (1, 1)]


def test_all_maps_reach_the_features():
    """Features of the size of the first map, which change when any one of the maps does."""
    keras.utils.set_random_seed(0)
    net = decoder(3, 4, 5, width=4)
    random = np.random.default_rng(0)
    maps = [random.normal(size=(1, 16 >> level, 24 >> level, 3 + level)).astype(np.float32) for level in range(3)]

    before = np.asarray(net(maps))

    assert before.shape == (1, 16, 24, 4)
    for level in range(3):
        changed = [features * (2 if number == level else 1) for number, features in enumerate(maps)]
        assert np.abs(np.asarray(net(changed)) - before).max() > 1e-3
