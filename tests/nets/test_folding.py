import keras
import numpy as np
import pytest
from keras import layers, ops

from shipseg_tiles.nets.build import CLASSIFIERS, GATES, SEGMENTERS, build_net
from shipseg_tiles.nets.folding import fold_normalisation

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def with_random_normalisation(net):
    """Statistics, scales and offsets as a training leaves them: nothing at 0 or 1."""
    random = np.random.default_rng(1)
    for layer in net._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 2, array.shape) for array in layer.get_weights()])
    return net


def normalisations(net):
    return [layer.name for layer in net._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


@pytest.mark.parametrize("name", [*SEGMENTERS, *CLASSIFIERS, *GATES])
def test_a_folded_net_answers_the_same(name):
    net = build_net(name, width=4, depth=3)
    untrained = np.asarray(net(PIXELS))
    answer = np.asarray(with_random_normalisation(net)(PIXELS))
    assert np.abs(answer - untrained).max() > 1e-3

    folded = fold_normalisation(net)

    assert normalisations(net)
    assert not normalisations(folded)
    np.testing.assert_allclose(folded(PIXELS), answer, atol=1e-5)


def test_the_net_itself_is_left_as_it_is():
    net = with_random_normalisation(build_net("unet", width=2, depth=1))
    before = net.get_weights()

    folded = fold_normalisation(net)
    folded.set_weights([np.zeros_like(array) for array in folded.get_weights()])

    for now, was in zip(net.get_weights(), before, strict=True):
        assert np.array_equal(now, was)


@pytest.mark.parametrize(
    ("scale", "offset", "folded"),
    [([5.0], [6.0], (7.5, 3.5)), ([], [6.0], (1.5, 5.5)), ([5.0], [], (7.5, -2.5)), ([], [], (1.5, -0.5))],
)
def test_one_channel_by_hand(scale, offset, folded):
    """A convolution by 3 with bias 1, then mean 2, variance 4 - epsilon, scale 5 and offset 6: of x the normalisation
    makes 5 (3 x + 1 - 2) / 2 + 6, so the kernel is 7.5 and the bias 3.5. It may have no scale, or no offset."""
    pixels = keras.Input((None, None, 1))
    features = layers.Conv2D(1, 1, name="conv")(pixels)
    normalise = layers.BatchNormalization(epsilon=0.5, scale=bool(scale), center=bool(offset), name="normalise")
    net = keras.Model(pixels, normalise(features))
    net.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 3.0), np.array([1.0])])
    net.get_layer("normalise").set_weights([np.array([value]) for value in (*scale, *offset, 2.0, 3.5)])

    kernel, bias = fold_normalisation(net).get_layer("conv").get_weights()

    assert (kernel.item(), bias.item()) == pytest.approx(folded)


def test_what_else_looks_at_a_convolution_still_sees_it():
    """The same convolution goes into a sum as it is, and an activation comes before another normalisation."""
    pixels = keras.Input((None, None, 3))
    seen_twice = layers.Conv2D(2, 1, name="seen_twice")(pixels)
    rectified = layers.Conv2D(2, 1, activation="relu", name="rectified")(pixels)
    normalised = [layers.BatchNormalization()(features) for features in (seen_twice, rectified, pixels)]
    net = keras.Model(pixels, layers.Concatenate()([seen_twice, *normalised]))
    with_random_normalisation(net)

    folded = fold_normalisation(net)

    assert folded is net


def test_a_normalisation_that_is_called_twice_stays():
    pixels = keras.Input((None, None, 3))
    shared = layers.BatchNormalization()
    net = keras.Model(pixels, layers.Add()([shared(layers.Conv2D(2, 1)(pixels)) for _ in range(2)]))

    assert fold_normalisation(net) is net


def test_nets_inside_of_nets_are_folded_and_plain_operations_kept():
    inner = with_random_normalisation(build_net("mobilenetv2-unet", width=2, depth=2))
    pixels = keras.Input((None, None, 3), dtype="uint8")
    net = keras.Model(pixels, layers.Average()([inner(pixels), ops.flip(inner(ops.flip(pixels, axis=2)), axis=2)]))

    folded = fold_normalisation(net)

    assert normalisations(net)
    assert not normalisations(folded)
    np.testing.assert_allclose(folded(PIXELS), net(PIXELS), atol=1e-5)
