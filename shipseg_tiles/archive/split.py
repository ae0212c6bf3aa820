"""Which images train, validate or are held out: chosen by place, so that no place stands on two sides."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

TRAIN, VALID = SPLITS = ("train", "valid")


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


def choose_split(
    ship_counts: Mapping[str, int], places: Mapping[str, int], fraction: float, seed: int
) -> dict[str, str]:
    """Return `train` or `valid` by name of the image, for all of `ship_counts`; see `choose_validation`."""
    validation = frozenset(choose_validation(ship_counts, places, fraction, seed))
    return {name: VALID if name in validation else TRAIN for name in ship_counts}


def choose_validation(
    ship_counts: Mapping[str, int], places: Mapping[str, int], fraction: float, seed: int
) -> list[str]:
    """Choose the images that validate; all images of a place stand on one side.

    The places are put in order, those with many images first, those of a size by the ships in their images, equals in
    random order. Passing along, each image adds `fraction` to what is due, and a place is taken once at least half of
    it is due. So every size of place and every number of ships keeps its share, and the many places of one image at
    the end make up for what the large ones left over.

    Args:
        ship_counts: Number of ships by image name.
        places: Number of the place of each of these images, see `group_places`.
        fraction: Share of the images, 0 (none) to under 1. Above 0 at least one place validates and at least one
            trains.
        seed: Decides the order among equals; 0 or more.

    Returns:
        Sorted names of the validation images; all others train.

    Raises:
        InputError: If the fraction or the seed is out of its range, or the fraction above 0 with all images showing
            one place.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"valid fraction {fraction} must be at least 0 and below 1")
    if seed < 0:
        raise InputError(f"seed {seed} must be 0 or more")
    if fraction == 0 or not ship_counts:
        return []
    groups = _ordered_places(ship_counts, places, seed)
    if len(groups) == 1:
        raise InputError(
            f"all images ({len(ship_counts)}) show one place, so that none can validate; "
            "add images of other places or give a valid fraction of 0"
        )
    taken = _take_when_due(list(map(len, groups)), fraction)
    return sorted(name for names, is_taken in zip(groups, taken, strict=True) if is_taken for name in names)


def _ordered_places(ship_counts: Mapping[str, int], places: Mapping[str, int], seed: int) -> list[list[str]]:
    """Collect the names of each place; large places first, then by numbers of ships, then at random."""
    members: dict[int, list[str]] = {}
    for name in sorted(ship_counts):
        members.setdefault(places[name], []).append(name)
    draws = np.random.default_rng(seed).random(len(members)).tolist()
    keys = [
        (-len(names), sorted(ship_counts[name] for name in names), draw)
        for names, draw in zip(members.values(), draws, strict=True)
    ]
    return [names for _, names in sorted(zip(keys, members.values(), strict=True))]


def _take_when_due(sizes: list[int], fraction: float) -> list[bool]:
    """Decide on each place in turn, sizes falling; at least one of two or more is taken and at least one is not."""
    taken = []
    due = 0.0
    for size in sizes:
        due += fraction * size
        taken.append(due >= size / 2)
        due -= size * taken[-1]
    if len(set(taken)) == 1:
        smallest = [index for index, size in enumerate(sizes) if size == sizes[-1]]
        middle = smallest[len(smallest) // 2]
        taken[middle] = not taken[middle]
    return taken


def folds_by_place(places: Mapping[str, str | int], ships: Mapping[str, int], count: int) -> NDArray[np.int64]:
    """Deal images out to folds, all images of a place to one of them.

    Places with many images come first, those of a size in the order of their ships; each goes to the fold that has the
    fewest images so far. So all folds have about as many images, of which about as many are empty unless some places
    have far more images than others.

    Args:
        places: The place of each image, by its name.
        ships: Numbers of ships by name.
        count: Number of folds.

    Returns:
        int64 (images,), the number of each image's fold, from 0, in the order of `places`; none is empty.

    Raises:
        InputError: If there are fewer than two folds, or fewer places than folds.
    """
    members: dict[str | int, list[str]] = {}
    for name, place in places.items():
        members.setdefault(place, []).append(name)
    if len(members) < 2:
        raise InputError(
            f"the images show {len(members)} place, so none can be held out; give images of two or more places"
        )
    if not 2 <= count <= len(members):
        raise InputError(
            f"folds {count} must be from 2 to the number of places in the images, {len(members)}; give such --folds, or"
            " images of more places"
        )
    filled = [0] * count
    fold_of: dict[str, int] = {}
    for names in sorted(members.values(), key=lambda names: (-len(names), sum(map(ships.__getitem__, names)), names)):
        fold = filled.index(min(filled))
        fold_of |= dict.fromkeys(names, fold)
        filled[fold] += len(names)
    return np.array([fold_of[name] for name in places], dtype=np.int64)
