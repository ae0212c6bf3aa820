import numpy as np
import pytest

from shipseg_tiles.nets.augmentation_geometry import rotate, turn, zoom

TURNS = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8, 1, 1, 1) > 0
"""All ways to turn, one for each of 8 patches."""


def test_the_eight_turns_are_the_eight_symmetries_of_the_square():
    """4 quarter turns, each with and without a flip."""
    square = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)

    turned = np.asarray(turn(np.repeat(square, 8, axis=0), TURNS))[..., 0]

    symmetries = [np.rot90(field, turns) for field in (square[0, ..., 0], square[0, :, ::-1, 0]) for turns in range(4)]
    assert {field.tobytes() for field in turned} == {field.tobytes() for field in symmetries}
    assert len({field.tobytes() for field in turned}) == 8


def zoomed_slowly(field, factor):
    """Each place by itself: the mean of what lies within reach in the mirrored field, nearer pixels counting more."""
    side = len(field)
    mirrored = np.pad(field, side, mode="symmetric")
    reach = max(1 / factor, 1)
    zoomed = np.zeros_like(field)
    for row in range(side):
        for column in range(side):
            y, x = ((place - (side - 1) / 2) / factor + (side - 1) / 2 + side for place in (row, column))
            weights = np.outer(*(np.maximum(1 - np.abs(np.arange(3 * side) - centre) / reach, 0) for centre in (y, x)))
            zoomed[row, column] = (weights * mirrored).sum() / weights.sum()
    return zoomed


def test_zoom_agrees_with_each_place_by_itself():
    pixels = np.random.default_rng(0).random((4, 9, 9, 3), dtype=np.float32) * 255
    factors = np.array([0.5, 0.8, 1.33, 2], dtype=np.float32)

    zoomed, _ = zoom(pixels, np.zeros((4, 9, 9, 1), dtype=np.float32), factors)

    for patch, result, factor in zip(pixels, np.asarray(zoomed), factors, strict=True):
        for channel in range(3):
            assert result[..., channel] == pytest.approx(zoomed_slowly(patch[..., channel], factor), rel=1e-3)


def test_a_factor_of_1_changes_nothing_at_all():
    pixels = np.random.default_rng(0).random((2, 128, 128, 3), dtype=np.float32)
    masks = np.round(pixels[..., :1])

    zoomed, zoomed_masks = zoom(pixels, masks, np.ones(2, dtype=np.float32))

    assert np.array_equal(zoomed, pixels)
    assert np.array_equal(zoomed_masks, masks)


def test_a_ship_grows_and_shrinks_with_its_mask():
    """A ship of 16 x 8 px in the middle of 64 px becomes 32 x 16 px, and 8 x 4 px; beyond the 32 px
    that are left of the whole patch then lie its mirror images."""
    masks = np.zeros((2, 64, 64, 1), dtype=np.float32)
    masks[:, 24:40, 28:36] = 1

    factors = np.array([2, 0.5], dtype=np.float32)

    zoomed, zoomed_masks = (np.asarray(field) for field in zoom(np.repeat(masks, 3, axis=3), masks, factors))

    expected = np.zeros((2, 64, 64, 1), dtype=np.float32)
    expected[0, 16:48, 24:40] = 1
    expected[1, 28:36, 30:34] = 1
    assert np.array_equal(zoomed_masks[0], expected[0])
    assert np.array_equal(zoomed_masks[1, 16:48, 16:48], expected[1, 16:48, 16:48])
    assert np.array_equal(zoomed[..., :1] > 0.5, zoomed_masks > 0)


def test_a_quarter_turn_to_the_right_is_the_one_of_numpy():
    pixels = np.random.default_rng(0).random((3, 16, 16, 3), dtype=np.float32) * 255
    masks = np.round(pixels[..., :1] / 255)

    turned, turned_masks = (
        np.asarray(field) for field in rotate(pixels, masks, np.float32([np.pi / 2, -np.pi / 2, 0]))
    )

    for result, field in ((turned, pixels), (turned_masks, masks)):
        for number, turns in enumerate((-1, 1, 0)):
            assert result[number] == pytest.approx(np.rot90(field[number], turns), abs=0.02)


def test_a_ship_that_lay_across_lies_along_the_diagonal_with_its_mask():
    """A ship of 33 x 5 px in the middle, rotated by 30 degrees: its ends lie 16 cos 30 = 14 px to the side and
    16 sin 30 = 8 px down and up."""
    masks = np.zeros((1, 65, 65, 1), dtype=np.float32)
    masks[:, 30:35, 16:49] = 1

    rotated, rotated_masks = (
        np.asarray(field)[0] for field in rotate(np.repeat(masks, 3, axis=3), masks, np.float32([np.pi / 6]))
    )

    assert np.array_equal(rotated[..., :1] > 0.5, rotated_masks > 0)
    assert rotated_masks.sum() == pytest.approx(33 * 5, abs=8)
    assert rotated_masks[32 + 7, 32 + 13] == rotated_masks[32 - 7, 32 - 13] == 1
    assert rotated_masks[32 - 7, 32 + 13] == rotated_masks[32 + 7, 32 - 13] == 0


def test_beyond_its_border_a_rotated_patch_shows_its_mirror_image():
    """Of a patch that is white to the left and black to the right, nothing else appears."""
    halves = np.zeros((1, 32, 32, 1), dtype=np.float32)
    halves[:, :, :16] = 1

    rotated, rotated_masks = (
        np.asarray(field)[0] for field in rotate(np.repeat(halves, 3, axis=3), halves, np.float32([np.pi / 4]))
    )

    assert rotated_masks[16, 0] == 1
    assert rotated_masks[16, 31] == 0
    assert rotated_masks.mean() == pytest.approx(0.5, abs=0.02)
    assert rotated.min() == 0
    assert rotated.max() == 1
