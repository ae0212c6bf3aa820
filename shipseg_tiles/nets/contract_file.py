"""The file of a contract, `NAME.json` beside `NAME.keras`."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_json, written_whole
from shipseg_tiles.nets.contract import FORMAT_VERSION, Contract, GateUse
from shipseg_tiles.nets.weights_files import contract_path
from shipseg_tiles.processes import later_ctrl_c

_LATER = (
    "miss_rate",
    "thresholds",
    "separate_touching",
    "calibration",
    "minimum_score",
    "symmetries",
    "resizes",
    "pixel_size",
)
"""What contracts do not name that were written before there were gates, calibration, minimum scores, views, and pixel
sizes."""


def write_contract(contract: Contract, weights: Path) -> None:
    """Write the contract beside its weights."""
    write_json(contract_path(weights), asdict(contract))


def write_weights(weights: Path, contract: Contract, save: Callable[[Path], object]) -> Contract:
    """Write weights with their contract; a break leaves both as they are afterwards, or both as they were before.

    Args:
        weights: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        contract: Theirs, but for the checksum.
        save: Called with the path of a `.keras` file to write them to.

    Returns:
        The contract as it was written.

    Raises:
        OSError: If the disk is full or the folder cannot be written to.
    """
    with later_ctrl_c():  # between the two files it would part them
        with written_whole(weights) as temporary:
            save(temporary)
            contract = replace(contract, weights_sha256=checksum(temporary))
        write_contract(contract, weights)
    return contract


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
        gate = GateUse(**values["gate"]) if values["gate"] is not None else None
        contract = Contract(**{name: values[name] for name in names} | {"gate": gate})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no contract of weights ({error!r}); train writes one") from None
    if contract.format_version != FORMAT_VERSION or contract.channels != 3:
        raise InputError(f"{path} asks for what this version cannot do; use the version that made it")
    if contract.weights_sha256 != checksum(weights):
        raise InputError(f"{path} was written for other weights than {weights}; keep the two files together")
    return contract


def segmenter_contract(weights: Path, **changes: Any) -> Contract:
    """Read the contract of a segmenter and change values in it; None keeps the contract's.

    A `pixel_size` changes what depends on it as well, see `Contract.for_pixels_of`, unless that is changed too.

    Raises:
        InputError: As `read_contract`, or if it is of another kind of net, or a changed value is out of its range.
    """
    contract = read_contract(weights)
    if contract.receptive_field is None:
        raise InputError(f"{weights} is a {contract.net}; give the weights of a net that segments")
    changes = {name: value for name, value in changes.items() if value is not None}
    return replace(_for_pixels_of(changes.get("pixel_size"), contract, weights), **changes)


def contract_in_front(weights: Path, segmenter: Contract | None, pixel_size: float | None = None) -> Contract:
    """Read the contract of a gate or a classifier for the images that its segmenter is shown.

    Args:
        weights: Of the gate or the classifier.
        segmenter: Contract of the net behind it, for these images; None if there is no such net.
        pixel_size: What somebody said of them; None if nobody did, so that they are those that the segmenter is for,
            and those that this net is for if its contract does not say which these are.

    Raises:
        InputError: As `read_contract`; or as `Contract.for_pixels_of`.
    """
    contract = read_contract(weights)
    known = segmenter.pixel_size if segmenter and contract.pixel_size else None
    return _for_pixels_of(pixel_size or known, contract, weights)


def _for_pixels_of(size: float | None, contract: Contract, weights: Path) -> Contract:
    if size in (None, contract.pixel_size):
        return contract
    try:
        return contract.for_pixels_of(size)
    except InputError as error:
        raise InputError(f"{contract_path(weights)}: {error}") from None
