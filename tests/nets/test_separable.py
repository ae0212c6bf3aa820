import numpy as np
import pytest

from shipseg_tiles.nets.separable import filter_separably, gaussian


def noise(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_each_patch_is_filtered_by_its_own_matrix_along_both_axes():
    pixels, matrices = noise(3, 5, 5, 2), noise(3, 5, 5)

    filtered = np.asarray(filter_separably(pixels, matrices))

    for number in range(3):
        for channel in range(2):
            expected = matrices[number] @ pixels[number, ..., channel] @ matrices[number].T
            assert filtered[number, ..., channel] == pytest.approx(expected, rel=1e-5)


def test_a_gaussian_has_its_deviation_and_the_sum_1():
    """Far from the borders the weights fall by exp(-1 / 2) at one deviation's distance and by exp(-2) at two."""
    weights = np.asarray(gaussian(41, np.array([3, 2], dtype=np.float32)))

    assert weights.sum(axis=2) == pytest.approx(np.ones((2, 41)), rel=1e-5)
    assert weights[0, 20, 23] / weights[0, 20, 20] == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert weights[1, 20, 24] / weights[1, 20, 20] == pytest.approx(np.exp(-2), rel=1e-5)


def test_without_deviation_it_changes_nothing_at_all():
    pixels = noise(2, 7, 7, 3)

    assert np.array_equal(filter_separably(pixels, gaussian(7, np.zeros(2, dtype=np.float32))), pixels)
