"""What decides which patches a store holds, how it lies on disk and how it is fed. Loads little, for `--help`."""

from dataclasses import dataclass

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.store_layout import FILTERS, MAXIMUM_SIDE

_MOST_BACKGROUND = 1e9

_AT_LEAST_1 = ("patch", "resize", "min_ship_pixels", "max_per_ship_count")
_LEAST = dict.fromkeys(_AT_LEAST_1, 1) | dict.fromkeys(("jitter", "seed", "full_images"), 0)

CELLS = 64
"""Images fall into so many cells, and slots go through them cell by cell. A shard holds whole cells, so that the order
of the patches is the same however many shards there are."""

BACKGROUND_FROM = ("both", "ship-images", "empty-images")

ORDERS = ("random", "sequential")
"""In which patches may be fed to a training."""


@dataclass(frozen=True)
class PatchOptions:
    """All that decides which patches a store holds, and in which order.

    Attributes:
        patch: Side of a patch in the image, in pixels.
        stride: Pixels from one patch to the next, 1 to `patch`.
        resize: Side to which each patch is shrunk or enlarged when it is stored; None keeps it as it is.
        background_ratio: Background patches kept per ship patch, 0 or more.
        background_from: Images that background is drawn from: `ship-images`, `empty-images`, or `both`, half and half.
        min_ship_pixels: Patches with fewer ship pixels, but some, are neither ship nor background and are left out.
        jitter: Ship patches move off the grid by up to so many pixels, in both directions.
        max_per_ship_count: Use at most so many images with 0 ships, with 1 ship, with 2 ...; None uses all.
        seed: Seed of every random choice, 0 or more.
        valid_fraction: Share of the images that validate, chosen by place, unless a split is given.
        full_images: At most so many validation images are kept whole in the store, for the true dice in training.

    Raises:
        InputError: If one of them is out of its range.
    """

    patch: int = 128
    stride: int = 128
    resize: int | None = None
    background_ratio: float = 1.0
    background_from: str = "both"
    min_ship_pixels: int = 1
    jitter: int = 0
    max_per_ship_count: int | None = None
    seed: int = 0
    valid_fraction: float = 0.1
    full_images: int = 100

    def __post_init__(self) -> None:
        """Refuse what no plan can follow and no store can hold."""
        if not 0 <= self.background_ratio <= _MOST_BACKGROUND:
            raise InputError(f"background ratio {self.background_ratio} must be from 0 to {_MOST_BACKGROUND}")
        if self.background_from not in BACKGROUND_FROM:
            raise InputError(f"background from {self.background_from!r} must be one of {', '.join(BACKGROUND_FROM)}")
        if max(self.patch, self.resize or 0) > MAXIMUM_SIDE:
            raise InputError(f"patches of {max(self.patch, self.resize or 0)} px must be of {MAXIMUM_SIDE} px or less")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name.replace('_', ' ')} {value} must be {least} or more")
            if value is not None and value >= 2**32:
                raise InputError(f"{name.replace('_', ' ')} {value} must be below {2**32}")
        if not 0 <= self.valid_fraction < 1:
            raise InputError(f"valid fraction {self.valid_fraction} must be at least 0 and below 1")
        if not 1 <= self.stride <= self.patch:
            raise InputError(f"stride {self.stride} must be from 1 to the patch of {self.patch}")


@dataclass(frozen=True)
class Layout:
    """How a store lies on disk.

    Attributes:
        shards: Number of files that the patches are divided among, 1 to `CELLS`; with 1, all is one file.
        compression: One of `FILTERS`, or empty for none.
    """

    shards: int = 1
    compression: str = ""

    def __post_init__(self) -> None:
        """Refuse a layout that there is not."""
        if not 1 <= self.shards <= CELLS:
            raise InputError(f"shards {self.shards} must be from 1 to {CELLS}")
        if self.compression not in ("", *FILTERS):
            raise InputError(f"there is no compression {self.compression!r}; choose one of {', '.join(FILTERS)}")
