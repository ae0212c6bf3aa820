import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.ship_fraction import ShipFraction


def test_a_schedule_goes_in_equal_steps_and_stays_at_its_end():
    """From 0.9 to 0.5 in 5 epochs are 4 steps of 0.1 down."""
    fraction = ShipFraction.parse("0.9:0.5", 5)

    assert [fraction.at(epoch) for epoch in range(7)] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5])
    assert (fraction.at(4), str(fraction), fraction.changes) == (0.5, "0.9:0.5", True)


def test_a_number_is_the_same_in_all_epochs():
    fraction = ShipFraction.parse("0.3", 5)

    assert {fraction.at(epoch) for epoch in range(10)} == {0.3}
    assert (str(fraction), fraction.changes) == ("0.3", False)


def test_a_schedule_may_rise_and_one_epoch_is_its_first():
    assert ShipFraction.parse("0.25:1", 3).at(1) == 0.625
    assert [ShipFraction.parse("0.25:1", 2).at(epoch) for epoch in range(3)] == [0.25, 1, 1]
    assert ShipFraction.parse("0.25:1", 1).at(0) == 0.25


def test_a_schedule_ends_at_no_other_share_than_was_asked_for():
    """0.4 - (0.4 - 0.1) is 0.09999999999999998."""
    assert ShipFraction.parse("0.4:0.1", 3).at(2) == 0.1


@pytest.mark.parametrize("text", ["", "half", "0.5:", ":0.5", "0.9:0.7:0.5", "0,5", "0.9-0.5"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(InputError, match=f"ship fraction '{text}' must be a number such as 0.5, or two of them such"):
        ShipFraction.parse(text, 3)


@pytest.mark.parametrize(("text", "share"), [("0", 0.0), ("1.1:0.5", 1.1), ("0.5:-1", -1.0), ("0.5:nan", "nan")])
def test_shares_out_of_their_range_are_refused(text, share):
    with pytest.raises(InputError, match=f"ship fraction {share} must be above 0 and at most 1"):
        ShipFraction.parse(text, 3)
