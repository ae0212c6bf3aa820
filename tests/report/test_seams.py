import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.report.seams import read_profiles, seam_numbers, seams_table, write_seams
from shipseg_tiles.scoring.seams import MapDifference, Profile, SeamOptions, Seams

CONTRACT = Contract(
    weights_sha256="",
    net="any",
    patch=8,
    threshold=0.5,
    minimum_area=0,
    tile=8,
    overlap=0.0,
    tile_multiple=2,
    receptive_field=3,
)
OPTIONS = SeamOptions(CONTRACT, (4, 8), (0.0, 0.5), tolerance=0.01)


def profile(tile, *differences):
    """A profile with one pixel at each distance, which differs by so much from the whole's 1."""
    made = Profile(tile, OPTIONS.tolerance)
    whole = np.ones(len(differences), dtype=np.float32)
    made.add(np.arange(len(differences)), whole - np.array(differences, dtype=np.float32), whole)
    return made


@pytest.fixture
def numbers():
    """Tiles of 8 px are wrong in their outermost pixel, those of 4 px everywhere; an image of 100 pixels with 10 ship
    pixels, of which the stitched map of the smaller tiles has 6."""
    profiles = {4: profile(4, 0.5, 0.25), 8: profile(8, 0.5, 0.001, 0.001, 0)}
    differences = {
        (4, 0.0): [MapDifference(100, 100, 0.02, 0.5, 4, 10, 6)],
        (4, 0.5): [MapDifference(100, 300, 0.01, 0.25, 0, 10, 10)],
        (8, 0.0): [MapDifference(100, 128, 0.005, 0.5, 0, 10, 10)],
    }
    return seam_numbers(Seams(profiles, differences), OPTIONS)


def test_numbers_by_hand(numbers):
    """The halo of 8 px tiles is 1: neighbours share 2 of 8 px. Of 10 and 6 ship pixels the maps share 6: 2 * 6 / 16."""
    assert (numbers["images"], numbers["receptive_field"], numbers["tolerance"]) == (1, 3, 0.01)
    assert numbers["profiles"] == [
        {
            "tile": 4,
            "halo": None,
            "overlap": None,
            "pixels": [1, 1],
            "mean": [0.5, 0.25],
            "at_stake": [1, 1],
            "percentile_99": [0.5, 0.25],
        },
        {
            "tile": 8,
            "halo": 1,
            "overlap": 0.25,
            "pixels": [1, 1, 1, 1],
            "mean": pytest.approx([0.5, 0.001, 0.001, 0], abs=1e-6),
            "at_stake": [1, 1, 1, 1],
            "percentile_99": [0.5, 0.001, 0.001, 0],
        },
    ]
    assert numbers["stitched"][0] == {
        "tile": 4,
        "overlap": 0.0,
        "images": 1,
        "mean_difference": 0.02,
        "maximum_difference": 0.5,
        "changed_share": 0.04,
        "dice": 0.75,
        "ship_pixels": 10,
        "cost": 1.0,
    }


def test_the_table_is_aligned(numbers):
    assert seams_table(numbers["stitched"]).splitlines() == [
        " tile  overlap     mean  maximum   changed    dice   cost",
        "    4        0  0.02000    0.500  4.0000 %  0.7500   1.00",
        "    4      0.5  0.01000    0.250  0.0000 %  1.0000   3.00",
        "    8        0  0.00500    0.500  0.0000 %  1.0000   1.28",
    ]


def test_tables_are_written_as_csv(numbers, tmp_path):
    write_seams(numbers, tmp_path / "out")

    stitched, profiles = (pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("seams", "profile"))
    assert stitched.to_dict("records") == numbers["stitched"]
    assert profiles.columns.tolist() == ["tile", "distance", "pixels", "mean", "at_stake", "percentile_99"]
    assert profiles["tile"].tolist() == [4, 4, 8, 8, 8, 8]
    assert profiles["distance"].tolist() == [0, 1, 0, 1, 2, 3]
    assert profiles["percentile_99"].tolist() == [0.5, 0.25, 0.5, 0.001, 0.001, 0]


def colours_of(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


def test_the_plot_has_a_colour_for_each_tile(numbers, tmp_path):
    """The first two of the palette, blue and amber; the third, magenta, belongs to a third tile."""
    write_seams(numbers, tmp_path)
    colours = colours_of(tmp_path / "seams.png")

    assert {(100, 143, 255), (255, 176, 0)} <= colours
    assert (220, 38, 127) not in colours


def test_images_of_one_tile_each_have_no_profile_to_draw(tmp_path):
    """And there is no receptive field to compare with, as in the contract of weights that were never probed."""
    only = Seams({8: Profile(8, 0.01)}, {(8, 0.0): [MapDifference(64, 64, 0.0, 0.0, 0, 0, 0)]})

    write_seams(seam_numbers(only, OPTIONS) | {"receptive_field": None}, tmp_path)

    assert pd.read_csv(tmp_path / "profile.csv").empty
    assert (100, 143, 255) in colours_of(tmp_path / "seams.png")


def test_profiles_are_read_as_they_were_written(numbers, tmp_path):
    write_seams(numbers, tmp_path)

    table = read_profiles(tmp_path)

    assert table[["tile", "distance"]].to_numpy().tolist() == [[4, 0], [4, 1], [8, 0], [8, 1], [8, 2], [8, 3]]
    assert table["percentile_99"].tolist() == [
        value for profile in numbers["profiles"] for value in profile["percentile_99"]
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "does not exist; give the folder that check-seams wrote to"),
        ("", "is no table"),
        ("tile,distance\n1,2\n1,2,3\n", "is no table"),
        ("tile,distance\n1,2\n", "is no profile of seams"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "profile.csv").write_text(text)

    with pytest.raises(InputError, match=rf"profile\.csv {reason}"):
        read_profiles(tmp_path)
