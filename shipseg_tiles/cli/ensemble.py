"""`shipseg-tiles ensemble`: one net of several, which answers their mean."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `ensemble`."""

    weights: list[Path] = option(
        "weights of nets that segment, with their contracts beside them; their scales may differ",
        nargs="+",
        metavar="FILE.keras",
    )
    out: Path = option("weights to write, with their contract beside them", metavar="NAME.keras")
    mirrored: bool = option(
        "show each of them the mirrored image as well, at twice the cost", default=False, action="store_true"
    )


def run(options: Options) -> Outcome:
    """Make an ensemble."""
    from shipseg_tiles.nets.contract import read_contract

    for path in options.weights:  # what can be wrong with the files, before the slow import
        read_contract(path)
    with quiet_import():
        from shipseg_tiles.inference.ensemble import write_ensemble

    contract = write_ensemble(options.weights, options.out, options.mirrored)
    size = options.out.stat().st_size
    views = len(options.weights) * (2 if options.mirrored else 1)
    summary = f"{options.out}: the mean of {views} answers, {size / 1e6:.1f} MB; calibrate chooses its threshold"
    return Outcome(summary, {"weights": str(options.out), "weights_sha256": contract.weights_sha256, "bytes": size})
