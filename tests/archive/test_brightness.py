import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.brightness import measure_brightness
from shipseg_tiles.archive.usable import UsableImages


@pytest.fixture
def usable(tmp_path):
    """`ship` of 4 x 5 with two ship pixels, (200, 100, 0) and (100, 100, 100), on (10, 20, 30); `sea` of 2 x 2."""
    pixels = np.full((4, 5, 3), (10, 20, 30), dtype=np.uint8)
    pixels[0, 0], pixels[1, 0] = (200, 100, 0), (100, 100, 100)
    Image.fromarray(pixels).save(tmp_path / "ship.png")
    Image.new("RGB", (2, 2), (10, 20, 30)).save(tmp_path / "sea.png")
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\nship.png,1 2\nsea.png,\n")
    return UsableImages(open_archive(tmp_path, tmp_path / "labels.csv"))


def test_values_of_ships_and_of_all_else_are_counted_apart(usable):
    """18 pixels of sea in one image and 4 in the other."""
    counted = measure_brightness(usable, ["ship.png", "sea.png"])

    assert counted.images == 2
    assert counted.ships.sum(axis=1).tolist() == [2, 2, 2]
    assert (counted.ships[0, 200], counted.ships[0, 100], counted.ships[1, 100], counted.ships[2, 0]) == (1, 1, 2, 1)
    assert (counted.others[0, 10], counted.others[1, 20], counted.others[2, 30]) == (22, 22, 22)
    assert counted.others.sum() == 66


def test_the_summary(usable):
    """Ships: (200 + 100 + 0 + 100 + 100 + 100) / 6 = 100; the squares of 100 and -100 over 6 values: 3333.3.

    All else: mean 20, and of every three values two are 10 off: 66.7.
    """
    summary = measure_brightness(usable, ["ship.png", "sea.png"]).summary()

    assert summary["images"] == 2
    ships = {"mean": 100, "deviation": (20000 / 6) ** 0.5, "red": 150, "green": 100, "blue": 50}
    assert summary["ship_pixels"] == pytest.approx(ships)
    others = {"mean": 20, "deviation": (200 / 3) ** 0.5, "red": 10, "green": 20, "blue": 30}
    assert summary["other_pixels"] == pytest.approx(others)


def test_a_sample_without_ships_says_nothing_about_them(usable):
    assert measure_brightness(usable, ["sea.png"]).summary()["ship_pixels"] is None


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_a_damaged_image_is_not_counted(usable, tmp_path):
    (tmp_path / "sea.png").write_text("gone")

    counted = measure_brightness(usable, ["ship.png", "sea.png"])

    assert counted.images == 1
    assert counted.others.sum() == 54
    assert list(usable.sizes) == ["ship.png"]
