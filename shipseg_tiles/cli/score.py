"""`shipseg-tiles score`: predictions against labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome, number
from shipseg_tiles.cli.options import CommonOptions, JudgingOptions, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.scoring.patch_gap import GapStep


@dataclass(kw_only=True)
class _Labels(CommonOptions):
    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")


@dataclass(kw_only=True)
class Options(JudgingOptions, _Labels):
    """Options of `score`."""

    images: Path | None = option(
        "folder or zip of the images, whose sizes count; else those of masks, else 768 x 768",
        default=None,
        metavar="DIR",
    )
    patch: int | None = option(
        "also go step by step from the dice of ship patches of N pixels to the true dice",
        default=None,
        metavar="N",
    )
    unstitched: Path | None = option(
        "with --patch, predictions of single patches (predict --tile N --overlap 0)",
        default=None,
        metavar="DIR_OR_CSV",
    )


def run(options: Options) -> Outcome:
    """Score."""
    from shipseg_tiles.archive.labels import read_predictions
    from shipseg_tiles.images import list_images
    from shipseg_tiles.scoring.judged import read_judged, without
    from shipseg_tiles.scoring.patch_gap import measure_patch_gap
    from shipseg_tiles.scoring.score import score_labels, summarise, summary_rows

    if options.patch is not None and options.patch < 1:
        raise InputError(f"--patch {options.patch} must be 1 or more")
    if options.unstitched and options.patch is None:
        raise InputError("--unstitched needs --patch, the side of the patches that were predicted alone")
    files = list_images(options.images) if options.images else None
    judged = read_judged(options.labels, options.predictions, options.leave_out_calibrated)
    scores = score_labels(judged.truth, judged.predicted, options.missing, files)
    result = summarise(scores)
    rows = [(row.value, row.interval, row.meaning) for row in summary_rows(result)]
    lines = [f"{result['images']} images, {result['ship_images']} with ships"]
    lines += _table([("value", "95 % interval", "meaning"), *rows])
    if options.patch is not None:
        single = without(read_predictions(options.unstitched), judged.left_out) if options.unstitched else None
        steps = measure_patch_gap(options.patch, scores, judged.truth, judged.predicted, single, options.missing)
        result["patch_gap"] = [asdict(step) for step in steps]
        lines += _gap_lines(options.patch, steps)
    return Outcome("\n".join(lines), result)


def _gap_lines(patch: int, steps: "Sequence[GapStep]") -> list[str]:
    from shipseg_tiles.scoring.patch_gap import MEANINGS

    rows = [(number(step.dice, ".4f"), number(step.change, "+.4f"), MEANINGS[step.name]) for step in steps]
    return [f"from the dice of patches of {patch} px to the true dice", *_table([("dice", "change", "meaning"), *rows])]


def _table(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Align three columns."""
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"  {row[0]:>{first}}  {row[1]:>{second}}  {row[2]}" for row in rows]
