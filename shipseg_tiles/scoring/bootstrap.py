"""How far scores would move if other images of the same kind had been scored: bootstrap intervals.

The images are drawn again, with replacement, and the scores of what was drawn vary about as much as those of other
images would: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapter 13. That
holds for images drawn independently. Several images of one place are alike: with them the intervals are too narrow.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
"""Enough for percentiles at the ends of a 95 % interval."""

PERCENTILES = (2.5, 97.5)

MOST_UNDEFINED = 0.01
"""Above this share of resamples in which a score has nothing to divide by, it gets no interval: that is if fewer than 5
of many images count for it."""

_SEED = 0
"""The same images are drawn again each time, so that the same scores have the same intervals."""

_BLOCK = 2**20
"""Counts in memory at once, 8 MB."""


def bootstrap_intervals(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> list[tuple[float, float] | None]:
    """Return the 95 % percentile interval of each score that is a ratio of two sums over images.

    Args:
        numerators: (images, scores), what each image adds to the sum that is divided.
        denominators: (images, scores), what it adds to the sum that it is divided by; 0 or more.

    Returns:
        Both ends, by score; None with fewer than two images, with more than `MOST_UNDEFINED`, and of a score of 0 or 1
        that is the same for all that is drawn: of 12 images without a case the share may still be 25 %. Resamples with
        nothing to divide by are left out.
    """
    images, scores = numerators.shape
    if images < 2:
        return [None] * scores
    blocks = [(counts @ numerators, counts @ denominators) for counts in resampling_counts(images)]
    above, below = (np.concatenate(sums) for sums in zip(*blocks, strict=True))
    undefined = (1 - np.count_nonzero(denominators, axis=0) / images) ** images
    return [
        _interval(above[:, score], below[:, score]) if undefined[score] <= MOST_UNDEFINED else None
        for score in range(scores)
    ]


def _interval(above: NDArray[np.float64], below: NDArray[np.float64]) -> tuple[float, float] | None:
    defined = below > 0
    drawn = above[defined] / below[defined]
    if drawn.min() == drawn.max() in (0, 1):
        return None
    low, high = np.percentile(drawn, PERCENTILES).tolist()
    return low, high


def resampling_counts(images: int) -> Iterator[NDArray[np.float64]]:
    """Draw as many images as there are, with replacement, `RESAMPLES` times.

    Yields:
        float64 (resamples, images), how often each resample holds each image; so many resamples at once as fit into a
        bounded memory.
    """
    generator = np.random.default_rng(_SEED)
    at_once = max(1, _BLOCK // images)
    for first in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - first)
        drawn = generator.integers(images, size=(resamples, images)) + np.arange(resamples)[:, np.newaxis] * images
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
