"""The weights that ship with the project find ships in scenes that are drawn, as well as they did when they came."""

import pytest

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predict import predict_image
from shipseg_tiles.nets.weights_files import chosen_gate, default_weights
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.scoring.score import summarise

SCORES = [("default", 0.86, 0.86), ("fast", 0.84, 0.83), ("best", 0.86, 0.86)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The scenes of that page."""
    made = simulate_archive(tmp_path_factory.mktemp("archive"), 24, seed=11, size=384)
    return open_archive(made.images, made.labels)


@pytest.mark.parametrize(("name", "all_images", "ship_images"), SCORES)
def test_the_shipped_weights_reach_what_their_page_says_on_synthetic_scenes(archive, name, all_images, ship_images):
    """Within 0.05, as other processors round otherwise."""
    weights = default_weights().with_name(f"{name}.keras")
    options = PredictOptions(weights=weights, gate=chosen_gate("", weights))

    predictions = [predict_image(options, path) for path in archive.files.values()]

    scores = [
        score_image(found.name, archive.labels.ship_indices(found.name, found.shape), found.pixels, found.shape)
        for found in predictions
    ]
    summary = summarise(scores)
    assert (summary["images"], summary["ship_images"]) == (24, 10)
    assert summary["dice_mean_all_images"] > all_images - 0.05
    assert summary["dice_mean_ship_images"] > ship_images - 0.05
