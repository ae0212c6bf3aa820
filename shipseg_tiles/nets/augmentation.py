"""Augmentation inside the model that is trained: the feed stays as fast as memory, and an accelerator does the work."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import keras
from keras import ops

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.augmentation_geometry import rotate, turn, zoom
from shipseg_tiles.nets.augmentation_light import add_haze, add_jpeg_noise, blur, change_light
from shipseg_tiles.nets.augmentation_paste import paste_ships

_MOST = {"contrast": 1, "rotation": 45, "scale": 1, "paste": 1, "haze": 1}
"""The largest value of an option, where it is not 255."""


@dataclass(frozen=True)
class AugmentationOptions:
    """What is changed in training patches, and how strongly; 0 leaves it as it is.

    Symmetries and light change every patch; rotation, scale, haze and blur about half of them, as what is interpolated
    or blurred has lost some of its sharpness, and most pictures have none of it. JPEG noise is that of quality 100 in
    the other half.

    Attributes:
        symmetries: Whether patches are turned and flipped, in all 8 ways.
        contrast: Largest change of the deviation from a patch's mean, as a share, 0 to 1.
        brightness: Largest shift of all channels together, in grey levels.
        colour: Largest further shift of each channel on its own, in grey levels.
        rotation: Largest angle by which patches are rotated either way, 0 to 45 degrees; with the symmetries, 45 makes
            all directions equally frequent among those that are rotated.
        scale: The most by which lengths grow or shrink, 0 to 1; 0.33 is 1 / 1.33 to 1.33 times the length.
        paste: Share of the patches of empty water that get ships of other patches, 0 to 1. It raises the share of ship
            patches above that of the feed.
        haze: Largest share of a light veil, 0 to 1.
        blur: Largest deviation of a Gaussian blur, in pixels.
        jpeg: Coarsest JPEG noise; 1 is that of quality 50, 0.4 of 80. Patches must be a multiple of 8 px.

    Raises:
        InputError: If a number is out of its range.
    """

    symmetries: bool = True
    contrast: float = 0.3
    brightness: float = 30.0
    colour: float = 12.0
    rotation: float = 0.0
    scale: float = 0.0
    paste: float = 0.0
    haze: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            most = _MOST.get(field.name, 255)
            if not 0 <= value <= most:  # NaN is not either
                raise InputError(f"augmentation {field.name} {value} must be from 0 to {most}")

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "AugmentationOptions":
        """Read `NAME=VALUE`, one for each option that is to differ from what it is here; `symmetries=0` turns them off.

        Raises:
            InputError: If a text is something else, there is no such option, or a number is out of its range.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = {}
        for text in texts:
            name, _, value = text.partition("=")
            if name not in names:
                raise InputError(f"augmentation {text!r} must be NAME=VALUE; the names are {', '.join(names)}")
            try:
                values[name] = bool(int(value)) if name == "symmetries" else float(value)
            except ValueError:
                raise InputError(f"augmentation {text!r} must give a number") from None
        return cls(**values)


USUAL = AugmentationOptions()
"""What is changed unless something else is asked for."""


class AugmentedNet(keras.Model):
    """A net that sees each training patch changed: turned, in other light, and whatever else its options say.

    The truth goes into training beside the pixels and changes with them, as scale moves ships and copy-paste adds some:
    so a batch (pixels, masks) becomes the input, `call` answers (prediction, changed masks), and loss and metrics are
    taken of these two. Feeds, losses and metrics know nothing of it. Outside training it is the bare net, and only the
    bare net is ever saved as weights. Patches must be square.

    Attributes:
        net: The bare net, from uint8 (N, side, side, 3) to float32 (N, side, side, 1), or (N, 1) for a classifier.
        options: What is changed.
    """

    def __init__(self, net: keras.Model, seed: int, options: AugmentationOptions = USUAL) -> None:
        """Wrap `net`; `seed` decides all that is random."""
        super().__init__()
        self.net = net
        self.options = options
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def begin_epoch(self, epoch: int) -> None:
        """Make what is random depend on the seed and the epoch alone, so that a resumed training repeats nothing."""
        self.random.state.assign([self.seed, epoch << 20])  # the second number counts up, once for each draw

    def train_step(self, *state_and_batch: Any) -> Any:
        """Train on a batch (pixels, masks), handing the masks to `call` as well; under JAX a state comes before it."""
        *state, batch = state_and_batch
        pixels, masks, weights = keras.utils.unpack_x_y_sample_weight(batch)
        return super().train_step(*state, ((pixels, masks), masks, weights))

    def call(self, patches: Any, training: bool = False) -> Any:
        """Predict probabilities of uint8 patches; in training of (patches, masks), masks changed alike."""
        if not training:
            return self.net(patches, training=False)
        pixels, masks = self.augment(*patches)
        return self.net(pixels, training=True), masks

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Compute the loss, in training against the changed masks."""
        return super().compute_loss(x, *_compared(y, y_pred), sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compute the metrics, in training against the changed masks."""
        return super().compute_metrics(x, *_compared(y, y_pred), sample_weight)

    def augment(self, pixels: Any, masks: Any) -> tuple[Any, Any]:
        """Change a batch.

        Args:
            pixels: uint8 (N, side, side, 3).
            masks: uint8 0 or 1 (N, side, side).

        Returns:
            Both, changed, in the same shapes and dtypes.
        """
        pixels, masks = self._change_geometry(pixels, ops.expand_dims(masks, -1))
        return ops.cast(self._change_light(pixels), "uint8"), ops.cast(ops.squeeze(masks, -1), "uint8")

    def _change_geometry(self, pixels: Any, masks: Any) -> tuple[Any, Any]:
        """Turn patches, paste ships, rotate and zoom, masks (N, side, side, 1) alike; both become float32."""
        options, count = self.options, ops.shape(pixels)[0]
        if options.symmetries:
            turns = keras.random.uniform((3, count, 1, 1, 1), seed=self.random) < 0.5
            pixels, masks = turn(pixels, turns), turn(masks, turns)
        pixels, masks = ops.cast(pixels, "float32"), ops.cast(masks, "float32")
        if options.paste:
            order = keras.random.uniform((count,), seed=self.random)
            takes = keras.random.uniform((count,), seed=self.random) < options.paste
            pixels, masks = paste_ships(pixels, masks, order, takes)
        if options.rotation:
            largest = math.radians(options.rotation)
            pixels, masks = rotate(pixels, masks, largest * self._either_way_for_every_other((count,)))
        if options.scale:
            pixels, masks = zoom(pixels, masks, (1 + options.scale) ** self._either_way_for_every_other((count,)))
        return pixels, masks

    def _change_light(self, pixels: Any) -> Any:
        """Add what air, lens, sensor and file do to a picture, in this order."""
        options, count = self.options, ops.shape(pixels)[0]
        if options.haze:
            thickest = options.haze * self._for_every_other((count, 1, 1))
            pixels = add_haze(pixels, thickest * keras.random.uniform((count, 2, 2), 0.3, 1, seed=self.random))
        if options.blur:
            pixels = blur(pixels, options.blur * self._for_every_other((count,)))
        contrast = 1 + options.contrast * self._between_plus_minus_1((count, 1, 1, 1))
        shift = options.brightness * self._between_plus_minus_1((count, 1, 1, 1))
        shift = shift + options.colour * self._between_plus_minus_1((count, 1, 1, 3))
        pixels = change_light(pixels, contrast, shift)
        if options.jpeg:
            pixels = add_jpeg_noise(pixels, options.jpeg * self._for_every_other((count,)))
        return pixels

    def _between_plus_minus_1(self, shape: tuple[Any, ...]) -> Any:
        return keras.random.uniform(shape, -1, 1, seed=self.random)

    def _for_every_other(self, shape: tuple[Any, ...]) -> Any:
        """Draw strengths, 0 for half of them and even up to 1 for the others, for what befalls only some pictures."""
        return ops.relu(self._between_plus_minus_1(shape))

    def _either_way_for_every_other(self, shape: tuple[Any, ...]) -> Any:
        """Draw from -1 to 1 for half of the pictures, and 0 for the others."""
        up = self._between_plus_minus_1(shape) > 0
        strengths = self._for_every_other(shape)
        return ops.where(up, strengths, -strengths)


def _compared(masks: Any, answer: Any) -> tuple[Any, Any]:
    """Return truth and prediction, out of the masks of a batch and what `AugmentedNet.call` answered."""
    if not isinstance(answer, tuple):
        return masks, answer
    prediction, changed_masks = answer
    return changed_masks, prediction
