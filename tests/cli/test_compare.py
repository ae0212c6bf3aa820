import json
import re
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.cli.main import main


def words(archive, out, *flags):
    """Return a command line that takes little time."""
    given = ["compare", "--images", archive.source, "--labels", archive.labels.source, "--out", out]
    small = ["--minutes", "0.02", "--folds", "4", "--valid-fraction", "0.25", "--workers", "1"]
    return [str(word) for word in (*given, *small, *flags)]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Presets of one's own: a plain one, and one that mines and whose images go through a classifier first."""
    folder = tmp_path_factory.mktemp("own")
    small = "summary: for a test\nmake-patches: {patch: 64}\ntrain: {width: 2, depth: 1, batch_size: 8"
    (folder / "plain.yaml").write_text(f"{small}}}\n")
    (folder / "first.yaml").write_text(f"{small}, net: classifier, loss: focal}}\n")
    in_shards = small.replace("patch: 64", "patch: 64, shards: 2")
    (folder / "filtered.yaml").write_text(f"filter: {folder / 'first.yaml'}\nmine: 0.25\n{in_shards}}}\n")
    return folder


@pytest.fixture(scope="module")
def archive(scenes, tmp_path_factory):
    """The scenes with labels that may be changed."""
    labels = tmp_path_factory.mktemp("labels") / "labels.csv"
    labels.write_text(scenes.labels.to_csv())
    return open_archive(Path(scenes.source), labels)


@pytest.fixture(scope="module")
def folded(archive, own, tmp_path_factory):
    """The plain preset on two of four folds, and what was said."""
    out = tmp_path_factory.mktemp("compared")
    asked = words(archive, out, "--presets", own / "plain.yaml", "--test-folds", 2, "--json", out / "result.json")
    with pytest.MonkeyPatch.context() as context, redirect_stdout(StringIO()) as said:
        context.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good
        with pytest.raises(SystemExit) as ended:
            main(asked)
    assert ended.value.code == 0
    return out, said.getvalue()


def test_each_fold_is_scored_by_a_net_of_its_own(folded):
    """Each of four folds of 16 images holds 4."""
    out, said = folded
    result = json.loads((out / "result.json").read_text())
    images = []
    for number in (1, 2):
        folder = out / f"fold-{number}" / "plain"
        assert (folder / "net.keras").is_file()
        assert not (folder / "patches.h5").exists()
        images += [score["image"] for score in json.loads((folder / "scores.json").read_text())["measured"]["scores"]]

    assert len(images) == len(set(images)) == result["test_images"] == 8
    assert result["presets"]["plain"]["images"] == 8
    assert result["presets"]["plain"]["dice_difference"] is None
    assert json.loads((out / "comparison.json").read_text()) == result["presets"]
    assert said.startswith("8 test images, ")
    assert "in 2 of 4 folds; 0.02 minutes each\n" in said
    assert (out / "comparison.md").read_text().strip() in said
    assert "<td>plain</td>" in (out / "comparison.html").read_text()
    assert not (out / "fold-3").exists()


def test_no_image_is_in_two_parts(folded, scenes):
    """Of the 12 images outside of a fold a quarter validates."""
    out, _ = folded
    for number in (1, 2):
        folder = out / f"fold-{number}"
        sides = dict(line.split(",")[:2] for line in (folder / "split.csv").read_text().splitlines()[1:])
        scored = json.loads((folder / "plain" / "scores.json").read_text())["measured"]["scores"]

        assert sorted(sides.values()) == ["train"] * 9 + ["valid"] * 3
        assert sorted([*sides, *(score["image"] for score in scored)]) == sorted(scenes.files)


def test_what_is_scored_is_not_trained_again_when_presets_are_added_or_folds_change(shipseg, folded, archive, own):
    """Two presets on one fold, on which the plain one is scored already; a changed classifier is trained again."""
    out, _ = folded
    plain = out / "fold-1" / "plain" / "net.keras"
    before = plain.stat().st_mtime_ns

    both = f"{own / 'plain.yaml'},{own / 'filtered.yaml'}"
    asked = words(archive, out, "--presets", both, "--test-folds", 1)
    status, output, complaint = shipseg(*asked)

    assert status == 0, complaint
    assert plain.stat().st_mtime_ns == before
    assert "fold-1, filtered: true dice" in complaint
    assert "plain: true dice" not in complaint
    rows = json.loads((out / "comparison.json").read_text())
    assert {name: row["images"] for name, row in rows.items()} == {"plain": 4, "filtered": 4}
    dices = [row["dice_mean_all_images"] for row in rows.values()]
    assert rows["filtered"]["dice_difference"] == pytest.approx(dices[1] - dices[0])
    assert output.startswith("4 test images, ")  # and nothing that the verbs said in their processes
    assert "| difference to plain |" in output
    assert_mined(out / "fold-1" / "filtered")
    assert (out / "fold-1" / "first" / "net.keras").is_file()

    (own / "first.yaml").write_text("summary: of another size\nmake-patches: {patch: 0}\ntrain: {net: classifier}\n")
    assert shipseg(*asked)[0] == 2


@pytest.mark.parametrize("kept", [None, 12])
def test_scores_by_other_labels_or_cut_off_are_not_taken(shipseg, folded, archive, own, kept):
    """No image shows a ship any more, so that nothing can be trained."""
    out, _ = folded
    labels, scores = Path(archive.labels.source), out / "fold-1" / "plain" / "scores.json"
    before = labels.read_text(), scores.read_text()
    labels.write_text(re.sub(r",\d.*$", ",", before[0], flags=re.MULTILINE))
    scores.write_text(before[1][:kept])

    status, _, complaint = shipseg(*words(archive, out, "--presets", own / "plain.yaml"))

    labels.write_text(before[0])
    scores.write_text(before[1])
    assert status == 2
    assert complaint.endswith("error: make-patches of preset plain failed, see above\n")


def assert_mined(folder):
    """The weights are those of before mining or those of after, and what was mined is gone."""
    kept, begun = (json.loads((folder / name).read_text()) for name in ("net.json", "before-mining.json"))
    training = kept["trained_on"]["training"]
    assert kept == begun or (training["mined_fraction"], training["minutes"]) == (0.25, begun_minutes(begun))
    assert begun_minutes(begun) == pytest.approx(0.02 * 2 / 3 / 2)
    assert not (folder / "net.rounds").exists()
    assert not (folder / "patches.shards").exists()


def begun_minutes(contract):
    return contract["trained_on"]["training"]["minutes"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("ship_fraction: '0.7:0.5'", " changes its ship fraction over the epochs, but here time ends a training"),
        (
            "ship_fraction: 0.9",
            ": ship fraction 0.9 and mined fraction 0.25 are 14 and 4 patches, more than the 16 of a batch",
        ),
    ],
)
def test_presets_that_cannot_be_trained_so_are_refused_before_anything_is_done(
    shipseg, scenes, tmp_path, changes, message
):
    (tmp_path / "own.yaml").write_text(f"mine: 0.25\ntrain: {{{changes}}}\n")

    status, output, complaint = shipseg(*words(scenes, tmp_path / "out", "--presets", tmp_path / "own.yaml"))

    assert (status, output) == (2, "")
    assert complaint.startswith(f"error: preset own{message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--presets", "fast"], "there is no preset 'fast'"),
        (["--presets", "tiny,tiny"], "two presets are called tiny"),
        (["--presets", "ship-classifier"], "preset ship-classifier trains a classifier, which finds no ships"),
        (["--minutes", "0"], "minutes 0.0 must be above 0"),
        (["--test-folds", "0"], "test folds 0 must be from 1 to the number of folds, 4"),
        (["--test-folds", "5"], "test folds 5 must be from 1 to the number of folds, 4"),
        (["--presets", "tiny", "--encoder-weights", "none.h5"], "encoder weights none.h5 do not exist; name a file"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_done(shipseg, scenes, tmp_path, flags, message):
    status, output, complaint = shipseg(*words(scenes, tmp_path / "out", *flags))

    assert (status, output) == (2, "")
    assert complaint.startswith(f"error: {message}")
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_option_that_there_is_not_is_refused_before_another_preset_is_trained(shipseg, scenes, tmp_path):
    (tmp_path / "own.yaml").write_text("train: {widht: 2}\n")

    status, _, complaint = shipseg(*words(scenes, tmp_path / "out", "--presets", f"tiny,{tmp_path / 'own.yaml'}"))

    assert status == 2
    assert complaint.endswith("own.yaml: there is no option 'widht'; --help lists them\n")
    assert not (tmp_path / "out").exists()


def test_a_run_outside_of_an_image_that_tests_is_refused_before_anything_is_trained(shipseg, folded, archive, own):
    out, _ = folded
    labels = Path(archive.labels.source)
    before, tested = labels.read_text(), (out / "fold-1" / "split.csv").read_text()
    test = next(name for name in archive.files if name not in tested)
    labels.write_text(f"{before}{test},{256 * 256} 2\n")

    status, _, complaint = shipseg(*words(archive, out.with_name("new"), "--presets", own / "plain.yaml"))

    labels.write_text(before)
    assert status == 2
    assert f"{test}: run '{256 * 256} 2' leaves the image" in complaint
    assert not list(out.with_name("new").glob("*/plain"))
