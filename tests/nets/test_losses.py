import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.losses import LOSSES, build_loss

shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


def loss(name, truth, probability):
    return float(build_loss(name)(truth, np.asarray(probability, dtype=np.float32)[..., np.newaxis]))


def clipped(share):
    """Logarithms stay 1e-7 away from 0 and 1."""
    return min(max(share, 1e-7), 1 - 1e-7)


def dice_slowly(truth, shares):
    shared = sum(is_ship * share for is_ship, share in zip(truth, shares, strict=True))
    return 1 - (2 * shared + 1) / (sum(truth) + sum(shares) + 1)


def cross_entropy_slowly(truth, shares):
    right = [share if is_ship else 1 - share for is_ship, share in zip(truth, shares, strict=True)]
    return sum(-math.log(clipped(share)) for share in right) / len(truth)


def tversky_slowly(truth, shares):
    found = false = missed = 0.0
    for is_ship, share in zip(truth, shares, strict=True):
        found += is_ship * share
        false += (1 - is_ship) * share
        missed += is_ship * (1 - share)
    return 1 - (found + 0.5) / (found + 0.3 * false + 0.7 * missed + 0.5)


def focal_slowly(truth, shares):
    costs = []
    for is_ship, share in zip(truth, shares, strict=True):
        right, weight = (share, 0.25) if is_ship else (1 - share, 0.75)
        costs.append(-weight * (1 - right) ** 2 * math.log(clipped(right)))
    return sum(costs) / len(costs)


def weighted_slowly(truth, shares):
    right = [share if is_ship else 1 - share for is_ship, share in zip(truth, shares, strict=True)]
    costs = [(4 if is_ship else 1) * -math.log(clipped(share)) for is_ship, share in zip(truth, right, strict=True)]
    return sum(costs) / len(costs)


def lovasz_slowly(truth, shares):
    """Algorithm 1 of the paper: sort the hinge errors, and weigh each by the difference of neighbouring indices."""
    truth, shares = np.array(truth), np.array([clipped(share) for share in shares])
    errors = 1 - np.log(shares / (1 - shares)) * (2 * truth - 1)
    order = np.argsort(-errors, kind="stable")
    intersection = truth.sum() - np.cumsum(truth[order])
    union = truth.sum() + np.cumsum(1 - truth[order])
    jaccard = 1 - intersection / union
    steps = np.diff(jaccard, prepend=0)
    return float(np.maximum(errors[order], 0) @ steps)


def patch_dice_slowly(truths, shares):
    """The mean over those patches that show ships, of which each is a list of pixels; 0 if none does."""
    lacks = [dice_slowly(*patch) for patch in zip(truths, shares, strict=True) if any(patch[0])]
    return sum(lacks) / max(len(lacks), 1)


OF_ALL_PIXELS = {
    "dice": dice_slowly,
    "dice-cross-entropy": lambda truth, shares: dice_slowly(truth, shares) + cross_entropy_slowly(truth, shares),
    "focal": focal_slowly,
    "tversky": tversky_slowly,
    "lovasz-hinge": lovasz_slowly,
    "weighted-cross-entropy": weighted_slowly,
}


def slowly(name, truth, shares):
    """The loss of (N, ...), pixel by pixel."""
    patches = [np.reshape(values, (len(values), -1)).tolist() for values in (truth, shares)]
    pixels = [[pixel for patch in side for pixel in patch] for side in patches]
    if name != "patch-dice-cross-entropy":
        return OF_ALL_PIXELS[name](*pixels)
    overlap = (dice_slowly(*pixels) + patch_dice_slowly(*patches)) / 2
    return overlap + 15 * cross_entropy_slowly(*pixels)


@st.composite
def batches(draw):
    shape = draw(shapes)
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, draw(st.integers(0, 1)))))
    # Away from 0 and 1, where float32 cannot tell a probability from the limit of the logarithm.
    return truth, draw(arrays(np.float32, shape, elements=st.floats(0.0078125, 0.9921875, width=32)))


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=40)
@given(batch=batches())
def test_it_agrees_with_the_formula_pixel_by_pixel(name, batch):
    truth, probability = batch

    assert loss(name, truth, probability) == pytest.approx(slowly(name, truth, probability), rel=1e-4, abs=1e-5)


HALF_SURE = math.log(2)
"""Cross-entropy of the probability 0.5."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dice", 1 - (2 * 0.5 + 1) / (1 + 2 + 1)),
        ("dice-cross-entropy", 0.5 + HALF_SURE),
        ("patch-dice-cross-entropy", 0.5 + 15 * HALF_SURE),
        ("focal", (0.25 + 3 * 0.75) / 4 * 0.5**2 * HALF_SURE),
        # Found 0.5, false 3 * 0.5, missed 0.5.
        ("tversky", 1 - (0.5 + 0.5) / (0.5 + 0.3 * 1.5 + 0.7 * 0.5 + 0.5)),
        # The log-odds are 0, so all errors are 1, and all wrong pixels together take the Jaccard loss to 1.
        ("lovasz-hinge", 1),
        ("weighted-cross-entropy", (4 + 3) / 4 * HALF_SURE),
    ],
)
def test_one_batch_by_hand(name, expected):
    """Of 4 pixels 1 is ship; all probabilities are 0.5."""
    truth = np.array([[[1, 0], [0, 0]]], dtype=np.uint8)

    assert loss(name, truth, np.full((1, 2, 2), 0.5)) == pytest.approx(expected, rel=1e-5)


def test_the_lovasz_hinge_of_three_pixels_by_hand():
    """Two ship pixels and one of water. The log-odds are ln 3, -ln 3 and -ln 3, so the errors 1 - ln 3 < 0, 1 + ln 3,
    and 1 - ln 3 < 0: only the missed ship counts, whose miss alone makes the Jaccard index 1 / 2."""
    truth = np.array([[[1, 1, 0]]], dtype=np.uint8)

    assert loss("lovasz-hinge", truth, [[[0.75, 0.25, 0.25]]]) == pytest.approx((1 + math.log(3)) / 2, rel=1e-5)


def test_the_lovasz_hinge_is_right_on_more_pixels_than_float32_can_tell_apart():
    """A million pixels of which 1,000 are ship, all sure and all wrong (log-odds 5, errors 6): the steps sum to 1."""
    truth = np.zeros((1, 1000, 1000), dtype=np.uint8)
    truth[0, 0] = 1
    sure = 1 / (1 + math.exp(-5))

    assert loss("lovasz-hinge", truth, np.where(truth, 1 - sure, sure)) == pytest.approx(6, rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_answer_costs_nothing_with_and_without_ships(name):
    truth = np.zeros((2, 8, 8), dtype=np.uint8)
    assert loss(name, truth, truth) == pytest.approx(0, abs=1e-5)

    truth[0, 2:5, 3:7] = 1
    assert loss(name, truth, truth) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_worst_answer_costs_more_and_is_still_a_number(name):
    """The logarithm of 1e-7 is -16.1, which the dice by patch counts 15 times."""
    truth = np.zeros((2, 8, 8), dtype=np.uint8)
    truth[0, 2:5, 3:7] = 1

    costs = [loss(name, truth, np.abs(truth - wrong)) for wrong in (0.0, 0.4, 0.6, 1.0)]

    assert costs == sorted(costs)
    assert 0.9 < costs[-1] < (15 * 16.2 + 1 if name == "patch-dice-cross-entropy" else 25)


def test_without_a_ship_more_false_ships_cost_more():
    """64 pixels of water: at probability p the loss is 1 - 1 / (64 p + 1) - ln(1 - p)."""
    truth = np.zeros((1, 8, 8), dtype=np.uint8)

    losses = [loss("dice-cross-entropy", truth, np.full((1, 8, 8), share)) for share in (0.01, 0.1, 0.5)]

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

    # dice (2 * 4 + 1) / (4 + 4.5 + 1) = 9 / 9.5
    assert loss("dice", truth, probability) == pytest.approx(1 - 9 / 9.5, rel=1e-4)


def test_a_small_ship_counts_as_much_as_a_large_one_in_the_dice_by_patch():
    """A patch of 64 ship pixels found for sure, one of 1 that is missed for sure, and an empty one. Of the batch the
    lack of overlap is 1 - 129 / 130, of the patches 0 and 1 - 1 / 2: 1 / 4 in the mean, without the empty one."""
    truth = np.zeros((3, 8, 8), dtype=np.uint8)
    truth[0], truth[1, 0, 0] = 1, 1
    probability = truth.astype(np.float32)
    probability[1] = 0

    without_entropy = loss("patch-dice-cross-entropy", truth, probability) + 15 * math.log(1e-7) / 192
    assert without_entropy == pytest.approx((1 / 130 + 1 / 4) / 2, rel=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float32])
def test_the_truth_may_have_any_dtype(dtype):
    truth = np.random.default_rng(0).integers(0, 2, (2, 4, 4))
    probability = np.random.default_rng(1).random((2, 4, 4), dtype=np.float32)

    expected = slowly("dice-cross-entropy", truth, probability)
    assert loss("dice-cross-entropy", truth.astype(dtype), probability) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_classifier_is_judged_by_whether_masks_hold_ship(name):
    masks = np.zeros((3, 4, 4), dtype=np.uint8)
    masks[1, 2, 3] = 1
    shares = np.array([[0.2], [0.6], [0.9]], dtype=np.float32)

    expected = slowly(name, np.array([0, 1, 0]), shares)
    assert float(build_loss(name)(masks, shares)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_net_learns_from_it(name, precision):
    """One convolution can tell bright ships from dark water; at first all it answers is wrong."""
    keras.utils.set_random_seed(0)
    truth = np.zeros((4, 16, 16), dtype=np.uint8)
    truth[:2, 4:9, 5:12] = 1
    pixels = truth[..., np.newaxis] * 2.0 - 1
    bright = keras.layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant(-2.0), dtype=precision)
    net = keras.Sequential([bright, keras.layers.Activation("sigmoid", dtype="float32")])
    net.compile(keras.optimizers.Adam(0.5), build_loss(name))

    costs = [float(net.train_on_batch(pixels, truth)) for _ in range(40)]

    assert np.isfinite(costs).all()
    assert costs[-1] < 0.5 * costs[0]


def test_an_unknown_loss_is_refused():
    with pytest.raises(
        InputError,
        match="there is no loss 'iou'; choose one of dice, dice-cross-entropy, patch-dice-cross-entropy, focal",
    ):
        build_loss("iou")
