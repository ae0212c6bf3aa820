import json

import pytest

from shipseg_tiles.archive.split_file import read_split
from shipseg_tiles.errors import SkippedImageWarning


@pytest.fixture(scope="module")
def archive(crops):
    """Folder with `images` and `labels.csv` of overlapping crops."""
    return crops.files["sea.jpg"].parents[1]


@pytest.fixture
def shipseg(shipseg):
    """Run the command line in this process as other tests of verbs do, with one worker."""
    return lambda *arguments: shipseg(*arguments, "--workers", 1)


def csv(folder, text):
    (folder / "split.csv").write_text("ImageId,split\n" + text)
    return folder / "split.csv"


def test_no_place_is_divided(shipseg, archive, tmp_path):
    """11 images at 0.4 make 4.4 that are due; places of two give four of them, and half an image is not due then."""
    out, report = tmp_path / "split.csv", tmp_path / "split.json"

    status, output, _ = shipseg(
        *["split", "--images", archive / "images", "--labels", archive / "labels.csv", "--out", out],
        *["--valid-fraction", 0.4, "--json", report],
    )

    assert status == 0
    sides = read_split(out)
    assert len(sides) == 11
    assert all(sides[f"{scene}a.jpg"] == sides[f"{scene}b.jpg"] for scene in range(5))
    lines = [line.split(",") for line in out.read_text().splitlines()]
    assert lines[0] == ["ImageId", "split", "scene"]
    assert [scene for _, _, scene in lines[1:]] == ["0", "0", "1", "1", "2", "2", "3", "3", "4", "4", "5"]
    assert json.loads(report.read_text()) == {
        "images": 11,
        "skipped": 0,
        "places": 6,
        "images_that_share_a_place": 10,
        "images_of_the_largest_place": 2,
        "images_too_even_to_compare": 1,
        "validation_images": 4,
    }
    assert "11 images of 6 places" in output
    assert "10 share a place with another image (the largest place has 2)" in output
    assert "4 validate" in output


def test_what_was_split_passes_the_audit(shipseg, archive, tmp_path):
    out = tmp_path / "split.csv"
    shipseg("split", "--images", archive / "images", "--labels", archive / "labels.csv", "--out", out)

    status, output, _ = shipseg("audit-split", "--images", archive / "images", "--split", out)

    assert status == 0
    assert output.startswith("0 pairs of 11 images show one place from different sides")


def test_leaks_are_reported_with_their_offsets(shipseg, archive, tmp_path):
    """Scenes 0 and 1 are divided, among three folds; scene 2 is not, and the others are not in the split."""
    split = csv(tmp_path, "0a.jpg,1\n0b.jpg,2\n1a.jpg,3\n1b.jpg,1\n2a.jpg,1\n2b.jpg,1\n")
    report = tmp_path / "audit.json"

    status, output, _ = shipseg("audit-split", "--images", archive / "images", "--split", split, "--json", report)

    assert status == 0
    data = json.loads(report.read_text())
    assert data["sides"] == {
        "1": {"images": 4, "leaking": 2},
        "2": {"images": 1, "leaking": 1},
        "3": {"images": 1, "leaking": 1},
    }
    assert (data["images"], data["skipped"]) == (6, 0)
    assert [
        tuple(pair[key] for key in ("first", "first_split", "second", "second_split", "row_offset", "column_offset"))
        for pair in data["pairs"]
    ] == [("0a.jpg", "1", "0b.jpg", "2", 256, 256), ("1a.jpg", "3", "1b.jpg", "1", 256, 256)]
    assert all(pair["correlation"] > 0.95 for pair in data["pairs"])
    assert output.splitlines() == [
        "2 pairs of 6 images show one place from different sides, 0 skipped",
        "1: 2 of 4 images leak (50 %)",
        "2: 1 of 1 images leak (100 %)",
        "3: 1 of 1 images leak (100 %)",
        "0a.jpg (1) and 0b.jpg (2), 256 px down and 256 px right",
        "1a.jpg (3) and 1b.jpg (1), 256 px down and 256 px right",
    ]


@pytest.fixture
def damaged(archive, tmp_path):
    """Three images of the archive, one of which is cut off, with labels that name a fourth."""
    (tmp_path / "images").mkdir()
    for name in ("0a.jpg", "0b.jpg", "1a.jpg"):
        data = (archive / "images" / name).read_bytes()
        (tmp_path / "images" / name).write_bytes(data[:-9] if name == "0b.jpg" else data)
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\n0a.jpg,\n0b.jpg,\n1a.jpg,\ngone.jpg,\n")
    return tmp_path


def test_images_that_are_bad_or_missing_are_left_out_of_a_split(shipseg, damaged):
    out = damaged / "split.csv"

    with pytest.warns(SkippedImageWarning) as warned:
        status, output, _ = shipseg(
            "split", "--images", damaged / "images", "--labels", damaged / "labels.csv", "--out", out
        )

    assert status == 0
    assert list(read_split(out)) == ["0a.jpg", "1a.jpg"]
    assert "2 skipped" in output
    missing, bad = (str(warning.message) for warning in warned)
    assert missing.startswith("gone.jpg skipped: it is labelled, but not in")
    assert "0b.jpg is cut off" in bad


def test_images_that_are_bad_or_missing_are_left_out_of_an_audit(shipseg, damaged):
    split = csv(damaged, "0a.jpg,train\n0b.jpg,valid\n1a.jpg,valid\ngone.jpg,train\nlost.jpg,train\n")

    with pytest.warns(SkippedImageWarning) as warned:
        status, output, _ = shipseg("audit-split", "--images", damaged / "images", "--split", split)

    assert status == 0
    assert "0 pairs of 2 images show one place from different sides, 3 skipped" in output
    missing, bad = (str(warning.message) for warning in warned)
    assert missing == f"gone.jpg skipped: it is in {split}, but not in {damaged / 'images'}, like 1 more"
    assert "0b.jpg is cut off" in bad


@pytest.mark.parametrize("verb", ["split", "audit-split"])
def test_without_a_good_image_there_is_no_result(shipseg, damaged, verb):
    for path in (damaged / "images").iterdir():
        path.write_bytes(b"no image")
    split = csv(damaged, "0a.jpg,train\n1a.jpg,valid\n")
    others = ["--labels", damaged / "labels.csv", "--out", damaged / "out.csv"] if verb == "split" else []

    with pytest.warns(SkippedImageWarning):
        status, output, complaint = shipseg(
            verb, "--images", damaged / "images", *(others or ["--split", split]), "--json", damaged / "out.json"
        )

    assert (status, output) == (2, "")
    assert "error: none of the " in complaint
    assert "is usable; the first: " in complaint
    assert not list(damaged.glob("out*"))


def test_a_split_of_other_images_is_refused(shipseg, archive, tmp_path):
    split = csv(tmp_path, "z.jpg,train\n")

    status, _, complaint = shipseg("audit-split", "--images", archive / "images", "--split", split)

    assert status == 2
    assert "split.csv names none of the 11 images in" in complaint


def test_images_of_one_place_cannot_be_split(shipseg, archive, tmp_path):
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\n3a.jpg,\n3b.jpg,\n")

    status, _, complaint = shipseg(
        *["split", "--images", archive / "images", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "split.csv"]
    )

    assert status == 2
    assert complaint.startswith("error: all images (2) show one place")
    assert not (tmp_path / "split.csv").exists()
