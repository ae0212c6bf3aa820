"""`predict` from the command line: runs that are stopped, for real, and what its flags do."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.labels import read_labels
from shipseg_tiles.cli.main import main
from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import SkippedImageWarning
from shipseg_tiles.extras import missing_extra
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.nets.weights_files import contract_path

HEADER = "ImageId,EncodedPixels\n"
IMAGES = 300
"""So many that a run can be stopped among them."""

JOURNAL = ".journal.jsonl"


@pytest.fixture(scope="module")
def nets(save_net, tmp_path_factory):
    """`net` and `other` answer the brightness of each pixel; `other` has a gate beside it that sees nothing."""
    folder = tmp_path_factory.mktemp("weights")
    save_net(folder / "net.keras")
    save_net(folder / "other.keras", keras.layers.Rescaling(1.0))
    none = keras.layers.Rescaling(0.0)
    cells = keras.layers.MaxPooling2D(32)
    save_net(folder / "other.gate.keras", lambda brightness: none(cells(brightness)), thresholds={"16": 0.5})
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of noise with bright boxes at other places in each image."""
    folder = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 120, (96, 80, 3), dtype=np.uint8)
        for row, column in random.integers(0, 70, (3, 2)):
            pixels[row : row + 9, column : column + 5] += 130
        Image.fromarray(pixels).save(folder / f"{number:03d}.png", compress_level=1)
    return folder


@pytest.fixture
def images(tmp_path):
    """A black image with a white box of 4 x 6 px from row 10, column 20, and one without."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.zeros((100, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "sea.png")
    pixels[10:14, 20:26] = 255
    Image.fromarray(pixels).save(folder / "ship.png")
    return folder


SHIP = "ship.png,2011 4 2111 4 2211 4 2311 4 2411 4 2511 4\n"
"""Row 10 of column 20 is pixel 20 * 100 + 10 + 1."""


@pytest.fixture
def predict(shipseg, nets, images, tmp_path):
    """Predict the images, and return status, complaint, submission and record, the last two if they are there."""

    def run(*arguments, weights="net.keras"):
        out = tmp_path / "out"
        shared = ["--weights", nets / weights, "--images", images, "--out", out]
        status, _, complaint = shipseg("predict", *shared, *arguments)
        submission, record = out / "submission.csv", out / "run.json"
        return (
            status,
            complaint,
            submission.read_text() if submission.is_file() else None,
            json.loads(record.read_text()) if record.is_file() else None,
        )

    return run


@pytest.fixture
def with_pixels_of(nets):
    """Write that `net` is for pixels of some metres, under another name, and return that."""

    def write(size):
        copy = nets / f"pixels_{size:g}.keras"
        shutil.copy(nets / "net.keras", copy)
        write_contract(replace(read_contract(nets / "net.keras"), pixel_size=size), copy)
        return copy.name

    return write


def command(nets, many, out, *more):
    return ["predict", "--weights", nets / "net.keras", "--images", many, "--out", out, "--probabilities", *more]


def contents(folder):
    """All files that are not hidden, but for the record, which tells the time."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if not path.name.startswith(".") and path.name != "run.json"
    }


def stopped_by(sign, arguments, out):
    """Start a process, send it a signal once 5 images are done, and return how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shipseg_tiles", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    try:
        deadline = time.monotonic() + 120
        while len(done_in(out)) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        os.killpg(process.pid, sign)
        output, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, output, complaint


def done_in(out):
    """Names of the images that the journal of a run says are done."""
    journal = out / JOURNAL
    lines = journal.read_text().splitlines(keepends=True) if journal.is_file() else []
    return [json.loads(line)[0] for line in lines if line.endswith("\n")]


def identity(weights):
    """What a net is called in the record of a run that has begun."""
    return f"{checksum(weights)}, contract: {checksum(contract_path(weights))[:16]}"


# Runs that are stopped


@pytest.fixture(scope="module")
def undisturbed(nets, many, tmp_path_factory):
    """What a run leaves that nothing stopped, and its record."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in command(nets, many, out)])
    assert ended.value.code == 0
    return contents(out), json.loads((out / "run.json").read_text())


@pytest.fixture(scope="module")
def killed(nets, many, tmp_path_factory):
    """The folder of a run that was killed without warning among its images."""
    out = tmp_path_factory.mktemp("killed") / "out"
    stopped_by(signal.SIGKILL, command(nets, many, out), out)
    assert 5 <= len(done_in(out)) < IMAGES
    return out


@pytest.fixture
def stopped(killed, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(killed, tmp_path / "stopped")


def test_a_killed_run_has_written_nothing_by_half(stopped):
    assert not (stopped / "submission.csv").exists()
    assert not (stopped / "run.json").exists()
    for folder in ("masks", "probabilities"):
        for path in (stopped / folder).glob("[!.]*.png"):
            Image.open(path).load()


def test_the_same_command_predicts_only_what_is_missing(shipseg, nets, many, stopped, undisturbed):
    done = [path for path in (stopped / "masks").iterdir() if path.name in done_in(stopped)]
    times = {path: path.stat().st_mtime_ns for path in done}

    status, _, _ = shipseg(*command(nets, many, stopped))

    assert status == 0
    assert {path: path.stat().st_mtime_ns for path in done} == times
    assert len(done) >= 5
    files, record = undisturbed
    assert contents(stopped) == files
    resumed = json.loads((stopped / "run.json").read_text())
    assert (resumed["resumed"], record["resumed"]) == (True, False)
    for told in (resumed, record):
        del told["seconds"], told["resumed"]
    assert resumed == record
    left = {path.name for path in stopped.iterdir()}
    assert left == {"masks", "pictures", "probabilities", "run.json", "submission.csv"}


KILLED_WHILE_WRITING = """
import os, sys
from pathlib import Path
from shipseg_tiles.files import written_whole
with written_whole(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def test_what_was_written_by_half_is_removed_by_the_next_run(shipseg, nets, many, stopped):
    """In each folder that it writes into itself."""
    for folder in ("masks", "probabilities"):
        subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, stopped / folder / "000.png"], timeout=60)
        assert list((stopped / folder).glob(".*.partial.000.png"))

    shipseg(*command(nets, many, stopped))

    assert not [path for path in stopped.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--threshold", "0.4"], "--threshold None, not 0.4"),
        (["--minimum-area", "0"], "--minimum-area None, not 0"),
        (["--minimum-score", "0.8"], "--minimum-score None, not 0.8"),
        (["--overlap", "0"], "--overlap None, not 0.0"),
        (["--region", "0,0,50,50"], "--region None, not 0,0,50,50"),
        (["--disagreement"], "--disagreement False, not True"),
        (["--vectors"], "--vectors False, not True"),
        (["--images", "{images}"], "--images {many}, not {images}"),
        (["--weights", "{nets}/other.keras", "--gate", "off"], "--weights {sha}, not {other}"),
        (["--gate", "{nets}/other.gate.keras"], "--gate None, not {gate}"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_other_options_are_refused_by_name(shipseg, nets, many, images, stopped, more, words):
    names = {"sha": "net.keras", "other": "other.keras", "gate": "other.gate.keras"}
    told = {name: identity(nets / file) for name, file in names.items()}
    told |= {"nets": nets, "many": many, "images": images}
    before = contents(stopped), done_in(stopped)

    status, output, complaint = shipseg(*command(nets, many, stopped, *(word.format(**told) for word in more)))

    assert (status, output) == (2, "")
    assert complaint == (
        f"error: {stopped / 'run.json'} was begun with {words.format(**told)};"
        f" go on with the same options, or remove {stopped / '.run.json.job.json'} to begin anew\n"
    )
    assert (contents(stopped), done_in(stopped)) == before


@pytest.mark.parametrize("change", [{"calibration": {"images": ["0" * 16]}}, {"threshold": 0.9}])
def test_a_contract_that_was_changed_in_between_makes_other_weights(shipseg, nets, many, stopped, tmp_path, change):
    """By calibration or by hand: it would hold for a part of the images only."""
    weights = shutil.copytree(nets, tmp_path / "weights") / "net.keras"
    write_contract(replace(read_contract(weights), **change), weights)
    before = contents(stopped), done_in(stopped)

    status, _, complaint = shipseg(*command(weights.parent, many, stopped))

    assert status == 2
    told = f"was begun with --weights {identity(nets / 'net.keras')}, not {identity(weights)}; go on with the same"
    assert told in complaint
    assert (contents(stopped), done_in(stopped)) == before


def test_what_does_not_change_the_result_may_be_another(shipseg, nets, many, stopped):
    status, _, complaint = shipseg(*command(nets, many, stopped, "--pictures", 0, "--json", stopped / "result.json"))

    assert (status, complaint) == (0, "")
    assert json.loads((stopped / "result.json").read_text())["images"] == IMAGES


def test_images_that_vanished_after_they_were_done_are_left_out_and_not_skipped(shipseg, nets, many, stopped, tmp_path):
    """The result is of the images that there are; `skipped` are those among them that could not be predicted."""
    done = done_in(stopped)
    for name in done:
        (many / name).rename(tmp_path / name)
    try:
        with pytest.warns(UserWarning, match="is of another image and stays"):
            shipseg(*command(nets, many, stopped))
    finally:
        for name in done:
            (tmp_path / name).rename(many / name)

    record = json.loads((stopped / "run.json").read_text())
    assert (record["images"], record["skipped"]) == (IMAGES - len(done), 0)


def test_an_image_that_was_replaced_is_predicted_again(shipseg, nets, many, stopped, tmp_path):
    """If it cannot be, nothing is said of it: what was found in the other one is not in the result."""
    images = shutil.copytree(many, tmp_path / "many")  # with the times at which they were written
    replaced, damaged = done_in(stopped)[:2]
    Image.new("RGB", (96, 80)).save(images / replaced)
    (images / damaged).write_bytes(b"no image")
    job = stopped / ".run.json.job.json"
    job.write_text(job.read_text().replace(str(many), str(images)))

    with pytest.warns(SkippedImageWarning, match=f"{damaged} skipped"):
        status, _, _ = shipseg(*command(nets, images, stopped))

    ships = read_labels(stopped / "submission.csv").ships
    record = json.loads((stopped / "run.json").read_text())
    assert (status, record["images"], record["skipped"], record["resumed"]) == (0, IMAGES - 1, 1, True)
    assert ships[replaced] == ()
    assert damaged not in ships


def test_removing_the_record_begins_anew(shipseg, nets, many, stopped, undisturbed):
    """Nothing of what was done is kept, as it may have been done under other options: here one mask is spoilt."""
    (stopped / ".run.json.job.json").unlink()
    (stopped / "masks" / "000.png").write_bytes(b"")

    status, _, _ = shipseg(*command(nets, many, stopped))

    assert status == 0
    assert contents(stopped) == undisturbed[0]
    assert not json.loads((stopped / "run.json").read_text())["resumed"]


def test_a_journal_without_the_record_of_its_run_is_passed_over(predict, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / JOURNAL).write_text("{\n")

    status, _, submission, record = predict()

    assert (status, submission, record["resumed"]) == (0, f"{HEADER}sea.png,\n{SHIP}", False)


@pytest.mark.parametrize("name", ["masks", "pictures"])
def test_what_no_prediction_wrote_is_not_written_over(predict, images, tmp_path, name):
    """Labels beside the images may be called masks, and the images themselves may lie in a folder pictures."""
    theirs = tmp_path / "out" / name
    shutil.copytree(images, theirs)

    status, complaint, submission, _ = predict("--images", theirs)

    assert (status, submission) == (2, None)
    told = f"{theirs} would be written over, and no run.json says that a prediction wrote it; choose another --out"
    assert complaint == f"error: {told}\n"
    assert contents(theirs) == contents(images)


def test_masks_of_other_images_stay_and_are_told_of(predict, images, tmp_path):
    """They may be by another net."""
    predict()
    shutil.copy(images / "ship.png", images / "boat.png")
    predict()
    for name in ("boat.png", "sea.png"):
        (images / name).unlink()

    told = f"{tmp_path / 'out/masks/boat.png'} is of another image and stays, like 1 more; whoever takes all"
    with pytest.warns(UserWarning, match=re.escape(told)):
        status, _, submission, _ = predict()

    assert (status, submission) == (0, f"{HEADER}{SHIP}")
    assert (tmp_path / "out/masks/sea.png").exists()


def test_folders_that_somebody_made_beforehand_are_used(predict, tmp_path):
    (tmp_path / "out/masks").mkdir(parents=True)

    assert predict()[0] == 0


def test_masks_of_a_run_that_began_anew_and_did_nothing_are_written_over(predict, tmp_path):
    out = tmp_path / "out"
    predict()
    (out / "run.json").unlink()
    (out / JOURNAL).touch()

    with pytest.warns(SkippedImageWarning):
        assert predict("--region", "100,0,10,10")[0] == 2

    assert predict()[0] == 0


def test_a_run_that_fails_among_the_masks_of_another_leaves_nothing_that_tells_of_either(predict, tmp_path):
    """sea.png is predicted first; the mask of ship.png cannot be written. Nothing is lost if nothing was written."""
    out = tmp_path / "out"
    first = predict()
    with pytest.warns(SkippedImageWarning):
        missed = predict("--region", "100,0,10,10")
    (out / "masks" / "ship.png").unlink()
    (out / "masks" / "ship.png").mkdir()

    second = predict("--threshold", 0.6)
    (out / "masks" / "ship.png").rmdir()
    third = predict("--threshold", 0.6)

    assert (first[0], missed[0], second[0], third[0]) == (0, 2, 2, 0)
    assert missed[2:] == first[2:]
    assert second[2:] == (None, None)
    assert (third[2], third[3]["resumed"], third[3]["options"]["threshold"]) == (first[2], True, 0.6)


def test_ctrl_c_ends_with_130_and_keeps_what_is_done(shipseg, nets, many, undisturbed, tmp_path):
    out = tmp_path / "out"

    ended = stopped_by(signal.SIGINT, command(nets, many, out), out)

    assert ended == (130, "", "what is done is kept: go on with the same command\nerror: interrupted\n")
    done = done_in(out)
    assert 5 <= len(done) < IMAGES
    assert not (out / "submission.csv").exists()
    assert not any(path.name.startswith(".") for path in (out / "masks").iterdir())
    assert shipseg(*command(nets, many, out))[0] == 0
    assert contents(out) == undisturbed[0]


# Flags


def test_a_run_records_its_options_as_they_came_to_be_used(predict, nets, images, tmp_path):
    """Tiles of 64 px at a stride of 32 on 100 x 80 px begin at the rows 0, 32, 36 and the columns 0, 16."""
    status, complaint, submission, record = predict("--overlap", 0.5, "--json", tmp_path / "result.json")

    assert (status, complaint) == (0, "")
    assert submission == f"{HEADER}sea.png,\n{SHIP}"
    assert record == json.loads((tmp_path / "result.json").read_text())
    assert record.pop("seconds") > 0
    assert record == {
        "weights": str(nets / "net.keras"),
        "weights_sha256": checksum(nets / "net.keras"),
        "options": {
            "images": str(images),
            "tile": 64,
            "overlap": 0.5,
            "threshold": 0.5,
            "minimum_area": 4,
            "minimum_score": 0.0,
            "separate_touching": False,
            "window": "hann",
            "engine": "keras",
            "precision": "float32",
            "symmetries": 1,
            "pixel_size": None,
            "region": None,
            "bands": None,
            "scale": None,
            "rasters": [],
        },
        "classifier": None,
        "gate": None,
        "images": 2,
        "images_with_ships": 1,
        "ships": 1,
        "megapixels": 0.016,
        "tiles": 12,
        "tiles_skipped": 0,
        "net_megapixels": 12 * 4096 / 1e6,
        "passed_over": 0,
        "calibration_images": [],
        "skipped": 0,
        "resumed": False,
    }


def test_everything_else_is_written_if_asked_for(predict, tmp_path):
    """Where tiles of 64 px overlap, they agree: the net looks at each pixel alone. Symmetries change nothing then."""
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")

    asked = ["--probabilities", "--disagreement", "--vectors", "--symmetries", 8, "--pictures", 1]
    status, _, submission, record = predict(*asked)

    assert status == 0
    assert submission == f"{HEADER}sea.png,\n{SHIP}"
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    pngs = [f"{folder}/{name}.png" for folder in ("disagreement", "masks", "probabilities") for name in ("sea", "ship")]
    vectors = ["vectors/sea.geojson", "vectors/ship.geojson"]
    assert files == sorted([*pngs, "pictures/sea.jpg", "run.json", "submission.csv", *vectors])
    mask, probability, disagreement = (
        np.array(Image.open(tmp_path / "out" / folder / "ship.png"))
        for folder in ("masks", "probabilities", "disagreement")
    )
    assert np.array_equal(mask, probability)
    assert not disagreement.any()
    assert record["options"]["rasters"] == ["probability", "disagreement"]


def test_only_the_region_is_predicted(predict):
    """The region ends with column 22, so that of the box the columns 20 to 22 are in it, 12 pixels."""
    status, _, submission, record = predict("--region", "5,0,95,23")

    assert status == 0
    assert submission == f"{HEADER}sea.png,\nship.png,2011 4 2111 4 2211 4\n"
    assert record["options"]["region"] == {"top": 5, "left": 0, "bottom": 100, "right": 23}


def test_ships_of_a_low_score_are_dropped(predict, images):
    """A second box of 204/255 = 0.8 beside that of 1."""
    pixels = np.asarray(Image.open(images / "ship.png")).copy()
    pixels[50:60, 40:50] = 204
    Image.fromarray(pixels).save(images / "ship.png")

    status, _, submission, record = predict("--minimum-score", 0.85)

    assert (status, submission) == (0, f"{HEADER}sea.png,\n{SHIP}")
    assert record["options"]["minimum_score"] == 0.85


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--region", "5,0,95"], "region '5,0,95' must be ROW,COLUMN,HEIGHT,WIDTH in pixels"),
        (["--region", "5,0,0,95"], "region '5,0,0,95' must be"),
        (["--bands", "3,2"], "bands '3,2'"),
        (["--scale", "5,5"], "scale 5,5"),
        (["--tile", "60"], "tile 60 must be a multiple of 16"),
        (["--threshold", "1"], "threshold 1.0 must be"),
        (["--minimum-score", "1"], "minimum score 1.0 must be at least 0 and below 1"),
        (["--pictures", "-1"], "pictures -1 must be 0 or more"),
        (["--gate", "none.keras"], "none.keras does not exist"),
        (["--gate", "{nets}/net.keras"], "net.keras is a net that segments; give the weights of a gate"),
        (["--images", "{nets}/none"], "none is no folder"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_written(predict, nets, tmp_path, arguments, reason):
    status, complaint, _, _ = predict(*(str(argument).format(nets=nets) for argument in arguments))

    assert status == 2
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint
    assert not (tmp_path / "out").exists()


def test_bad_images_are_counted_as_skipped(predict, images):
    (images / "bad.png").write_bytes(b"no image")

    with pytest.warns(SkippedImageWarning, match=r"bad\.png skipped"):
        _, _, _, record = predict()

    assert (record["images"], record["skipped"]) == (2, 1)


RUN = """
import sys
from shipseg_tiles.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("loaded", [name for name in ("tensorflow", "keras", "torch", "jax") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("verb", "slip", "reason"),
    [
        ("predict", ["--region", "5,0,95"], "region '5,0,95' must be ROW,COLUMN,HEIGHT,WIDTH in pixels"),
        ("predict", ["--bands", "3,2"], "bands '3,2'"),
        ("predict", ["--scale", "low,high"], "scale 'low,high'"),
        ("predict", ["--tile", "60"], "tile 60 must be a multiple of 16"),
        ("check-seams", ["--tiles", "60"], "tile 60 must be a multiple of 16"),
        ("check-seams", ["--overlaps", "half"], "overlaps 'half' must be numbers"),
        ("check-seams", ["--limit", "0"], "limit 0 must be 1 or more"),
    ],
)
def test_a_slip_is_answered_at_once_without_a_network_library(nets, images, tmp_path, verb, slip, reason):
    """Under two seconds, in the best of three runs, as a busy machine may delay one of them."""
    flags = [verb, "--weights", nets / "net.keras", "--images", images, "--out", tmp_path / "out", *slip]
    seconds = []
    while len(seconds) < 3 and min(seconds, default=2) >= 2:
        began = time.monotonic()
        finished = subprocess.run(
            [sys.executable, "-c", RUN, *map(str, flags)], capture_output=True, text=True, timeout=60
        )
        seconds.append(time.monotonic() - began)
        assert finished.returncode == 2
        assert reason in finished.stderr
        assert finished.stdout == "loaded []\n"

    assert min(seconds) < 2


def test_without_a_prediction_nothing_stands_in_the_way_of_the_right_options(predict, tmp_path):
    """The first region misses both images of 100 x 80 px."""
    with pytest.warns(SkippedImageWarning, match="shares no pixel with the image of 100 x 80"):
        status, complaint, submission, record = predict("--region", "100,0,10,10")

    assert (status, submission, record) == (2, None, None)
    assert complaint == "error: none of the images could be read; the warnings above say why\n"
    assert not (tmp_path / "out").exists()
    assert predict("--region", "0,0,10,10")[0] == 0


def test_the_gate_beside_the_weights_is_used_unless_it_is_turned_off(predict, nets):
    """It sees nothing, so that nothing is found."""
    gate = nets / "other.gate.keras"

    _, _, gated, with_gate = predict(weights="other.keras")
    _, _, everything, without = predict("--gate", "off", weights="other.keras")
    _, _, by_name, named = predict("--gate", gate)

    assert gated == by_name == f"{HEADER}sea.png,\nship.png,\n"
    assert everything == f"{HEADER}sea.png,\n{SHIP}"
    told = {"weights": str(gate), "weights_sha256": checksum(gate), "threshold": 0.5, "calibrated": False}
    assert (with_gate["gate"], without["gate"], named["gate"]) == (told, None, told)


def test_ships_that_touch_are_separated_if_the_contract_or_the_flag_says_so(shipseg, nets, tmp_path):
    """Two ships of 10 x 30 px, the ends of which share 3 rows, are 600 px together; the flag wins over the contract."""
    pixels = np.zeros((64, 80, 3), dtype=np.uint8)
    pixels[10:20, 5:35] = pixels[17:27, 35:65] = 255
    Image.fromarray(pixels).save(tmp_path / "ships.png")
    sizes = {}
    for contract in (False, True):
        weights = shutil.copytree(nets, tmp_path / f"weights{contract}") / "net.keras"
        write_contract(replace(read_contract(weights), separate_touching=contract), weights)
        for flag in ("", "on", "off"):
            out = tmp_path / f"{contract}{flag}"
            asked = ["--separate-touching", flag] if flag else []
            flags = ["--weights", weights, "--images", tmp_path / "ships.png", "--out", out, *asked]
            assert shipseg("predict", *flags)[0] == 0
            rows = read_labels(out / "submission.csv").ship_indices("ships.png", (64, 80))
            sizes[contract, flag] = [ship.size for ship in rows]
            used = json.loads((out / "run.json").read_text())["options"]["separate_touching"]
            assert used is (flag == "on" or (contract and flag == ""))

    together, apart = [600], [300, 300]
    assert sizes == {
        (False, ""): together,
        (False, "on"): apart,
        (False, "off"): together,
        (True, ""): apart,
        (True, "on"): apart,
        (True, "off"): together,
    }


# Not importorskip: it would import OpenVINO with its reports.
@pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")
def test_openvino_finds_the_same(predict):
    status, _, submission, record = predict("--engine", "openvino")

    assert status == 0
    assert submission == f"{HEADER}sea.png,\n{SHIP}"
    assert record["options"]["engine"] == "openvino"


@pytest.fixture
def deep(tmp_path):
    """A GeoTIFF of four bands of 16 bits, of which the first three are 3000 in the box."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
    shape = {"driver": "GTiff", "height": 100, "width": 80, "count": 4, "dtype": "uint16", "interleave": "pixel"}
    with rasterio.open(tmp_path / "deep.tif", "w", **shape, **place) as dataset:
        bands = np.zeros((4, 100, 80), dtype=np.uint16)
        bands[:3, 10:14, 20:26] = 3000
        dataset.write(bands)
    return tmp_path / "deep.tif"


def test_a_deep_scene_needs_bands_and_scale(predict, deep, tmp_path):
    import rasterio

    with pytest.warns(SkippedImageWarning, match=r"deep\.tif skipped: .*--bands 3,2,1, and .*--scale 0,3000"):
        assert predict("--images", deep)[0] == 2

    status, _, submission, record = predict("--images", deep, "--bands", "3,2,1", "--scale", "0,3000")

    assert (status, record["images"], record["skipped"]) == (0, 1, 0)
    assert submission == HEADER + SHIP.replace("ship.png", "deep.tif")
    with rasterio.open(tmp_path / "out" / "masks" / "deep.tif") as dataset:
        rows, columns = np.nonzero(dataset.read(1))
        assert dataset.crs.to_epsg() == 32632
    assert (rows.size, rows.min(), rows.max(), columns.min(), columns.max()) == (24, 10, 13, 20, 25)
    (feature,) = json.loads((tmp_path / "out" / "vectors" / "deep.geojson").read_text())["features"]
    assert (feature["properties"]["pixels"], feature["properties"]["score"]) == (24, 1)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "vectors", "run.json", "submission.csv"}


@pytest.mark.parametrize(("module", "complains"), [("shapely", "GeoJSON needs"), ("rasterio", "GeoTIFF needs")])
def test_what_a_scene_needs_is_asked_for_before_the_run(predict, deep, tmp_path, monkeypatch, module, complains):
    """None in place of a module is Python's own way to say that it cannot be imported."""
    monkeypatch.setitem(sys.modules, module, None)

    status, complaint, _, _ = predict("--images", deep, "--bands", "3,2,1", "--scale", "0,3000")

    assert status == 2
    assert complaint == str(missing_extra(f"error: {complains} {module}", "scenes")) + "\n"
    assert not (tmp_path / "out").exists()


def test_vectors_of_images_need_shapely_and_nothing_else_does(predict, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "shapely", None)

    status, complaint, _, _ = predict("--vectors")

    assert (status, complaint) == (2, str(missing_extra("error: GeoJSON needs shapely", "scenes")) + "\n")
    assert not (tmp_path / "out").exists()
    assert predict()[0] == 0


@pytest.mark.parametrize("flags", [["--bands", "3,2,1"], ["--scale", "0,3000"]])
def test_images_have_no_bands_and_no_scale(predict, images, tmp_path, flags):
    """Without them the same images are predicted next."""
    status, complaint, submission, record = predict(*flags)

    assert (status, submission, record) == (2, None, None)
    assert f"{images / 'sea.png'} is an image of 8 bits; leave --bands and --scale away" in complaint
    assert not (tmp_path / "out").exists()
    assert predict()[0] == 0


@pytest.fixture
def scenes(tmp_path):
    """A folder for GeoTIFFs of 80 px in a line, as `write_scene` writes them."""
    pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")
    (tmp_path / "scenes").mkdir()
    return tmp_path / "scenes"


def write_scene(path, height, *boxes, crs="EPSG:32632", transform=(10, 0, 500_000, 0, -10, 6_000_000)):
    """Write a scene of brightness 1 with white boxes (row, column, height, width); 0 stands for no data."""
    import rasterio

    pixels = np.ones((3, height, 80), dtype=np.uint8)
    for row, column, lines, columns in boxes:
        pixels[:, row : row + lines, column : column + columns] = 255
    place = {"crs": rasterio.crs.CRS.from_string(crs), "transform": rasterio.Affine(*transform), "nodata": 0}
    shape = {"driver": "GTiff", "height": height, "width": 80, "count": 3, "dtype": "uint8", "interleave": "pixel"}
    with rasterio.open(path, "w", **shape, **place) as dataset:
        dataset.write(pixels)


BOX = (10, 20, 4, 6)


def test_a_region_is_predicted_whatever_is_wrong_elsewhere(predict, scenes, tmp_path):
    """A line has 240 bytes; the last lines of the file are missing. Outside of the region the mask says nothing."""
    import rasterio

    write_scene(scenes / "a.tif", 300, BOX)
    (scenes / "a.tif").write_bytes((scenes / "a.tif").read_bytes()[:-10_000])
    write_scene(scenes / "b.tif", 300, (12, 30, 50, 20))

    status, _, submission, record = predict("--images", scenes, "--region", "5,10,50,60")

    assert (status, record["images"], record["skipped"]) == (0, 2, 0)
    assert submission.startswith(HEADER + "a.tif,6011 4 6311 4 ")
    for name in ("a.tif", "b.tif"):
        with rasterio.open(tmp_path / "out" / "masks" / name) as dataset:
            mask, known = dataset.read(1), dataset.dataset_mask() != 0
        expected = np.zeros((300, 80), dtype=bool)
        expected[5:55, 10:70] = True
        assert np.array_equal(known, expected)
        assert np.count_nonzero(mask) == {"a.tif": 4 * 6, "b.tif": 43 * 20}[name]


WRONG_SIZE = r"a\.tif has pixels of 10 m, and the net is for 5 m; --pixel-size 10 lets it see ships in the size that it"


def test_a_scene_of_other_pixels_than_the_net_is_for_is_a_warning(predict, nets, scenes, with_pixels_of):
    """Each of its pixels is shown as 2 x 2 of the net's when its size is said, for which a tile holds a quarter."""
    write_scene(scenes / "a.tif", 100, BOX)
    weights = with_pixels_of(5.0)

    with pytest.warns(UserWarning, match=WRONG_SIZE):
        as_it_is = predict("--images", scenes, weights=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enlarged = predict("--images", scenes, "--pixel-size", "10", weights=weights)

    assert as_it_is[2] == HEADER + SHIP.replace("ship.png", "a.tif")
    assert (enlarged[0], enlarged[3]["ships"]) == (0, 1)
    used = [record["options"] for *_, record in (as_it_is, enlarged)]
    assert [options["pixel_size"] for options in used] == [5.0, 10.0]
    assert used[0]["tile"] == 2 * used[1]["tile"]


def test_pixels_that_are_nearly_as_the_net_expects_are_no_warning(predict, scenes, with_pixels_of):
    write_scene(scenes / "a.tif", 100, BOX)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predict("--images", scenes, weights=with_pixels_of(8.0))[0] == 0


def test_the_pixel_size_of_images_is_taken_at_its_word(predict, images, tmp_path, with_pixels_of):
    """The same white box, each of its pixels 3 x 3, of a third of the size: 12 x 18 px from row 30, column 60, of which
    interpolation takes at most three pixels at each corner."""
    pixels = np.asarray(Image.open(images / "ship.png"))
    shutil.rmtree(images)
    images.mkdir()
    Image.fromarray(pixels.repeat(3, axis=0).repeat(3, axis=1)).save(images / "ship.png")

    status, _, submission, record = predict("--pixel-size", "0.5", weights=with_pixels_of(1.5))

    runs = [f"{(60 + column) * 300 + 31} 12" for column in range(2, 16)]
    assert (status, record["ships"]) == (0, 1)
    assert f" {' '.join(runs)} " in submission
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "ship.png")) > 0
    assert mask[30:42, 60:78].sum() == mask.sum() >= 12 * 18 - 4 * 3


def test_a_pixel_size_needs_that_of_the_net(predict):
    status, complaint, _, _ = predict("--pixel-size", "0.5")

    assert status == 2
    assert "net.json: the contract does not say which pixels it is for; add its pixel_size, in metres" in complaint


def test_a_scene_whose_ships_lie_nowhere_on_earth_is_skipped_and_the_others_are_not(predict, scenes, tmp_path):
    """Goode's map of the world is cut open: from 41 to 39 degrees west there is nothing at 70 degrees north between
    the corners of the scene. That shows when its vectors are written."""
    gap = {"crs": "+proj=igh +datum=WGS84", "transform": (100_000, 0, -8_133_600, 0, -1000, 7_437_600)}
    write_scene(scenes / "a.tif", 100, (10, 38, 4, 6), **gap)
    write_scene(scenes / "b.tif", 100, BOX)

    with pytest.warns(SkippedImageWarning, match=r"a\.tif skipped: pixels lie nowhere on earth"):
        status, _, submission, record = predict("--images", scenes)

    assert (status, submission) == (0, HEADER + SHIP.replace("ship.png", "b.tif"))
    assert (record["images"], record["skipped"]) == (1, 1)
    files = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"b.tif", "b.geojson", "submission.csv", "run.json"}


@pytest.fixture
def stopped_scene(predict, deep, tmp_path):
    """Options of a run that stopped where the mask of a scene was to be written, as on a full disk.

    Tiles of 32 px at a stride of 16 begin at the rows 0, 16, 32, 48, 64 and 68 and at four columns.
    """
    out = tmp_path / "out"
    out.mkdir()
    (out / "masks").write_text("where a folder should be")
    flags = ["--images", deep, "--bands", "3,2,1", "--scale", "0,3000", "--tile", 32]
    assert predict(*flags)[0] == 2
    assert {path.name for path in out.rglob("*.npz")} == {f"{top:09}.npz" for top in (0, 16, 32, 48, 64, 68)}
    (out / "masks").unlink()
    return flags


def test_what_is_done_of_a_scene_is_kept_for_the_same_command(predict, stopped_scene, tmp_path):
    """Of 6 rows of 4 tiles one is not done, for which that above it is predicted once more."""
    out = tmp_path / "out"
    next(out.rglob("000000032.npz")).unlink()

    refused = predict(*stopped_scene, "--threshold", 0.4)
    finished = predict(*stopped_scene)

    assert refused[0] == 2
    assert "was begun with --threshold None, not 0.4" in refused[1]
    assert (finished[0], finished[2]) == (0, HEADER + SHIP.replace("ship.png", "deep.tif"))
    assert (finished[3]["resumed"], finished[3]["tiles"]) == (True, 7 * 4)
    assert not any(path.name.startswith(".") for path in out.iterdir())


def test_nothing_is_kept_of_a_scene_that_was_replaced(predict, stopped_scene, deep):
    """By one of 100 x 80 px that shows nothing."""
    import rasterio

    with rasterio.open(deep, "r+") as dataset:
        dataset.write(np.zeros((4, 100, 80), dtype=np.uint16))

    status, _, submission, record = predict(*stopped_scene)

    assert (status, submission) == (0, f"{HEADER}deep.tif,\n")
    assert (record["resumed"], record["tiles"]) == (True, 6 * 4)


def test_images_that_differ_in_their_suffix_only_are_refused_in_the_end_as_well(shipseg, nets, many, stopped, tmp_path):
    """One of them is done: its mask would be replaced by that of the other."""
    images = shutil.copytree(many, tmp_path / "many")
    job = stopped / ".run.json.job.json"
    job.write_text(job.read_text().replace(str(many), str(images)))
    first = done_in(stopped)[0]
    Image.new("RGB", (50, 50)).save((images / first).with_suffix(".bmp"))
    before = (stopped / "masks" / first).read_bytes()

    status, _, complaint = shipseg(*command(nets, images, stopped))

    assert status == 2
    assert "differ in their suffix only; rename or remove one" in complaint
    assert (stopped / "masks" / first).read_bytes() == before


def test_a_name_without_room_for_that_of_its_vectors_is_told_before_the_run(predict, images, tmp_path):
    (images / "sea.png").rename(images / f"{'x' * 251}.png")

    status, complaint, _, _ = predict("--vectors")

    assert status == 2
    assert complaint.endswith("shorten it by 4 bytes\n")
    assert not (tmp_path / "out").exists()
    assert predict()[0] == 0


def test_a_scene_needs_a_folder_that_gdal_can_be_told(predict, deep, tmp_path):
    status, complaint, _, _ = predict("--images", deep, "--scale", "0,3000", "--out", tmp_path / "o\udcfe")

    assert status == 2
    assert "is not in UTF-8, as GDAL needs it for GeoTIFFs; rename it" in complaint


def test_a_value_that_looks_like_a_flag_is_told_how_to_be_written(predict):
    assert "is written as in --scale=-25,0" in predict("--scale", "-25,0")[1]
