import numpy as np
import pytest

from shipseg_tiles.report.pictures import (
    PREDICTED,
    TRUTH,
    contact_sheet,
    outlined,
    shrink_step,
    shrunk_mask,
    triptych,
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 250, (height, width, 3), dtype=np.uint8)


def drawn_places(image, mask, **options):
    """1 where a pixel has changed."""
    return np.any(outlined(image, mask, **options) != image, axis=2).astype(int).tolist()


def test_the_outline_lies_just_outside_of_the_ship():
    """A ship of one pixel keeps its own colour; all within 2 pixels of it take the colour of the outline."""
    mask = np.zeros((5, 5), dtype=bool)
    mask[2, 2] = True

    assert drawn_places(noise(5, 5), mask) == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [1, 1, 0, 1, 1],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
    ]
    assert tuple(outlined(noise(5, 5), mask)[1, 2]) == PREDICTED
    assert tuple(outlined(noise(5, 5), mask, TRUTH)[1, 2]) == TRUTH


def test_a_ship_at_the_border_is_outlined_where_there_is_room():
    mask = np.zeros((3, 4), dtype=np.uint8)
    mask[0:2, 0:2] = 255

    assert drawn_places(noise(3, 4), mask) == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0]]


def test_without_ships_the_picture_is_the_image():
    image = noise(6, 9)

    assert np.array_equal(outlined(image, np.zeros((6, 9))), image)


def test_the_image_itself_is_not_drawn_on():
    image = noise(6, 9)
    before = image.copy()

    outlined(image, np.eye(6, 9))

    assert np.array_equal(image, before)


def test_image_mask_and_both_stand_side_by_side():
    """Three pictures of 10 x 20 px with two gaps of 6 px."""
    image = noise(10, 20)
    mask = np.zeros((10, 20), dtype=bool)
    mask[3:6, 4:9] = True

    picture = triptych(image, mask)

    assert picture.shape == (10, 3 * 20 + 2 * 6, 3)
    assert np.array_equal(picture[:, :20], image)
    assert np.array_equal(picture[:, 26:46], np.repeat(mask[..., np.newaxis], 3, axis=2) * 255)
    assert np.array_equal(picture[:, 52:], outlined(image, mask))
    assert (picture[:, 20:26] == 255).all()
    assert (picture[:, 46:52] == 255).all()


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, 3, (4, 5)), (3, 3, (4, 27)), (5, 2, (24, 16)), (4, 2, (14, 16)), (3, 1, (24, 5))],
)
def test_a_sheet_holds_every_picture_in_reading_order(count, columns, shape):
    """Pictures of 4 x 5 px with gaps of 6: 5 in 2 columns take 3 rows, 3 * 4 + 2 * 6 = 24 by 2 * 5 + 6 = 16."""
    pictures = [noise(4, 5, seed) for seed in range(count)]

    sheet = contact_sheet(pictures, columns)

    assert sheet.shape == (*shape, 3)
    rest = sheet.astype(int)
    for place, picture in enumerate(pictures):
        top, left = place // columns * 10, place % columns * 11
        assert np.array_equal(sheet[top : top + 4, left : left + 5], picture)
        rest[top : top + 4, left : left + 5] = 255
    assert (rest == 255).all()


@pytest.mark.parametrize(
    ("shape", "step"), [((768, 768, 3), 1), ((1024, 10), 1), ((1025, 10), 2), ((10, 2048), 2), ((10, 2049), 3)]
)
def test_images_are_shrunk_to_1024_px(shape, step):
    assert shrink_step(shape) == step


def test_a_shrunk_mask_has_the_shape_of_the_shrunk_image_and_loses_no_ship():
    """Of 5 x 7 px every third row and column is kept: 2 x 3. Row 2, column 4 is none of them; row 4, column 6 is the
    last pixel."""
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 4] = mask[4, 6] = True

    shrunk = shrunk_mask(np.flatnonzero(mask.T), (5, 7), 3)

    assert shrunk.shape == mask[::3, ::3].shape
    assert np.argwhere(shrunk).tolist() == [[0, 1], [1, 2]]
    assert np.array_equal(shrunk_mask(np.flatnonzero(mask.T), (5, 7), 1), mask)
