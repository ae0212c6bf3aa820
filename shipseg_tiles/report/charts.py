"""Charts for pages: what Bokeh draws in the browser, and how they get there."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import BasicTicker, DataRange1d, FixedTicker, HoverTool, LogAxis, NumeralTickFormatter
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure
from bokeh.resources import Resources
from numpy.typing import ArrayLike

from shipseg_tiles.report.pictures import COLOURS

_DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
_HEIGHT = 180

_GRAY = "#7d8590"
"""Of texts among what is drawn, which the page's style does not reach: legible on white and on black."""

_FEWEST = 0.7
"""Where logarithmic axes of numbers of things begin, so that a bar of 1 stays visible."""


_LONGEST_OF_TWO = 15
"""Letters of names that find room beside each other on a phone."""


def embedded(charts: Mapping[str, figure]) -> list[dict[str, Any]]:
    """Return what `charts.js` draws in the elements whose ids are the names; the same charts give the same."""
    numbers: dict[str, str] = {}
    return [_numbered(json_item(chart, ID(name)), numbers) for name, chart in charts.items()]


@cache
def library() -> str:
    """Return the script elements of Bokeh's library, of the parts that charts need: about 1 MB."""
    return str(Resources(mode="inline", components=["bokeh"]).render())


def histogram(values: ArrayLike, edges: ArrayLike, x_label: str, y_label: str, **options: Any) -> figure:
    """Draw how many values lie between edges; `options` are those of a Bokeh figure."""
    counts, ends = (numbers.tolist() for numbers in np.histogram(values, edges))
    is_logarithmic = options.get("y_axis_type") == "log"
    chart = bare_chart(x_label, y_label, **options)
    if is_logarithmic:
        chart.yaxis.ticker = FixedTicker(ticks=_round_numbers(max(counts)))
    else:
        chart.y_range = DataRange1d(start=0)
        chart.yaxis.ticker = BasicTicker(min_interval=1)  # there are no halves of what is counted
    drawn = chart.quad(
        left="left",
        right="right",
        top="top",
        bottom=_FEWEST if is_logarithmic else 0,
        source={"left": ends[:-1], "right": ends[1:], "top": counts},
        color=COLOURS[0],
        fill_alpha=0.85,
    )
    _explain(chart, drawn, [(x_label, "@left{0.[00]} to @right{0.[00]}"), (y_label, "@top{0,0}")])
    return chart


def _round_numbers(largest: int) -> list[float]:
    """Return 1, 2, 5, 10, 20, 50 and so on; of more than three decades, for which there is no room, 1, 10, 100."""
    steps = (1, 2, 5) if largest < 1000 else (1,)
    return [step * 10**power for power in range(len(str(largest))) for step in steps]


def bars(values: Mapping[str, float], labels: Mapping[str, str], x_label: str, y_label: str, **options: Any) -> figure:
    """Draw a bar to the right for each name, the first at the top, with its label behind it."""
    chart = bare_chart(x_label, y_label, y_range=list(values)[::-1], **options)
    chart.xgrid.visible, chart.ygrid.visible = True, False
    source = {"name": list(values), "value": list(values.values()), "label": [labels[name] for name in values]}
    drawn = chart.hbar(y="name", right="value", height=0.6, source=source, color=COLOURS[0], fill_alpha=0.85)
    texts = chart.text("value", "name", "label", source=source, x_offset=5, y_offset=6)
    texts.glyph.update(text_font_size="13px", text_color=_GRAY)
    _explain(chart, drawn, [(y_label, "@name"), (x_label, "@value{0.000} (@label)")])
    return chart


def lines(x: Sequence[float], ys: Mapping[str, Sequence[float]], x_label: str, y_label: str, **options: Any) -> figure:
    """Draw a line for each name, and say below which is which."""
    chart = bare_chart(x_label, y_label, **options)
    for number, (name, values) in enumerate(ys.items()):
        add_line(chart, number, name, x, values)
    explain_lines(chart, 2 if max(map(len, ys)) <= _LONGEST_OF_TWO else 1)
    return chart


def add_line(chart: figure, number: int, name: str, x: Sequence[float], y: Sequence[float]) -> None:
    """Add a line in the colour and the dashes of its number, and name it in the legend."""
    colour, dash = COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)]
    source = {"x": list(x), "y": list(y), "name": [name] * len(x)}
    drawn = chart.line("x", "y", source=source, color=colour, line_dash=dash, line_width=2.5, legend_label=name)
    if len(x) == 1:  # no line, but something to see
        chart.scatter("x", "y", source=source, color=colour, size=8, legend_label=name)
    _explain(chart, drawn, [("", "@name"), (str(chart.xaxis.axis_label), "@x{0,0.[000]}"), ("", "@y{0.0000}")])


def explain_lines(chart: figure, columns: int = 2) -> None:
    """Move the legend of all lines below the chart, in columns, where it hides none of them; one line needs none."""
    (legend,) = chart.legend
    legend.update(
        visible=len(legend.items) > 1,
        location="top_left",
        margin=0,
        padding=0,
        spacing=4,
        background_fill_color=None,
        border_line_color=None,
        label_text_color=_GRAY,
        label_text_font_size="13px",
        ncols=columns,
    )
    chart.add_layout(legend, "below")


def add_points(chart: figure, names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> None:
    """Add points with their names beside them."""
    source = {"x": list(x), "y": list(y), "name": list(names)}
    drawn = chart.scatter("x", "y", source=source, color=COLOURS[0], size=12)
    texts = chart.text("x", "y", "name", source=source, x_offset=10, y_offset=6)
    texts.glyph.update(text_font_size="13px", text_color=_GRAY)
    _explain(chart, drawn, [("", "@name"), ("", "@x{0.000}"), ("", "@y{0.000}")])


def bare_chart(x_label: str, y_label: str, **options: Any) -> figure:
    """Return an empty chart as wide as its place on the page; the page's style colours its axes and texts."""
    chart = figure(
        frame_height=_HEIGHT,
        sizing_mode="stretch_width",
        x_axis_label=x_label,
        y_axis_label=y_label,
        tools="",
        toolbar_location=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **options,
    )
    chart.xgrid.visible = False
    for axis in (*chart.xaxis, *chart.yaxis):
        if isinstance(axis, LogAxis):
            axis.update(formatter=NumeralTickFormatter(format="0,0"))
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
    return chart


def _explain(chart: figure, drawn: "GlyphRenderer[Any]", tooltips: list[tuple[str, str]]) -> None:
    chart.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips, visible=False))


def _numbered(value: Any, numbers: dict[str, str]) -> Any:
    """Count the ids of models anew: Bokeh counts on as long as the process lives."""
    if isinstance(value, Mapping):
        return {
            key: numbers.setdefault(item, f"m{len(numbers)}") if key in ("id", "root_id") else _numbered(item, numbers)
            for key, item in value.items()
        }
    return [_numbered(item, numbers) for item in value] if isinstance(value, list | tuple) else value
