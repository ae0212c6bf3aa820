"""Where the files are that belong to weights."""

from pathlib import Path

from shipseg_tiles.errors import InputError


def contract_path(weights: Path) -> Path:
    """Return where the contract of a `.keras` file stands."""
    return _beside(weights, ".json")


def gate_path(weights: Path) -> Path:
    """Return where the gate of a segmenter's `.keras` file stands: `NAME.gate.keras` beside `NAME.keras`."""
    return _beside(weights, ".gate.keras")


def journal_folder(weights: Path) -> Path:
    """Return where a training keeps what it noted down of the weights that it writes: `NAME.training`."""
    return _beside(weights, ".training")


def rounds_folder(weights: Path) -> Path:
    """Return where training in rounds keeps what it needs for the weights that it writes: `NAME.rounds`."""
    return _beside(weights, ".rounds")


def _beside(weights: Path, suffix: str) -> Path:
    if not weights.name:
        raise InputError(f"{weights} is a folder; name a .keras file")
    return weights.with_suffix(suffix)


def chosen_gate(gate: str, weights: Path) -> Path | None:
    """Return the gate in front of a segmenter: a file, `off` for none, or empty for that beside it if there is one."""
    beside = gate_path(weights)
    if gate == "off" or not (gate or beside.is_file()):
        return None
    return Path(gate) if gate else beside


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
