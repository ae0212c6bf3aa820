from itertools import chain

import numpy as np
import pytest

from shipseg_tiles.scoring.bootstrap import RESAMPLES, bootstrap_intervals, resampling_counts


def column(*values):
    """One score of some images: float64 (images, 1)."""
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def slow_intervals(parts, wholes):
    """Every resample laid out image by image, every score added up and divided by itself."""
    resamples = [np.repeat(np.arange(len(parts)), counts.astype(int)) for counts in all_counts(len(parts))]
    found = []
    for score in range(parts.shape[1]):
        sums = [(sum(parts[drawn, score]), sum(wholes[drawn, score])) for drawn in resamples]
        ratios = sorted(part / whole for part, whole in sums if whole)
        found.append((np.percentile(ratios, 2.5), np.percentile(ratios, 97.5)))
    return found


def all_counts(images):
    return list(chain.from_iterable(resampling_counts(images)))


@pytest.mark.parametrize("images", [2, 7, 40])
def test_agrees_with_a_plain_loop_over_the_same_draws(images):
    """Means, pooled ratios, and a ratio for which the first six images alone count."""
    generator = np.random.default_rng(images)
    some = np.arange(images) < 6
    parts = np.stack([generator.random(images), generator.integers(0, 9, images), some * generator.random(images)], 1)
    wholes = np.stack([np.ones(images), generator.integers(9, 20, images), some], 1)

    intervals = bootstrap_intervals(parts, wholes)

    assert intervals == [pytest.approx(ends) for ends in slow_intervals(parts, wholes)]


@pytest.mark.parametrize("images", [1, 3, 3000])
def test_each_resample_holds_as_many_images_as_there_are(images):
    """3,000 images take several blocks, the last of which is not full."""
    blocks = list(resampling_counts(images))

    assert sum(len(counts) for counts in blocks) == RESAMPLES
    assert all(counts.shape[1] == images for counts in blocks)
    assert all((counts.sum(axis=1) == images).all() for counts in blocks)
    assert (len(blocks) > 1) == (images == 3000)
    # Drawn with replacement, an image is missing in about exp(-1) of the resamples: in each with one image alone never.
    missing = np.concatenate(blocks)[:, 0] == 0
    assert missing.mean() == pytest.approx((1 - 1 / images) ** images, abs=0.06)


def test_the_interval_of_a_share_is_the_binomial_one():
    """Of 100 images 50 score 1 and 50 score 0. The mean of a resample is binomial with the deviation
    sqrt(0.5 * 0.5 / 100) = 0.05, so 95 % of them lie between 0.5 - 1.96 * 0.05 = 0.402 and 0.598."""
    ((low, high),) = bootstrap_intervals(column(*[0, 1] * 50), column(*[1] * 100))

    assert low == pytest.approx(0.402, abs=0.015)
    assert high == pytest.approx(0.598, abs=0.015)


def test_a_score_that_never_varies_has_an_interval_without_width():
    assert bootstrap_intervals(column(1, 1, 1), column(2, 2, 2)) == [(0.5, 0.5)]


@pytest.mark.parametrize("case", [0, 1])
def test_what_never_or_always_happened_has_no_interval(case):
    """Of 12 images without a false ship the share of all others may still be 25 %."""
    assert bootstrap_intervals(column(*[case] * 12), column(*[1] * 12)) == [None]


def test_the_same_scores_have_the_same_intervals():
    parts, wholes = column(*np.random.default_rng(0).random(30)), column(*[1] * 30)

    assert bootstrap_intervals(parts, wholes) == bootstrap_intervals(parts, wholes)


@pytest.mark.parametrize(
    ("counting", "images", "has_interval"),
    [(0, 100, False), (4, 100, False), (5, 100, True), (1, 5, False), (2, 5, False), (3, 5, False), (4, 5, True)],
)
def test_too_few_images_that_count_have_no_interval(counting, images, has_interval):
    """A resample misses all 4 of 100 images with the chance 0.96^100 = 1.7 %, all 5 with 0.95^100 = 0.6 %; all 3 of 5
    with 0.4^5 = 1.02 %, all 4 with 0.2^5 = 0.03 %. The limit is 1 %."""
    wholes = column(*[1] * counting, *[0] * (images - counting))

    (interval,) = bootstrap_intervals(wholes * 0.5, wholes)

    assert interval == ((0.5, 0.5) if has_interval else None)


def test_one_image_says_nothing_about_others():
    assert bootstrap_intervals(np.ones((1, 2)), np.ones((1, 2))) == [None, None]
