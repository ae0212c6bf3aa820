import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import SkippedImageWarning
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract

HEADER = "ImageId,EncodedPixels\n"
GRAYS = {"a.png": 51, "b.png": 102, "c.png": 153, "d.png": 204}
"""By the nets here: 0.2, 0.4, 0.6 and 0.8."""


def save(answer, path, **changes):
    """Save a net that answers the mean of the channels over 255: of the brightest pixel, or of each."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    mean = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3))
    keras.Model(pixels, answer(mean(keras.layers.Rescaling(1 / 255)(pixels)))).save(path)
    values = {"weights_sha256": checksum(path), "net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 4}
    use = {"tile": 64, "overlap": 0.25, "tile_multiple": 16, "receptive_field": 0}
    write_contract(Contract(**values | use | changes), path)
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """A classifier at the threshold 0.5, and a segmenter at 0.3."""
    folder = tmp_path_factory.mktemp("weights")
    save(keras.layers.GlobalMaxPooling2D(), folder / "classifier.keras")
    save(keras.layers.Identity(), folder / "segmenter.keras", threshold=0.3)
    return folder


@pytest.fixture
def archive(tmp_path):
    """Black images, each with a box of 8 x 8 pixels of another gray; a and c are labelled with ships."""
    (tmp_path / "images").mkdir()
    for name, gray in GRAYS.items():
        pixels = np.zeros((100, 80, 3), dtype=np.uint8)
        pixels[50:58, 70:78] = gray
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    (tmp_path / "labels.csv").write_text(HEADER + "a.png,1 4\nb.png,\nc.png,1 4\nd.png,\n")
    return tmp_path


@pytest.fixture
def classify(shipseg, nets, archive):
    """Classify the images of the archive, and return status, output, complaint and the `--json` if there is one."""

    def run(*arguments, weights="classifier.keras"):
        shared = ["--weights", nets / weights, "--images", archive / "images", "--out", archive / "out.csv"]
        answer = shipseg("classify", *shared, "--json", archive / "out.json", *arguments)
        written = archive / "out.json"
        return *answer, json.loads(written.read_text()) if written.is_file() else None

    return run


def test_there_is_one_row_an_image(classify, archive, nets):
    status, output, _, result = classify()

    assert status == 0
    assert (archive / "out.csv").read_bytes().startswith(b"ImageId,probability,ship\na.png,0.2")
    table = pd.read_csv(archive / "out.csv")
    assert table["ImageId"].tolist() == list(GRAYS)
    assert table["probability"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=1e-6)
    assert table["ship"].tolist() == [0, 0, 1, 1]
    assert output.startswith("2 of 4 images show ships, 0 skipped, ")
    assert output.endswith(f" s: {archive / 'out.csv'}\n")
    assert result.pop("seconds") > 0
    assert result == {
        "weights": str(nets / "classifier.keras"),
        "weights_sha256": checksum(nets / "classifier.keras"),
        "threshold": 0.5,
        "images": 4,
        "images_with_ships": 2,
        "skipped": 0,
    }


def test_scores_by_hand(classify, archive):
    """Above 0.5 are c, which has a ship, and d, which has none; a has one too: 1 TP, 1 FP, 1 FN, 1 TN. Above 0.1 are
    all: precision 2/4, recall 1, F1 = 4/6. Above 0.9 is none: no precision, F1 0."""
    labels = ["--labels", archive / "labels.csv"]

    _, at_half, _, result = classify(*labels)
    _, at_tenth, _, low = classify(*labels, "--threshold", 0.1)
    _, at_nine_tenths, _, high = classify(*labels, "--threshold", 0.9)

    assert at_half.splitlines()[1:] == [
        "F1 0.5000, precision 0.5000, recall 0.5000 over 4 labelled images, at the threshold 0.5"
    ]
    assert {name: value for name, value in result.items() if name.endswith(("positives", "negatives"))} == {
        "true_positives": 1,
        "false_positives": 1,
        "false_negatives": 1,
        "true_negatives": 1,
    }
    assert (result["labelled_images"], result["f1"]) == (4, 0.5)
    assert (low["f1"], low["precision"], low["recall"]) == (pytest.approx(4 / 6), 0.5, 1)
    assert "F1 0.6667, precision 0.5000, recall 1.0000" in at_tenth
    assert (high["f1"], high["precision"], high["recall"], high["threshold"]) == (0, None, 0, 0.9)
    assert "F1 0.0000, precision -, recall 0.0000" in at_nine_tenths


def test_masks_are_labels_too(classify, archive):
    (archive / "masks").mkdir()
    for name in GRAYS:
        Image.fromarray(np.full((100, 80), 255 * (name == "d.png"), dtype=np.uint8)).save(archive / "masks" / name)

    _, _, _, result = classify("--labels", archive / "masks", "--threshold", 0.7)

    assert (result["true_positives"], result["true_negatives"], result["f1"]) == (1, 3, 1)


def test_what_is_bad_or_known_on_one_side_only_is_left_out_of_the_score(classify, archive):
    """b is damaged; c and d have no label, and y and z no image. Only a is scored: it has a ship, and 0.2 misses it."""
    (archive / "images" / "b.png").write_bytes(b"no image")
    (archive / "labels.csv").write_text(HEADER + "a.png,1 4\nb.png,\ny.png,\nz.png,1 4\n")

    with pytest.warns(SkippedImageWarning) as warned:
        status, _, _, result = classify("--labels", archive / "labels.csv")

    assert status == 0
    assert (result["images"], result["skipped"]) == (3, 1)
    assert (result["labelled_images"], result["false_negatives"], result["f1"]) == (1, 1, 0)
    assert pd.read_csv(archive / "out.csv")["ImageId"].tolist() == ["a.png", "c.png", "d.png"]
    missing, unlabelled, bad = (str(warning.message) for warning in warned)
    assert missing.startswith("y.png skipped: it is labelled, but not in")
    assert unlabelled == f"score of c.png skipped: it has no label in {archive / 'labels.csv'}, like 1 more"
    assert bad.startswith("b.png skipped: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--threshold", "1"], "threshold 1.0 must be above 0 and below 1"),
        (["--threshold", "nan"], "threshold nan"),
        (["--images", "none"], "none is no folder, zip or image"),
        (["--weights", "none.keras"], "none.keras does not exist"),
        (["--labels", "none.csv"], "none.csv does not exist"),
        (["--labels", "others.csv"], "others.csv labels none of the 4 images in"),
        (["--labels", "huge.csv"], "huge.csv: a.png: run '1 2000000000' leaves the image of 8000 pixels"),
        (["--labels", "malformed.csv"], "malformed.csv: a.png: run-length text 'x 4' is no list of whole numbers"),
    ],
)
def test_bad_input_is_refused_in_one_line(classify, archive, monkeypatch, arguments, reason):
    monkeypatch.chdir(archive)
    (archive / "others.csv").write_text(HEADER + "z.png,\n")
    (archive / "huge.csv").write_text(HEADER + "a.png,1 2000000000\nb.png,\nc.png,\nd.png,\n")
    (archive / "malformed.csv").write_text(HEADER + "a.png,x 4\nb.png,\nc.png,\nd.png,\n")

    status, output, complaint, _ = classify(*arguments)

    assert (status, output) == (2, "")
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint
    assert not list(archive.glob("out*"))


def test_a_segmenter_given_as_a_classifier_is_refused(classify, archive):
    status, _, complaint, _ = classify(weights="segmenter.keras")

    assert status == 2
    assert "segmenter.keras is a net that segments; give the weights of a classifier" in complaint
    assert not (archive / "out.csv").exists()


@pytest.mark.parametrize(("damaged", "whose"), [(GRAYS, "the images"), (["a.png"], "the labelled images")])
def test_without_an_image_that_counts_there_is_no_result(classify, archive, damaged, whose):
    for name in damaged:
        (archive / "images" / name).write_bytes(b"no image")
    (archive / "labels.csv").write_text(HEADER + "a.png,1 4\n")

    with pytest.warns(SkippedImageWarning):
        status, output, complaint, result = classify("--labels", archive / "labels.csv")

    assert (status, output, result) == (2, "", None)
    assert f"error: none of {whose} could be read; the warnings above say why" in complaint
    assert not (archive / "out.csv").exists()


# predict --classifier


def predict(shipseg, nets, archive, *arguments):
    """Predict the images of the archive, and return status, output, complaint and the record."""
    shared = ["--weights", nets / "segmenter.keras", "--images", archive / "images", "--out", archive / "found"]
    answer = shipseg("predict", *shared, *arguments)
    record = archive / "found" / "run.json"
    return *answer, json.loads(record.read_text()) if record.is_file() else None


def test_predict_leaves_out_what_the_classifier_passes_over(shipseg, nets, archive):
    """The segmenter at 0.3 finds the boxes of b, c and d. The classifier at 0.5 passes over a and b."""
    status, output, _, record = predict(shipseg, nets, archive, "--classifier", nets / "classifier.keras")

    assert status == 0
    assert output.startswith("2 ships in 2 of 4 images, 2 passed over by the classifier, 0 skipped, ")
    assert (record["images"], record["images_with_ships"], record["passed_over"]) == (4, 2, 2)
    assert record["classifier"] == {
        "weights": str(nets / "classifier.keras"),
        "weights_sha256": checksum(nets / "classifier.keras"),
        "threshold": 0.5,
    }
    masks = {name: np.array(Image.open(archive / "found" / "masks" / name)) for name in GRAYS}
    assert {name: np.count_nonzero(mask) for name, mask in masks.items()} == {
        "a.png": 0,
        "b.png": 0,
        "c.png": 64,
        "d.png": 64,
    }
    assert {mask.shape for mask in masks.values()} == {(100, 80)}
    assert (archive / "found" / "submission.csv").read_text().startswith(HEADER + "a.png,\nb.png,\nc.png,")


def test_predict_without_classifier_looks_everywhere(shipseg, nets, archive):
    status, output, _, record = predict(shipseg, nets, archive)

    assert status == 0
    assert output.startswith("3 ships in 3 of 4 images, 0 skipped, ")
    assert (record["classifier"], record["passed_over"]) == (None, 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("segmenter.keras", "segmenter.keras is a net that segments"), ("none.keras", "none.keras does not exist")],
)
def test_predict_refuses_what_is_no_classifier(shipseg, nets, archive, name, reason):
    status, _, complaint, record = predict(shipseg, nets, archive, "--classifier", nets / name)

    assert (status, record) == (2, None)
    assert complaint.startswith("error: ")
    assert reason in complaint
    assert not (archive / "found").exists()
