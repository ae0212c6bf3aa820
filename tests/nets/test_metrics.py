import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shipseg_tiles.nets.metrics import PatchDice, PatchF1


def score(metric, *batches):
    for truth, probability in batches:
        metric.update_state(truth, np.asarray(probability, dtype=np.float32)[..., np.newaxis])
    return float(metric.result())


def dice_slowly(pairs):
    shared = total = 0
    for is_ship, is_found in pairs:
        shared += is_ship and is_found
        total += is_ship + is_found
    return 2 * shared / total if total else 1


@st.composite
def batches(draw):
    """Batches of different sizes, with and without ships; shares at, just below and just above a half among them."""
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
        truth = draw(arrays(np.uint8, shape, elements=st.integers(0, draw(st.integers(0, 1)))))
        shares = st.sampled_from([0, 0.25, 0.5, 0.5078125, 0.75, 1])
        drawn.append((truth, draw(arrays(np.float32, shape, elements=shares))))
    return drawn


@settings(deadline=None, max_examples=60)
@given(batches())
def test_the_dice_agrees_with_counting_pixel_by_pixel(drawn):
    pixels = [
        (is_ship, share > 0.5)
        for truth, probability in drawn
        for is_ship, share in zip(truth.ravel().tolist(), probability.ravel().tolist(), strict=True)
    ]

    assert score(PatchDice(), *drawn) == pytest.approx(dice_slowly(pixels), rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(batches())
def test_f1_agrees_with_counting_patch_by_patch(drawn):
    """As precision and recall have it, for a segmenter and for a classifier that answers each patch's top pixel."""
    patches = [
        (bool(mask.any()), bool((shares > 0.5).any())) for batch in drawn for mask, shares in zip(*batch, strict=True)
    ]
    hits = sum(is_ship and is_found for is_ship, is_found in patches)
    wrong = sum(is_ship != is_found for is_ship, is_found in patches)
    expected = 2 * hits / (2 * hits + wrong) if hits + wrong else 1

    assert score(PatchF1(), *drawn) == pytest.approx(expected, rel=1e-6)
    classified = [(truth, shares.max(axis=(1, 2))) for truth, shares in drawn]
    assert score(PatchF1(), *classified) == pytest.approx(expected, rel=1e-6)


def test_two_batches_by_hand():
    """The first batch has 3 ship pixels, 2 predicted, 1 shared; the second 1 ship pixel, predicted alone: dice
    2 * (1 + 1) / (3 + 2 + 1 + 1) = 4 / 7, where the mean of both batches would be (0.4 + 1) / 2 = 0.7."""
    first = np.array([[[1, 1, 1, 0]]]), np.array([[[0.9, 0.2, 0.5, 0.8]]])
    second = np.array([[[1, 0]]]), np.array([[[0.51, 0.49]]])

    assert score(PatchDice(), first, second) == pytest.approx(4 / 7)


def test_f1_of_labels_by_hand():
    """Of 5 patches 3 hold ships; 2 of them and 1 other are found: precision and recall are 2 / 3, and so is F1."""
    first = np.array([1, 1, 0]), np.array([0.9, 0.2, 0.7])
    second = np.array([1, 0]), np.array([0.6, 0.5])

    assert score(PatchF1(), first, second) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [PatchDice, PatchF1])
def test_without_any_ship_it_is_1_and_a_false_one_makes_it_0(metric):
    water = np.zeros((2, 3, 3), dtype=np.uint8)

    assert score(metric(), (water, water)) == 1
    assert score(metric(), (water, np.ones((2, 3, 3)))) == 0
    assert score(metric(), (np.ones((2, 3, 3), dtype=np.uint8), water)) == 0


@pytest.mark.parametrize(("metric", "name"), [(PatchDice, "patch_dice"), (PatchF1, "patch_f1")])
def test_a_reset_forgets_what_was_seen(metric, name):
    metric = metric()
    assert metric.name == name
    metric.update_state(np.ones((1, 2, 2)), np.zeros((1, 2, 2, 1), dtype=np.float32))
    assert float(metric.result()) == 0

    metric.reset_state()

    assert float(metric.result()) == 1
