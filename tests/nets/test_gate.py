import functools

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net, side_multiple
from shipseg_tiles.nets.gate import CELL, REACH, answers_cells


@functools.cache
def gate():
    """A gate of fresh weights that no test may change."""
    keras.utils.set_random_seed(0)
    return build_net("gate", width=4, depth=4)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def answer(pixels):
    return np.asarray(gate()(pixels[np.newaxis]))[0, ..., 0]


def test_a_gate_answers_a_probability_for_each_cell():
    """Cells of 32 px: 2 x 3 of them in 64 x 96 px."""
    net = gate()

    assert CELL == side_multiple("gate", 4) == 32
    assert (net.input_shape, net.output_shape) == ((None, None, None, 3), (None, None, None, 1))
    assert net.inputs[0].dtype == "uint8"
    for shape, cells in (((2, 64, 96), (2, 2, 3)), ((1, 32, 32), (1, 1, 1))):
        probabilities = np.asarray(net(noise(*shape)))
        assert probabilities.shape == (*cells, 1)
        assert probabilities.dtype == np.float32
        assert 0 < probabilities.min() <= probabilities.max() < 1


@pytest.mark.parametrize("depth", [3, 5])
def test_a_gate_with_the_encoder_of_a_segmenter_answers_the_same_cells(tmp_path, depth):
    """It sees 128 x 256 px as 32 x 64, and begins with what the segmenter knows."""
    keras.utils.set_random_seed(1)
    segmenter = build_net("mobilenetv2-unet", width=2, depth=depth)
    segmenter.save(tmp_path / "net.keras")

    net = build_net("mobilenetv2-gate", width=2, depth=depth, encoder_weights=str(tmp_path / "net.keras"))

    assert answers_cells(net)
    assert side_multiple("mobilenetv2-gate", depth) == 4 * 2**depth
    assert net(noise(1, 128, 256)).shape == (1, 4, 8, 1)
    assert net.get_layer("encoder")(noise(1, 32, 64))[0].shape == (1, 32, 64, 3)
    first, second = (of.get_layer("encoder").get_layer("Conv1").get_weights()[0] for of in (segmenter, net))
    assert np.array_equal(first, second)


def test_a_gate_is_no_shallower_than_its_cells():
    with pytest.raises(InputError, match="depth 2 from 3 to 5"):
        build_net("mobilenetv2-gate", width=2, depth=2)


def test_all_depths_make_the_same_gate():
    shapes = [[weights.shape for weights in build_net("gate", 4, depth).get_weights()] for depth in (1, 6)]

    assert shapes[0] == shapes[1]


def test_the_encoder_answers_the_strides_1_2_4_down_to_the_cell():
    maps = gate().get_layer("encoder")(noise(1, 64, 96))

    assert [tuple(features.shape[1:3]) for features in maps] == [(64 >> level, 96 >> level) for level in range(6)]


@pytest.mark.parametrize(("row", "column"), [(128, 128), (128, 159), (159, 128), (159, 159), (143, 144)])
def test_a_cell_sees_all_of_its_pixels(row, column):
    """The cell in row 4, column 4 has the pixels 128 to 159: a block of 2 x 2 px in each corner and in the middle."""
    pixels = noise(320, 320)
    changed = pixels.copy()
    changed[row - row % 2 : row - row % 2 + 2, column - column % 2 : column - column % 2 + 2] ^= 255

    assert answer(changed)[4, 4] != answer(pixels)[4, 4]


def test_a_cell_sees_its_neighbours_but_no_further_than_the_reach():
    pixels = noise(32, 640)
    changed = pixels.copy()
    changed[:, 320:352] ^= 255  # the cell in column 10

    different = np.flatnonzero(answer(changed)[0] != answer(pixels)[0])

    assert {9, 10, 11} <= set(different.tolist())
    assert max(10 - different.min(), different.max() - 10) == REACH


def test_gates_are_told_from_other_nets():
    fixed = keras.Input((64, 64, 3), dtype="uint8")

    assert answers_cells(gate())
    assert not answers_cells(build_net("unet", 1, 1))
    assert not answers_cells(build_net("classifier", 1, 1))
    assert not answers_cells(keras.Model(fixed, gate()(fixed)))
