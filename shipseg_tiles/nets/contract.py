"""What stands beside trained weights: how they must be used, what they were trained on, how well they did."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_json

FORMAT_VERSION = 1

_LATER = ("miss_rate", "thresholds")
"""What contracts that were written before there were gates do not name."""


@dataclass(frozen=True)
class Contract:
    """The JSON beside a `.keras` file.

    Attributes:
        weights_sha256: Checksum of the `.keras` file that this belongs to.
        net: Name of the net.
        patch: Side in pixels of the patches it was trained on, in the image.
        threshold: Probability, 0 to 1, above which a pixel is ship.
        minimum_area: Objects of fewer pixels than this are dropped.
        tile: Recommended side in pixels of the tiles at inference.
        overlap: Recommended share of its side that a tile shares with its neighbour, 0 to below 1.
        tile_multiple: A tile's side must be a multiple of this.
        receptive_field: How many pixels away, at most, a pixel can change the answer; measured. None for a classifier
            and a gate, which answer for more than a pixel.
        channels: Channels of the image, red, green, blue.
        resize: Side to which such patches were resized; images are resized likewise before the net. None if not.
        gate: The gate that decides which tiles the net sees; None if all of them.
        miss_rate: Of a gate: the share of the ships, 0 to below 1, that it may miss; None for others.
        thresholds: Of a gate: above which probability a tile is seen, by the side in pixels of the smallest tiles that
            this is good for; `threshold` is that for `tile`. Empty for others.
        trained_on: Store fingerprint, counts, ratio and options of the training.
        scores: Scores, with the data that they were measured on.
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
    gate: None = None
    miss_rate: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    trained_on: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Refuse numbers that would make a prediction silently wrong."""
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold {self.threshold} must be above 0 and below 1")
        if self.minimum_area < 0:
            raise InputError(f"minimum area {self.minimum_area} must be 0 or more")
        if self.tile_multiple < 1 or self.tile < 1 or self.tile % self.tile_multiple:
            raise InputError(f"tile {self.tile} must be a multiple of {self.tile_multiple}, which this net needs")
        if self.resize is not None and not 0 < self.resize <= 16 * self.patch:
            raise InputError(f"resize {self.resize} must be from 1 to 16 times the patch of {self.patch}")
        if not 0 <= self.overlap < 1:
            raise InputError(f"overlap {self.overlap} must be at least 0 and below 1")
        if self.miss_rate is not None and not 0 <= self.miss_rate < 1:
            raise InputError(f"miss rate {self.miss_rate} must be at least 0 and below 1")
        for side, threshold in self.thresholds.items():
            if not side.isdecimal() or not 0 < threshold < 1:
                raise InputError(f"threshold {threshold} of tiles of {side} px must be above 0 and below 1")


def contract_path(weights: Path) -> Path:
    """Return where the contract of a `.keras` file stands."""
    return weights.with_suffix(".json")


def gate_path(weights: Path) -> Path:
    """Return where the gate of a segmenter's `.keras` file stands: `NAME.gate.keras` beside `NAME.keras`."""
    return weights.with_suffix(".gate.keras")


def write_contract(contract: Contract, weights: Path) -> None:
    """Write the contract beside its weights."""
    write_json(contract_path(weights), asdict(contract))


def read_contract(weights: Path) -> Contract:
    """Read the contract of a `.keras` file and check that they belong together.

    Raises:
        InputError: If one of them is missing, the contract is malformed, or was written for other weights.
    """
    path = contract_path(weights)
    for needed in (weights, path):
        if not needed.is_file():
            raise InputError(f"{needed} does not exist; weights NAME.keras need their contract NAME.json beside them")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        names = [item.name for item in fields(Contract) if item.name in values or item.name not in _LATER]
        contract = Contract(**{name: values[name] for name in names})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no contract of weights ({error!r}); train writes one") from None
    if contract.format_version != FORMAT_VERSION or (contract.channels, contract.gate) != (3, None):
        raise InputError(f"{path} asks for what this version cannot do; use the version that made it")
    if contract.weights_sha256 != checksum(weights):
        raise InputError(f"{path} was written for other weights than {weights}; keep the two files together")
    return contract


def changed_contract(weights: Path, **changes: Any) -> Contract:
    """Read the contract of weights and change values in it; None keeps the contract's."""
    return replace(read_contract(weights), **{name: value for name, value in changes.items() if value is not None})


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def default_weights() -> Path:
    """Return the weights that ship with the project, in an installed package or in a checkout.

    Raises:
        InputError: If this installation has none.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / "default.keras").is_file():
            return folder / "default.keras"
    raise InputError("this installation has no weights/default.keras; give --weights FILE.keras")
