import numpy as np

from shipseg_tiles.calibration.evidence import collect_evidence, peak_map
from shipseg_tiles.tiling import TileGrid


def pixels(height, top, left, bottom, right):
    """Sorted pixel indices of a box in an image of `height` lines."""
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom), indexing="ij")
    return (columns * height + rows).ravel()


def test_objects_by_hand():
    """20 x 30 px. At 0.5 there are two objects: 4 x 10 px, one half with 0.875 and one with 1, 0.9375 in the mean, and
    2 x 2 px with 0.625, which is gone at 0.625, as it is not above it.

    Labelled are 4 x 9 px of the first, an IoU of 36 / 40 = 0.9, which is above 0.50 to 0.85, 8 of the ten thresholds
    (0.90 is not above 0.90); and 10 px that share none. The tile with the second object has a peak of 0.25.
    """
    probabilities = np.zeros((20, 30), dtype=np.float32)
    probabilities[2:6, 5:10], probabilities[2:6, 10:15] = 0.875, 1
    probabilities[10:12, 20:22] = 0.625
    peaks = np.full((20, 30), 0.75, dtype=np.float32)
    peaks[:, 15:] = 0.25
    truth = [pixels(20, 2, 5, 6, 14), pixels(20, 18, 0, 19, 10), np.empty(0, dtype=np.int64)]

    evidence = collect_evidence(probabilities, truth, (0.5, 0.625), peaks)

    assert (evidence.truth_pixels, evidence.truth_ships) == (46, 2)
    assert set(evidence.objects) == {(False, 0.5), (True, 0.5), (False, 0.625), (True, 0.625)}
    found = evidence.objects[False, 0.5]
    assert (found.sizes.tolist(), found.shared.tolist(), found.hits.tolist()) == ([40, 4], [36, 0], [8, 0])
    assert (found.scores.tolist(), found.scores.dtype) == ([0.9375, 0.625], np.float32)
    assert found.peaks.tolist() == [0.75, 0.25]
    assert evidence.objects[False, 0.625].sizes.tolist() == [40]


def test_an_object_has_the_highest_peak_of_the_tiles_that_it_touches():
    probabilities = np.zeros((4, 8), dtype=np.float32)
    probabilities[0, 2:6] = 1
    peaks = np.repeat(np.array([[0.25, 0.5]], dtype=np.float32), 4, axis=1).repeat(4, axis=0)

    evidence = collect_evidence(probabilities, [], (0.5,), peaks)

    assert evidence.objects[False, 0.5].peaks.tolist() == [0.5]


def test_ships_that_touch_are_cut_in_half_of_the_evidence():
    """Boxes of 10 x 40 px whose ends share 3 rows, each a labelled ship: together their IoU with each is a half, which
    is no hit; cut apart they are exact, a hit at all ten thresholds. With 0.75 and 1 they have 0.875 in the mean."""
    ships = [pixels(120, 20, 20, 30, 60), pixels(120, 27, 60, 37, 100)]
    probabilities = np.zeros((120, 120), dtype=np.float32)
    for ship, probability in zip(ships, (0.75, 1), strict=True):
        probabilities.T.flat[ship] = probability

    evidence = collect_evidence(probabilities, ships, (0.5,), np.ones_like(probabilities))

    together, apart = evidence.objects[False, 0.5], evidence.objects[True, 0.5]
    assert (together.sizes.tolist(), together.hits.tolist()) == ([800], [0])
    assert (together.scores.tolist(), apart.scores.tolist()) == ([0.875], [0.75, 1])
    assert (apart.sizes.tolist(), apart.shared.tolist(), apart.hits.tolist()) == ([400, 400], [400, 400], [10, 10])


def test_nothing_is_found_in_nothing():
    evidence = collect_evidence(np.zeros((3, 4), dtype=np.float32), [], (0.5,), np.ones((3, 4), dtype=np.float32))

    assert (evidence.truth_pixels, evidence.truth_ships) == (0, 0)
    for found in evidence.objects.values():
        assert len(found.sizes) == len(found.hits) == len(found.scores) == len(found.peaks) == 0


def test_peaks_of_tiles_over_an_image_by_hand():
    """3 x 5 px in tiles of 4 px, 2 px apart, from the columns 0 and 1: both hold the columns 1 to 3."""
    peaks = peak_map(TileGrid(3, 5, 4, 2), np.array([0.75, 0.5], dtype=np.float32))

    assert peaks.dtype == np.float32
    assert peaks.tolist() == [[0.75, 0.75, 0.75, 0.75, 0.5]] * 3
