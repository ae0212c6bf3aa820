"""`shipseg-tiles report`: one page that shows how good predictions are, and where they fail."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import ArchiveOptions, JudgingOptions, option
from shipseg_tiles.errors import InputError


@dataclass(kw_only=True)
class Options(JudgingOptions, ArchiveOptions):
    """Options of `report`."""

    out: Path = option("page to write; it stands alone", metavar="FILE.html")
    weights: Path | None = option(
        "weights whose training is shown (default: those that predict used, if they were trained here)",
        default=None,
        metavar="FILE.keras",
    )
    seams: Path | None = option("folder that check-seams wrote, whose profile is shown", default=None, metavar="DIR")
    pictures: int = option("show at most so many images, the worst first", default=60, metavar="N")
    title: str = option("heading of the page", default="Ships that were found", metavar="TEXT")


def run(options: Options) -> Outcome:
    """Score and draw."""
    from shipseg_tiles.report.gallery import Gallery
    from shipseg_tiles.report.report import ReportData, write_report
    from shipseg_tiles.report.run import open_run
    from shipseg_tiles.report.seams import read_profiles
    from shipseg_tiles.training.history import read_history

    if options.out.suffix.lower() != ".html":
        raise InputError(f"{options.out} must end in .html")
    scored = open_run(
        options.predictions, options.labels, options.images, options.missing, options.leave_out_calibrated
    )
    measured = ReportData(
        scored,
        read_history(options.weights, scored.record),
        read_profiles(options.seams) if options.seams else None,
    )
    gallery = Gallery(scored, options.pictures)
    result = write_report(options.out, options.title, measured, gallery)
    summary = (
        f"true dice {result['dice_mean_all_images']:.4f} over {result['images']} images,"
        f" {len(gallery.chosen)} of them shown: {options.out}"
    )
    return Outcome(summary, {"page": str(options.out), "pictures": len(gallery.chosen), **result})
