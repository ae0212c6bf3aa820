"""`shipseg-tiles ensemble`: one net of several, which answers their mean."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import CommonOptions, option


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `ensemble`."""

    weights: list[Path] = option(
        "weights of nets that segment, with their contracts beside them; their scales may differ",
        nargs="+",
        metavar="FILE.keras",
    )
    out: Path = option("weights to write, with their contract beside them", metavar="NAME.keras")
    symmetries: int = option(
        "symmetries of each tile that are shown, at as many times the cost; 2 is mirrored as well",
        default=1,
        choices=[1, 2, 8],
    )
    scales: list[float] = option(
        "times the size of the training at which each tile is shown, such as 1 1.25 1.5 (default: 1)",
        default_factory=list,
        nargs="+",
        metavar="S",
    )


def run(options: Options) -> Outcome:
    """Make an ensemble."""
    from shipseg_tiles.nets.contract_file import read_contract

    for path in options.weights:  # what can be wrong with the files, before the slow import
        read_contract(path)
    with quiet_import():
        from shipseg_tiles.nets.ensemble import write_ensemble

    contract = write_ensemble(options.weights, options.out, options.symmetries, options.scales)
    size = options.out.stat().st_size
    answers = len(options.weights) * contract.views
    summary = f"{options.out}: the mean of {answers} answers, {size / 1e6:.1f} MB; calibrate chooses its threshold"
    return Outcome(summary, {"weights": str(options.out), "weights_sha256": contract.weights_sha256, "bytes": size})
