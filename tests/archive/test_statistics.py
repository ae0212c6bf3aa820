import numpy as np
import pytest

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.statistics import box_sides, measure_labels, summarise_measures
from shipseg_tiles.errors import InputError
from shipseg_tiles.rle import encode

SHAPE = (20, 30)


def box(row, column, height, width):
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[row : row + height, column : column + width] = 1
    return encode(mask)


def turned_box(length, width, degrees, middle=(100.3, 99.6)):
    """Pixel indices, in an image of 200 x 200, of the pixels whose middle lies in a turned box."""
    rows, columns = np.mgrid[:200, :200]
    x, y, angle = columns - middle[1], rows - middle[0], np.deg2rad(degrees)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.flatnonzero(((abs(along) <= length / 2) & (abs(across) <= width / 2)).T)


@pytest.fixture
def measures():
    """Three images of 20 x 30: `a` with boxes of 2 x 6 and 4 x 4 that share 2 pixels, `b` with one of 1 x 1, `c` empty.

    The first box of `a` holds rows 3, 4 and columns 1 to 6; the second rows 4 to 7 and columns 5 to 8: they share
    row 4, columns 5 and 6.
    """
    ships = {"a.png": (box(3, 1, 2, 6), box(4, 5, 4, 4)), "b.png": (box(19, 29, 1, 1),), "c.png": ()}
    return measure_labels(Labels("masks", ships, dict.fromkeys(ships, SHAPE)), dict.fromkeys(ships, SHAPE))


def test_images_and_ships_are_measured(measures):
    """12 + 16 - 2 shared pixels are 26. Rows 3 and 4 have their middle at 3.5, which rounds to the even 4."""
    images, ships = measures.images, measures.ships

    assert images.loc["a.png"].to_dict() == {"height": 20, "width": 30, "ships": 2, "ship_pixels": 26}
    assert images["ship_pixels"].tolist() == [26, 1, 0]
    assert ships["image"].tolist() == ["a.png", "a.png", "b.png"]
    assert ships["pixels"].tolist() == [12, 16, 1]
    assert ships["length"].tolist() == pytest.approx([6, 4, 1])
    assert ships["width"].tolist() == pytest.approx([2, 4, 1])
    assert ships[["row", "column"]].to_numpy().tolist() == [[4, 4], [6, 6], [19, 29]]


def test_the_numbers_of_an_archive(measures):
    """Ships of 1, 12 and 16 pixels: median 12, mean 29 / 3, a quarter below 1 + (12 - 1) / 2 = 6.5.

    27 ship pixels of 600 in each image: 27 / 1200 on the two ship images, 27 / 1800 over all.
    """
    numbers = summarise_measures(measures)

    assert numbers["images"] == 3
    assert numbers["ship_images"] == 2
    assert numbers["ships"] == 3
    assert numbers["empty_share"] == pytest.approx(1 / 3)
    assert numbers["image_sizes"] == [{"height": 20, "width": 30, "images": 3}]
    assert numbers["ships_per_image"] == {"0": 1, "1": 1, "2": 1}
    pixels = numbers["ship_pixels"]
    assert (pixels["smallest"], pixels["percent_25"], pixels["median"], pixels["largest"]) == (1, 6.5, 12, 16)
    assert pixels["mean"] == pytest.approx(29 / 3)
    assert numbers["ship_pixels_per_ship_image"]["mean"] == 13.5
    assert numbers["ship_length"]["median"] == pytest.approx(4)
    assert numbers["ship_width"]["median"] == pytest.approx(2)
    assert numbers["ship_pixel_share_ship_images"] == 27 / 1200
    assert numbers["ship_pixel_share_all_images"] == 27 / 1800


def test_without_ships_there_is_no_distribution():
    numbers = summarise_measures(measure_labels(Labels("labels", {"a.png": ()}), {"a.png": SHAPE}))

    assert (numbers["images"], numbers["ships"], numbers["empty_share"]) == (1, 0, 1)
    assert numbers["ship_pixels"] is numbers["ship_length"] is numbers["ship_pixels_per_ship_image"] is None
    assert numbers["ship_pixel_share_ship_images"] is None
    assert numbers["ship_pixel_share_all_images"] == 0


def test_some_of_the_images_only(measures):
    some = measures.only(["b.png", "c.png"])

    assert some.images.index.tolist() == ["b.png", "c.png"]
    assert some.ships["pixels"].tolist() == [1]


def test_only_the_most_frequent_sizes_are_listed():
    """Twelve images: 20 x 30 twice, and ten other sizes, of which the last finds no place among the ten."""
    sizes = {f"{side:02}.png": (side, side) for side in range(1, 11)} | {"y.png": SHAPE, "z.png": SHAPE}

    listed = summarise_measures(measure_labels(Labels("labels", dict.fromkeys(sizes, ())), sizes))["image_sizes"]

    assert listed[0] == {"height": 20, "width": 30, "images": 2}
    assert [size["height"] for size in listed[1:]] == list(range(1, 10))


@pytest.mark.parametrize("degrees", [0, 17, 30, 45, 60, 90, 121])
@pytest.mark.parametrize(("length", "width"), [(80, 20), (40, 30), (12, 4)])
def test_the_sides_of_a_turned_box_are_right_within_a_pixel(length, width, degrees):
    assert box_sides(turned_box(length, width, degrees), 200) == pytest.approx((length, width), abs=1)


def test_a_label_in_two_parts_is_no_longer_than_it_reaches():
    """Two pixels at rows 0 and 9 of one column: 10 pixels from end to end. Their variance alone would say 15.6."""
    assert box_sides(np.array([0, 9]), 20) == pytest.approx((10, 1))


def test_the_length_of_a_label_in_two_parts_is_its_longer_side():
    """Two upright lines of 15 px, 10 columns apart: their moments say 19 by 15, and none reaches further than 15."""
    lines = [*range(5, 20), *range(205, 220)]

    assert box_sides(np.array(lines), 20) == pytest.approx((15, 11))


def test_a_run_that_leaves_its_image_is_refused():
    labels = Labels("labels.csv", {"a.png": ("599 3",)})

    with pytest.raises(InputError, match=r"labels.csv: a.png: run '599 3' leaves the image of 600 pixels"):
        measure_labels(labels, {"a.png": SHAPE})
