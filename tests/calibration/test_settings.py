import numpy as np
import pytest

from shipseg_tiles.calibration.settings import Axes, Setting, gate_thresholds

CURRENT = Setting(0.625, 7, 0.72, 0.3, False)


def test_what_is_tried_has_the_current_setting_in_its_place():
    axes = Axes.around(CURRENT, (0.5, 0.1))

    assert axes.thresholds[:3] == (0.05, 0.1, 0.15)
    assert axes.thresholds[11:14] == (0.6, 0.625, 0.65)
    assert len(axes.thresholds) == 20
    assert axes.minimum_areas == (0, 5, 7, 10, 20, 30, 50, 80, 120)
    assert axes.minimum_scores == (0, 0.55, 0.6, 0.65, 0.7, 0.72, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert axes.gates == (None, 0.1, 0.3, 0.5)
    assert axes.index(CURRENT) == (0, 12, 2, 5, 2)
    assert axes.setting((0, 12, 2, 5, 2)) == CURRENT


def test_what_stands_there_already_is_not_tried_twice():
    axes = Axes.around(Setting(0.55, 10, 0.8, None, True))

    assert (len(axes.thresholds), len(axes.minimum_areas), len(axes.minimum_scores), axes.gates) == (19, 8, 10, (None,))
    assert axes.index(Setting(0.55, 10, 0.8, None, True)) == (1, 10, 2, 6, 0)


def test_gate_thresholds_are_quantiles_that_a_gate_can_have():
    """Parts of 64 of the peaks 0, 1/64 ... 1: without 0 and 1 themselves. Where most peaks are 0, so are quantiles."""
    peaks = np.arange(65, dtype=np.float32) / 64

    assert gate_thresholds(peaks) == pytest.approx([step / 64 for step in range(1, 64)])
    assert gate_thresholds(np.array([0] * 33 + [0.5] * 32, dtype=np.float32)) == [0.5]
    assert gate_thresholds(np.ones(3, dtype=np.float32)) == []
