import numpy as np
import pytest

from shipseg_tiles.nets.truth import truth_like

MASKS = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]], dtype=np.uint8)


def test_masks_stay_masks_for_a_segmenter():
    truth = np.asarray(truth_like(np.zeros((3, 2, 2, 1), dtype=np.float32), MASKS))

    assert truth.dtype == np.float32
    assert np.array_equal(truth, MASKS[..., np.newaxis])


def test_masks_are_cells_for_a_gate():
    """Cells of 2 x 2 px: one pixel makes a cell of ship, wherever it lies in it."""
    mask = np.array([[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [1, 0, 1, 1, 0, 0]], dtype=np.uint8)
    prediction = np.zeros((2, 2, 3, 1), dtype=np.float32)

    cells = np.asarray(truth_like(prediction, np.stack([mask, np.zeros_like(mask)])))

    assert cells.dtype == np.float32
    assert cells[..., 0].tolist() == [[[0, 1, 0], [1, 1, 0]], [[0, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize("truth", [MASKS, np.array([1, 0, 1]), np.array([[True], [False], [True]])])
def test_masks_and_labels_are_labels_for_a_classifier(truth):
    """The first and the last mask hold ship."""
    labels = np.asarray(truth_like(np.zeros((3, 1), dtype=np.float32), truth))

    assert labels.dtype == np.float32
    assert labels.tolist() == [[1], [0], [1]]
