"""`shipseg-tiles score`: predictions against labels."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import CommonOptions, Outcome, option


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `score`."""

    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")
    predictions: Path = option("folder that predict wrote, folder of masks, or CSV", metavar="DIR_OR_CSV")
    missing: str = option(
        "what to do with labelled images without prediction: stop, count them as predicted empty, or leave them out",
        default="error",
        choices=["error", "empty", "skip"],
    )


def run(options: Options) -> Outcome:
    """Score."""
    from shipseg_tiles.archive.labels import read_labels
    from shipseg_tiles.scoring.score import score_labels, summarise, summary_rows

    truth = read_labels(options.labels)
    submission = options.predictions / "submission.csv"  # its masks may have others of an earlier run among them
    predicted = read_labels(submission if submission.is_file() else options.predictions)
    result = summarise(score_labels(truth, predicted, options.missing))
    lines = [f"{result['images']} images, {result['ship_images']} with ships"]
    lines += [f"  {value:>6}  {meaning}" for value, meaning in summary_rows(result)]
    return Outcome("\n".join(lines), result)
