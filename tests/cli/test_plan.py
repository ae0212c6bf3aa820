import json
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import pytest
from PIL import Image

from shipseg_tiles.cli.main import main
from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import SkippedImageWarning
from shipseg_tiles.nets.contract import Contract, GateUse
from shipseg_tiles.nets.contract_file import write_contract


def write_its_contract(path, **changes):
    """Write the contract of a file, for tiles of 64 px side by side."""
    values = {"weights_sha256": checksum(path), "net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 4}
    use = {"tile": 64, "overlap": 0.0, "tile_multiple": 16, "receptive_field": 0}
    write_contract(Contract(**values | use | changes), path)


@pytest.fixture
def folder(tmp_path):
    """Two images of 100 x 150 px and one of 64 x 64 px; weights that nobody loads."""
    (tmp_path / "images").mkdir()
    for name, size in (("a.png", (150, 100)), ("b.jpg", (150, 100)), ("c.tif", (64, 64))):
        Image.new("RGB", size).save(tmp_path / "images" / name)
    (tmp_path / "net.keras").write_bytes(b"no net")
    write_its_contract(tmp_path / "net.keras")
    return tmp_path


@pytest.fixture
def gate(folder):
    """Weights of a gate that nobody loads, for tiles of 64 px and more."""
    path = folder / "any.gate.keras"
    path.write_bytes(b"no gate")
    write_its_contract(path, thresholds={"64": 0.5})
    return path


@pytest.fixture
def plan(capfd, monkeypatch, folder):
    """Plan the images in this process, and return status, output, complaint and the `--json` if there is one."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good
    monkeypatch.chdir(folder)

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["plan", "--images", "images", "--weights", "net.keras", "--json", "plan.json", *map(str, arguments)])
        output, complaint = capfd.readouterr()
        written = folder / "plan.json"
        return ended.value.code, output, complaint, json.loads(written.read_text()) if written.is_file() else None

    return run


def test_a_plan_by_hand(plan):
    """100 x 150 px take tiles at rows 0, 36 and columns 0, 64, 86: 6 tiles of 4,096 pixels, 24,576 for 15,000, in one
    batch. The small image is one tile: 53,248 for 34,096 of all. Memory of a large one: 45,000 bytes of the image; 150
    columns of 64 lines with 7 and 8 bytes; 6 tiles of 11 bytes a pixel and 8 bytes for one."""
    status, output, _, result = plan()

    assert status == 0
    assert output.splitlines() == [
        "          image   images   tile     tiles   twice  megapixels       MB",
        "      100 x 150        2     64        12    64 %         0.0      0.5",
        "        64 x 64        1     64         1     0 %         0.0      0.2",
        "            all        3               13    56 %         0.1      0.5",
        "memory of each image: at most 0.0 MB for its pixels, 0.1 MB for lines under tiles, 0.3 MB for a batch;"
        " what the net needs comes on top",
        "time: unknown; give --like RUN.json of an earlier predict, or --seconds-per-megapixel",
    ]
    sizes = result.pop("sizes")
    assert result == {
        "weights": "net.keras",
        "window": "hann",
        "gate": None,
        "views": 1,
        "skipped": 0,
        "images": 3,
        "tiles": 13,
        "computed_twice": pytest.approx(13 * 4096 / 34_096 - 1),
        "megapixels": pytest.approx(0.053248),
        "image_bytes": 45_000,
        "line_bytes": 150 * 64 * 15,
        "batch_bytes": 74 * 4096,
        "peak_bytes": 45_000 + 144_000 + 303_104,
        "seen": 1,
        "least_megapixels": pytest.approx(0.053248),
        "most_megapixels": pytest.approx(0.053248),
        "seconds_per_megapixel": None,
        "least_seconds": None,
        "seconds": None,
    }
    assert [(size["height"], size["width"], size["images"]) for size in sizes] == [(100, 150, 2), (64, 64, 1)]


def test_tile_and_overlap_replace_those_of_the_contract(plan):
    """Tiles of 32 px at a stride of 16 over 100 x 150: rows 0, 16 ... 64, 68 (6), columns 0 ... 112, 118 (9)."""
    _, _, _, result = plan("--tile", 32, "--overlap", 0.5, "--window", "core")

    assert (result["sizes"][0]["tile"], result["sizes"][0]["tiles"], result["window"]) == (32, 2 * 54, "core")


def test_time_of_a_given_rate(plan):
    _, output, _, result = plan("--seconds-per-megapixel", 200)

    assert result["seconds"] == pytest.approx(200 * 0.053248)
    assert output.splitlines()[-1] == "time: 11 s, at 200 s a megapixel"


def write_run(folder, **changes):
    """Write what `predict` writes, as far as a plan looks at it: 4 tiles of 32 px took 0.4096 s."""
    counts = {"tiles": 4, "tiles_skipped": 0, "net_megapixels": 0.004096}
    weights = {"weights_sha256": checksum(folder / "net.keras")}
    record = {"gate": None, **weights, **counts, "resumed": False, "seconds": 0.4096, **changes}
    (folder / "run.json").write_text(json.dumps(record))


def test_time_like_an_earlier_run(plan, folder):
    """0.4096 s for 4,096 pixels are 100 s a megapixel."""
    write_run(folder)

    _, output, complaint, result = plan("--like", "run.json")

    assert complaint == ""
    assert result["seconds_per_megapixel"] == pytest.approx(100)
    assert result["seconds"] == pytest.approx(5.3248)
    assert output.splitlines()[-1] == "time: 5 s, at 100 s a megapixel"


def test_a_run_of_other_weights_is_told(plan, folder):
    write_run(folder, weights_sha256="0" * 64)

    with pytest.warns(UserWarning, match=r"run\.json is of other weights than net\.keras, which may take longer"):
        status, output, _, _ = plan("--like", "run.json")

    assert status == 0
    assert output.splitlines()[-1] == "time: 5 s, at 100 s a megapixel"


def test_a_run_of_predict_says_what_a_plan_needs(plan, folder, shipseg):
    """With a net of a single pixel, which answers in no time, and the same images: the plan is the time it took."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    net = keras.Model(pixels, keras.layers.Conv2D(1, 1, activation="sigmoid")(keras.layers.Rescaling(1 / 255)(pixels)))
    net.save(folder / "net.keras")
    write_its_contract(folder / "net.keras")
    status, _, complaint = shipseg("predict", "--images", "images", "--weights", "net.keras", "--out", "predictions")
    assert status == 0, complaint

    _, _, _, result = plan("--like", "predictions/run.json")

    assert result["seconds"] == pytest.approx(json.loads((folder / "predictions" / "run.json").read_text())["seconds"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resumed": True}, "run.json is of a run that was resumed or showed its net nothing; give --seconds-per-"),
        ({"net_megapixels": 0}, "run.json is of a run that was resumed or showed its net nothing"),
        ({"net_megapixels": None}, "run.json is no run.json of predict"),
        ({"tiles": "many"}, "run.json is no run.json of predict"),
        ({"seconds": "long"}, "run.json is no run.json of predict"),
    ],
)
def test_a_run_that_tells_no_rate_is_refused(plan, folder, changes, reason):
    write_run(folder, **changes)

    status, output, complaint, result = plan("--like", "run.json")

    assert (status, output, result) == (2, "", None)
    assert reason in complaint
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1


def test_of_finer_pixels_tiles_hold_more(plan, gate):
    """Of half the size, tiles of 64 px become 128: an image of 100 x 150 px takes two, the small one is mirrored to
    one of 64 px. The gate is for tiles of as much ground."""
    write_its_contract(Path("net.keras"), pixel_size=3.0)
    write_its_contract(gate, thresholds={"64": 0.5}, pixel_size=3.0)

    status, _, _, result = plan("--pixel-size", 1.5, "--gate", gate)

    assert (status, result["gate"]) == (0, str(gate))
    assert [(size["tile"], size["tiles"]) for size in result["sizes"]] == [(128, 4), (64, 1)]


def test_symmetries_take_eight_times_as_much(plan):
    _, _, _, result = plan("--symmetries", 8, "--seconds-per-megapixel", 200)

    assert (result["views"], result["tiles"]) == (8, 13)
    assert result["megapixels"] == pytest.approx(8 * 0.053248)
    assert result["seconds"] == pytest.approx(8 * 200 * 0.053248)


def test_a_gate_of_which_nothing_is_known_lets_the_net_see_none_to_all(plan, gate):
    """13 tiles of 4,096 pixels."""
    _, output, _, result = plan("--gate", gate, "--seconds-per-megapixel", 200)

    assert (result["gate"], result["seen"]) == (str(gate), None)
    assert (result["least_megapixels"], result["most_megapixels"]) == (0, pytest.approx(0.053248))
    assert (result["least_seconds"], result["seconds"]) == (0, pytest.approx(10.6496))
    assert output.splitlines()[-2:] == [
        "gate: the net is shown 0.0 to 0.1 megapixels; --like RUN.json of a run with a gate tells the share",
        "time: 0 to 11 s, at 200 s a megapixel",
    ]


def test_a_gate_lets_the_net_see_what_it_did_in_an_earlier_run(plan, folder, gate):
    """3 of 4 tiles were skipped: 0.4096 s for 0.001024 megapixels are 400 s each. A quarter of 0.053248 is 0.013312."""
    write_run(folder, gate={"weights": "any"}, tiles_skipped=3, net_megapixels=0.001024)

    _, output, _, result = plan("--gate", gate, "--like", "run.json")

    assert (result["seen"], result["seconds_per_megapixel"]) == (0.25, pytest.approx(400))
    assert result["least_megapixels"] == result["most_megapixels"] == pytest.approx(0.013312)
    assert result["least_seconds"] == result["seconds"] == pytest.approx(5.3248)
    assert output.splitlines()[-2:] == [
        "gate: 25 % of the tiles are shown, 0.0 megapixels",
        "time: 5 s, at 400 s a megapixel",
    ]


def test_an_earlier_run_without_a_gate_tells_no_share(plan, folder, gate):
    write_run(folder)

    _, output, _, result = plan("--gate", gate, "--like", "run.json")

    assert result["seen"] is None
    assert output.splitlines()[-1] == "time: 0 to 5 s, at 100 s a megapixel"


def test_the_gate_beside_the_weights_counts_unless_it_is_turned_off(plan, folder, gate):
    for suffix in (".keras", ".json"):
        gate.with_suffix(suffix).rename(folder / f"net.gate{suffix}")

    assert plan()[3]["gate"] == "net.gate.keras"
    assert plan("--gate", "off")[3]["gate"] is None


def test_a_gate_for_larger_tiles_lets_the_net_see_all(plan, gate):
    _, _, _, result = plan("--gate", gate, "--tile", 32)

    assert (result["gate"], result["seen"]) == (None, 1)


def test_a_gate_may_skip_the_tiles_of_small_images_alone(plan, folder, gate):
    """Calibration found it best to see all tiles of 64 px. An image of 48 x 48 px is one of 48 px, of which the gate's
    own threshold decides: 2,304 pixels beside 12 tiles of 4,096."""
    Image.new("RGB", (48, 48)).save(folder / "images" / "c.tif")
    write_its_contract(gate, thresholds={"32": 0.5})
    write_its_contract(Path("net.keras"), gate=GateUse(checksum(gate), 64, None))

    _, _, _, result = plan("--gate", gate)

    assert (result["gate"], result["seen"]) == (str(gate), None)
    assert result["least_megapixels"] == pytest.approx(0.049152)
    assert result["most_megapixels"] == pytest.approx(0.051456)


def test_a_gate_stands_before_a_net_of_resized_patches(plan, folder, gate):
    write_its_contract(folder / "net.keras", resize=32)

    status, _, _, result = plan("--gate", gate)

    assert (status, result["gate"]) == (0, str(gate))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tile", "60"], "tile 60 must be a multiple of 16"),
        (["--overlap", "1"], "overlap 1.0"),
        (["--window", "kaiser"], "--window: invalid choice: 'kaiser'"),
        (["--seconds-per-megapixel", "0"], "seconds per megapixel 0.0 must be above 0"),
        (["--seconds-per-megapixel", "nan"], "seconds per megapixel nan must be above 0"),
        (["--like", "gone.json"], "gone.json is no run.json of predict"),
        (["--images", "gone"], "gone is no folder"),
        (["--weights", "gone.keras"], "gone.keras does not exist"),
        (["--gate", "gone.keras"], "gone.keras does not exist"),
    ],
)
def test_bad_input_ends_with_one_line(plan, arguments, reason):
    status, output, complaint, result = plan(*arguments)

    assert (status, output, result) == (2, "", None)
    assert reason in complaint
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1


def test_a_classifier_predicts_no_masks(plan, folder):
    write_its_contract(folder / "net.keras", net="classifier", receptive_field=None)

    status, _, complaint, _ = plan()

    assert status == 2
    assert "net.keras is a classifier; give the weights of a net that segments" in complaint


def test_a_scene_of_many_bands_and_16_bits_is_planned_as_it_is_read_by_windows(plan, folder):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32630", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    layout = {"driver": "GTiff", "height": 100, "width": 300, "count": 4, "dtype": "uint16"}
    with rasterio.open(folder / "images" / "scene.tif", "w", **layout, **place):
        pass  # of zeros

    status, output, complaint, result = plan()

    assert (status, complaint, result["skipped"]) == (0, "", 0)
    (scene,) = (size for size in result["sizes"] if size["width"] == 300)
    assert (scene["images"], scene["tiles"], scene["image_bytes"]) == (1, 10, 0)
    assert result["image_bytes"] == 45_000
    assert "      100 x 300        1     64        10 " in output


def test_bad_images_are_left_out_with_a_warning(plan, folder):
    (folder / "images" / "a.png").write_bytes(b"no image")

    with pytest.warns(SkippedImageWarning, match=r"a\.png skipped"):
        _, _, _, result = plan()

    assert (result["images"], result["skipped"]) == (2, 1)


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_bad_images_alone_are_refused(plan, folder):
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no image")

    status, _, complaint, _ = plan()

    assert status == 2
    assert "none of the images could be read" in complaint


def test_sizes_beyond_the_most_frequent_are_counted(plan, folder):
    """13 sizes: 10 rows, one for those that are not listed, and the total. 11 images of 64 x 70 to 64 x 80 px have
    52,800 pixels and two tiles each: 35 tiles are 143,360 pixels for 86,896 of all."""
    for width in range(70, 81):
        Image.new("RGB", (width, 64)).save(folder / "images" / f"{width}.png")

    _, output, _, result = plan()

    assert len(result["sizes"]) == 13
    assert output.splitlines()[11:13] == [
        "    and 3 sizes",
        "            all       14               35    65 %         0.1      0.5",
    ]


def test_no_network_library_is_loaded(folder):
    program = """
import sys
from shipseg_tiles.cli.main import main
try:
    main(["plan", "--images", "images", "--weights", "net.keras"])
except SystemExit as end:
    assert end.code == 0
print("loaded", [name for name in ("tensorflow", "keras", "torch", "jax") if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120)

    assert finished.stdout.splitlines()[-1] == "loaded []", finished.stderr
