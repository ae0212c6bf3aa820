import pytest

from shipseg_tiles.scoring.bootstrap import bootstrap_intervals
from shipseg_tiles.scoring.difference import dice_difference
from shipseg_tiles.scoring.image_score import ImageScore
from shipseg_tiles.scoring.metrics import numerators_and_denominators


def scores(*dices):
    """Images of these true dices; nothing else of them counts here."""
    return [ImageScore(f"{index}.jpg", (8, 8), 9, 9, 9, 1, 1, dice, 0, 0, (), ()) for index, dice in enumerate(dices)]


def test_what_is_better_by_as_much_on_every_image_is_better_without_doubt():
    """The dices themselves are 0 and 0.5 and vary; each is above the other net's by a quarter."""
    worse = scores(*[0, 0.5] * 20)
    better = scores(*[0.25, 0.75] * 20)

    assert dice_difference(better, worse) == (0.25, (0.25, 0.25))
    assert dice_difference(worse, better) == (-0.25, (-0.25, -0.25))
    all_images = bootstrap_intervals(*(values[:, 1:2] for values in numerators_and_denominators(worse)))
    assert all_images[0][0] + 0.1 < all_images[0][1]


def test_the_interval_is_that_of_the_differences():
    """Of 100 images 50 are better by 0.2 and 50 alike: the mean is 0.1, its deviation 0.1 / sqrt(100) = 0.01, so that
    95 % lie from 0.1 - 1.96 * 0.01 = 0.080 to 0.120."""
    difference, (low, high) = dice_difference(scores(*[0.7, 0.3] * 50), scores(*[0.5, 0.3] * 50))

    assert difference == pytest.approx(0.1)
    assert (low, high) == pytest.approx((0.0804, 0.1196), abs=0.003)


def test_a_single_image_has_no_interval():
    assert dice_difference(scores(1), scores(0.5)) == (0.5, None)
