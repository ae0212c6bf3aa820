import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.calibration.choice import choose, choose_setting


def test_the_middle_of_what_is_as_good_is_chosen():
    """From 0.7995 to 0.8 all are as good: the places 2 to 6. The best of them is at the edge, 4 is in the middle: from
    it, two steps can be taken to both sides."""
    scores = np.array([0.5, 0.7, 0.7995, 0.7995, 0.7995, 0.7995, 0.8, 0.6])

    assert choose(scores) == (4,)


def test_of_two_in_the_middle_the_better_one_is_chosen():
    assert choose(np.array([0.5, 0.8, 0.7996, 0.7998, 0.8, 0.6])) == (3,)
    assert choose(np.array([0.5, 0.8, 0.8, 0.6])) == (1,)


def test_what_is_lower_by_more_than_noise_is_not_as_good():
    """Were 0.7985 as good as 0.8, the places 1 and 2 would be equally far inside."""
    assert choose(np.array([0.7985, 0.7995, 0.7995, 0.8])) == (2,)
    assert choose(np.array([0.7985, 0.7985, 0.7985, 0.8])) == (3,)


def test_the_grid_ends_a_plateau():
    """All are as good: of 5 x 4 places the row 2, and of the columns 1 and 2 the first."""
    assert choose(np.zeros((5, 4))) == (2, 1)
    assert choose(np.zeros((1, 3, 1))) == (0, 1, 0)


def test_steps_of_all_axes_count():
    """As good are the middle row and the middle column of 5 x 5. Each place of them but the crossing can be moved along
    one axis alone, the crossing two steps along both."""
    scores = np.zeros((5, 5))
    scores[2] = scores[:, 2] = 1

    assert choose(scores) == (2, 2)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from([0.5, 0.7995, 0.8]), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_choice_is_that_of_walking_in_every_direction(rows):
    """Slowly: from each place that is as good, walk until it is not."""
    scores = np.array(rows)
    good = scores >= scores.max() - 0.001

    def walked(place, direction):
        steps = -1
        while all(0 <= at < side for at, side in zip(place, good.shape, strict=True)) and good[place]:
            place, steps = tuple(np.add(place, direction)), steps + 1
        return steps

    places = list(zip(*np.nonzero(good), strict=True))
    steps = {
        place: sum(min(walked(place, way), walked(place, np.negative(way))) for way in np.eye(2, dtype=int))
        for place in places
    }

    assert choose(scores) == max(places, key=lambda place: (steps[place], scores[place], np.negative(place).tolist()))


def test_a_gate_is_raised_while_that_costs_little():
    """The gates 0 to 2 of the second threshold are as good as the best, 1 is their middle. Gate 3 costs 0.0008 more
    than that and gate 4 0.0011."""
    scores = np.array([[0.5] * 5, [0.7, 0.6996, 0.6993, 0.6988, 0.6985]])

    assert choose(scores) == (1, 1)
    assert choose_setting(scores) == (1, 3)


def test_a_gate_is_raised_past_one_that_costs_much():
    assert choose_setting(np.array([[0.7, 0.7, 0.69, 0.7]])) == (0, 3)
    assert choose_setting(np.array([[0.7, 0.7, 0.7, 0.69]])) == (0, 2)
    assert choose_setting(np.array([[0.7, 0.7, 0.7]])) == (0, 2)
    assert choose_setting(np.array([[0.7], [0.5]])) == (0, 0)
