"""Presets: options of `make-patches` and `train` that belong together, one YAML file each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import read_yaml

FOLDER = Path(__file__).parent

_KEYS = ("summary", "filter", "encoder", "mine", "make-patches", "train")


@dataclass(frozen=True)
class Preset:
    """One way to train a net.

    Attributes:
        name: What it is called.
        source: What `--preset` finds it by: its name, or the path of its file.
        summary: A line for people.
        options: By verb, `make-patches` and `train`: the options as a `--config` file has them.
        filter: Preset of a classifier that is trained first, and decides which images the net is shown; or empty.
        encoder: Preset of a classifier that is trained first, and whose encoder the net takes over; or empty.
        mine: Share of hard negatives in every batch of the second half of the time, see
            `shipseg_tiles.training.rounds.mine_and_train`; 0 for a training without them.
    """

    name: str
    source: str
    summary: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    filter: str = ""
    encoder: str = ""
    mine: float = 0.0

    @property
    def classifier(self) -> str:
        """The preset that is trained first; or empty."""
        return self.filter or self.encoder


def preset_names() -> list[str]:
    """Return the names of the presets that ship with the project, the default first."""
    return sorted((path.stem for path in FOLDER.glob("*.yaml")), key=lambda name: (name != "default", name))


def read_preset(name: str) -> Preset:
    """Read a preset.

    Args:
        name: Of one that ships with the project, or the path of a `.yaml` file.

    Raises:
        InputError: If there is none of that name, or the file is no preset.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not name.endswith(".yaml") and name not in preset_names():
        known = ", ".join(preset_names())
        raise InputError(f"there is no preset {name!r}; choose one of {known}, or give the path of a .yaml file")
    values = read_yaml(path)
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        raise InputError(f"{path}: a preset has no {unknown[0]!r}; it has {', '.join(_KEYS)}")
    options = {verb: values.get(verb) or {} for verb in ("make-patches", "train")}
    if not all(isinstance(section, dict) for section in options.values()):
        raise InputError(f"{path}: make-patches and train must hold options, such as 'epochs: 20'")
    texts = {key: str(values.get(key) or "") for key in ("summary", "filter", "encoder")}
    return Preset(path.stem, name, options=options, mine=_mined_fraction(path, values), **texts)


def _mined_fraction(path: Path, values: Mapping[str, Any]) -> float:
    if "mine" not in values:
        return 0.0
    try:
        fraction = float(values["mine"])
    except (TypeError, ValueError):
        fraction = 0.0
    if not 0 < fraction < 1:
        raise InputError(f"{path}: mine {values['mine']} must be a number above 0 and below 1")
    return fraction
