import numpy as np
import pytest

from shipseg_tiles.report import charts


def data_of(chart):
    """What each renderer draws, by the names of its columns."""
    return [renderer.data_source.data for renderer in chart.renderers]


def ids_of(value):
    """All ids, in their order."""
    if isinstance(value, dict):
        own = [value[key] for key in ("id", "root_id") if key in value]
        return own + [each for item in value.values() for each in ids_of(item)]
    return [each for item in value for each in ids_of(item)] if isinstance(value, list | tuple) else []


def chart():
    return charts.lines([1, 2], {"m0": [3.0, 4.0]}, "x", "y")


def test_the_same_charts_are_embedded_as_the_same():
    """Bokeh counts models as long as the process lives; `m0` is a name here as well, and stays."""
    first, second = charts.embedded({"one": chart(), "two": chart()}), charts.embedded({"one": chart(), "two": chart()})

    assert first == second
    assert [each["target_id"] for each in first] == ["one", "two"]
    assert first[0]["root_id"] in ids_of(first[0]["doc"])
    assert not set(ids_of(first[0])) & set(ids_of(first[1]))
    assert '"m0", "m0"' in str(first[0]).replace("'", '"')


def test_a_histogram_counts_between_edges():
    (bars,) = data_of(charts.histogram([0.1, 0.5, 0.5, 1.0], [0, 0.5, 1], "x", "y"))

    assert (bars["left"], bars["right"], bars["top"]) == ([0, 0.5], [0.5, 1], [1, 3])


@pytest.mark.parametrize(
    ("counts", "ticks"),
    [([1], [1, 2, 5]), ([7, 30], [1, 2, 5, 10, 20, 50]), ([1000], [1, 10, 100, 1000])],
)
def test_a_logarithmic_histogram_has_round_numbers_beside_it(counts, ticks):
    """Those above the highest bar are out of sight."""
    values = np.repeat(np.arange(len(counts)), counts)

    chart = charts.histogram(values, np.arange(len(counts) + 1) - 0.5, "ships", "images", y_axis_type="log")

    assert chart.yaxis[0].ticker.ticks == ticks


def test_one_line_needs_no_legend_and_one_point_is_seen():
    one, two = charts.lines([1], {"a": [3.0]}, "x", "y"), charts.lines([1, 2], {"a": [3.0, 1], "b": [4.0, 1]}, "x", "y")

    assert (one.legend[0].visible, two.legend[0].visible) == (False, True)
    assert len(one.renderers) == 2  # the line of no length and a point


@pytest.mark.parametrize(("name", "columns"), [("width", 2), ("val_true_dice_ship_images", 1)])
def test_long_names_stand_below_each_other(name, columns):
    """So that they fit on a phone."""
    (legend,) = charts.lines([1, 2], {"length": [3.0, 4.0], name: [4.0, 3.0]}, "x", "y").legend

    assert legend.ncols == columns
