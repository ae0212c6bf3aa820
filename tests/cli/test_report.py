import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.masks import write_mask


@pytest.fixture
def folder(tmp_path):
    """Two images of 30 x 40 px: in `a` a ship of 4 px is found by half, dice 2 * 2 / (4 + 2); `b` is empty."""
    (tmp_path / "images").mkdir()
    for name, found in (("a", 2), ("b", 0)):
        Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / f"images/{name}.png")
        mask = np.zeros((30, 40), dtype=bool)
        mask[:found, 0] = True
        write_mask(tmp_path / f"predictions/masks/{name}.png", mask, f"{name}.png")
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\na.png,1 4\nb.png,\n")
    (tmp_path / "predictions/submission.csv").write_text("ImageId,EncodedPixels\na.png,1 2\nb.png,\n")
    record = {"weights": str(tmp_path / "net.keras"), "images": 2, "seconds": 1.0, "options": {}}
    (tmp_path / "predictions/run.json").write_text(json.dumps(record))
    return tmp_path


@pytest.fixture
def report(shipseg, folder):
    """Write a report with flags that win over those of every report; return status, output, complaint and the page."""

    def run(**flags):
        flags = {
            "predictions": folder / "predictions",
            "labels": folder / "labels.csv",
            "images": folder / "images",
            "out": folder / "out" / "report.html",
        } | flags
        ended = shipseg("report", *(text for name, value in flags.items() for text in (f"--{name}", value)))
        page = Path(flags["out"])
        return *ended, page.read_text(encoding="utf-8") if page.is_file() else None

    return run


def test_a_report_is_one_file(report, folder):
    """(2 / 3 + 1) / 2 = 0.8333."""
    status, output, complaint, page = report(title="Two images", json=folder / "numbers.json")

    assert (status, complaint) == (0, "")
    assert output == f"true dice 0.8333 over 2 images, 2 of them shown: {folder}/out/report.html\n"
    assert [path.name for path in (folder / "out").iterdir()] == ["report.html"]
    assert "<title>Two images</title>" in page
    assert page.count("<figure") == 2
    numbers = json.loads((folder / "numbers.json").read_text())
    assert numbers["dice_mean_all_images"] == pytest.approx(5 / 6)
    assert (numbers["page"], numbers["pictures"]) == (f"{folder}/out/report.html", 2)


def charts(page):
    return re.findall(r'class="chart" id="(\w+)"', page)


def test_what_lies_beside_is_shown(report, folder):
    """The training beside the weights that the run names, the one beside others, and the profile of seams."""
    for name, columns in (("net", ["loss"]), ("other", ["loss", "learning_rate"])):
        (folder / f"{name}.training").mkdir()
        table = pd.DataFrame({"epoch": [1], **{column: [0.5] for column in columns}})
        table.to_csv(folder / f"{name}.training/history.csv", index=False)
    (folder / "profile.csv").write_text("tile,distance,pixels,mean,at_stake,percentile_99\n64,0,1,0,1,0.5\n")

    assert charts(report()[3]) == ["dice", "recall", "training0"]
    assert charts(report(weights=folder / "other.keras")[3]) == ["dice", "recall", "training0", "training2"]
    assert charts(report(seams=folder)[3]) == ["dice", "recall", "training0", "seams"]


def test_no_network_library_is_needed(folder):
    """Looked for in a process of its own."""
    given = {"predictions": "predictions", "labels": "labels.csv", "images": "images", "out": "report.html"}
    arguments = ["report", *(text for name, value in given.items() for text in (f"--{name}", value))]
    run = f"import sys; from shipseg_tiles.cli.main import main\ntry: main({arguments})\nexcept SystemExit: pass\n"
    command = [sys.executable, "-c", run + "print({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules))"]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)

    assert done.stdout.splitlines()[-1] == "set()"
    assert (folder / "report.html").is_file()


def test_numbers_alone(report):
    status, output, _, page = report(pictures=0)

    assert status == 0
    assert "0 of them shown" in output
    assert "<figure" not in page
    assert "0.833" in page


def test_predictions_of_others_have_no_record(report, folder):
    status, _, _, page = report(predictions=folder / "predictions/masks")

    assert status == 0
    assert "seconds per image" not in page


def test_an_image_without_prediction_needs_a_decision(report, folder):
    (folder / "one.csv").write_text("ImageId,EncodedPixels\nb.png,\n")

    status, _, complaint, _ = report(predictions=folder / "one.csv")
    assert status == 2
    assert "a.png" in complaint or "a; use --missing" in complaint

    assert "true dice 0.5000" in report(predictions=folder / "one.csv", missing="empty")[1]
    assert "true dice 1.0000 over 1 images" in report(predictions=folder / "one.csv", missing="skip")[1]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"out": "report.pdf"}, r"report\.pdf must end in \.html"),
        ({"pictures": -1}, "pictures -1 must be 0 or more"),
        ({"images": "nowhere"}, "nowhere"),
        ({"labels": "nowhere.csv"}, r"nowhere\.csv does not exist"),
        ({"predictions": "nowhere"}, "nowhere does not exist"),
        ({"weights": "nowhere.keras"}, r"nowhere\.training/history\.csv does not exist"),
        ({"seams": "nowhere"}, r"nowhere/profile\.csv does not exist"),
    ],
)
def test_bad_input_ends_with_one_line_and_no_file(report, folder, flags, reason):
    status, output, complaint, page = report(**flags)

    assert (status, output, page) == (2, "", None)
    assert re.fullmatch(rf"error: .*{reason}.*\n", complaint)
    assert not (folder / "out").exists()
