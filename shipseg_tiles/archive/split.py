"""Which images train and which validate, decided per image before any patch is cut."""

from collections.abc import Mapping

import numpy as np

from shipseg_tiles.errors import InputError


def choose_evenly(ship_counts: Mapping[str, int], chosen: int, seed: int) -> list[str]:
    """Choose images so that every number of ships keeps its share.

    The images are put in order of their ship counts, equals in random order, and every k-th is taken.

    Args:
        ship_counts: Number of ships by image name.
        chosen: How many images to choose, at most as many as there are.
        seed: Decides the order among equals.

    Returns:
        Sorted names of exactly `chosen` images.
    """
    names = sorted(ship_counts)
    counts = np.array([ship_counts[name] for name in names], dtype=np.int64)
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(len(names)), counts))
    # Positions in the middle of `chosen` equal parts of the order: distinct, as a part is 1 or longer.
    positions = ((np.arange(chosen) + 0.5) * len(names) / max(chosen, 1)).astype(np.int64)
    return sorted(names[order[position]] for position in positions)


def choose_validation(ship_counts: Mapping[str, int], fraction: float, seed: int) -> list[str]:
    """Choose the images that validate.

    Args:
        ship_counts: Number of ships by image name.
        fraction: Share of the images, 0 (none) to under 1. Above 0 at least one image validates.
        seed: Seed of the choice.

    Returns:
        Sorted names of the validation images; all others train.

    Raises:
        InputError: If the fraction is out of its range.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"valid fraction {fraction} must be at least 0 and below 1")
    count = round(fraction * len(ship_counts))
    if fraction > 0:
        count = min(max(count, 1), len(ship_counts) - 1)
    return choose_evenly(ship_counts, count, seed)
