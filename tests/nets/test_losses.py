import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shipseg_tiles.nets.losses import DiceCrossEntropy

shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


def loss(truth, probability):
    return float(DiceCrossEntropy()(truth, np.asarray(probability, dtype=np.float32)[..., np.newaxis]))


def loss_slowly(truth, probability):
    """Pixel by pixel, in Python's own numbers; Keras keeps logarithms 1e-7 away from 0 and 1."""
    shared = total = entropy = 0.0
    for is_ship, share in zip(truth.ravel().tolist(), probability.ravel().tolist(), strict=True):
        shared += is_ship * share
        total += is_ship + share
        clipped = min(max(share, 1e-7), 1 - 1e-7)
        entropy -= math.log(clipped) if is_ship else math.log(1 - clipped)
    return 1 - (2 * shared + 1) / (total + 1) + entropy / truth.size


@st.composite
def batches(draw):
    shape = draw(shapes)
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    # Away from 0 and 1, where float32 cannot tell a probability from the limit of the logarithm.
    return truth, draw(arrays(np.float32, shape, elements=st.floats(0.0078125, 0.9921875, width=32)))


@settings(deadline=None, max_examples=60)
@given(batches())
def test_it_agrees_with_the_formula_pixel_by_pixel(batch):
    assert loss(*batch) == pytest.approx(loss_slowly(*batch), rel=1e-4, abs=1e-5)


def test_one_batch_by_hand():
    """Of 4 pixels 1 is ship, all probabilities are 0.5: dice (2 * 0.5 + 1) / (1 + 2 + 1) = 0.5, and the entropy of
    every pixel is ln 2."""
    truth = np.array([[[1, 0], [0, 0]]], dtype=np.uint8)

    assert loss(truth, np.full((1, 2, 2), 0.5)) == pytest.approx(0.5 + math.log(2), rel=1e-5)


def test_a_perfect_answer_costs_nothing_with_and_without_ships():
    truth = np.zeros((2, 8, 8), dtype=np.uint8)
    assert loss(truth, truth) == pytest.approx(0, abs=1e-5)

    truth[0, 2:5, 3:7] = 1
    assert loss(truth, truth) == pytest.approx(0, abs=1e-5)


def test_without_a_ship_more_false_ships_cost_more():
    """64 pixels of water: at probability p the loss is 1 - 1 / (64 p + 1) - ln(1 - p)."""
    truth = np.zeros((1, 8, 8), dtype=np.uint8)

    losses = [loss(truth, np.full((1, 8, 8), share)) for share in (0.01, 0.1, 0.5)]

    expected = [1 - 1 / (64 * share + 1) - math.log(1 - share) for share in (0.01, 0.1, 0.5)]
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses == sorted(losses)


def test_the_dice_is_of_the_whole_batch_not_the_mean_of_its_patches():
    """A patch of 4 ship pixels found for sure beside 4 empty patches: the dice is 1, where the mean over patches
    would depend on what an empty patch counts."""
    truth = np.zeros((5, 2, 2), dtype=np.uint8)
    truth[0] = 1
    probability = truth.astype(np.float32)
    probability[1, 0, 0] = 0.5

    # dice (2 * 4 + 1) / (4 + 4.5 + 1) = 9 / 9.5; entropy ln 2 in one of 20 pixels
    assert loss(truth, probability) == pytest.approx(1 - 9 / 9.5 + math.log(2) / 20, rel=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float32])
def test_the_truth_may_have_any_dtype(dtype):
    truth = np.random.default_rng(0).integers(0, 2, (2, 4, 4))
    probability = np.random.default_rng(1).random((2, 4, 4), dtype=np.float32)

    assert loss(truth.astype(dtype), probability) == pytest.approx(loss_slowly(truth, probability), rel=1e-4)
