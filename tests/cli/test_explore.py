import json
import subprocess
import sys
from zipfile import ZipFile

import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Two images of 100 x 100 px, a ship of 4 pixels in the first, and a label for a third that is not there."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / "images" / name)
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\na.png,1 4\nb.png,\nc.png,1 4\n")
    return tmp_path


@pytest.fixture
def explore(shipseg, monkeypatch, folder):
    """Explore images with the labels of that folder, and return exit status, output and complaint."""
    monkeypatch.chdir(folder)
    return lambda images, out: shipseg("explore", "--images", images, "--labels", "labels.csv", "--out", out)


def test_explore_writes_a_page_and_its_numbers(folder):
    """In a process of its own, as pytest keeps warnings to itself."""
    flags = ["--images", "images", "--labels", "labels.csv", "--out", "out", "--json", "numbers.json"]
    command = [sys.executable, "-m", "shipseg_tiles", "explore", *flags]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)

    assert finished.returncode == 0
    assert finished.stderr == "warning: c.png skipped: it is labelled, but not in images\n"
    assert (
        finished.stdout == "2 images, 1 of them with 1 ships; 0 skipped, 1 labelled but not there: out/explore.html\n"
    )
    assert "What is in images" in (folder / "out" / "explore.html").read_text()
    assert (folder / "out" / "explore.json").read_bytes() == (folder / "numbers.json").read_bytes()
    assert json.loads((folder / "numbers.json").read_text())["missing"] == 1


@pytest.mark.filterwarnings("ignore:c.png skipped")
def test_images_may_lie_in_a_zip(explore, folder):
    with ZipFile(folder / "all.zip", "w") as packed:
        for path in (folder / "images").iterdir():
            packed.write(path, f"train_v2/{path.name}")

    for images, out in (("images", "from_folder"), ("all.zip/train_v2", "from_zip")):
        status, _, complaint = explore(images, out)
        assert status == 0, complaint

    assert (folder / "from_zip" / "explore.json").read_bytes() == (folder / "from_folder" / "explore.json").read_bytes()


@pytest.mark.parametrize(
    ("labels", "out", "reason"),
    [
        ("ImageId,EncodedPixels\na.png,9999 3\n", "out", "a.png: run '9999 3' leaves the image of 10000 pixels"),
        ("ImageId,EncodedPixels\nx.png,\n", "out", "labels none of the 2 images in images"),
        ("ImageId,EncodedPixels\na.png,\n", "labels.csv", "labels.csv"),
    ],
)
def test_bad_input_ends_with_one_line_and_no_file(explore, folder, labels, out, reason):
    (folder / "labels.csv").write_text(labels)

    status, _, complaint = explore("images", out)

    assert status == 2
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint
    assert sorted(path.name for path in folder.iterdir()) == ["images", "labels.csv"]
