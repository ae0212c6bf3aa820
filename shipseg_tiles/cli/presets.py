"""`shipseg-tiles presets`: the ways to train that are set up."""

from dataclasses import asdict, dataclass

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `presets`."""


def run(options: Options) -> Outcome:
    """List them."""
    from shipseg_tiles.training.presets import preset_names, read_preset

    presets = [read_preset(name) for name in preset_names()]
    width = max(len(preset.name) for preset in presets)
    lines = [f"{preset.name:<{width}}  {preset.summary}" for preset in presets]
    return Outcome("\n".join(lines), {preset.name: asdict(preset) for preset in presets})
