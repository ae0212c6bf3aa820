import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.report.panels import score_panels, seam_panel, training_panels
from shipseg_tiles.scoring.image_score import score_image


def data_of(chart):
    """What each renderer draws, by the names of its columns."""
    return [renderer.data_source.data for renderer in chart.renderers]


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
