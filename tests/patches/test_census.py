import pytest

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.patches.census import PatchCount, count_patches, fitting_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.plan import plan_patches


def test_patches_with_a_ship_pixel_are_ship_patches():
    """An image of 200 x 300, and an empty one of 128 x 128. Pixel 64 * 200 + 65 of the first is row 64, column 64.

    Patches of 64: 4 rows (0, 64, 128, 136) by 5 columns (0, 64, 128, 192, 236) and 2 by 2; those of row 64 and column
    64 hold the pixel alone. Patches of 128: 2 rows (0, 72) by 3 columns (0, 128, 172) and 1; only the first begins
    at row 64 or above and reaches column 64. It is the same whether masks tell the sizes or the images alone.
    """
    sizes = {"a.png": (200, 300), "b.png": (128, 128)}

    for told in ({}, sizes):
        labels = Labels("labels", {"a.png": ("12865 1",), "b.png": ()}, told)
        assert count_patches(labels, sizes, [64, 128]) == [PatchCount(64, 1, 23), PatchCount(128, 1, 6)]


def test_overlapping_patches_at_the_border_count_each():
    """Patches of 64 in an image of 100 x 64 begin at rows 0 and 36: row 50 lies in both."""
    labels = Labels("labels", {"a.png": ("51 1",)})

    assert count_patches(labels, {"a.png": (100, 64)}, [64]) == [PatchCount(64, 2, 0)]


@pytest.mark.parametrize("patch", [64, 128, 256])
def test_a_plan_has_as_many_to_choose_from(scenes, patch):
    sizes = dict.fromkeys(scenes.files, (256, 256))

    plan = plan_patches(scenes.labels, sizes, [], PatchOptions(patch=patch, stride=patch))

    (count,) = count_patches(scenes.labels, sizes, [patch])
    assert count.ship == plan.candidates["train", "ship"] > 0
    assert count.background == plan.candidates["train", "background"] > 0


@pytest.mark.parametrize(
    ("sizes", "patches"),
    [
        ([(768, 768)], [64, 128, 256, 384, 768]),
        ([(767, 2000), (100, 100)], [64, 128, 256, 384]),
        ([(64, 64)], [64]),
        ([(20, 900)], [64]),
    ],
)
def test_patches_larger_than_every_image_are_left_out(sizes, patches):
    """An image smaller than every patch has one patch all the same, which is padded."""
    assert fitting_patches({f"{number}.png": size for number, size in enumerate(sizes)}) == patches
