import json
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.cli.main import main
from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import SkippedImageWarning
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract


def save_box(path, side, **changes):
    """Save a net that answers the mean brightness, 0 to 1, of side x side pixels around each; 0 beyond the border."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    mean = keras.initializers.Constant(1 / (3 * side**2))
    box = keras.layers.Conv2D(1, side, padding="same", use_bias=False, kernel_initializer=mean)
    keras.Model(pixels, box(keras.layers.Rescaling(1 / 255)(pixels))).save(path)
    values = {"weights_sha256": checksum(path), "net": "box", "patch": 32, "threshold": 0.6, "minimum_area": 0}
    use = {"tile": 32, "overlap": 0.0, "tile_multiple": 4, "receptive_field": side // 2}
    write_contract(Contract(**values | use | changes), path)
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Boxes of 7 x 7 px, for images as they are and for images at half their size."""
    folder = tmp_path_factory.mktemp("weights")
    save_box(folder / "box.keras", 7)
    save_box(folder / "half.keras", 7, resize=16)
    save_box(folder / "metre.keras", 7, pixel_size=1.0)
    return folder


@pytest.fixture
def images(tmp_path):
    """Three white images of 64 x 64 px."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (64, 64), "white").save(folder / name)
    return folder


@pytest.fixture
def check(capfd, monkeypatch, nets, images, tmp_path):
    """Check seams in this process, and return status, output, complaint and the `--json` if there is one."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good

    def run(*arguments, weights="box.keras"):
        capfd.readouterr()
        shared = ["--weights", nets / weights, "--images", images, "--out", tmp_path / "out"]
        with pytest.raises(SystemExit) as ended:
            main(["check-seams", *map(str, [*shared, "--json", tmp_path / "seams.json", *arguments])])
        output, complaint = capfd.readouterr()
        written = tmp_path / "seams.json"
        return ended.value.code, output, complaint, json.loads(written.read_text()) if written.is_file() else None

    return run


def test_halo_overlap_and_table_of_a_known_net(check, nets, images, tmp_path):
    """A box of 7 x 7 reaches 3 px: beyond 3 px from the border tiles are exact. Neighbours must share 6 px, rounded up
    to 8 as the net takes multiples of 4: a quarter of 32 px.

    At distance 0 of a white image 4 of 7 rows of the box are inside: 3/7 is missing, and more in the corner where two
    tiles meet, which sees 16 of 49 pixels: at most 33/49 = 0.673.
    """
    status, output, _, result = check("--tiles", "32,16", "--overlaps", "0,0.25", "--limit", 2)

    assert status == 0
    assert [(row["tile"], row["overlap"], row["images"]) for row in result["stitched"]] == [
        (16, 0, 2),
        (16, 0.25, 2),
        (32, 0, 2),
        (32, 0.25, 2),
    ]
    assert [(profile["tile"], profile["halo"], profile["overlap"]) for profile in result["profiles"]] == [
        (16, 3, 0.5),
        (32, 3, 0.25),
    ]
    assert result["profiles"][1]["percentile_99"][3:] == [0] * 29
    assert result["stitched"][2]["maximum_difference"] == pytest.approx(33 / 49, abs=1e-5)
    assert result["stitched"][3]["mean_difference"] < result["stitched"][2]["mean_difference"] / 3
    assert result["stitched"][2]["cost"] == 1
    assert (result["images"], result["skipped"], result["receptive_field"]) == (2, 0, 3)
    assert result["weights_sha256"] == checksum(nets / "box.keras")
    lines = output.splitlines()
    assert lines[0] == (
        f"2 images in tiles against the same images as a whole, 0 skipped: {tmp_path / 'out' / 'seams.png'}"
    )
    assert lines[1].split() == ["tile", "overlap", "mean", "maximum", "changed", "dice", "cost"]
    assert lines[6:] == [
        "tile 16: differs by less than 0.05 from 3 px on: overlap 0.5",
        "tile 32: differs by less than 0.05 from 3 px on: overlap 0.25",
        "receptive field by the contract: 3 px",
    ]


def test_table_profile_and_plot_are_written(check, tmp_path):
    _, _, _, result = check("--tiles", "32", "--overlaps", "0.5", "--window", "core", "--limit", 1)

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["profile.csv", "seams.csv", "seams.png"]
    table = pd.read_csv(tmp_path / "out" / "seams.csv")
    assert table.to_dict("records") == result["stitched"]
    assert len(pd.read_csv(tmp_path / "out" / "profile.csv")) == 32
    assert result["window"] == "core"


def test_all_pixels_are_those_of_the_image_where_the_net_sees_it_shrunk(check):
    """Patches of 32 px became 16: the box of 7 x 7 px reaches 3 px of the half, 6 in the image, and one more as
    enlarging the answer mixes neighbours. Sides are multiples of 2 x 4 px: neighbours share 16 of 32."""
    _, output, _, result = check("--tiles", "32,64", "--overlaps", "0", weights="half.keras")

    profiles = [(profile["tile"], profile["halo"], profile["overlap"]) for profile in result["profiles"]]
    assert profiles == [(32, 7, 0.5), (64, None, None)]
    assert result["profiles"][0]["percentile_99"][8:] == [0] * 24
    assert result["receptive_field"] == 6
    assert result["stitched"][1]["maximum_difference"] == pytest.approx(0, abs=1e-6)
    assert "tile 64: every image is one tile" in output


def test_images_of_finer_pixels_are_seen_shrunk(check):
    flags = ["--tiles", "32,64", "--overlaps", "0"]

    *_, finer = check(*flags, "--pixel-size", "0.5", weights="metre.keras")
    *_, shrunk = check(*flags, weights="half.keras")

    for name in ("profiles", "stitched", "receptive_field"):
        assert finer[name] == shrunk[name]


def test_the_limit_takes_images_evenly_spaced(check, images):
    """Of 4 images the first, which is black, and the third, which is black and white and has a seam."""
    half = np.zeros((64, 64, 3), dtype=np.uint8)
    half[:, 20:] = 255
    for name, pixels in zip(("a.png", "b.png", "c.png", "d.png"), (0 * half, half, half, half), strict=True):
        Image.fromarray(pixels).save(images / name)
    (images / "b.png").write_bytes(b"no image: would be skipped if it were looked at")

    _, _, _, result = check("--tiles", "32", "--overlaps", "0", "--limit", 2)

    assert (result["images"], result["skipped"]) == (2, 0)
    assert result["stitched"][0]["maximum_difference"] > 0.4


def test_tiles_that_never_come_below_the_tolerance_are_told(check):
    """In tiles of 4 px without an image's border each pixel is less than 3 px from a border."""
    _, output, _, result = check("--tiles", "4,8", "--overlaps", "0", "--limit", 1, "--tolerance", 0.001)

    assert [(profile["halo"], profile["overlap"]) for profile in result["profiles"]] == [(3, None), (3, None)]
    assert "tile 8: differs by less than 0.001 from 3 px on: use larger tiles" in output


@pytest.mark.parametrize(("brightness", "doubts"), [(100, True), (200, False)])
def test_images_without_a_ship_are_told(check, images, brightness, doubts):
    """A gray of 100 / 255 is below the threshold of 0.6, one of 200 / 255 above it."""
    Image.new("RGB", (64, 64), (brightness,) * 3).save(images / "a.png")

    _, output, _, _ = check("--tiles", "32", "--overlaps", "0", "--limit", 1)

    assert ("no ship was seen in any image" in output) == doubts


def test_bad_images_are_left_out_with_a_warning(check, images):
    (images / "b.png").write_bytes(b"no image")
    Image.new("RGB", (15, 90)).save(images / "c.png")

    with pytest.warns(SkippedImageWarning) as warned:
        _, _, _, result = check("--tiles", "16", "--overlaps", "0")

    assert (result["images"], result["skipped"]) == (1, 2)
    skipped = [str(warning.message)[:14] for warning in warned if warning.category is SkippedImageWarning]
    assert skipped == ["b.png skipped:", "c.png skipped:"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tiles", "30"], "tile 30 must be a multiple of 4"),
        (["--tiles", "32,,64"], "tiles '32,,64' must be numbers with commas between"),
        (["--tiles", "wide"], "tiles 'wide' must be numbers"),
        (["--overlaps", "0,1"], "overlap 1.0 must be at least 0 and below 1"),
        (["--overlaps", "half"], "overlaps 'half' must be numbers"),
        (["--window", "kaiser"], "--window: invalid choice: 'kaiser'"),
        (["--limit", "0"], "limit 0 must be 1 or more"),
        (["--tolerance", "0"], "tolerance 0.0 must be above 0 and below 1"),
        (["--tolerance", "nan"], "tolerance nan must be above 0 and below 1"),
        (["--images", "gone"], "gone is no folder"),
        (["--weights", "gone.keras"], "gone.keras does not exist"),
    ],
)
def test_bad_input_ends_with_one_line(check, tmp_path, arguments, reason):
    status, output, complaint, result = check(*arguments)

    assert (status, output, result) == (2, "", None)
    assert reason in complaint
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_images_smaller_than_all_tiles_are_refused(check, tmp_path):
    status, _, complaint, _ = check("--tiles", "128")

    assert status == 2
    assert "there is no image to compare" in complaint
    assert not (tmp_path / "out").exists()
