from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.archive.split import choose_evenly, choose_validation
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


def test_one_in_four_of_each_number_of_ships():
    """12 images without ships, 8 with one and 4 with two: a quarter of them are 3, 2 and 1."""
    ship_counts = {f"{index}.jpg": (index >= 12) + (index >= 20) for index in range(24)}

    chosen = choose_validation(ship_counts, 0.25, seed=4)

    assert Counter(ship_counts[name] for name in chosen) == {0: 3, 1: 2, 2: 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_few_come_from_the_middle_of_their_parts(seed):
    """Images with 0 to 8 ships: one of them is the one in the middle, three are the middles of three thirds."""
    ship_counts = {f"{index}.jpg": index for index in range(9)}

    assert choose_evenly(ship_counts, 1, seed) == ["4.jpg"]
    assert choose_evenly(ship_counts, 3, seed) == ["1.jpg", "4.jpg", "7.jpg"]


@fast
@given(counts, st.floats(0, 0.99), st.integers(0, 5))
def test_the_fraction_is_met_to_one_image_and_some_images_always_train(ship_counts, fraction, seed):
    chosen = choose_validation(ship_counts, fraction, seed)

    assert len(chosen) < len(ship_counts) or fraction == 0
    assert abs(len(chosen) - fraction * len(ship_counts)) <= 1
    assert bool(chosen) == (fraction > 0 and len(ship_counts) > 1)


def test_the_seed_decides():
    ship_counts = {f"{index}.jpg": index % 3 for index in range(60)}

    choices = [choose_validation(ship_counts, 0.3, seed) for seed in (1, 1, 2)]

    assert choices[0] == choices[1] != choices[2]
    assert [len(choice) for choice in choices] == [18, 18, 18]


def test_the_order_of_the_names_does_not_matter():
    ship_counts = {f"{index}.jpg": index % 3 for index in range(20)}
    backwards = dict(reversed(ship_counts.items()))

    assert choose_validation(ship_counts, 0.3, seed=1) == choose_validation(backwards, 0.3, seed=1)


def test_every_image_validates_under_some_seed():
    """A choice that always took the middle of the order would leave some images out for ever."""
    ship_counts = {f"{index}.jpg": index // 5 for index in range(10)}

    chosen = {name for seed in range(60) for name in choose_validation(ship_counts, 0.2, seed)}

    assert chosen == set(ship_counts)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_fraction_out_of_its_range_is_refused(fraction):
    with pytest.raises(InputError, match=f"valid fraction {fraction} must be"):
        choose_validation({"a.jpg": 1, "b.jpg": 0}, fraction, seed=0)


@pytest.mark.parametrize(
    ("images", "fraction", "expected"),
    [
        (10, 0, 0),
        (1, 0.5, 0),  # the only image trains
        (2, 0.01, 1),  # above 0 at least one validates
        (2, 0.99, 1),  # and at least one trains
        (3, 0.99, 2),
        (0, 0.5, 0),
        (0, 0, 0),
    ],
)
def test_tiny_sets(images, fraction, expected):
    ship_counts = {f"{index}.jpg": 1 for index in range(images)}

    assert len(choose_validation(ship_counts, fraction, seed=0)) == expected
