import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.report import charts
from shipseg_tiles.report.panels import score_panels, seam_panel, training_panels
from shipseg_tiles.scoring.image_score import score_image


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


def test_one_line_needs_no_legend_and_one_point_is_seen():
    one, two = charts.lines([1], {"a": [3.0]}, "x", "y"), charts.lines([1, 2], {"a": [3.0, 1], "b": [4.0, 1]}, "x", "y")

    assert (one.legend[0].visible, two.legend[0].visible) == (False, True)
    assert len(one.renderers) == 2  # the line of no length and a point


def ship(first, pixels):
    return np.arange(first, first + pixels)


@pytest.fixture
def scores():
    """Ships of 9, 10, 52, 53, 1,242 and 1,243 px, of which the first and the last are missed."""
    truth = [ship(10_000 * number, pixels) for number, pixels in enumerate((9, 10, 52, 53, 1242, 1243))]
    return [score_image("a", truth, truth[1:-1], (768, 768)), score_image("b", [], [], (768, 768))]


def test_recall_is_counted_by_size(scores):
    """Classes begin at 1, 10, 25, 53, 200, 600 and 1,243 px; in two of them there is no ship."""
    _, recall = score_panels(scores)
    bars, _ = data_of(recall.chart)

    assert bars["name"] == ["1 to 9", "10 to 24", "25 to 52", "53 to 199", "600 to 1242", "above 1242"]
    assert bars["label"] == ["0 of 1", "1 of 1", "1 of 1", "1 of 1", "1 of 1", "0 of 1"]
    assert bars["value"] == [0, 1, 1, 1, 1, 0]


def test_only_images_with_ships_are_in_the_spread_of_dice(scores):
    """2 * 1357 / (2609 + 1357) = 0.684 is in the bin from 0.65."""
    spread, _ = score_panels(scores)
    (bars,) = data_of(spread.chart)

    assert sum(bars["top"]) == 1
    assert bars["left"][bars["top"].index(1)] == 0.65


def test_without_ships_there_is_nothing_to_draw(scores):
    assert score_panels(scores[1:]) == []


def test_curves_of_a_kind_stand_in_one_chart():
    history = pd.DataFrame({"epoch": [1.0], "loss": [1.0], "val_loss": [2.0], "val_f2": [0.5], "val_true_dice": [0.25]})

    panels = training_panels(history)

    assert [panel.title for panel in panels] == ["Training: loss", "Training: dice, F1 and F2"]
    assert [item.label.value for item in panels[0].chart.legend[0].items] == ["loss", "val_loss"]


def test_each_tile_has_a_line_of_seams():
    table = pd.DataFrame({"tile": [64, 64, 128], "distance": [0, 1, 0], "percentile_99": [0.5, 0.25, 0.125]})

    first, second, *_ = data_of(seam_panel(table).chart)

    assert (first["x"], first["y"]) == ([0, 1], [0.5, 0.25])
    assert (second["x"], second["y"]) == ([0], [0.125])
