import numpy as np
import pytest

from shipseg_tiles.nets.augmentation_paste import paste_ships

SIDE = 64
SHIP = np.zeros((SIDE, SIDE, 1), dtype=np.float32)
SHIP[28:36, 20:44] = 1


def water(level, deviation=3.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, (SIDE, SIDE, 3))
    return (level + noise).astype(np.float32)


def with_ship(patch, above=80):
    return patch + above * SHIP


def paste(patches, masks, order=None, takes=None):
    count = len(patches)
    order = np.linspace(0, 0.9, count) if order is None else order
    takes = np.ones(count, dtype=bool) if takes is None else takes
    pasted = paste_ships(np.stack(patches), np.stack(masks), np.array(order, dtype=np.float32), np.array(takes))
    return tuple(np.asarray(field) for field in pasted)


NONE = np.zeros_like(SHIP)


def test_a_ship_comes_with_its_mask_and_leaves_its_giver_as_it_is():
    giver, taker = with_ship(water(60)), water(60, seed=1)

    pixels, masks = paste([giver, taker], [SHIP, NONE])

    assert np.array_equal(pixels[0], giver)
    assert np.array_equal(masks, [SHIP, SHIP])
    on_ship = SHIP[..., 0] > 0
    assert pixels[1][on_ship] == pytest.approx(giver[on_ship], abs=3)
    # 20 px away from the ship nothing has changed.
    assert pixels[1][:8] == pytest.approx(taker[:8], abs=0.01)
    assert pixels[1][56:] == pytest.approx(taker[56:], abs=0.01)


def test_its_surroundings_come_in_the_colours_of_the_water_that_they_come_to():
    """The giver's water is 50 levels brighter, yet around the ship no mean of 4 rows of 24 px moves by more than 1.5:
    the noise of 3 levels in 96 px has a deviation of 0.3. The ship stays 80 above its water."""
    pixels, _ = paste([with_ship(water(110)), water(60, seed=1)], [SHIP, NONE])

    rows = pixels[1][:, 20:44].mean(axis=(1, 2)).reshape(-1, 4).mean(axis=1)
    expected = np.full(16, 60.0)
    expected[7:9] = 140
    assert rows == pytest.approx(expected, abs=1.5)


def test_the_wake_comes_too_and_fades():
    """A white streak behind the ship is whole next to it and gone 16 px away."""
    giver = with_ship(water(60, deviation=2))
    giver[31:33, 44:] += 30

    pixels, masks = paste([giver, water(60, deviation=2, seed=1)], [SHIP, NONE])

    streak = pixels[1][31:33].mean(axis=(0, 2))
    assert streak[45:48].mean() > 80
    assert streak[60:].mean() < 65
    assert np.array_equal(masks[1], SHIP)


def harbour():
    """Water beside a bright quay."""
    patch = water(60)
    patch[:28] = 150
    return patch


@pytest.mark.parametrize(
    ("giver", "taker"),
    [
        (with_ship(harbour()), water(60, seed=1)),
        (with_ship(water(60)), harbour()),
        (with_ship(water(60)), water(60, deviation=30, seed=1)),
        (with_ship(water(60)), np.zeros((SIDE, SIDE, 3), dtype=np.float32)),
    ],
    ids=["from a harbour", "onto a harbour", "onto land", "onto a black margin"],
)
def test_ships_go_from_water_to_water_only(giver, taker):
    pixels, masks = paste([giver, taker], [SHIP, NONE])

    assert np.array_equal(pixels, [giver, taker])
    assert np.array_equal(masks, [SHIP, NONE])


def test_only_those_take_that_are_told_to_and_hold_no_ship():
    other = np.roll(SHIP, 20, axis=0)
    patches = [with_ship(water(60)), water(70) + 80 * other, water(80), water(90)]
    given = [SHIP, other, NONE, NONE]

    pixels, masks = paste(patches, given, takes=[True, True, False, True])

    assert np.array_equal(pixels[:3], patches[:3])
    assert np.array_equal(masks[:3], given[:3])
    assert masks[3].any()


def test_givers_take_turns_in_the_order_that_is_drawn():
    """Patches 0 to 2 give, in the order 1, 2, 0; the takers stand at places 3 to 6 of the round, which begins anew
    at 3."""
    ships = [np.roll(SHIP, shift, axis=0) for shift in (-16, 0, 16)]
    patches = [water(60) + 80 * ship for ship in ships] + [water(60, seed=seed) for seed in range(1, 5)]
    order = [0.9, 0.1, 0.5, 0, 0, 0, 0]

    _, masks = paste(patches, [*ships, NONE, NONE, NONE, NONE], order)

    assert np.array_equal(masks[3:], [ships[1], ships[2], ships[0], ships[1]])


def test_a_batch_without_ships_and_one_without_water_stay_as_they_are():
    empty = [water(60), water(70)]
    pixels, masks = paste(empty, [NONE, NONE])
    assert np.array_equal(pixels, empty)
    assert not masks.any()

    full = [with_ship(patch) for patch in empty]
    pixels, masks = paste(full, [SHIP, SHIP])
    assert np.array_equal(pixels, full)
    assert np.array_equal(masks, [SHIP, SHIP])
