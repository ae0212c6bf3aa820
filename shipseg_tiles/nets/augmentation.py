"""Augmentation inside the model that is trained: the feed stays as fast as memory, and an accelerator does the work."""

from typing import Any

import keras
from keras import ops

BRIGHTNESS = 30.0
"""Largest shift of all channels together, in grey levels."""

COLOUR = 12.0
"""Largest further shift of each channel on its own, in grey levels."""

CONTRAST = 0.3
"""Largest change of the deviation from a patch's mean, as a share."""


class AugmentedNet(keras.Model):
    """A net that sees each training patch in one of its 8 symmetries and in changed light.

    The symmetry is taken back from the output, so that masks need no change of their own. Outside training it is
    the bare net, and only the bare net is ever saved as weights. Patches must be square.

    Attributes:
        net: The bare net, from uint8 (N, side, side, 3) to float32 (N, side, side, 1).
    """

    def __init__(self, net: keras.Model, seed: int) -> None:
        """Wrap `net`; `seed` decides all that is random."""
        super().__init__()
        self.net = net
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def begin_epoch(self, epoch: int) -> None:
        """Make what is random depend on the seed and the epoch alone, so that a resumed training repeats nothing."""
        self.random.state.assign([self.seed, epoch << 20])  # the second number counts up, once for each draw

    def call(self, pixels: Any, training: bool = False) -> Any:
        """Predict probabilities of uint8 patches."""
        if not training:
            return self.net(pixels, training=False)
        turns = keras.random.uniform((3, ops.shape(pixels)[0], 1, 1, 1), seed=self.random) < 0.5
        changed = self._change_light(ops.cast(pixels, "float32"))
        probabilities = self.net(_turn(ops.cast(changed, "uint8"), turns), training=True)
        return _turn_back(probabilities, turns)

    def _change_light(self, pixels: Any) -> Any:
        """Change brightness, contrast and colour, and round to what a file could hold."""
        count = ops.shape(pixels)[0]
        mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
        contrast = 1 + CONTRAST * self._between_plus_minus_1((count, 1, 1, 1))
        shift = BRIGHTNESS * self._between_plus_minus_1((count, 1, 1, 1))
        shift = shift + COLOUR * self._between_plus_minus_1((count, 1, 1, 3))
        return ops.clip(ops.round((pixels - mean) * contrast + mean + shift), 0, 255)

    def _between_plus_minus_1(self, shape: tuple[Any, ...]) -> Any:
        return keras.random.uniform(shape, -1, 1, seed=self.random)


def _turn(pixels: Any, turns: Any) -> Any:
    """Flip left-right, flip up-down and transpose each patch where its three turns say so: 8 symmetries."""
    pixels = ops.where(turns[0], ops.flip(pixels, axis=2), pixels)
    pixels = ops.where(turns[1], ops.flip(pixels, axis=1), pixels)
    return ops.where(turns[2], ops.transpose(pixels, (0, 2, 1, 3)), pixels)


def _turn_back(pixels: Any, turns: Any) -> Any:
    """Take `_turn` back: each step is its own inverse, so the same steps in reverse order."""
    pixels = ops.where(turns[2], ops.transpose(pixels, (0, 2, 1, 3)), pixels)
    pixels = ops.where(turns[1], ops.flip(pixels, axis=1), pixels)
    return ops.where(turns[0], ops.flip(pixels, axis=2), pixels)
