import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

import shipseg_tiles
from shipseg_tiles.cli import make_patches, predict, score, simulate, train
from shipseg_tiles.cli.main import VERBS, parse_options
from shipseg_tiles.errors import InputError

HEADER = "ImageId,EncodedPixels\n"


@pytest.fixture
def refused(shipseg):
    """Run the command line, check that it refuses as promised, and return the one line."""

    def run(*arguments):
        status, output, complaint = shipseg(*arguments)
        assert status == 2
        assert output == ""
        assert complaint.startswith("error: ")
        assert complaint.endswith("\n")
        assert complaint.count("\n") == 1
        assert "Traceback" not in complaint
        return complaint

    return run


@pytest.fixture
def archive(tmp_path):
    """Two gray images of 100 x 100 px with a ship of 4 pixels in the first."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / "images" / name)
    (tmp_path / "labels.csv").write_text(HEADER + "a.png,1 4\nb.png,\n")
    return tmp_path


def with_labels(archive, text):
    (archive / "labels.csv").write_text(text)
    return archive / "labels.csv"


# Arguments


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_verb_all_verbs_are_listed(shipseg, arguments):
    status, output, complaint = shipseg(*arguments)

    assert (status, complaint) == (0, "")
    assert all(f"  {verb} " in output for verb in VERBS)


def test_the_version_is_that_of_the_package(shipseg):
    assert shipseg("--version") == (0, f"{shipseg_tiles.__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_explains_every_option(shipseg, verb):
    status, output, complaint = shipseg(verb, "--help")

    assert (status, complaint) == (0, "")
    for flag in ("--json", "--config", "--help"):
        assert flag in output
    assert "==SUPPRESS==" not in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fly"], "there is no verb 'fly'; choose one of simulate,"),
        (["--fly"], "there is no verb '--fly'"),
        (["simulate", "--out", "x", "--fly"], "unrecognized arguments: --fly; see shipseg-tiles simulate --help"),
        (["simulate", "--out", "x", "y"], "unrecognized arguments: y"),
        (["simulate", "--out", "x", "--image", "3"], "unrecognized arguments: --image 3"),
        (["simulate"], "required: --out"),
        (["simulate", "--out"], "--out: expected one argument"),
        (["simulate", "--out", "x", "--images", "many"], "--images: invalid int value: 'many'"),
        (["make-patches", "--labels", "labels.csv"], "--images and --out are required"),
        (["train", "--patches", "x", "--out", "y", "--precision", "float8"], "--precision: invalid choice: 'float8'"),
        (["predict", "--images", "x", "--out", "y", "--window", "kaiser"], "--window: invalid choice: 'kaiser'"),
        (["score", "--labels", "x", "--predictions", "y", "--missing", "0"], "--missing: invalid choice: '0'"),
        (["simulate", "--config"], "--config: expected one argument"),
    ],
)
def test_wrong_arguments_are_refused(refused, monkeypatch, tmp_path, arguments, reason):
    monkeypatch.chdir(tmp_path)

    assert reason in refused(*arguments)
    assert not list(tmp_path.iterdir())


# Configuration files


def test_a_configuration_sets_the_same_options(tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text(
        "patches: p.h5\nout: net.keras\nepochs: 3\nship-fraction: 0.25\nbatch_size: 8\nresume: true\n"
        "learning_rate: 1e-4\nnotes: 'a: b, --seed 7'\n"
    )

    options = parse_options("train", train.Options, ["--config", str(config)])

    assert options == train.Options(
        patches=[Path("p.h5")],
        out=Path("net.keras"),
        epochs=3,
        ship_fraction="0.25",
        batch_size=8,
        resume=True,
        learning_rate=1e-4,
        notes="a: b, --seed 7",
        config=config,
    )


@pytest.mark.parametrize("place", [0, 2, 4])
def test_flags_win_over_the_configuration_wherever_they_stand(tmp_path, place):
    config = tmp_path / "simulate.yaml"
    config.write_text("out: from_file\nimages: 3\nseed: 5\n")
    arguments = ["--images", "7", "--out", "from_flag"]
    arguments[place:place] = ["--config", str(config)]

    options = parse_options("simulate", simulate.Options, arguments)

    assert (options.out, options.images, options.seed) == (Path("from_flag"), 7, 5)


def test_a_word_that_yaml_takes_for_a_truth_value_stays_a_word(tmp_path):
    config = tmp_path / "predict.yaml"
    config.write_text("images: a\nout: b\ngate: off\nseparate_touching: on\nvectors: on\ndisagreement: off\n")

    options = parse_options("predict", predict.Options, ["--config", str(config)])

    assert (options.gate, options.separate_touching) == ("off", "on")
    assert (options.vectors, options.disagreement) == (True, False)


def test_a_list_in_a_configuration_is_several_values(tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("patches: [a.h5, b c.h5]\nout: net.keras\n")

    options = parse_options("train", train.Options, ["--config", str(config)])
    others = parse_options("train", train.Options, ["--config", str(config), "--patches", "d.h5"])

    assert options.patches == [Path("a.h5"), Path("b c.h5")]
    assert others.patches == [Path("d.h5")]


def test_a_list_for_an_option_with_commas_is_one_value(tmp_path):
    config = tmp_path / "predict.yaml"
    config.write_text("images: a\nout: b\nregion: [0, 0, 300, 300]\nscale: [0, 2550.5]\n")

    options = parse_options("predict", predict.Options, ["--config", str(config)])

    assert (options.region, options.scale) == ("0,0,300,300", "0,2550.5")


def test_numbers_in_a_configuration_are_taken_as_they_are_written(tmp_path):
    """To YAML alone, 1:0.5 is a minute and half a second, 010 is 8, and 1_0 is 10 as it is to Python."""
    config = tmp_path / "train.yaml"
    config.write_text("patches: a.h5\nout: 2024-01-01.keras\nship_fraction: 1:0.5\nepochs: 010\nseed: 1_0\n")

    options = parse_options("train", train.Options, ["--config", str(config)])

    assert (options.ship_fraction, options.epochs, options.seed) == ("1:0.5", 10, 10)
    assert options.out == Path("2024-01-01.keras")


def test_what_is_false_in_a_configuration_stays_off(tmp_path):
    (tmp_path / "c.yaml").write_text("resume: false\npatches: p.h5\nout: o.keras\n")

    assert not parse_options("train", train.Options, ["--config", str(tmp_path / "c.yaml")]).resume


def test_a_configuration_takes_back_what_a_preset_sets(tmp_path):
    (tmp_path / "c.yaml").write_text("preset: ship-classifier\nresize: null\nimages: i\nlabels: l.csv\nout: o.h5\n")

    options = parse_options("make-patches", make_patches.Options, ["--config", str(tmp_path / "c.yaml")])

    assert (options.resize, options.patch) == (None, 768)


def test_an_empty_configuration_changes_nothing(tmp_path):
    (tmp_path / "c.yaml").write_text("# nothing yet\n")

    options = parse_options("simulate", simulate.Options, ["--out", "x", "--config", str(tmp_path / "c.yaml")])

    assert options == simulate.Options(out=Path("x"), config=tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour: red\n", "there is no option 'colour'"),
        ("7: red\n", "there is no option '7'"),
        ("out: {a: 1}\n", "out {'a': '1'} is nested; give one value, or a list of values"),
        ("out: [[a]]\n", "out [['a']] is nested"),
        ('out: "a\\0b"\n', "argument --out: 'a\\x00b' is no path"),
        ('out: ""\n', "argument --out: '' is no path"),
        ("out: [unclosed\n", "cannot be read as YAML"),
        ("out: x\n\tseed: 1\n", "cannot be read as YAML"),
        ("- out\n- x\n", "holds no options"),
        ("just words\n", "holds no options"),
        ("[]\n", "holds no options"),
        ("false\n", "holds no options"),
        ("[" * 5000, "cannot be read as YAML"),
        ("images: many\n", "--images: invalid int value: 'many'"),
        ("images: true\n", "c.yaml: images is a truth value to YAML; write a value as after --images"),
        ("seed: 1\nimages: 2\nseed: 3\n", "c.yaml cannot be read as YAML: seed stands in it twice"),
        ("!!python/object/apply:os.system ['touch evidence']\n", "cannot be read as YAML"),
    ],
)
def test_a_wrong_configuration_is_refused(refused, monkeypatch, tmp_path, text, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(text)

    complaint = refused("simulate", "--out", "x", "--config", "c.yaml")

    assert reason in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_configuration_that_is_no_file_is_refused_by_its_name(refused, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)

    assert f"error: {name} cannot be read as YAML" in refused("simulate", "--out", "x", "--config", name)


def test_a_configuration_that_is_no_text_is_refused(refused, tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00out")

    assert "cannot be read as YAML" in refused("simulate", "--out", tmp_path / "x", "--config", tmp_path / "c.yaml")


# Labels


NO_VALIDATION = ["--valid-fraction", 0, "--workers", 1]
"""For an archive of one image, which cannot be divided."""


@pytest.fixture(params=["make-patches", "convert-labels", "score"])
def reader_of_labels(request, archive):
    """The arguments of a verb that reads `archive / "labels.csv"`, and what it would write."""
    labels, images = archive / "labels.csv", archive / "images"
    out = archive / "out"
    return {
        "make-patches": ["make-patches", "--images", images, "--labels", labels, "--out", f"{out}.h5", *NO_VALIDATION],
        "convert-labels": ["convert-labels", "--labels", labels, "--out", out, "--images", images],
        "score": ["score", "--labels", labels, "--predictions", labels, "--json", out],
    }[request.param]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "labels.csv is no CSV"),
        ("Image,Pixels\na.png,1 4\n", "has no column ImageId and EncodedPixels; its first line must hold"),
        ("ImageId\na.png\n", "has no column EncodedPixels"),
        (HEADER + "a.png,1 4\nb.png,2,3,4\n", "labels.csv is no CSV"),
        (HEADER + "a.png,1 4 7\n", "a.png: run-length text has 3 fields, which is odd"),
        (HEADER + "a.png,one four\n", "a.png: run-length text 'one four' is no list of whole numbers"),
        (HEADER + "a.png,0 4\n", "a.png: run-length text '0 4' holds 0"),
        (HEADER + "../../x.jpg,1 4\n", "'../../x.jpg' is no plain file name"),
        (HEADER + "/etc/passwd,1 4\n", "'/etc/passwd' is no plain file name"),
        (HEADER + ".hidden.png,1 4\n", "'.hidden.png' is no plain file name"),
        (HEADER + ",1 4\n", "'' is no plain file name"),
        (HEADER, "labels.csv holds no row below its first line"),
        (HEADER + "a.png,1 4\0 9 4\n", "labels.csv is no CSV: it holds a NUL byte"),
    ],
)
def test_wrong_labels_are_refused_with_the_file_and_the_reason(refused, archive, reader_of_labels, text, reason):
    with_labels(archive, text)

    complaint = refused(*reader_of_labels)

    assert reason in complaint
    assert not list(archive.glob("out*"))


def test_missing_labels_are_refused(refused, archive, reader_of_labels):
    (archive / "labels.csv").unlink()

    assert "labels.csv does not exist; give a CSV" in refused(*reader_of_labels)


def test_masks_become_labels_of_images_as_they_are_called(shipseg, archive, tmp_path):
    """Plain masks say nothing of a suffix."""
    (tmp_path / "plain").mkdir()
    Image.new("L", (100, 100)).save(tmp_path / "plain" / "a.png")
    asked = ["convert-labels", "--labels", tmp_path / "plain", "--out", tmp_path / "labels.csv"]

    assert shipseg(*asked)[0] == 0
    assert (tmp_path / "labels.csv").read_text() == HEADER + "a.jpg,\n"
    assert shipseg(*asked, "--images", archive / "images")[0] == 0
    assert (tmp_path / "labels.csv").read_text() == HEADER + "a.png,\n"


def test_masks_of_another_size_than_their_images_are_refused(refused, archive, tmp_path):
    """As labels of the images they would say something else."""
    (tmp_path / "half").mkdir()
    Image.new("L", (50, 50)).save(tmp_path / "half" / "a.png")
    asked = ["--labels", tmp_path / "half", "--images", archive / "images", "--out", tmp_path / "half.csv"]

    assert "the mask of a.png has 50 x 50 pixels, the image 100 x 100" in refused("convert-labels", *asked)
    assert not (tmp_path / "half.csv").exists()


def test_images_in_a_zip_tell_the_sizes_of_masks(shipseg, archive):
    with ZipFile(archive / "images.zip", "w") as file:
        for path in sorted((archive / "images").iterdir()):
            file.write(path, f"deep/{path.name}")
    asked = ["--labels", archive / "labels.csv", "--images", archive / "images.zip", "--out", archive / "masks"]

    assert shipseg("convert-labels", *asked)[0] == 0
    assert Image.open(archive / "masks" / "a.png").size == (100, 100)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_background_that_is_short_of_the_ratio_is_told(shipseg, archive, dry):
    """Two images of one patch each: ratio 2 asks for two patches of water, and there is one."""
    arguments = ["--images", archive / "images", "--labels", archive / "labels.csv", "--out", archive / "o.h5"]

    _, output, _ = shipseg("make-patches", *arguments, *NO_VALIDATION, "--background-ratio", 2, *dry)

    assert "train: 1 ship and 1 background patches (100 % of it; the ratio asks for 2)\n" in output
    assert "valid: 0 ship and 0 background patches (- of it)\n" in output


@pytest.mark.parametrize("verb", ["make-patches", "convert-labels"])
def test_a_run_that_leaves_its_image_is_refused(refused, archive, verb):
    """100 x 100 px end with pixel 10,000."""
    labels = with_labels(archive, HEADER + "a.png,9998 4\n")

    options = ["--out", archive / "out.h5", *NO_VALIDATION] if verb == "make-patches" else ["--out", archive / "out"]

    complaint = refused(verb, "--labels", labels, "--images", archive / "images", *options)

    assert "a.png: run '9998 4' leaves the image of 10000 pixels" in complaint
    assert not list(archive.glob("out*"))


def test_labels_of_other_images_are_refused(refused, archive):
    labels = with_labels(archive, HEADER + "c.png,1 4\n")

    complaint = refused("make-patches", "--images", archive / "images", "--labels", labels, "--out", archive / "o.h5")

    assert "labels none of the 2 images" in complaint


# Files and folders


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["simulate", "--images", "1", "--out", "file/out"], "file"),
        (["convert-labels", "--labels", "labels.csv", "--images", "images", "--out", "file/out"], "file"),
        (
            [
                "make-patches",
                "--images",
                "images",
                "--labels",
                "labels.csv",
                "--out",
                "file/o.h5",
                "--valid-fraction",
                "0",
            ],
            "file",
        ),
        (["score", "--labels", "labels.csv", "--predictions", "labels.csv", "--json", "file/s.json"], "file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_by_its_name(shipseg, monkeypatch, archive, arguments, reason):
    monkeypatch.chdir(archive)
    (archive / "file").write_text("")

    status, _, complaint = shipseg(*arguments)

    assert status == 2
    assert complaint.startswith(f"error: {reason}")
    assert "choose another place" in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_path_is_not_the_current_folder(refused, verb):
    """As where a variable of the shell is not set."""
    options = import_module(f"shipseg_tiles.cli.{verb.replace('-', '_')}").Options
    paths = [item for item in fields(options) if "Path" in str(item.type) and "args" not in item.metadata]

    assert {"json", "config"} <= {item.name for item in paths}
    for item in paths:
        flag = f"--{item.name.replace('_', '-')}"
        assert f"argument {flag}: '' is no path" in refused(verb, flag, "")


@pytest.mark.parametrize("flag", ["--weights", "--gate", "--classifier"])
@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_is_no_net(refused, archive, flag, name):
    complaint = refused("predict", "--images", archive / "images", "--out", archive / "out", flag, name)

    assert complaint == f"error: {name} is a folder; name a .keras file\n"


def test_no_verb_works_for_a_result_that_cannot_be_written(refused, monkeypatch, archive):
    monkeypatch.chdir(archive)
    (archive / "file").write_text("")
    archive_flags, weights = ["--images", "images", "--labels", "labels.csv"], ["--weights", "net.keras"]
    for verb, flags in {
        "check-seams": ["--images", "images"],
        "classify": [*weights, "--images", "images"],
        "ensemble": weights,
        "explore": archive_flags,
        "export": [*weights, "--to", "onnx"],
        "split": archive_flags,
    }.items():
        module = import_module(f"shipseg_tiles.cli.{verb.replace('-', '_')}")
        monkeypatch.setattr(module, "run", lambda options: pytest.fail("the work began"))
        assert "choose another place" in refused(verb, *flags, "--out", "file/out")


def test_a_result_that_could_not_be_written_is_refused_before_the_work(refused, monkeypatch, archive):
    (archive / "s.json").mkdir()
    monkeypatch.setattr(score, "run", lambda options: pytest.fail("the work began"))

    labels = archive / "labels.csv"
    complaint = refused("score", "--labels", labels, "--predictions", labels, "--json", archive / "s.json")

    assert complaint == f"error: {archive / 's.json'}: Is a directory\n"


def test_a_folder_where_a_file_should_be_written_is_refused(shipseg, archive):
    (archive / "out.h5").mkdir()

    status, _, complaint = shipseg(
        *["make-patches", "--images", archive / "images", "--labels", archive / "labels.csv"],
        *["--out", archive / "out.h5", "--patch", "50", "--workers", "1"],
    )

    assert status == 2
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert sorted(path.name for path in archive.iterdir()) == ["images", "labels.csv", "out.h5"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["make-patches", "--images", "none", "--labels", "labels.csv", "--out", "o.h5"], "none is no folder"),
        (["train", "--patches", "none.h5", "--out", "o.keras"], "none.h5 does not exist; make it with make-patches"),
        (["train", "--patches", "labels.csv", "--out", "o.keras"], "labels.csv is no HDF5 file"),
        (["predict", "--weights", "none.keras", "--images", "images", "--out", "o"], "none.keras does not exist"),
        (["predict", "--weights", "labels.csv", "--images", "images", "--out", "o"], "contract"),
        (["predict", "--weights", "none.keras", "--images", "none", "--out", "o"], "none is no folder"),
        (["score", "--labels", "labels.csv", "--predictions", "none"], "none does not exist"),
        (["score", "--labels", "labels.csv", "--predictions", "empty"], "empty holds no mask"),
    ],
)
def test_input_that_is_missing_or_something_else_is_refused(refused, monkeypatch, archive, arguments, reason):
    monkeypatch.chdir(archive)
    (archive / "empty").mkdir()

    assert reason in refused(*arguments)
    assert sorted(path.name for path in archive.iterdir()) == ["empty", "images", "labels.csv"]


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("--patch", "0", "patch 0 must be 1 or more"),
        ("--stride", "0", "stride 0"),
        ("--stride", "200", "stride 200"),
        ("--background-ratio", "-1", "background ratio -1.0"),
        ("--background-ratio", "nan", "background ratio nan"),
        ("--valid-fraction", "1", "valid fraction 1.0"),
        ("--valid-fraction", "nan", "valid fraction nan"),
        ("--seed", "-1", "seed -1"),
        ("--workers", "0", "workers 0"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(refused, archive, flag, value, reason):
    complaint = refused(
        *["make-patches", "--images", archive / "images", "--labels", archive / "labels.csv"],
        *["--out", archive / "o.h5", "--workers", "1", flag, value],
    )

    assert reason in complaint
    assert not (archive / "o.h5").exists()


def test_the_result_is_written_as_json_too(shipseg, archive):
    labels = archive / "labels.csv"

    status, output, _ = shipseg(
        "score", "--labels", labels, "--predictions", labels, "--json", archive / "j" / "s.json"
    )

    assert status == 0
    assert output.startswith("2 images, 1 with ships\n")
    scores = json.loads((archive / "j" / "s.json").read_text())
    assert (scores["images"], scores["dice_mean_all_images"], scores["f2_mean"]) == (2, 1, 1)


def test_a_reader_that_has_gone_takes_only_the_summary(archive):
    """In a process of its own, whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    labels, told = archive / "labels.csv", archive / "s.json"
    asked = ["score", "--labels", labels, "--predictions", labels, "--json", told]

    ended = subprocess.run(
        [sys.executable, "-m", "shipseg_tiles", *map(str, asked)], stdout=writing, stderr=subprocess.PIPE, check=False
    )

    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(told.read_text())["images"] == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before_the_start_change_nothing(archive, closed):
    """In a process of its own, started by a shell as wrappers of services do. With a bar, which writes to the third."""
    words = ["make-patches", "--images", "images", "--labels", "labels.csv", "--out", "o.h5", *map(str, NO_VALIDATION)]

    ended = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-m", "shipseg_tiles", *words], cwd=archive, timeout=120
    )

    assert ended.returncode == 0
    assert (archive / "o.h5").is_file()


def test_a_bad_image_among_good_ones_is_a_warning_of_one_line(archive):
    """In a process of its own, as pytest keeps warnings to itself."""
    (archive / "images" / "b.png").write_bytes(b"no image")

    finished = subprocess.run(
        [
            *[sys.executable, "-m", "shipseg_tiles", "make-patches", "--images", "images", "--labels", "labels.csv"],
            *["--out", "o.h5", "--patch", "50", "--workers", "1", "--valid-fraction", "0"],
        ],
        cwd=archive,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert finished.returncode == 0
    assert finished.stderr.startswith("warning: b.png skipped: ")
    assert finished.stderr.count("\n") == 1
    assert finished.stdout.startswith("1 images to o.h5 in ")


def test_predict_without_weights_takes_those_of_the_project(shipseg, tmp_path):
    weights = Path(shipseg_tiles.__file__).parents[1] / "weights" / "default.keras"
    if not weights.is_file():
        pytest.skip("this checkout has no weights/default.keras yet")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (90, 70), (20, 40, 60)).save(tmp_path / "images" / "sea.png")

    status, _, _ = shipseg("predict", "--images", tmp_path / "images", "--out", tmp_path / "out")

    assert status == 0
    assert (tmp_path / "out" / "submission.csv").read_text() == HEADER + "sea.png,\n"
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["weights_sha256"] == json.loads(weights.with_suffix(".json").read_text())["weights_sha256"]


def test_options_have_the_defaults_of_the_contract():
    patches = make_patches.Options(images=Path("i"), labels=Path("l"), out=Path("o"))
    prediction = predict.Options(images=Path("i"), out=Path("o"))

    assert (patches.patch, patches.stride) == (128, None)
    assert (prediction.weights, prediction.tile, prediction.overlap) == (None, None, None)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("two\nlines; do this"), "error: two lines; do this\n"),
        (
            OSError(28, "No space left on device", "a.h5"),
            "error: a.h5: No space left on device; free some space, then give the same command again\n",
        ),
        (OSError("Unable to write\n  errno = 28"), "error: Unable to write errno = 28\n"),
        (MemoryError(), "error: memory ran out; free some, or give smaller images, tiles or batches\n"),
    ],
)
def test_every_error_is_one_line(refused, monkeypatch, tmp_path, error, line):
    def fail(options):
        raise error

    monkeypatch.setattr(simulate, "run", fail)

    assert refused("simulate", "--out", tmp_path) == line


# Ctrl-C


def interrupted(arguments, moment, timeout=60):
    """Start a process, press Ctrl-C as a terminal does once the moment has come, and return how it ended.

    A terminal sends the signal to the whole group of processes, workers included.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "shipseg_tiles", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + timeout
        while not moment(process.pid) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        output, complaint = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, output, complaint


def test_ctrl_c_ends_with_130_and_one_line(tmp_path):
    images = tmp_path / "train_v2"

    ended = interrupted(["simulate", "--out", tmp_path, "--images", "1000"], lambda _: any(images.glob("*.jpg")))

    assert ended == (130, "", "error: interrupted\n")
    assert not (tmp_path / "train_ship_segmentations_v2.csv").exists()
    assert not any(path.name.startswith(".") for path in images.iterdir())


def test_ctrl_c_while_workers_fill_a_store_leaves_what_the_same_command_goes_on_with(tmp_path):
    """Noise is slow to decode, so that the workers are busy for many seconds."""
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "0.png", compress_level=1)
    for number in range(1, 128):
        os.link(tmp_path / "images" / "0.png", tmp_path / "images" / f"{number}.png")
    (tmp_path / "labels.csv").write_text(HEADER + "".join(f"{number}.png,1 4\n" for number in range(128)))
    out = tmp_path / "out"

    ended = interrupted(
        [
            *["make-patches", "--images", tmp_path / "images", "--labels", tmp_path / "labels.csv"],
            *["--out", out / "o.h5", "--workers", "2", "--valid-fraction", "0"],
        ],
        lambda _: (out / ".o.h5.job.json").exists(),
    )

    hint = "what is done is kept: go on with the same command\n"
    assert ended == (130, "", f"{hint}error: interrupted\n")
    assert {path.name for path in out.iterdir()} == {".o.h5.job.json", ".o.h5.partial"}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells which processes a process has")
def test_ctrl_c_while_workers_start_shows_no_traceback_either(archive):
    """A fifth of a second after a second process is there, beside the one that tracks resources: a worker takes longer
    to import what it needs."""

    with_labels(archive, HEADER + "a.png,1 4\nb.png,1 4\n")

    def workers_start(process):
        try:
            started = len(Path(f"/proc/{process}/task/{process}/children").read_text().split()) >= 2
        except FileNotFoundError:
            return False
        if started:
            time.sleep(0.2)
        return started

    ended = interrupted(
        [
            *["make-patches", "--images", archive / "images", "--labels", archive / "labels.csv"],
            *["--out", archive / "out" / "o.h5", "--workers", "2"],
        ],
        workers_start,
    )

    assert ended == (130, "", "what is done is kept: go on with the same command\nerror: interrupted\n")
    assert not list((archive / "out").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["split", "--images", "images", "--labels", "labels.csv", "--out", "./labels.csv"], "--out labels.csv would"),
        (
            ["score", "--predictions", "labels.csv", "--labels", "l.csv", "--json", "l.csv"],
            "--json l.csv would",
        ),
        (["inspect", "l.csv", "--sheet", "l.csv"], "--sheet l.csv would replace"),
        (
            ["split", "--images", "images", "--labels", "labels.csv", "--out", "new.csv", "--json", "new.csv"],
            "--json new.csv would replace --out",
        ),
        (
            ["train", "--patches", "p.h5", "--out", "labels.keras", "--json", "labels.json"],
            "--json labels.json would replace the contract of --out",
        ),
        (
            ["train", "--patches", "p.h5", "--out", "net.keras", "--start-from", "net.keras"],
            "--out net.keras would replace --start-from",
        ),
    ],
)
def test_a_result_does_not_replace_what_it_is_made_of(refused, monkeypatch, archive, arguments, reason):
    """Neither under its own name nor through a link."""
    monkeypatch.chdir(archive)
    (archive / "l.csv").symlink_to("labels.csv")
    (archive / "net.keras").touch()
    before = (archive / "labels.csv").read_bytes()

    assert reason in refused(*arguments)
    assert (archive / "labels.csv").read_bytes() == before


def test_json_replaces_an_earlier_result_alone(refused, shipseg, archive):
    labels, image, told = archive / "labels.csv", archive / "images" / "a.png", archive / "s.json"
    before = image.read_bytes()
    arguments = ["score", "--labels", labels, "--predictions", labels, "--json"]

    assert f"--json {image} is called as files of another kind are; end its name in .json" in refused(*arguments, image)
    assert "submission.csv is called as files of another kind are" in refused(*arguments, archive / "submission.csv")
    assert image.read_bytes() == before
    told.write_text("words")
    assert f"--json {told} would replace a file that is no result" in refused(*arguments, told)
    told.unlink()
    told.touch()
    assert shipseg(*arguments, told)[0] == 0
    assert shipseg(*arguments, told)[0] == 0
    for name in ("run.json", "state.json"):  # of a prediction, of a training
        told.rename(archive / name)
        assert f"{name} would replace a file that is no result" in refused(*arguments, archive / name)
        told = archive / name
    (archive / "net.keras").touch()
    contract = told.rename(archive / "net.json")
    assert "net.json would replace a file that is no result" in refused(*arguments, contract)


def test_a_pipe_is_not_replaced_by_a_file(refused, archive):
    os.mkfifo(archive / "s.json")
    labels = archive / "labels.csv"

    complaint = refused("score", "--labels", labels, "--predictions", labels, "--json", archive / "s.json")

    assert "s.json is a device or a pipe; name a file" in complaint
    assert (archive / "s.json").is_fifo()
