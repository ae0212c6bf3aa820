from dataclasses import replace

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.augmentation import AugmentationOptions, AugmentedNet
from shipseg_tiles.nets.losses import Dice
from shipseg_tiles.nets.metrics import PatchDice, PatchF1

OFF = AugmentationOptions(symmetries=False, contrast=0, brightness=0, colour=0)
TURNED = replace(OFF, symmetries=True)
ALL = AugmentationOptions(rotation=45, scale=0.33, paste=0.5, haze=0.5, blur=1.2, jpeg=1.0)

SYMMETRIES = [
    lambda field, turns=turns, flip=flip: np.rot90(field[:, ::-1] if flip else field, turns)
    for turns in range(4)
    for flip in (False, True)
]
"""The 8 ways to lay a square onto itself: 4 turns, each with and without a flip."""


class Red(keras.layers.Layer):
    """Answers the red of each pixel, 255 as 1, times a weight that begins at 1."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(), initializer="ones")

    def call(self, pixels):
        return self.gain * keras.ops.cast(pixels[..., :1], "float32") / 255


def red_net(*layers):
    return keras.Sequential([keras.Input((None, None, 3), dtype="uint8"), Red(), *layers])


def augment(options, pixels, masks=None, seed=0):
    masks = np.zeros(pixels.shape[:3], dtype=np.uint8) if masks is None else masks
    return tuple(np.asarray(field) for field in AugmentedNet(red_net(), seed, options).augment(pixels, masks))


def noise(count, side=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def white_ships(count, side=8, seed=0):
    """Patches that show their own masks, white on black, with a ship somewhere in each."""
    masks = np.zeros((count, side, side), dtype=np.uint8)
    for mask, (row, column) in zip(masks, np.random.default_rng(seed).integers(0, side - 3, (count, 2)), strict=True):
        mask[row : row + 3, column : column + 2] = 1
    return np.repeat(masks[..., np.newaxis] * np.uint8(255), 3, axis=3), masks


def test_outside_training_it_is_the_bare_net():
    pixels = noise(16)

    answer = np.asarray(AugmentedNet(red_net(), 0, ALL)(pixels, training=False))

    assert np.array_equal(answer, np.asarray(red_net()(pixels)))


def test_without_options_a_patch_stays_as_it_is():
    pixels, masks = white_ships(8)

    changed, changed_masks = augment(OFF, pixels, masks)

    assert changed.dtype == changed_masks.dtype == np.uint8
    assert np.array_equal(changed, pixels)
    assert np.array_equal(changed_masks, masks)


def test_masks_turn_with_their_patches():
    pixels, masks = white_ships(64)

    turned, turned_masks = augment(TURNED, pixels, masks)

    assert np.array_equal(turned[..., 0], 255 * turned_masks)
    assert not np.array_equal(turned_masks, masks)


def test_all_eight_symmetries_occur_about_equally_often():
    """Of 400 patches each of 8 symmetries is expected 50 times, with a standard deviation of 6.6; 25 are 3.8 of it."""
    square = np.arange(9, dtype=np.uint8).reshape(3, 3)

    turned, _ = augment(TURNED, np.tile(square[..., np.newaxis], (400, 1, 1, 3)))

    counts = [sum(np.array_equal(field, symmetry(square)) for field in turned[..., 0]) for symmetry in SYMMETRIES]
    assert sum(counts) == 400
    assert min(counts) > 25


def test_light_changes_the_patch_in_place_and_within_its_limits():
    """By default a pixel moves by at most 30 for all channels, 12 for its own, and 30 % of its distance from the mean
    of the patch, and half a level of rounding."""
    pixels = noise(64, side=16)
    changed, _ = augment(AugmentationOptions(symmetries=False), pixels)

    distance = np.abs(pixels - pixels.mean(axis=(1, 2, 3), keepdims=True))
    moved = np.abs(changed.astype(np.float64) - pixels)
    assert np.all(moved <= 30 + 12 + 0.3 * distance + 0.5)
    assert moved.max() > 30
    assert len({patch.tobytes() for patch in moved}) == 64


@pytest.mark.parametrize("level", [0, 255])
def test_light_stays_in_what_a_file_can_hold(level):
    """A wrap around would turn black to white: at an even level contrast changes nothing and all moves are below 43."""
    changed, _ = augment(AugmentationOptions(), np.full((64, 4, 4, 3), level, dtype=np.uint8))

    assert np.abs(changed.astype(np.float64) - level).max() < 43
    assert len(np.unique(changed)) > 8


def test_the_channels_change_apart():
    """The same gray in all channels does not stay gray."""
    changed, _ = augment(AugmentationOptions(), np.full((64, 4, 4, 3), 128, dtype=np.uint8))

    difference = np.abs(changed[..., 0].astype(np.float64) - changed[..., 1])
    assert 0 < difference.max() <= 2 * 12 + 1


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("rotation", 45), ("scale", 0.33), ("haze", 0.6), ("blur", 2.0), ("jpeg", 8.0)],
    ids=lambda value: str(value),
)
def test_a_kind_befalls_about_half_of_the_patches_each_in_its_own_way(kind, strength):
    """Of 200 patches 100 are expected to stay, with a standard deviation of 7. JPEG moves the others by a level."""
    pixels = noise(200, side=16)

    changed, _ = augment(replace(OFF, **{kind: strength}), pixels)

    moved = np.abs(changed.astype(np.float64) - pixels).mean(axis=(1, 2, 3))
    assert 60 < np.count_nonzero(moved > 1) < 130
    assert len(np.unique(moved.round(3))) > 60


def test_scale_moves_masks_with_their_patches_both_ways():
    """A square of 16 x 16 px in the middle has 16² / 1.33² = 145 to 16² * 1.33² = 453 pixels, but for its border."""
    masks = np.zeros((100, 48, 48), dtype=np.uint8)
    masks[:, 16:32, 16:32] = 1
    pixels = np.repeat(masks[..., np.newaxis] * np.uint8(255), 3, axis=3)

    scaled, scaled_masks = augment(replace(OFF, scale=0.33), pixels, masks)

    areas = scaled_masks.sum(axis=(1, 2))
    assert 120 < areas.min() < 200
    assert 320 < areas.max() < 500
    assert np.array_equal(scaled_masks, scaled[..., 0] > 127)


def test_paste_gives_ships_to_its_share_of_the_patches_of_water():
    """Of 100 patches of water a quarter gets a ship, with a standard deviation of 4.3."""
    masks = np.zeros((110, 32, 32), dtype=np.uint8)
    masks[:10, 12:18, 8:24] = 1
    pixels = np.random.default_rng(0).normal(60, 3, (110, 32, 32, 3)) + 80 * masks[..., np.newaxis]

    _, pasted = augment(replace(OFF, paste=0.25), pixels.astype(np.uint8), masks)

    assert np.array_equal(pasted[:10], masks[:10])
    assert 10 < np.count_nonzero(pasted[10:].any(axis=(1, 2))) < 40
    assert set(pasted[10:].sum(axis=(1, 2)).tolist()) == {0, 6 * 16}


def test_an_epoch_is_the_same_again_and_another_seed_or_epoch_is_not():
    pixels, masks = noise(32), white_ships(32)[1]

    def epoch(seed, number, earlier=0):
        model = AugmentedNet(red_net(), seed, ALL)
        for _ in range(earlier):
            model.augment(pixels, masks)
        model.begin_epoch(number)
        return [b"".join(np.asarray(field).tobytes() for field in model.augment(pixels, masks)) for _ in range(2)]

    first = epoch(seed=1, number=3)

    assert epoch(seed=1, number=3, earlier=5) == first
    assert first[0] != first[1]
    assert set(epoch(seed=1, number=4)).isdisjoint(first)
    assert set(epoch(seed=2, number=3)).isdisjoint(first)


def compiled(net, options, metrics, rate=0.0):
    model = AugmentedNet(net, 0, options)
    model.compile(keras.optimizers.Adam(rate), Dice(), metrics=metrics, jit_compile=False)
    return model


def test_training_compares_the_answer_with_the_changed_masks_and_validation_with_the_given_ones():
    """A net that answers just what it sees is perfect on patches that show their masks, however both are turned."""
    pixels, masks = white_ships(64)

    model = compiled(red_net(), TURNED, [PatchDice()])
    history = model.fit(pixels, masks, batch_size=24, validation_data=(pixels, masks), verbose=0).history

    assert {name: values[0] for name, values in history.items()} == pytest.approx(
        {"loss": 0, "patch_dice": 1, "val_loss": 0, "val_patch_dice": 1}, abs=1e-5
    )


def test_it_learns_with_all_kinds_at_once():
    """One convolution learns that ships are white; batches of 24 leave a last one of 16."""
    keras.utils.set_random_seed(0)
    pixels, masks = white_ships(64, side=16)
    net = red_net(keras.layers.Conv2D(1, 1, activation="sigmoid"))

    model = compiled(net, ALL, [], rate=0.3)
    costs = model.fit(pixels, masks, batch_size=24, epochs=10, verbose=0).history["loss"]

    assert np.isfinite(costs).all()
    assert costs[-1] < 0.6 * costs[0]


def test_a_classifier_trains_on_masks():
    """It answers the brightest pixel: 1 for patches that hold ship, 0 for others."""
    pixels, masks = white_ships(32)
    pixels[:8], masks[:8] = 0, 0

    model = compiled(red_net(keras.layers.GlobalMaxPooling2D()), TURNED, [PatchF1()])
    history = model.fit(pixels, masks, batch_size=16, verbose=0).history

    assert history["patch_f1"] == [1]
    assert history["loss"] == pytest.approx([0], abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blur": -1.0}, "augmentation blur -1.0 must be from 0 to 255"),
        ({"paste": 1.5}, "augmentation paste 1.5 must be from 0 to 1"),
        ({"contrast": float("nan")}, "augmentation contrast nan must be from 0 to 1"),
    ],
)
def test_strengths_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        AugmentationOptions(**options)
