from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.calibration.evidence import collect_evidence, peak_map
from shipseg_tiles.calibration.setting_grid import score_grid
from shipseg_tiles.calibration.settings import Axes
from shipseg_tiles.inference.detection import join_ships, threshold_lines
from shipseg_tiles.inference.stitching import Lines
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.tiling import TileGrid


def test_what_a_gate_never_sees_is_found_at_no_threshold_of_it_nor_without_one():
    """Two objects of 2 x 2 px on an empty image, the second under a tile that no threshold lets through: one false
    ship if all tiles are seen, none where it is alone."""
    probabilities = np.zeros((4, 8), dtype=np.float32)
    probabilities[:2, :2] = probabilities[:2, 6:] = 0.9
    peaks = np.full((4, 8), 0.25, dtype=np.float32)
    peaks[:, 4:] = -np.inf
    axes = Axes((0.5,), (0,), (0.0,), (None, 0.5))
    evidence = [
        collect_evidence(values, [], axes.thresholds, peaks)
        for values in (probabilities, np.where(peaks > 0, np.float32(0), probabilities))
    ]

    sums = score_grid(evidence, np.array([0, 1]), axes)

    assert sums.false_ships[:, 0, 0, 0, 0].tolist() == [[1, 0], [0, 0]]


def test_scores_are_compared_as_by_predict():
    """Objects alone in their images: of 0.6, which is a little more in float32, of 0.75, and of 0.9, which is a little
    less. A minimum score of 0.6 keeps the first, one of 0.75 the second, and one of 0.9 drops the third."""
    axes = Axes((0.5,), (0,), (0.0, 0.6, 0.75, 0.9), (None,))
    images = [np.full((2, 2), probability, dtype=np.float32) for probability in (0.6, 0.75, 0.9)]
    evidence = [collect_evidence(image, [], axes.thresholds, np.ones_like(image)) for image in images]

    sums = score_grid(evidence, np.arange(3), axes)

    kept = [
        [len(join_ships([threshold_lines(Lines(0, 0, image), 2, 0.5)], 2, 0, least)) for least in axes.minimum_scores]
        for image in images
    ]
    assert sums.false_ships[:, 0, 0, 0, :, 0].tolist() == kept == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]


boxes = st.tuples(st.integers(0, 20), st.integers(0, 28), st.integers(1, 9), st.integers(1, 14))
images = st.lists(boxes, max_size=4).flatmap(
    lambda truth: st.tuples(
        st.just(truth), st.lists(st.tuples(st.one_of(boxes, *map(st.just, truth)), st.floats(0.125, 1)), max_size=5)
    )
)
"""Boxes of ships, and of what is predicted with which probability: often just one of the ships."""


def mask_of_box(box):
    row, column, height, width = box
    mask = np.zeros((24, 32), dtype=bool)
    mask[row : row + height, column : column + width] = True
    return mask


@settings(deadline=None, max_examples=25)
@given(st.lists(images, min_size=1, max_size=4), st.data())
def test_every_sum_is_that_of_images_that_are_predicted_and_scored_anew(drawn, data):
    """With each setting for itself: threshold, objects, separation, minimum area and score, gate, scores."""
    axes = Axes((0.2, 0.5), (0, 6, 30), (0.0, 0.6, 0.8), (None, 0.3, 0.6))
    grid = TileGrid(24, 32, 16, 8)
    folds = np.array([data.draw(st.integers(0, 1)) for _ in drawn])
    folds[0] = 1
    evidence, known = [], []
    for truth_boxes, predicted in drawn:
        probabilities = np.zeros((24, 32), dtype=np.float32)
        for box, probability in predicted:
            probabilities[mask_of_box(box)] = probability
        truth = [np.flatnonzero(mask_of_box(box).T) for box in truth_boxes]
        peaks = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.3, 0.45, 1.0]), min_size=6, max_size=6)))
        peaks = peaks.astype(np.float32)
        evidence.append(collect_evidence(probabilities, truth, axes.thresholds, peak_map(grid, peaks)))
        known.append((probabilities, truth, peaks))

    sums = score_grid(evidence, folds, axes)

    expected = np.zeros((3, 2, 2, 2, 3, 3, 3))
    for number, (probabilities, truth, peaks) in enumerate(known):
        for separate, (t, threshold), (a, area), (s, least) in product(
            (0, 1), *map(enumerate, (axes.thresholds, axes.minimum_areas, axes.minimum_scores))
        ):
            strip = threshold_lines(Lines(0, 0, probabilities), 24, threshold)
            found = [ship.pixels for ship in join_ships([strip], 24, area, least, bool(separate))]
            for g, gate in enumerate(axes.gates):
                seen = peaks > np.float64(-1 if gate is None else gate)
                ships = [ship for ship in found if any(grid.pixels_per_tile(ship % 24, ship // 24)[seen])]
                score = score_image("image.jpg", truth, ships, (24, 32))
                place = (folds[number], separate, t, a, s, g)
                expected[(0, *place)] += score.dice
                expected[(1, *place)] += score.f2
                expected[(2, *place)] += not truth and bool(ships)
    np.testing.assert_allclose(sums.true_dice, expected[0], atol=1e-12)
    np.testing.assert_allclose(sums.f2, expected[1], atol=1e-12)
    np.testing.assert_array_equal(sums.false_ships, expected[2])
    assert sums.images.tolist() == [np.count_nonzero(folds == fold) for fold in (0, 1)]
    assert sums.empty_images.sum() == sum(not truth for truth, _ in drawn)
