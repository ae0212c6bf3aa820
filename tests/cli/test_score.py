import json

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.masks import write_mask
from shipseg_tiles.rle import encode
from shipseg_tiles.scoring.metrics import METRICS
from shipseg_tiles.scoring.patch_gap import MEANINGS

HEADER = "ImageId,EncodedPixels\n"
SHAPE = (40, 60)


def box(row, column, height, width):
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[row : row + height, column : column + width] = 1
    return mask


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two images of 40 x 60 px: a has a ship of 20 x 10 px, of which the upper half is found; b is empty, and so is
    its prediction."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "found/masks"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", SHAPE[::-1]).save(tmp_path / "images" / f"{name}.png")
    found = box(0, 0, 10, 10)
    (tmp_path / "labels.csv").write_text(f"{HEADER}a.png,{encode(box(0, 0, 20, 10))}\nb.png,\n")
    (tmp_path / "found" / "submission.csv").write_text(f"{HEADER}a.png,{encode(found)}\nb.png,\n")
    write_mask(tmp_path / "found" / "masks" / "a.png", found, "a.png")
    return tmp_path


@pytest.fixture
def scored(shipseg, folder):
    """Score with some options and return what is said and what is written."""

    def run(*options):
        status, output, complaint = shipseg("score", "--labels", "labels.csv", *options, "--json", "s.json")
        assert status == 0, complaint
        return output.splitlines(), json.loads((folder / "s.json").read_text())

    return run


@pytest.fixture
def refused(shipseg, folder):
    """Score with some options, be refused, and return the complaint."""

    def run(*options):
        status, output, complaint = shipseg("score", "--labels", "labels.csv", *options)
        assert (status, output) == (2, "")
        assert complaint.count("\n") == 1
        return complaint

    return run


def test_values_intervals_and_meanings_stand_in_columns(scored):
    """The dice of a is 2 * 100 / 300, of b 1. Resamples of the two hold one of them alone in half of the cases."""
    lines, numbers = scored("--predictions", "found")

    assert lines[0] == "2 images, 1 with ships"
    assert lines[1] == "   value   95 % interval  meaning"
    assert lines[2] == "  0.6667               -  true dice, mean over the images with ships"
    assert lines[3].startswith("  0.8333  0.667 to 1.000  true dice, mean over all images (both empty 1")
    assert len(lines) == 2 + len(METRICS)
    assert numbers["dice_mean_all_images"] == pytest.approx(5 / 6)
    assert numbers["intervals"]["dice_mean_all_images"] == pytest.approx([2 / 3, 1])
    assert numbers["intervals"]["dice_mean_ship_images"] is None


def test_the_way_from_patch_dice_to_true_dice(scored, folder):
    """Patches of 10 px: the ship fills two. Patch by patch all of it is found, and 10 px in a third patch.

    Ship patches: 2 * 200 / 400; stitched 2 * 100 / 300, where nothing else is predicted in a: the next two steps change
    nothing. With b, which scores 1, the mean is 5/6.
    """
    rows = f"a.png,{encode(box(0, 0, 20, 10))}\na.png,{encode(box(30, 50, 1, 10))}\nb.png,\n"
    (folder / "single.csv").write_text(HEADER + rows)

    lines, numbers = scored("--predictions", "found", "--patch", 10, "--unstitched", "single.csv")

    steps = numbers["patch_gap"]
    assert [step["name"] for step in steps] == list(MEANINGS)
    assert [step["dice"] for step in steps] == pytest.approx([1, 2 / 3, 2 / 3, 2 / 3, 5 / 6])
    assert [step["change"] for step in steps[1:]] == pytest.approx([-1 / 3, 0, 0, 1 / 6])
    assert lines[-7:-3] == [
        "from the dice of patches of 10 px to the true dice",
        "    dice   change  meaning",
        f"  1.0000        -  {MEANINGS['single_ship_patches']}",
        f"  0.6667  -0.3333  {MEANINGS['stitched_ship_patches']}",
    ]


def test_patches_without_single_predictions(scored):
    _, numbers = scored("--predictions", "found/submission.csv", "--images", "images", "--patch", 10)

    assert [step["name"] for step in numbers["patch_gap"]] == list(MEANINGS)[1:]


def test_patches_of_no_pixel_are_refused(refused):
    assert "--patch 0 must be 1 or more" in refused("--predictions", "found", "--patch", 0)


def test_single_patches_without_their_side_are_refused(refused):
    assert "--unstitched needs --patch" in refused("--predictions", "found", "--unstitched", "found")


def test_the_masks_of_a_prediction_tell_its_sizes(refused, folder):
    """Pixel 2401 is outside the 40 x 60 = 2400; in an image of the competition it would be inside."""
    (folder / "found" / "submission.csv").write_text(f"{HEADER}a.png,2401 1\nb.png,\n")

    complaint = refused("--predictions", "found")

    assert "found/submission.csv: a.png: run '2401 1' leaves the image of 2400 pixels, which has 40 x 60" in complaint


def test_images_of_another_size_than_their_masks_are_refused(refused, folder):
    Image.new("RGB", (60, 50)).save(folder / "images" / "a.png")

    complaint = refused("--predictions", "found", "--images", "images")

    assert "a.png has 50 x 60 pixels by images/a.png but 40 x 60 pixels by found/submission.csv" in complaint


def test_ships_that_overlap_are_refused(refused, folder):
    (folder / "two.csv").write_text(f"{HEADER}a.png,1 4\na.png,4 4\nb.png,\n")

    assert "two.csv: a.png: its rows 1 ('1 4') and 2 ('4 4') share 1 pixels" in refused("--predictions", "two.csv")
