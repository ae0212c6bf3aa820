import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.pixels import union
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.scoring.metrics import METRICS, numerators_and_denominators
from shipseg_tiles.scoring.objects import f2_from_ious, pairwise_iou

ships = st.lists(
    st.tuples(st.integers(0, 3000), st.sampled_from([1, 40, 52, 53, 54, 900, 1242, 1243, 2000])).map(
        lambda pair: np.arange(pair[0], sum(pair))
    ),
    max_size=3,
)


def values(scores):
    """The value of each metric by its name, None where there is nothing to divide by."""
    numerators, denominators = (sums.sum(axis=0) for sums in numerators_and_denominators(scores))
    return {
        metric.name: numerator / denominator if denominator else None
        for metric, numerator, denominator in zip(METRICS, numerators, denominators, strict=True)
    }


def mean(numbers):
    return sum(numbers) / len(numbers) if numbers else None


def dice(truth, predicted):
    """Dice of two sets of pixels, 1 if both are empty."""
    pixels = len(truth) + len(predicted)
    return 2 * len(set(truth) & set(predicted)) / pixels if pixels else 1


def iou(truth, predicted):
    """IoU of two sets of pixels that are not both empty."""
    return len(set(truth) & set(predicted)) / len(set(truth) | set(predicted))


def slow_values(images):
    """Every metric by its own definition, with a loop of its own."""
    scores = [score_image("a", truth, predicted, (5000, 1)) for truth, predicted in images]
    masks = [(union(truth), union(predicted)) for truth, predicted in images]
    long = [
        np.concatenate([mask[side] + 10_000 * place for place, mask in enumerate(masks)] or [np.arange(0)])
        for side in (0, 1)
    ]
    sizes = [size for score in scores for size in score.truth_sizes]
    found = [size for score in scores for size in score.found_sizes]
    with_ships = [pair for pair in masks if pair[0].size]
    empty = [predicted for truth, predicted in images if not truth]

    def recall(inside):
        relevant = [size for size in sizes if inside(size)]
        return len([size for size in found if inside(size)]) / len(relevant) if relevant else None

    predicted_count = sum(len(predicted) for _, predicted in images)
    any_pixel = long[0].size or long[1].size
    return {
        "dice_mean_ship_images": mean([dice(*pair) for pair in with_ships]),
        "dice_mean_all_images": mean([dice(*pair) for pair in masks]),
        "dice_pooled": dice(*long) if any_pixel else None,
        "iou_mean_ship_images": mean([iou(*pair) for pair in with_ships]),
        "iou_pooled": iou(*long) if any_pixel else None,
        "f2_mean": mean([f2_from_ious(pairwise_iou(*pair)) for pair in images]),
        "f2_connected_mean": mean([score.f2_connected for score in scores]),
        "object_precision": len(found) / predicted_count if predicted_count else None,
        "object_recall": recall(lambda size: True),
        "recall_under_53_px": recall(lambda size: size < 53),
        "recall_53_to_1242_px": recall(lambda size: 53 <= size <= 1242),
        "recall_above_1242_px": recall(lambda size: size > 1242),
        "empty_images_with_false_ships": mean([bool(predicted) for predicted in empty]),
        "false_ships_per_empty_image": mean([len(predicted) for predicted in empty]),
    }


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(ships, ships | st.just(None)), min_size=1, max_size=6))
def test_each_metric_agrees_with_its_own_definition(images):
    """Every third image or so is predicted exactly, so that ships of every size are found."""
    images = [(truth, truth if predicted is None else predicted) for truth, predicted in images]

    found = values([score_image("a", truth, predicted, (5000, 1)) for truth, predicted in images])

    assert found == pytest.approx(slow_values(images))


def test_metrics_by_hand():
    """Four images of one column.

    - ships of 52 and 53 pixels, the first found exactly: dice 104 / 157, IoU 52 / 105
    - a ship of 1,243 pixels, predicted by 1,000 of them: dice 2000 / 2243, IoU 1000 / 1243, a hit
    - empty, two false ships of 10 pixels
    - empty, nothing predicted

    Of 4 predictions 2 hit one of 3 ships. Pooled: 52 + 1000 of 1348 true and 1072 predicted pixels are shared.
    """
    scores = [
        score_image("a", [np.arange(0, 52), np.arange(100, 153)], [np.arange(0, 52)], (5000, 1)),
        score_image("b", [np.arange(0, 1243)], [np.arange(0, 1000)], (5000, 1)),
        score_image("c", [], [np.arange(0, 10), np.arange(50, 60)], (5000, 1)),
        score_image("d", [], [], (5000, 1)),
    ]

    found = values(scores)

    expected = {
        "dice_mean_ship_images": (104 / 157 + 2000 / 2243) / 2,
        "dice_mean_all_images": (104 / 157 + 2000 / 2243 + 0 + 1) / 4,
        "dice_pooled": 2 * 1052 / (1348 + 1072),
        "iou_mean_ship_images": (52 / 105 + 1000 / 1243) / 2,
        "iou_pooled": 1052 / (1348 + 1072 - 1052),
        # One of two ships found at every threshold: 5 / 9. The IoU of 0.8045 is above seven of ten thresholds.
        "f2_mean": (5 / 9 + 0.7 + 0 + 1) / 4,
        # The same at 0.5 alone, where the large ship is a hit.
        "f2_connected_mean": (5 / 9 + 1 + 0 + 1) / 4,
        "object_precision": 2 / 4,
        "object_recall": 2 / 3,
        "recall_under_53_px": 1,
        "recall_53_to_1242_px": 0,
        "recall_above_1242_px": 1,
        "empty_images_with_false_ships": 1 / 2,
        "false_ships_per_empty_image": 2 / 2,
    }
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)


def test_nothing_to_divide_by():
    """Without any ship, the means over all images or over empty ones alone have something to divide by."""
    of_nothing = values([score_image("a", [], [], (5000, 1))])
    of_ships_alone = values([score_image("a", [np.arange(0, 60)], [], (5000, 1))])

    defined = {name: value for name, value in of_nothing.items() if value is not None}
    assert defined == {
        "dice_mean_all_images": 1,
        "f2_mean": 1,
        "f2_connected_mean": 1,
        "empty_images_with_false_ships": 0,
        "false_ships_per_empty_image": 0,
    }
    assert [name for name, value in of_ships_alone.items() if value is None] == [
        "object_precision",
        "recall_under_53_px",
        "recall_above_1242_px",
        "empty_images_with_false_ships",
        "false_ships_per_empty_image",
    ]


def test_every_metric_says_what_it_means_in_a_line_of_its_own():
    assert all(20 < len(metric.meaning) < 100 for metric in METRICS)
    assert len({metric.meaning for metric in METRICS}) == len(METRICS)
