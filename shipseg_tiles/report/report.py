"""The report on a scored run: one HTML page that stands alone, with its numbers, charts and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shipseg_tiles.archive.prediction_files import damaged_record
from shipseg_tiles.report import charts
from shipseg_tiles.report.gallery import SIZES, Gallery
from shipseg_tiles.report.html import write_page
from shipseg_tiles.report.panels import Panel, score_panels, seam_panel, training_panels
from shipseg_tiles.report.run import Run
from shipseg_tiles.scoring.score import SummaryRow, summarise, summary_rows

_HEADLINE = "dice_mean_all_images"


@dataclass(frozen=True)
class ReportData:
    """What the numbers and charts of a report are about.

    Attributes:
        run: The scored run.
        history: The training that made its weights, see `shipseg_tiles.training.history.read_history`; None if unknown.
        seams: Profiles of its tiles, see `shipseg_tiles.report.seams.read_profiles`; None if unknown.
    """

    run: Run
    history: pd.DataFrame | None = None
    seams: pd.DataFrame | None = None


@dataclass(frozen=True)
class _Number:
    """A number of the page.

    Attributes:
        row: The number as text.
        bar: Value and ends of its interval in percent of 0 to 1; None if it has no interval or leaves that range.
    """

    row: SummaryRow
    bar: tuple[float, float, float] | None


def write_report(path: Path, title: str, measured: ReportData, gallery: Gallery) -> dict[str, Any]:
    """Write the report.

    Args:
        path: HTML file to write.
        title: Heading of the page.
        measured: What its numbers and charts say; what is unknown is left out.
        gallery: Its pictures, of the same run or of another one.

    Returns:
        What `shipseg_tiles.scoring.score.summarise` says.

    Raises:
        InputError: If the run's record is damaged, an image of the gallery is, or masks are of another size.
    """
    summary = summarise(measured.run.scores)
    numbers = {row.name: _Number(row, _bar(summary, row.name)) for row in summary_rows(summary)}
    panels = _panels(measured)
    write_page(
        path,
        "report.html",
        title=title,
        summary=summary,
        headline=numbers.pop(_HEADLINE),
        numbers=numbers.values(),
        facts=_facts(measured.run),
        panels=panels,
        charts=charts.embedded({panel.name: panel.chart for panel in panels}),
        bokeh=charts.library() if panels else "",
        gallery=gallery,
        sizes=SIZES,
    )
    return summary


def _bar(summary: Mapping[str, Any], name: str) -> tuple[float, float, float] | None:
    interval = summary["intervals"][name]
    if not interval or interval[1] > 1:
        return None
    value, low, high = (round(100 * share, 1) for share in (summary[name], *interval))
    return value, low, high


def _panels(measured: ReportData) -> list[Panel]:
    panels = score_panels(measured.run.scores)
    if measured.history is not None:
        panels += training_panels(measured.history)
    if measured.seams is not None and len(measured.seams):  # there are none where each tile is a whole image
        panels.append(seam_panel(measured.seams))
    return panels


def _facts(run: Run) -> list[tuple[str, str]]:
    """Return what a run's record says of its time and options, each with its name; nothing that it does not say."""
    try:
        return _recorded(run.record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise damaged_record(run.folder, error) from None


def _recorded(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    options = record.get("options", {})
    facts = _speed(record)
    for name in ("engine", "precision", "tile", "overlap", "window", "threshold", "minimum_area", "minimum_score"):
        if options.get(name) is not None:
            facts.append((name.replace("_", " "), str(options[name])))
    if options.get("separate_touching"):
        facts.append(("ships that touch", "cut apart"))
    if options.get("symmetries", 1) > 1:
        facts.append(("symmetries", f"mean over {options['symmetries']}"))
    for name in ("gate", "classifier"):
        if name in record:
            facts.append((name, Path(record[name]["weights"]).name if record[name] else "off"))
    if record.get("weights"):
        facts.append(("weights", f"{Path(record['weights']).name} {record.get('weights_sha256', '')[:12]}".strip()))
    return facts


def _speed(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say how much was done and how fast; of one that was taken up again nobody knows how long its first part took."""
    images, seconds, megapixels = (record.get(name) for name in ("images", "seconds", "megapixels"))
    facts = [(name, f"{record[name]:,}") for name in ("images", "skipped") if record.get(name)]
    if megapixels:
        facts.append(("megapixels", f"{megapixels:,.1f}"))
    if images and seconds and not record.get("resumed"):
        facts.append(("seconds per image", f"{seconds / images:.3f}"))
        if megapixels:
            facts.append(("megapixels per second", f"{megapixels / seconds:.2f}"))
    if record.get("tiles"):
        facts.append(("tiles", f"{record['tiles']:,}"))
        facts.append(("tiles that the gate skipped", f"{record.get('tiles_skipped', 0) / record['tiles']:.0%}"))
    return facts
