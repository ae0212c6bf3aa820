import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.batch_mix import BatchMix


def test_kinds_in_a_batch_worked_out_by_hand():
    """From 0.9 to 0.5 of 8 in 5 epochs are 7.2, 6.4, 5.6, 4.8 and 4 ships."""
    mix = BatchMix.parse(8, "0.9:0.5", 5, 0.1)

    assert [mix.ships(epoch) for epoch in range(6)] == [7, 6, 6, 5, 4, 4]
    assert mix.mined == 1
    assert [mix.background(epoch) for epoch in range(6)] == [0, 1, 1, 2, 3, 3]
    assert mix.needs_background


@pytest.mark.parametrize(("ships", "mined", "needs"), [("1", 0, False), ("0.75", 0.25, False), ("0.75", 0, True)])
def test_background_is_needed_where_ships_and_hard_negatives_leave_room(ships, mined, needs):
    assert BatchMix.parse(4, ships, mined_fraction=mined).needs_background is needs


@given(st.integers(1, 64), st.sampled_from(["0.1", "0.5", "1", "0.9:0.5", "0.2:0.6"]), st.floats(0, 0.99))
def test_kinds_are_a_batch_together_in_each_epoch_or_the_mix_is_refused(size, ships, mined_fraction):
    shares = [float(share) for share in ships.split(":")]
    counts, mined = [round(size * share) for share in shares], round(size * mined_fraction)
    if not min(counts) or bool(mined) != bool(mined_fraction) or max(counts) + mined > size:
        with pytest.raises(InputError, match=f"gives 0 |more than the {size} of a batch"):
            BatchMix.parse(size, ships, 3, mined_fraction)
        return

    mix = BatchMix.parse(size, ships, 3, mined_fraction)

    for epoch in range(5):
        assert mix.ships(epoch) + mix.background(epoch) + mix.mined == size
        assert mix.ships(epoch) >= 1
        assert mix.background(epoch) >= 0
    assert mix.needs_background == any(mix.background(epoch) for epoch in range(5))


@pytest.mark.parametrize(
    ("size", "ships", "mined", "reason"),
    [
        (8, "0.05", 0.0, r"ship fraction 0\.05 gives 0 ships in 8 patches; use a larger one"),
        (10, "0.9:0.01", 0.0, r"ship fraction 0\.9:0\.01 gives 0 ships in 10 patches"),
        (10, "0.5", 0.04, r"mined fraction 0\.04 gives 0 of 10 patches; use a larger one"),
        (10, "0.5:0.9", 0.2, r"ship fraction 0\.5:0\.9 and mined fraction 0\.2 are 9 and 2 patches, more than the 10"),
        *((10, "0.5", mined, f"mined fraction {mined} must be above 0 and below 1") for mined in (-0.1, 1.0, 2.0)),
        (10, "0.5", float("nan"), "mined fraction nan must be above 0 and below 1"),
    ],
)
def test_shares_that_make_no_batch_are_refused(size, ships, mined, reason):
    with pytest.raises(InputError, match=reason):
        BatchMix.parse(size, ships, 3, mined)
