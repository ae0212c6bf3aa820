import json
import subprocess
import sys

import pytest


def compare(archive, out, *flags):
    command = [
        sys.executable,
        "-m",
        "shipseg_tiles",
        "compare",
        "--images",
        archive.source,
        "--labels",
        archive.labels.source,
    ]
    command += ["--out", out, "--minutes", "0.02", "--test-fraction", "0.25", "--valid-fraction", "0.25", *flags]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A preset of one's own, whose images go through a classifier first."""
    path = tmp_path_factory.mktemp("own") / "filtered.yaml"
    path.write_text(
        f"summary: for a test\nfilter: {path.parent / 'first.yaml'}\n"
        "make-patches: {patch: 64}\ntrain: {width: 2, depth: 1, batch_size: 8}\n"
    )
    (path.parent / "first.yaml").write_text(
        "summary: for a test\nmake-patches: {patch: 64}\n"
        "train: {net: classifier, width: 2, depth: 1, batch_size: 8, loss: focal}\n"
    )
    return path


@pytest.fixture(scope="module")
def compared(scenes, own, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    done = compare(scenes, out, "--presets", own, "--json", out / "result.json")
    assert done.returncode == 0, done.stderr
    return out, done


def test_each_preset_is_trained_and_scored(compared):
    """A quarter of 16 images tests."""
    out, done = compared
    result = json.loads((out / "result.json").read_text())

    assert result["test_images"] == 4
    assert set(result["presets"]) == {"filtered"}
    for row in result["presets"].values():
        assert 0 <= row["dice_mean_all_images"] <= 1
    assert done.stdout.count("\n| ") == 3
    assert (out / "comparison.md").read_text().strip() in done.stdout
    assert "<td>filtered</td>" in (out / "comparison.html").read_text()
    for name in ("filtered", "first"):
        assert (out / name / "net.keras").is_file()
        assert not (out / name / "patches.h5").exists()


def test_no_image_is_in_two_parts(compared, scenes):
    out, _ = compared
    rows = [line.split(",") for line in (out / "split.csv").read_text().splitlines()[1:]]

    assert len(rows) == 12
    assert sum(side == "valid" for _, side, _ in rows) == 3
    assert {name for name, _, _ in rows} < set(scenes.files)


def test_what_is_scored_is_not_trained_again(compared, scenes, own):
    out, _ = compared
    before = (out / "filtered" / "net.keras").stat().st_mtime_ns

    again = compare(scenes, out, "--presets", own)

    assert again.returncode == 0
    assert "make-patches" not in again.stderr
    assert (out / "filtered" / "net.keras").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--presets", "fast"], "there is no preset 'fast'"),
        (["--presets", "tiny,tiny"], "two presets are called tiny"),
        (["--presets", "ship-classifier"], "preset ship-classifier trains a classifier, which finds no ships"),
        (["--minutes", "0"], "minutes 0.0 must be above 0"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_done(scenes, tmp_path, flags, message):
    done = compare(scenes, tmp_path / "out", *flags)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
