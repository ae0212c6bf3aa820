"""The page of a comparison: its table, and how good and how fast each preset is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shipseg_tiles.report import charts
from shipseg_tiles.report.html import write_page


def write_comparison(
    path: Path,
    lead: str,
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    rows: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the page.

    Args:
        path: HTML file to write.
        lead: A line above the table.
        heads: What the columns of its table are called.
        lines: What was measured, as many cells for each preset.
        rows: The same as numbers by name: `dice_mean_all_images` and `seconds_per_image`.
    """
    seconds, dice = ([row[name] for row in rows.values()] for name in ("seconds_per_image", "dice_mean_all_images"))
    # Room on the right for the name of the slowest.
    chart = charts.bare_chart("seconds per image", "true dice", x_range=(0, 1.3 * max(seconds)))
    charts.add_points(chart, list(rows), seconds, dice)
    write_page(
        path,
        "comparison.html",
        title="Ways to train, compared",
        lead=lead,
        heads=heads,
        rows=lines,
        charts=charts.embedded({"dice_and_seconds": chart}),
        bokeh=charts.library(),
    )
