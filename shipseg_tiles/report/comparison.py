"""The page of a comparison: its table, and how good and how fast each preset is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.models import DataRange1d

from shipseg_tiles.report import charts
from shipseg_tiles.report.html import write_page

COLUMNS = {
    "dice_mean_ship_images": "ship images",
    "dice_mean_all_images": "all images",
    "dice_difference": "difference to {first}",
    "dice_pooled": "pooled",
    "f2_mean": "F2",
    "empty_images_with_false_ships": "false ships on empties",
    "seconds_per_image": "s/image",
    "parameters": "parameters",
    "training_minutes": "minutes",
    "patches_seen": "patches seen",
}
"""What a comparison tells of each way, and how its table calls it."""


def write_comparison(path: Path, lead: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page.

    Args:
        path: HTML file to write.
        lead: A line above the table.
        rows: What `tabulate` gave.
    """
    heads, lines = table_cells(rows)
    seconds, dice = ([row[name] for row in rows.values()] for name in ("seconds_per_image", "dice_mean_all_images"))
    # Room on the right for the name of the slowest; a single preset has some above and below.
    around = DataRange1d(default_span=0.2)
    chart = charts.bare_chart("seconds per image", "true dice", x_range=(0, 1.3 * max(seconds)), y_range=around)
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


def table_cells(rows: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Write what `tabulate` gave as text.

    Returns:
        What each column is called, and as many cells for each way, the best true dice over all images first.
    """
    heads = ["preset", *(head.format(first=next(iter(rows))) for head in COLUMNS.values())]
    best_first = sorted(rows, key=lambda name: -rows[name]["dice_mean_all_images"])
    return heads, [[name, *(_cell(column, rows[name]) for column in COLUMNS)] for name in best_first]


def markdown_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table in Markdown; `rows` is what `tabulate` gave."""
    heads, lines = table_cells(rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *lines])


def _cell(column: str, row: Mapping[str, Any]) -> str:
    value = row[column]
    if value is None:
        return "-"
    if column == "dice_mean_all_images":
        return _with_interval(value, row["intervals"][column], ".3f")
    if column == "dice_difference":
        return _with_interval(value, row["intervals"][column], "+.3f")
    if column == "empty_images_with_false_ships":
        return f"{100 * value:.0f} %"
    if column == "parameters":
        return f"{value / 1e6:.2f} M"
    if column == "patches_seen":
        return f"{value:,.0f}"
    return f"{value:.1f}" if column == "training_minutes" else f"{value:.3f}"


def _with_interval(value: float, ends: Sequence[float] | None, form: str) -> str:
    """Write a number with its interval; of a single image there is none."""
    return f"{value:{form}} ({ends[0]:{form}} to {ends[1]:{form}})" if ends else f"{value:{form}}"
