import keras
import numpy as np
import pytest

from shipseg_tiles.nets import augmentation
from shipseg_tiles.nets.augmentation import AugmentedNet

SYMMETRIES = [
    lambda field, turns=turns, flip=flip: np.rot90(field[:, ::-1] if flip else field, turns)
    for turns in range(4)
    for flip in (False, True)
]
"""The 8 ways to lay a square onto itself: 4 turns, each with and without a flip."""


class Red(keras.layers.Layer):
    """Answers the red of each pixel as float32."""

    def call(self, pixels):
        return keras.ops.cast(pixels[..., :1], "float32")


class Numbers(keras.Model):
    """Answers the number of each place, 0, 1, 2 ... row by row, whatever the patch shows."""

    def call(self, pixels, training=False):
        count, height, width, _ = pixels.shape
        numbers = np.arange(height * width, dtype=np.float32).reshape(1, height, width, 1)
        return keras.ops.tile(numbers, (count, 1, 1, 1))


def augmented(layer, seed=0):
    pixels = keras.Input((None, None, 3), dtype="uint8")
    return AugmentedNet(keras.Sequential([pixels, layer]), seed)


def noise(count, side=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def answer(model, pixels, training=True):
    return np.asarray(model(pixels, training=training))[..., 0]


@pytest.fixture
def steady_light(monkeypatch):
    for name in ("BRIGHTNESS", "COLOUR", "CONTRAST"):
        monkeypatch.setattr(augmentation, name, 0.0)


def test_outside_training_it_is_the_bare_net():
    model = augmented(Red())
    pixels = noise(16)

    assert np.array_equal(answer(model, pixels, training=False), pixels[..., 0])
    assert not np.array_equal(answer(model, pixels), pixels[..., 0])


def test_the_answer_lies_where_the_patch_lies(steady_light):
    """Without changes of light, turning the patch and turning the answer back gives the patch."""
    pixels = noise(64)

    assert np.array_equal(answer(augmented(Red()), pixels), pixels[..., 0])


def test_all_eight_symmetries_occur_about_equally_often():
    """Of 400 patches each of 8 symmetries is expected 50 times, with a standard deviation of 6.6; 25 are 3.8 of it.

    `Numbers` answers the same whatever it sees, so what comes out is the turning back alone.
    """
    turned = answer(AugmentedNet(Numbers(), seed=0), noise(400, side=3))
    square = np.arange(9).reshape(3, 3)

    counts = [sum(np.array_equal(field, symmetry(square)) for field in turned) for symmetry in SYMMETRIES]

    assert sum(counts) == 400
    assert min(counts) > 25


def test_light_changes_the_patch_in_place_and_within_its_limits():
    """A pixel moves by at most 30 for all channels, 12 for its own, and 30 % of its distance from the mean of the
    patch, and half a level of rounding."""
    pixels = noise(64, side=16)
    changed = answer(augmented(Red()), pixels)

    distance = np.abs(pixels[..., 0] - pixels.mean(axis=(1, 2, 3))[:, np.newaxis, np.newaxis])
    moved = np.abs(changed - pixels[..., 0])
    assert np.all(moved <= 30 + 12 + 0.3 * distance + 0.5)
    assert moved.max() > 30
    assert len({patch.tobytes() for patch in moved}) == 64


@pytest.mark.parametrize("level", [0, 255])
def test_light_stays_in_what_a_file_can_hold(level):
    """A wrap around would turn black to white: at an even level contrast changes nothing and all moves are below 43."""
    changed = answer(augmented(Red()), np.full((64, 4, 4, 3), level, dtype=np.uint8))

    assert changed.min() >= 0
    assert changed.max() <= 255
    assert np.abs(changed - level).max() < 43
    assert np.array_equal(changed, np.round(changed))
    assert len(np.unique(changed)) > 8


def test_an_epoch_is_the_same_again_and_another_seed_or_epoch_is_not():
    pixels = noise(32)

    def epoch(seed, number, earlier=0):
        model = augmented(Red(), seed)
        for _ in range(earlier):
            answer(model, pixels)
        model.begin_epoch(number)
        return [answer(model, pixels).tobytes() for _ in range(2)]

    first = epoch(seed=1, number=3)

    assert epoch(seed=1, number=3, earlier=5) == first
    assert first[0] != first[1]
    assert set(epoch(seed=1, number=4)).isdisjoint(first)
    assert set(epoch(seed=2, number=3)).isdisjoint(first)


def test_the_channels_change_apart():
    """The same gray in all channels does not stay gray."""

    class Difference(keras.layers.Layer):
        def call(self, pixels):
            return keras.ops.cast(pixels[..., :1], "float32") - keras.ops.cast(pixels[..., 1:2], "float32")

    difference = answer(augmented(Difference()), np.full((64, 4, 4, 3), 128, dtype=np.uint8))

    assert 0 < np.abs(difference).max() <= 2 * 12 + 1
