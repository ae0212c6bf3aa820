import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import shipseg_tiles
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.rle import decode_indices

KEYS = {
    "images",
    "ship_images",
    "dice_mean_ship_images",
    "dice_mean_all_images",
    "dice_pooled",
    "iou_mean_ship_images",
    "iou_pooled",
    "f2_mean",
    "f2_connected_mean",
    "object_precision",
    "object_recall",
    "recall_under_53_px",
    "recall_53_to_1242_px",
    "recall_above_1242_px",
    "empty_images_with_false_ships",
    "false_ships_per_empty_image",
    "intervals",
}
IMAGES = 8


class User:
    """Someone at a terminal in a folder, who does one thing after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.said = {}

    def __call__(self, verb, *arguments):
        """Run a verb with `--json VERB.json` in a process of its own and return what it wrote there."""
        finished = subprocess.run(
            [sys.executable, "-m", "shipseg_tiles", verb, *map(str, arguments), "--json", f"{verb}.json"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=280,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
        assert finished.returncode == 0, finished.stderr
        assert "Traceback" not in finished.stderr
        self.said[verb] = finished.stdout
        return json.loads((self.folder / f"{verb}.json").read_text())


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """All verbs in their order, from no data at all to scored predictions."""
    user = User(tmp_path_factory.mktemp("user"))
    images, labels = "data/train_v2", "data/train_ship_segmentations_v2.csv"
    user.simulated = user("simulate", "--out", "data", "--images", IMAGES, "--seed", 3)
    user.converted = user("convert-labels", "--labels", labels, "--out", "masks")
    user("convert-labels", "--labels", "masks", "--out", "again.csv")
    user.made = user("make-patches", "--images", images, "--labels", labels, "--out", "p.h5", "--valid-fraction", 0.25)
    small = ["--width", 2, "--depth", 1, "--epochs", 1]
    user.trained = user("train", "--patches", "p.h5", "--out", "weights/net.keras", *small)
    user.threshold = threshold_for(user.folder)
    options = ["--threshold", user.threshold, "--minimum-area", 3, "--pictures", 2, "--overlap", 0.25, "--tile", 256]
    user.predicted = user("predict", "--weights", "weights/net.keras", "--images", images, "--out", "found", *options)
    user.scored = user("score", "--labels", labels, "--predictions", "found")
    return user


def threshold_for(folder):
    """After one epoch hardly any pixel is above a half: take what 0.3 % of the pixels of all images are above."""
    predictor = Predictor.load(folder / "weights" / "net.keras", tile=256, overlap=0.25)
    images = sorted((folder / "data" / "train_v2").iterdir())
    return float(np.quantile([predictor.probabilities(read_image(image)) for image in images], 0.997))


@pytest.fixture
def submission(user):
    return pd.read_csv(user.folder / "found" / "submission.csv", keep_default_na=False)


def names_of(user):
    return sorted(path.name for path in (user.folder / "data" / "train_v2").iterdir())


def test_labels_come_back_from_masks_byte_for_byte(user):
    first = user.folder / "data" / "train_ship_segmentations_v2.csv"

    assert (user.folder / "again.csv").read_bytes() == first.read_bytes()
    assert len(list((user.folder / "masks").glob("*.png"))) == IMAGES
    assert user.converted["images"] == user.simulated["image_count"] == IMAGES
    assert user.converted["ships"] == user.simulated["ship_count"] > 0


def test_the_store_holds_what_was_reported(user):
    store = PatchStore(user.folder / "p.h5")

    for split, counts in user.made["patches"].items():
        assert {kind: len(store.sets[split, kind]) for kind in counts} == counts
    assert store.fingerprint == user.made["plan_fingerprint"]
    assert store.side == 128
    assert len(list(store.full_images())) == 2


def test_training_leaves_weights_and_their_contract(user):
    contract = json.loads((user.folder / "weights" / "net.json").read_text())

    assert user.trained == {"epochs": 1, "weights": "weights/net.keras"} | contract
    assert contract["trained_on"]["store_fingerprint"] == user.made["plan_fingerprint"]
    assert contract["scores"]["images"] == 2
    assert "true dice on 2 full validation images" in user.said["train"]


def test_masks_are_of_the_size_of_the_images_and_hold_0_and_255(user):
    masks = {path.stem: np.array(Image.open(path)) for path in (user.folder / "found" / "masks").glob("*.png")}

    assert sorted(masks) == [Path(name).stem for name in names_of(user)]
    assert {mask.shape for mask in masks.values()} == {(768, 768)}
    assert set(np.unique(np.stack(list(masks.values())))) == {0, 255}


def test_the_submission_has_the_layout_of_the_competition(user, submission):
    assert (user.folder / "found" / "submission.csv").read_bytes().startswith(b"ImageId,EncodedPixels\n")
    assert submission["ImageId"].unique().tolist() == names_of(user)
    for name, rows in submission.groupby("ImageId"):
        ships = [decode_indices(row, 768 * 768) for row in rows["EncodedPixels"]]
        pixels = np.concatenate(ships)
        mask = np.array(Image.open(user.folder / "found" / "masks" / f"{Path(name).stem}.png")) == 255
        assert len(np.unique(pixels)) == len(pixels)
        assert np.array_equal(np.unique(pixels), np.flatnonzero(mask.T))
        # An empty field only as the one row of an image without ships; none of fewer pixels than asked for.
        assert len(ships) == 1 or all(ship.size for ship in ships)
        assert all(ship.size >= 3 for ship in ships if ship.size)


def test_the_run_record_counts_what_is_there(user, submission):
    run = json.loads((user.folder / "found" / "run.json").read_text())

    found = submission[submission["EncodedPixels"] != ""]
    assert run == user.predicted
    assert (run["images"], run["skipped"]) == (IMAGES, 0)
    assert run["ships"] == len(found) > 0
    assert run["images_with_ships"] == found["ImageId"].nunique()
    assert run["weights_sha256"] == user.trained["weights_sha256"]
    assert run["seconds"] > 0
    used = {
        "tile": 256,
        "overlap": 0.25,
        "threshold": user.threshold,
        "minimum_area": 3,
        "window": "hann",
        "images": "data/train_v2",
    }
    assert run["options"].items() >= used.items()


def test_pictures_are_drawn_for_as_many_images_as_asked_for(user):
    assert len(list((user.folder / "found" / "pictures").iterdir())) == 2


def test_the_scores_have_exactly_the_promised_names(user):
    assert set(user.scored) == KEYS
    assert user.scored["images"] == IMAGES
    assert user.scored["ship_images"] == user.simulated["ship_image_count"]
    low, high = user.scored["intervals"]["dice_mean_all_images"]
    columns = f"{user.scored['dice_mean_all_images']:.4f} {low:.3f} to {high:.3f} true dice, mean over all images"
    assert columns in " ".join(user.said["score"].split())


def test_scores_from_masks_and_from_the_submission_agree(user):
    from_csv = user(
        *["score", "--labels", "data/train_ship_segmentations_v2.csv", "--predictions", "found/submission.csv"]
    )

    assert from_csv == user.scored


def test_labels_scored_against_themselves_are_perfect(user):
    scores = user("score", "--labels", "data/train_ship_segmentations_v2.csv", "--predictions", "masks")

    perfect = {"dice_mean_ship_images", "dice_mean_all_images", "dice_pooled", "f2_mean"}
    assert {name: scores[name] for name in perfect} == dict.fromkeys(perfect, 1)
    assert scores["empty_images_with_false_ships"] == 0


def test_the_console_script_is_the_same_program():
    script = Path(sys.executable).with_name("shipseg-tiles")
    if not script.is_file():
        pytest.skip("the package is not installed in this environment")

    finished = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)

    assert (finished.returncode, finished.stdout) == (0, f"{shipseg_tiles.__version__}\n")


def test_the_demo_ends_with_the_true_dice_and_a_page(tmp_path):
    user = User(tmp_path)

    result = user("demo", "--out", "demo", "--images", 4, "--epochs", 1)

    assert set(result) >= KEYS
    assert result["images"] == 8  # the fewest that it tests on
    assert f"  {result['dice_mean_all_images']:.4f}  " in user.said["demo"]
    page = (tmp_path / result["page"]).read_text()
    assert f'<p class="score">{result["dice_mean_all_images"]:.3f}</p>' in page
