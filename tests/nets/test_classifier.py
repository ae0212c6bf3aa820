import keras
import numpy as np
import pytest

from shipseg_tiles.nets.classifier import ship_probability


def head():
    features = keras.Input((None, None, 2))
    return keras.Model(features, ship_probability(features))


def test_one_answer_by_hand():
    """Channel 0 is 4 in one of 16 cells: maximum 4, mean 0.25. Channel 1 is 2 everywhere. With weights 0.5 and 0.25 for
    the maxima, 1 and -1 for the means and a bias of 0.25 the sigmoid is of 2 + 0.5 + 0.25 - 2 + 0.25 = 1: 0.731."""
    net = head()
    net.get_layer("ship").set_weights([np.array([[0.5], [0.25], [1], [-1]]), np.array([0.25])])
    features = np.zeros((1, 4, 4, 2), dtype=np.float32)
    features[0, 1, 2, 0] = 4
    features[..., 1] = 2

    assert np.asarray(net(features)).item() == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)


def test_a_ship_is_as_much_a_ship_in_a_large_image():
    """With weights for the maxima alone, water around the ship changes nothing."""
    net = head()
    net.get_layer("ship").set_weights([np.array([[1], [1], [0], [0]]), np.array([0])])
    small = np.zeros((1, 2, 2, 2), dtype=np.float32)
    small[0, 0, 1] = 1, 2
    large = np.zeros((1, 24, 30, 2), dtype=np.float32)
    large[0, 7, 9] = 1, 2

    assert np.asarray(net(small)) == np.asarray(net(large))
