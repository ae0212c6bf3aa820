"""What stands beside trained weights: how they must be used, what they were trained on, how well they did."""

import math
import reprlib
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, get_origin

from shipseg_tiles.digests import image_digest
from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import WHOLE_NUMBER, before_shrinking, round_up
from shipseg_tiles.zipped import AnyPath

FORMAT_VERSION = 1

CHANGEABLE = (
    "tile",
    "overlap",
    "threshold",
    "minimum_area",
    "minimum_score",
    "separate_touching",
    "symmetries",
    "pixel_size",
)
"""What the contract says and an option of the same name may change."""

_MOST_FINER = 8
"""How many times finer or coarser pixels may be than those of the training: tiles 8 times as long take 64 times the
memory."""

SYMMETRIES = (1, 2, 8)
"""Of the square, in which a tile may be shown: as it is, mirrored as well, or all of them."""

_MOST_RESIZES = 16
"""Each takes the time of one more net."""


@dataclass(frozen=True)
class GateUse:
    """How a net is used behind a gate, as calibration chose it.

    Attributes:
        weights_sha256: Checksum of the gate's `.keras` file.
        tile: Side in pixels of the tiles that this is for.
        threshold: Above which peak a tile is seen, 0 to 1; None if all of them are.
    """

    weights_sha256: str
    tile: int
    threshold: float | None

    def __post_init__(self) -> None:
        """Refuse numbers that would make a prediction silently wrong."""
        if self.tile < 1:
            raise InputError(f"tile {self.tile} of the gate must be 1 or more")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"threshold {self.threshold} of the gate must be above 0 and below 1")

    def holds_for(self, gate: "Contract", tile: int) -> bool:
        """Say whether it was chosen for the gate with this contract and for tiles of this side."""
        return (self.weights_sha256, self.tile) == (gate.weights_sha256, tile)


@dataclass(frozen=True)
class Contract:
    """The JSON beside a `.keras` file.

    Attributes:
        weights_sha256: Checksum of the `.keras` file that this belongs to.
        net: Name of the net.
        patch: Side in pixels of the patches it was trained on, in the image.
        threshold: Probability, 0 to 1, above which a pixel is ship.
        minimum_area: Objects of fewer pixels than this are dropped.
        tile: Recommended side in pixels of the tiles at inference, in the image.
        overlap: Recommended share of its side that a tile shares with its neighbour, 0 to below 1.
        tile_multiple: What the sides of tiles, and of the net's inputs, must be a multiple of.
        receptive_field: How many pixels of its input away, at most, a pixel can change the answer; measured. None for a
            classifier and a gate, which answer for more than a pixel.
        channels: Channels of the image, red, green, blue.
        resize: Side to which such patches were resized; tiles are resized likewise for the net. None if not.
        gate: How a gate in front of the net is used; None if as its own contract says.
        symmetries: In how many of its symmetries the net is shown a tile, of which the mean answers: 1 as it is, 2
            mirrored as well, 8 all of them.
        resizes: Sides to which patches are resized at inference, and tiles likewise; the mean answers. Empty for
            `resize` alone.
        minimum_score: Objects of a lower mean probability, 0 to below 1, are dropped.
        separate_touching: Whether objects are cut into ships that touch.
        miss_rate: Of a gate: the share of the ships, 0 to below 1, that it may miss; None for others.
        thresholds: Of a gate: above which probability a tile is seen, by the side in pixels of the smallest tiles that
            this is good for; `threshold` is that for `tile`. Empty for others.
        pixel_size: Metres on the ground from one pixel of the images to the next; None if nobody said.
        trained_on: Store fingerprint, counts, ratio and options of the training.
        scores: Scores, with the data that they were measured on.
        calibration: What threshold, minimum area and score, gate and separation were chosen by, and under `images` the
            `image_digest` of each image that they were chosen on. Empty if training chose them.
        format_version: Version of this layout.
    """

    weights_sha256: str
    net: str
    patch: int
    threshold: float
    minimum_area: int
    tile: int
    overlap: float
    tile_multiple: int
    receptive_field: int | None
    channels: int = 3
    resize: int | None = None
    gate: GateUse | None = None
    symmetries: int = 1
    resizes: list[int] = field(default_factory=list)
    minimum_score: float = 0.0
    separate_touching: bool = False
    miss_rate: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    pixel_size: float | None = None
    trained_on: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse what would make a prediction silently wrong, or fail in the middle of it."""
        self._check_types()
        if self.patch < 1:
            raise InputError(f"patch {self.patch} must be 1 or more")
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold {self.threshold} must be above 0 and below 1")
        if self.minimum_area < 0:
            raise InputError(f"minimum area {self.minimum_area} must be 0 or more")
        self._check_views()
        if self.tile_multiple < 1 or self.tile < 1 or self.tile % self.tile_multiple:
            raise InputError(f"tile {self.tile} must be a multiple of {self.tile_multiple}, which this net needs")
        for name in ("overlap", "minimum_score", "miss_rate"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise InputError(f"{name.replace('_', ' ')} {share} must be at least 0 and below 1")
        for side, threshold in self.thresholds.items():
            if not WHOLE_NUMBER.fullmatch(side) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
                raise InputError(f"threshold {threshold!r} of tiles of {side} px must be above 0 and below 1")
        images = self.calibration.get("images", [])
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise InputError("calibration must hold a list of images, or nothing")

    def _check_views(self) -> None:
        if self.pixel_size is not None and not 0 < self.pixel_size < math.inf:
            raise InputError(f"pixel size {self.pixel_size} must be above 0, in metres")
        if self.symmetries not in SYMMETRIES:
            raise InputError(f"symmetries {self.symmetries} must be one of {', '.join(map(str, SYMMETRIES))}")
        if len(self.resizes) > _MOST_RESIZES:
            raise InputError(f"{len(self.resizes)} resizes are more than {_MOST_RESIZES}")
        for seen in [self.resize, *self.resizes]:
            if seen is not None and (type(seen) is not int or not 0 < seen <= 16 * self.patch):
                raise InputError(f"resize {seen!r} must be from 1 to 16 times the patch of {self.patch}")

    def _check_types(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            container = get_origin(item.type)
            expected: Any = container if container in (dict, list) else item.type
            is_whole = type(value) is int and isinstance(0.0, expected)  # JSON may write 1 for 1.0
            if not is_whole and not isinstance(value, expected):
                raise InputError(f"{item.name.replace('_', ' ')} {reprlib.repr(value)} is no value of a contract")

    @property
    def reach(self) -> int | None:
        """`receptive_field` in pixels of the image."""
        if self.receptive_field is None:
            return None
        return -(-self.receptive_field * self.patch // min(self.patch_sides))

    @property
    def views(self) -> int:
        """How often the net is shown a tile."""
        return self.symmetries * len(self.patch_sides)

    @property
    def patch_sides(self) -> list[int]:
        """Sides of a patch as the net is shown it at inference, one or more; `patch` where it is not resized."""
        return self.resizes or [self.patch_seen]

    @property
    def patch_seen(self) -> int:
        """Side of a patch as the net saw it in training."""
        return self.resize or self.patch

    @property
    def shrink(self) -> Fraction:
        """How many pixels of the image, along a side, were one for the net in training."""
        return Fraction(self.patch, self.patch_seen)

    @property
    def image_multiple(self) -> int:
        """What sides of images are multiples of that the net sees as multiples of `tile_multiple`, however it does."""
        return math.lcm(
            *(before_shrinking(self.tile_multiple, Fraction(self.patch, side)) for side in self.patch_sides)
        )

    def for_pixels_of(self, size: float) -> "Contract":
        """Return how the net is used on images of other pixels: it sees as much ground as in training.

        Args:
            size: Metres from one pixel to the next.

        Raises:
            InputError: If the contract does not say which pixels it is for, or they are not at all alike.
        """
        if self.pixel_size is None:
            raise InputError("the contract does not say which pixels it is for; add its pixel_size, in metres")
        scale = size / self.pixel_size
        if not 1 / _MOST_FINER <= scale <= _MOST_FINER:  # NaN is not either
            lowest, highest = self.pixel_size / _MOST_FINER, self.pixel_size * _MOST_FINER
            raise InputError(f"pixel size {size:g} must be from {lowest:g} to {highest:g} m for this net")

        def longer(side: int) -> int:
            return round_up(math.ceil(round(side / scale, 6)), self.tile_multiple)  # 768 / 0.4 is a little above 1920

        return replace(
            self,
            pixel_size=size,
            patch=max(1, round(self.patch / scale)),
            resize=self.patch_seen,
            tile=longer(self.tile),
            minimum_area=round(self.minimum_area / scale**2),
            gate=self.gate and replace(self.gate, tile=longer(self.gate.tile)),
            thresholds={str(math.floor(int(side) / scale)): threshold for side, threshold in self.thresholds.items()},
        )

    def was_calibrated_on(self, path: AnyPath) -> bool:
        """Say whether an image file is one of those that the contract was calibrated on, whatever its name is.

        The file is read only if there are such images.
        """
        return bool(self._calibrated_on) and image_digest(path) in self._calibrated_on

    @cached_property
    def _calibrated_on(self) -> frozenset[str]:
        return frozenset(self.calibration.get("images", []))


def gate_threshold(gate: Contract, tile: int, calibrated: GateUse | None = None) -> float | None:
    """Return above which peak tiles are seen.

    Args:
        gate: Contract of a gate.
        tile: Side of the tiles in pixels.
        calibrated: What the contract of the segmenter behind it says. It counts if it was chosen for this gate and such
            tiles; otherwise the gate's own threshold does, that of the largest known tiles that are no larger. What is
            larger is seen for more reasons, so that no more is missed.

    Returns:
        The threshold; None if all tiles are seen: calibration found that best, or all known tiles are larger.
    """
    if calibrated is not None and calibrated.holds_for(gate, tile):
        return calibrated.threshold
    known = {int(side): threshold for side, threshold in gate.thresholds.items() if int(side) <= tile}
    return known[max(known)] if known else None
