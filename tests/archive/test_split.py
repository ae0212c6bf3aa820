import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shipseg_tiles.archive.split import choose_evenly, choose_validation, folds_by_place
from shipseg_tiles.errors import InputError

fast = settings(deadline=None, max_examples=100)
counts = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(
    lambda numbers: {f"{index:02}.jpg": number for index, number in enumerate(numbers)}
)


@fast
@given(counts, st.data(), st.integers(0, 5))
def test_exactly_as_many_are_chosen_each_once_and_every_number_of_ships_keeps_its_share(ship_counts, data, seed):
    """Every k-th of the images in order of their ships hits a stretch of n images n/k times, give or take one."""
    wanted = data.draw(st.integers(0, len(ship_counts)))

    chosen = choose_evenly(ship_counts, wanted, seed)

    assert len(chosen) == len(set(chosen)) == wanted
    assert set(chosen) <= set(ship_counts)
    assert chosen == sorted(chosen)
    by_ships = Counter(ship_counts[name] for name in chosen)
    for ships, images in Counter(ship_counts.values()).items():
        assert abs(by_ships[ships] - images * wanted / len(ship_counts)) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_few_come_from_the_middle_of_their_parts(seed):
    """Images with 0 to 8 ships: one of them is the one in the middle, three are the middles of three thirds."""
    ship_counts = {f"{index}.jpg": index for index in range(9)}

    assert choose_evenly(ship_counts, 1, seed) == ["4.jpg"]
    assert choose_evenly(ship_counts, 3, seed) == ["1.jpg", "4.jpg", "7.jpg"]


def alone(ship_counts):
    """Every image shows a place of its own."""
    return {name: index for index, name in enumerate(ship_counts)}


@st.composite
def grouped(draw):
    """Up to 60 images, up to 4 ships in each, in up to 30 places; at least two places."""
    ship_counts = draw(counts)
    numbers = draw(st.lists(st.integers(0, 29), min_size=len(ship_counts), max_size=len(ship_counts)))
    scenes = dict(zip(ship_counts, numbers, strict=True))
    assume(len(set(numbers)) > 1)
    return ship_counts, scenes


# By place


@fast
@given(grouped(), st.floats(0.001, 0.99), st.integers(0, 5))
def test_no_place_is_divided_and_both_sides_have_one(images, fraction, seed):
    ship_counts, scenes = images

    chosen = choose_validation(ship_counts, scenes, fraction, seed)

    assert chosen == sorted(set(chosen))
    places = {scenes[name] for name in chosen}
    assert set(chosen) == {name for name in ship_counts if scenes[name] in places}
    assert 0 < len(chosen) < len(ship_counts)


@fast
@given(grouped(), st.floats(0.001, 0.99), st.integers(0, 5))
def test_the_fraction_is_met_as_well_as_the_places_allow(images, fraction, seed):
    """What is due after a place of n images is off by at most n / 2 or what it was off before, less what passed since.

    So it ends at half the largest place or less; a place more or less where one side would be empty.
    """
    ship_counts, scenes = images
    sizes = Counter(scenes.values())

    chosen = choose_validation(ship_counts, scenes, fraction, seed)

    assert abs(len(chosen) - fraction * len(ship_counts)) <= max(sizes.values()) / 2 + min(sizes.values())


@pytest.mark.parametrize(("fraction", "chosen"), [(0.01, ["6.jpg"]), (0.99, [f"{index}.jpg" for index in range(6)])])
def test_where_one_side_would_have_no_place_it_gets_one_of_the_smallest(fraction, chosen):
    """Two places of three images and one of a single image."""
    scenes = {f"{index}.jpg": index // 3 for index in range(7)}

    assert choose_validation(dict.fromkeys(scenes, 1), scenes, fraction, seed=0) == chosen


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_single_images_make_up_for_large_places(fraction):
    """A place of 30 images, one of 20, 25 of 2 and 100 of one: 200 images, met to one image."""
    numbers = [0] * 30 + [1] * 20 + [2 + index // 2 for index in range(50)] + [100 + index for index in range(100)]
    ship_counts = {f"{index:03}.jpg": index % 3 for index in range(200)}
    scenes = dict(zip(ship_counts, numbers, strict=True))

    chosen = choose_validation(ship_counts, scenes, fraction, seed=1)

    assert abs(len(chosen) - 200 * fraction) <= 1


def test_every_size_of_place_and_number_of_ships_keeps_its_share():
    """1,000 places of one image, 300 of two and 100 of three, with 0 to 4 ships: a fifth of each, give or take two."""
    random = np.random.default_rng(0)
    sizes = np.repeat([1, 2, 3], [1000, 300, 100])
    numbers = np.repeat(np.arange(1400), sizes)
    ships = np.minimum(random.geometric(0.6, len(numbers)) - 1, 4)
    ship_counts = {f"{index:04}.jpg": int(count) for index, count in enumerate(ships)}
    scenes = dict(zip(ship_counts, numbers.tolist(), strict=True))

    chosen = choose_validation(ship_counts, scenes, 0.2, seed=0)

    assert len(chosen) == round(0.2 * len(numbers))
    of_places = Counter(sizes[scene].item() for scene in {scenes[name] for name in chosen})
    assert all(abs(of_places[size] - 0.2 * count) <= 2 for size, count in ((1, 1000), (2, 300), (3, 100)))
    all_ships, chosen_ships = Counter(ship_counts.values()), Counter(ship_counts[name] for name in chosen)
    for count, total in all_ships.items():
        assert chosen_ships[count] / total == pytest.approx(0.2, abs=0.05)


def test_images_of_one_place_cannot_be_split():
    with pytest.raises(InputError, match=r"all images \(2\) show one place, so that none can validate; add images"):
        choose_validation({"a.jpg": 1, "b.jpg": 0}, {"a.jpg": 7, "b.jpg": 7}, 0.5, seed=0)
    assert choose_validation({"a.jpg": 1, "b.jpg": 0}, {"a.jpg": 7, "b.jpg": 7}, 0, seed=0) == []


def test_the_whole_competition_takes_seconds():
    """As many images as there, two to a place on average."""
    random = np.random.default_rng(0)
    ship_counts = {f"{index:06}.jpg": int(count) for index, count in enumerate(random.integers(0, 5, 192_556))}
    scenes = {name: int(number) for name, number in zip(ship_counts, random.integers(0, 96_000, 192_556), strict=True)}

    began = time.monotonic()
    chosen = choose_validation(ship_counts, scenes, 0.1, seed=0)

    assert time.monotonic() - began < 20
    assert abs(len(chosen) - 19_255.6) <= 1


# Every image a place of its own


def test_one_in_four_of_each_number_of_ships():
    """12 images without ships, 8 with one and 4 with two: a quarter of them are 3, 2 and 1."""
    ship_counts = {f"{index}.jpg": (index >= 12) + (index >= 20) for index in range(24)}

    chosen = choose_validation(ship_counts, alone(ship_counts), 0.25, seed=4)

    assert Counter(ship_counts[name] for name in chosen) == {0: 3, 1: 2, 2: 1}


@fast
@given(counts, st.floats(0, 0.99), st.integers(0, 5))
def test_every_number_of_ships_keeps_its_share_to_one_image(ship_counts, fraction, seed):
    """A stretch of n images adds n times the fraction to what is due, and what is due stays within half an image."""
    assume(1 <= fraction * len(ship_counts) <= len(ship_counts) - 1)

    chosen = choose_validation(ship_counts, alone(ship_counts), fraction, seed)

    by_ships = Counter(ship_counts[name] for name in chosen)
    for ships, images in Counter(ship_counts.values()).items():
        assert abs(by_ships[ships] - images * fraction) <= 1 + 1e-9


@fast
@given(counts.filter(lambda images: len(images) > 1), st.floats(0, 0.99), st.integers(0, 5))
def test_the_fraction_is_met_to_one_image_and_some_images_always_train(ship_counts, fraction, seed):
    chosen = choose_validation(ship_counts, alone(ship_counts), fraction, seed)

    assert len(chosen) < len(ship_counts)
    assert abs(len(chosen) - fraction * len(ship_counts)) <= 1
    assert bool(chosen) == (fraction > 0)


def test_the_seed_decides():
    ship_counts = {f"{index}.jpg": index % 3 for index in range(60)}

    choices = [choose_validation(ship_counts, alone(ship_counts), 0.3, seed) for seed in (1, 1, 2)]

    assert choices[0] == choices[1] != choices[2]
    assert [len(choice) for choice in choices] == [18, 18, 18]


def test_the_order_of_the_names_does_not_matter():
    ship_counts = {f"{index}.jpg": index % 3 for index in range(20)}
    backwards = dict(reversed(ship_counts.items()))

    scenes = alone(ship_counts)
    assert choose_validation(ship_counts, scenes, 0.3, seed=1) == choose_validation(backwards, scenes, 0.3, seed=1)


def test_every_image_validates_under_some_seed():
    """A choice that always took the middle of the order would leave some images out for ever."""
    ship_counts = {f"{index}.jpg": index // 5 for index in range(10)}

    chosen = {name for seed in range(60) for name in choose_validation(ship_counts, alone(ship_counts), 0.2, seed)}

    assert chosen == set(ship_counts)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_fraction_out_of_its_range_is_refused(fraction):
    with pytest.raises(InputError, match=f"valid fraction {fraction} must be"):
        choose_validation({"a.jpg": 1, "b.jpg": 0}, {"a.jpg": 0, "b.jpg": 1}, fraction, seed=0)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed -1 must be 0 or more"):
        choose_validation({"a.jpg": 1, "b.jpg": 0}, {"a.jpg": 0, "b.jpg": 1}, 0.5, seed=-1)


@pytest.mark.parametrize(
    ("images", "fraction", "expected"),
    [
        (10, 0, 0),
        (1, 0, 0),
        (2, 0.01, 1),  # above 0 at least one validates
        (2, 0.99, 1),  # and at least one trains
        (3, 0.99, 2),
        (0, 0.5, 0),
        (0, 0, 0),
    ],
)
def test_tiny_sets(images, fraction, expected):
    ship_counts = {f"{index}.jpg": 1 for index in range(images)}

    assert len(choose_validation(ship_counts, alone(ship_counts), fraction, seed=0)) == expected


# Folds


def test_images_of_a_place_are_in_one_fold_and_folds_are_of_one_size():
    """The place of 3 images comes first and fills one fold; that of 2 the other; the single ones fill up: c, which has
    no ship, goes to the smaller fold, so that both have 3, then e and then d, which has more ships."""
    places = {"a": "x", "b": "y", "c": "u", "d": "v", "e": "w", "f": "x", "g": "x", "h": "y"}
    ships = dict.fromkeys(places, 1) | {"c": 0, "d": 5}

    folds = dict(zip(places, folds_by_place(places, ships, 2).tolist(), strict=True))

    assert folds == {"a": 0, "f": 0, "g": 0, "b": 1, "h": 1, "c": 1, "e": 0, "d": 1}


@fast
@given(st.lists(st.integers(0, 12), min_size=2, max_size=40), st.integers(2, 5))
def test_no_place_is_torn_apart_and_no_fold_is_empty(numbers, count):
    places = {f"{index:02}": str(number) for index, number in enumerate(numbers)}
    if count > len(set(numbers)):
        with pytest.raises(InputError, match="two or more places" if len(set(numbers)) == 1 else f"folds {count} must"):
            folds_by_place(places, dict.fromkeys(places, 0), count)
        return

    folds = folds_by_place(places, dict.fromkeys(places, 0), count)

    assert len({(place, fold) for place, fold in zip(places.values(), folds.tolist(), strict=True)}) == len(
        set(numbers)
    )
    assert set(folds.tolist()) == set(range(count))


@pytest.mark.parametrize("count", [-1, 0, 1, 3])
def test_a_number_of_folds_that_cannot_be_is_refused(count):
    with pytest.raises(InputError, match=f"folds {count} must be from 2 to .*, 2; give such --folds"):
        folds_by_place({"a": "x", "b": "y"}, {"a": 0, "b": 0}, count)


def test_no_number_of_folds_can_be_where_all_images_are_of_one_place():
    with pytest.raises(InputError, match=r"images show 1 place, .*; give images of two or more places"):
        folds_by_place({"a": "x", "b": "x"}, {"a": 0, "b": 0}, 2)


def test_numbers_of_places_deal_like_their_names():
    """`group_places` numbers places, a file names them. Those of 2 images first, then the single one to the
    first of two equal folds."""
    numbers = {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}
    ships = dict.fromkeys(numbers, 0) | {"d": 1}

    assert folds_by_place(numbers, ships, 2).tolist() == [0, 0, 1, 1, 0]
    assert folds_by_place({name: str(place) for name, place in numbers.items()}, ships, 2).tolist() == [0, 0, 1, 1, 0]


# Files
