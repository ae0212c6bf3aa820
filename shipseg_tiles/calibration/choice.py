"""Choose among settings that are nearly as good as each other."""

import numpy as np
from numpy.typing import NDArray

NOISE = 0.001
"""Settings whose scores differ by no more are taken to be equally good."""


def choose_setting(scores: NDArray[np.float64]) -> tuple[int, ...]:
    """Choose a setting as `choose` does, then raise its gate, which is there to spare time, to the highest as good.

    A gate in between may cost more: ships are lost one by one, and what makes up for them is false ships, of which few
    empty images have some.

    Args:
        scores: float64, one axis for each value that is chosen, the last one for gates.

    Returns:
        Its index in the grid.
    """
    *others, gate = choose(scores)
    of_gates = scores[tuple(others)]
    costs = of_gates[gate] - of_gates[gate:]
    return (*others, gate + int(np.flatnonzero(costs <= NOISE)[-1]))


def choose(scores: NDArray[np.float64]) -> tuple[int, ...]:
    """Choose a setting out of a grid of scores: the one in the middle of those that are as good as the best.

    A score is as good as the best one if it is lower by `NOISE` at most. For each such setting and each axis of the
    grid it is counted how many steps it can be moved and stay as good and inside the grid, in the direction in which
    these are fewer. The setting with the most steps, added up over the axes, is chosen, of several the one with the
    highest score, of these the first.

    Args:
        scores: float64, one axis for each value that is chosen.

    Returns:
        Its index in the grid.
    """
    as_good = scores >= scores.max() - NOISE
    steps = np.zeros(scores.shape, dtype=np.int64)
    for axis in range(scores.ndim):
        steps += np.minimum(_run(as_good, axis), np.flip(_run(np.flip(as_good, axis), axis), axis))
    middle = as_good & (steps == steps[as_good].max())
    best = int(np.where(middle, scores, -np.inf).argmax())
    return tuple(int(number) for number in np.unravel_index(best, scores.shape))


def _run(as_good: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """Count for each setting how many that are as good end in it along an axis, itself among them."""
    moved = np.moveaxis(as_good, axis, 0).astype(np.int64)
    for number in range(1, len(moved)):
        moved[number] *= moved[number - 1] + 1
    return np.moveaxis(moved, 0, axis)
