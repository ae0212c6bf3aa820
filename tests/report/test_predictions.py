import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.labels import read_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.detection import Ship, Strip
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction, TileCounts
from shipseg_tiles.inference.scenes import open_scene
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.report.predictions import PredictionFolder

OPTIONS = PredictOptions(weights=Path("net.keras"))
BOTH = replace(OPTIONS, rasters=("probability", "disagreement"))
IMAGES = {
    "a.jpg": ((10, 12), (1, 2, 2, 3), (6, 0, 4, 1)),
    "b.webp": ((7, 5),),
    "c.png": ((4, 9), (0, 8, 4, 1)),
}
"""Shape and ships (row, column, height, width) of gray images."""


def ship(shape, box, score=0.75):
    row, column, height, width = box
    mask = np.zeros(shape, dtype=bool)
    mask[row : row + height, column : column + width] = True
    return Ship(np.flatnonzero(mask.T), score)


def prediction(name, shape, *boxes, strips=(), **more):
    return Prediction(name, shape, [ship(shape, box) for box in boxes], strips, **more)


@pytest.fixture
def images(tmp_path):
    for name, (shape, *_) in IMAGES.items():
        Image.new("RGB", shape[::-1], (90, 90, 90)).save(tmp_path / name)
    return tmp_path


def add(folder, images, *names):
    for name in names:
        folder.add(prediction(name, *IMAGES[name]), images / name)
    return folder


def taken_up(out, *paths, pictures=0):
    """The folder as a run of images, all three if no others are named, finds it that goes on."""
    folder = PredictionFolder(out, OPTIONS, pictures, False)
    folder.take_up(paths or [out.parent / name for name in IMAGES])
    return folder


def contents(folder):
    """All files, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def written(images):
    """What comes of all three images, with pictures of two of them and vectors of none."""
    out = images / "out"
    return add(PredictionFolder(out, OPTIONS, 2, False), images, *IMAGES).finish({}), out


# Images


def test_the_submission_has_a_row_a_ship_and_an_empty_one_where_there_is_none(written):
    """a.jpg is 10 px high: the box from row 1, column 2 is the runs 22, 32, 42 of 2 px; the one from row 6 in column
    0 is the run 7 of 4 px. c.png is 4 px high, its last column begins with pixel 8 * 4 + 1. Together they have 120 +
    35 + 36 = 191 pixels."""
    counts, out = written

    assert (out / "submission.csv").read_text().splitlines() == [
        "ImageId,EncodedPixels",
        "a.jpg,22 2 32 2 42 2",
        "a.jpg,7 4",
        "b.webp,",
        "c.png,33 4",
    ]
    assert counts == {
        "images": 3,
        "images_with_ships": 2,
        "ships": 3,
        "megapixels": pytest.approx(0.000191),
        "tiles": 0,
        "tiles_skipped": 0,
        "net_megapixels": 0,
        "passed_over": 0,
        "calibration_images": [],
    }


def test_the_submission_is_sorted_whatever_was_done_first(written, images):
    _, out = written

    add(PredictionFolder(images / "other", OPTIONS, 0, False), images, "c.png", "b.webp", "a.jpg").finish({})

    assert (images / "other" / "submission.csv").read_bytes() == (out / "submission.csv").read_bytes()


def test_images_that_were_passed_over_are_counted(images):
    folder = add(PredictionFolder(images / "out", OPTIONS, 0, False), images, "c.png")
    folder.add(prediction("b.webp", (7, 5), passed_over=True), images / "b.webp")

    counts = folder.finish({})

    assert (counts["images"], counts["passed_over"]) == (2, 1)


def test_images_that_were_calibrated_on_are_named_also_by_a_run_that_goes_on(images):
    out = images / "out"
    first = PredictionFolder(out, OPTIONS, 0, False)
    first.add(prediction("c.png", (4, 9), calibrated=True), images / "c.png")
    add(first, images, "b.webp")
    second = taken_up(out)
    second.add(prediction("a.jpg", (10, 12), calibrated=True), images / "a.jpg")

    assert second.finish({})["calibration_images"] == ["a.jpg", "c.png"]


def test_a_mask_tells_ships_that_touch_apart(images):
    """Two ships of a.jpg, side by side without a gap, are one object in the picture and two in what comes with it."""
    folder = PredictionFolder(images / "out", OPTIONS, 0, False)
    folder.add(prediction("a.jpg", (10, 12), (1, 2, 2, 3), (1, 5, 2, 1)), images / "a.jpg")
    folder.finish({})

    submission = read_labels(images / "out" / "submission.csv").ships
    assert submission == read_labels(images / "out" / "masks").ships == {"a.jpg": ("22 2 32 2 42 2", "52 2")}


def test_what_the_net_was_shown_is_added_up_over_all_runs(images):
    """3 + 4 tiles, of which 1 + 4 were skipped; 2 of 64 x 64 px are 8,192 pixels."""
    first, last = TileCounts(3, 1, 8192), TileCounts(4, 4, 0)
    out = images / "out"
    PredictionFolder(out, OPTIONS, 0, False).add(prediction("b.webp", (7, 5), counts=first), images / "b.webp")
    folder = taken_up(out)
    folder.add(prediction("c.png", (4, 9), counts=last), images / "c.png")

    counts = folder.finish({})

    assert (counts["tiles"], counts["tiles_skipped"], counts["net_megapixels"]) == (7, 5, pytest.approx(0.008192))


def test_masks_are_white_on_black_and_have_the_size_of_their_image(written):
    _, out = written

    masks = {path.name: np.array(Image.open(path)) for path in (out / "masks").iterdir()}

    assert {name: mask.shape for name, mask in masks.items()} == {"a.png": (10, 12), "b.png": (7, 5), "c.png": (4, 9)}
    assert set(np.unique(masks["a.png"])) == {0, 255}
    assert not masks["b.png"].any()
    assert np.argwhere(masks["c.png"]).tolist() == [[row, 8] for row in range(4)]


def test_masks_and_submission_say_the_same(written):
    _, out = written
    from_masks, from_csv = read_labels(out / "masks").ships, read_labels(out / "submission.csv").ships

    assert {name: sorted(ships) for name, ships in from_masks.items()} == {
        name: sorted(ships) for name, ships in from_csv.items()
    }


def test_nothing_of_an_earlier_prediction_of_an_image_stays(written, images):
    """Probabilities of another net, say, from which a report would draw masks anew."""
    _, out = written
    for name in ("probabilities", "disagreement", "vectors"):
        (out / name).mkdir()
    for stale in (
        "probabilities/a.png",
        "disagreement/a.png",
        "vectors/a.geojson",
        "masks/a.tif",
        "probabilities/b.png",
    ):
        (out / stale).touch()

    add(PredictionFolder(out, OPTIONS, 0, False), images, "a.jpg")

    left = sorted(str(path.relative_to(out)) for path in out.rglob("*.*") if not path.name.startswith("."))
    assert left == ["masks/a.png", "masks/b.png", "masks/c.png", "pictures/b.jpg", "probabilities/b.png"]


def test_pictures_are_drawn_for_the_first_images_only(written):
    """Image, mask and both of 12 px each with gaps of 6."""
    _, out = written

    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["a.jpg", "b.jpg"]
    with Image.open(out / "pictures" / "a.jpg") as picture:
        assert picture.size == (3 * 12 + 2 * 6, 10)


def test_pictures_of_large_images_are_shrunk(images):
    """A JPEG holds 65,500 pixels in a line, three images of 22,000 are more. 22,000 px shrunk by 6 are 3,667; a ship of
    one pixel, which is not among those that are kept of the image, is still seen in the mask."""
    Image.new("RGB", (22_000, 20)).save(images / "wide.png")
    folder = PredictionFolder(images / "out", OPTIONS, 1, False)

    folder.add(prediction("wide.png", (20, 22_000), (8, 6001, 1, 1)), images / "wide.png")

    with Image.open(images / "out" / "pictures" / "wide.jpg") as picture:
        assert picture.size == (3 * 3667 + 2 * 6, 4)
        assert picture.getpixel((3667 + 6 + 1000, 1)) > (200, 200, 200)
    with Image.open(images / "out" / "masks" / "wide.png") as mask:
        assert mask.size == (22_000, 20)


def test_nothing_is_written_that_nobody_asked_for(images):
    add(PredictionFolder(images / "out", OPTIONS, 0, False), images, *IMAGES).finish({})

    assert sorted(path.name for path in (images / "out").iterdir()) == ["masks", "run.json", "submission.csv"]


def test_rasters_of_an_image_are_pngs(images):
    """Its strips are put together. Of c.png only the rows 1 to 3 and the columns 2 to 6 were predicted."""
    random = np.random.default_rng(0)
    values = {name: random.integers(1, 256, (3, 5), dtype=np.uint8) for name in BOTH.rasters}
    empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    strips = [
        Strip(1, 2, *empty, {name: raster[:1] for name, raster in values.items()}),
        Strip(2, 2, *empty, {name: raster[1:] for name, raster in values.items()}),
    ]

    PredictionFolder(images / "out", BOTH, 0, False).add(prediction("c.png", (4, 9), strips=strips), images / "c.png")

    for name, folder in (("probability", "probabilities"), ("disagreement", "disagreement")):
        with Image.open(images / "out" / folder / "c.png") as image:
            assert image.mode == "L"
            expected = np.zeros((4, 9), dtype=np.uint8)
            expected[1:4, 2:7] = values[name]
            assert np.array_equal(np.asarray(image), expected)


def test_rasters_of_an_image_that_was_passed_over_are_black(images):
    PredictionFolder(images / "out", BOTH, 0, False).add(
        prediction("c.png", (4, 9), passed_over=True), images / "c.png"
    )

    with Image.open(images / "out" / "probabilities" / "c.png") as image:
        assert image.size == (9, 4)
        assert not np.asarray(image).any()


def test_vectors_of_images_are_written_if_asked_for(images):
    """The second ship of a.jpg is 4 rows from row 6 on, 1 column wide: its middle is 0.5 to the right and 8 down."""
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")

    add(PredictionFolder(images / "out", OPTIONS, 0, True), images, *IMAGES).finish({})

    files = {path.name: json.loads(path.read_text()) for path in (images / "out" / "vectors").iterdir()}
    assert {name: len(file["features"]) for name, file in files.items()} == {
        "a.geojson": 2,
        "b.geojson": 0,
        "c.geojson": 1,
    }
    properties = files["a.geojson"]["features"][1]["properties"]
    assert (properties["centre"], properties["length"], properties["width"]) == ([0.5, -8], 4, 1)
    assert (properties["pixels"], properties["score"], properties["unit"]) == (4, 0.75, "px")


# Runs that stop


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_files(done, written, images):
    """Pictures are of the first two images of both runs together."""
    first, rest = list(IMAGES)[:done], list(IMAGES)[done:]
    out = images / "again"
    add(PredictionFolder(out, OPTIONS, 2, False), images, *first)
    assert not (out / "submission.csv").exists()

    second = taken_up(out, pictures=2)
    assert list(second.records) == first
    counts = add(second, images, *rest).finish({})

    assert counts == written[0]
    assert contents(out) == contents(written[1])


@pytest.mark.parametrize("characters", [1, 5, -1])
def test_a_line_of_the_journal_that_was_cut_off_is_as_if_it_were_not_there(characters, written, images):
    """As after a power cut; the last line goes to `characters`."""
    out = images / "again"
    add(PredictionFolder(out, OPTIONS, 2, False), images, "a.jpg", "b.webp")
    (journal,) = (path for path in out.iterdir() if path.is_file())
    first, second = journal.read_text().splitlines()
    journal.write_text(f"{first}\n{second[:characters]}")

    resumed = taken_up(out, pictures=2)
    assert list(resumed.records) == ["a.jpg"]
    add(resumed, images, "b.webp")
    third = taken_up(out, pictures=2)
    assert list(third.records) == ["a.jpg", "b.webp"]
    add(third, images, "c.png").finish({})

    assert contents(out) == contents(written[1])


@pytest.mark.parametrize("line", ["{", "[]", "3", '["a.jpg", 3]', '["a.jpg", {}]', '["a.jpg", {"ship": []}]', "\0\0"])
def test_a_damaged_journal_is_named_with_a_remedy(line, images):
    """Or one of another version, whose records hold something else."""
    out = images / "out"
    add(PredictionFolder(out, OPTIONS, 0, False), images, "a.jpg")
    journal = out / ".journal.jsonl"
    journal.write_text(f"{line}\n{journal.read_text()}")
    damaged = journal.read_text()

    with pytest.raises(InputError, match=r"\.journal\.jsonl is damaged or of another version .*; remove it") as caught:
        taken_up(out)

    assert "\n" not in str(caught.value)
    assert journal.read_text() == damaged
    journal.unlink()
    assert taken_up(out).records == {}


def test_an_image_that_was_replaced_is_not_done(images):
    out, paths = images / "out", [images / name for name in IMAGES]
    add(PredictionFolder(out, OPTIONS, 0, False), images, *IMAGES)
    assert list(taken_up(out, *paths).records) == list(IMAGES)

    Image.new("RGB", (9, 9)).save(images / "b.webp")
    second = taken_up(out, *paths)
    assert list(second.records) == ["a.jpg", "c.png"]
    second.add(prediction("b.webp", (9, 9), (0, 0, 1, 1)), images / "b.webp")

    third = taken_up(out, *paths)
    assert third.records["b.webp"].ships == ["1 1"]
    assert third.finish({})["images"] == 3


def test_an_image_that_was_removed_is_not_part_of_a_run_that_goes_on(images):
    out = images / "out"
    add(PredictionFolder(out, OPTIONS, 0, False), images, "a.jpg", "c.png")

    with pytest.warns(UserWarning, match=r"a\.png is of another image and stays"):
        folder = taken_up(out, images / "b.webp", images / "c.png")

    assert list(folder.records) == ["c.png"]


def test_names_of_all_kinds_are_journalled(images):
    names = ["Küste 1.jpg", '"quoted".jpg', "\u2028.jpg", "\U0001f6a2.jpg"]
    folder = PredictionFolder(images / "out", OPTIONS, 0, False)
    for name in names:
        shutil.copy(images / "c.png", images / name)
        folder.add(prediction(name, (4, 9)), images / name)

    assert list(taken_up(images / "out", *(images / name for name in names)).records) == names


def test_a_folder_is_empty_until_there_is_something_to_take_up(images):
    """Be it an image that is done, or a part of a scene."""
    with_image, with_strip = (PredictionFolder(images / name, OPTIONS, 0, False) for name in ("image", "strip"))
    assert with_image.is_empty
    assert with_strip.is_empty

    add(with_image, images, "a.jpg")
    StripFolder(with_strip.strips / "scene.tif").save(Strip(0, 0, np.arange(3), np.ones(3, dtype=np.float32)))

    assert not with_image.is_empty
    assert not with_strip.is_empty


def test_what_an_earlier_run_has_left_can_be_forgotten(images):
    out = images / "out"
    folder = add(PredictionFolder(out, OPTIONS, 0, False), images, "a.jpg")
    StripFolder(folder.strips / "scene.tif").save(Strip(0, 0, np.arange(3), np.ones(3, dtype=np.float32)))

    folder.forget()

    assert folder.records == {}
    assert folder.is_empty
    assert [path.name for path in out.iterdir()] == ["masks"]
    assert taken_up(out).records == {}


def test_the_record_says_how_the_predictions_came_about_and_what_they_are(images):
    folder = add(PredictionFolder(images / "out", OPTIONS, 0, False), images, "b.webp")

    record = folder.finish({"weights": "net.keras"})

    assert record["weights"] == "net.keras"
    assert record["images"] == 1
    assert json.loads((images / "out" / "run.json").read_text()) == record


def test_what_is_done_is_known_until_the_record_is_written(images):
    """The submission is there already: without its record nobody knows which images the weights were calibrated on."""
    out = images / "out"
    folder = add(PredictionFolder(out, OPTIONS, 0, False), images, *IMAGES)
    (out / "run.json").mkdir()  # so that it cannot be written

    with pytest.raises(OSError, match=r"run\.json"):
        folder.finish({})

    assert list(taken_up(out).records) == list(IMAGES)


def test_submission_and_record_of_an_earlier_run_go_with_the_first_mask_that_is_written_anew(written, images):
    """From then on the masks are of two runs; if this one is stopped, nothing may say that they are of the first."""
    _, out = written
    folder = PredictionFolder(out, OPTIONS, 0, False)
    assert {"submission.csv", "run.json"} < set(contents(out))

    add(folder, images, "a.jpg")

    assert not {"submission.csv", "run.json"} & set(contents(out))


def test_no_prediction_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="none of the images could be read"):
        PredictionFolder(tmp_path / "out", OPTIONS, 2, False).finish({})

    assert not list(tmp_path.iterdir())


# Scenes

HEIGHT, WIDTH = 1100, 70
"""More lines than are drawn at once."""

BOXES = [(505, 3, 20, 5), (0, 0, 1, 1), (1099, 69, 1, 1), (700, 30, 4, 30)]


@pytest.fixture
def scene(tmp_path):
    """A GeoTIFF of 10 m pixels; its columns 60 to 69 hold no data."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
    shape = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": "uint8", "nodata": 0}
    with rasterio.open(tmp_path / "scene.tif", "w", **shape, **place) as dataset:
        pixels = np.full((3, HEIGHT, WIDTH), 90, dtype=np.uint8)
        pixels[:, :, 60:] = 0
        dataset.write(pixels)
    return tmp_path / "scene.tif"


def add_scene(scene, options, folder, top=0, left=0, bottom=HEIGHT, right=WIDTH):
    """Predict a part of the scene, in strips of 300 lines; return what their rasters hold."""
    random = np.random.default_rng(0)
    rasters = {name: np.zeros((HEIGHT, WIDTH), dtype=np.uint8) for name in options.rasters}
    strips = StripFolder(folder.strips / scene.name)
    for first in range(top, bottom, 300):
        place = np.s_[first : min(first + 300, bottom), left:right]
        for raster in rasters.values():
            raster[place] = random.integers(1, 256, raster[place].shape)
        parts = {name: raster[place] for name, raster in rasters.items()}
        strips.save(Strip(first, left, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), parts))
    with open_scene(scene) as opened:
        georeference = opened.georeference
    found = prediction(scene.name, (HEIGHT, WIDTH), *BOXES, strips=strips, georeference=georeference)
    folder.add(found, scene)
    found.forget_strips()
    return rasters


def read_raster(path):
    """Pixels, which of them are valid, and where a raster lies."""
    import rasterio

    with rasterio.open(path) as dataset:
        return dataset.read(1), dataset.dataset_mask() != 0, (dataset.crs.to_epsg(), dataset.transform[:6])


def test_a_scene_becomes_a_mask_where_it_lies_and_vectors(scene, tmp_path):
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")
    folder = PredictionFolder(tmp_path / "out", OPTIONS, 20, False)

    add_scene(scene, OPTIONS, folder)
    counts = folder.finish({})

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["masks", "run.json", "submission.csv", "vectors"]
    mask, valid, place = read_raster(out / "masks" / "scene.tif")
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for row, column, height, width in BOXES:
        expected[row : row + height, column : column + width] = 255
    assert np.array_equal(mask, expected)
    assert valid[:, :60].all()
    assert not valid[:, 60:].any()
    assert place == (32632, (10, 0, 500_000, 0, -10, 6_000_000))
    features = json.loads((out / "vectors" / "scene.geojson").read_text())["features"]
    assert [feature["properties"]["unit"] for feature in features] == ["m"] * 4
    assert (out / "submission.csv").read_text().splitlines()[2] == "scene.tif,1 1"
    assert (counts["images"], counts["ships"], counts["megapixels"]) == (1, 4, pytest.approx(0.077))


def test_rasters_of_a_scene_are_tiffs_and_hold_no_data_where_nothing_was_predicted(scene, tmp_path):
    pytest.importorskip("shapely", reason="GeoJSON is an optional extra")
    folder = PredictionFolder(tmp_path / "out", BOTH, 0, False)

    expected = add_scene(scene, BOTH, folder, 50, 10, 1000, 65)

    predicted = np.zeros((HEIGHT, WIDTH), dtype=bool)
    predicted[50:1000, 10:60] = True
    for name, where in (("probability", "probabilities"), ("disagreement", "disagreement")):
        values, valid, place = read_raster(tmp_path / "out" / where / "scene.tif")
        assert np.array_equal(values, expected[name])
        assert np.array_equal(valid, predicted)
        assert place == (32632, (10, 0, 500_000, 0, -10, 6_000_000))
    assert not (tmp_path / "out" / ".strips" / "scene.tif").exists()


def test_an_image_that_is_replaced_while_it_is_predicted_is_another(images):
    """What was found is of the file as it was when the run began: another run must not take it for that of the new."""
    out = images / "out"
    folder = PredictionFolder(out, OPTIONS, 0, False)
    folder.begin([images / name for name in IMAGES])
    Image.new("RGB", (12, 10)).save(images / "a.jpg", quality=5)

    add(folder, images, "a.jpg", "c.png")

    assert list(taken_up(out).records) == ["c.png"]


def test_nothing_stays_of_an_image_that_turns_out_to_be_bad(images):
    """It is gone when its picture is to be drawn."""
    folder = PredictionFolder(images / "out", OPTIONS, 1, True)
    (images / "c.png").unlink()

    with pytest.raises(InputError, match=r"c\.png does not exist"):
        add(folder, images, "c.png")

    assert not [path for path in (images / "out").rglob("*") if path.is_file() and path.name != ".journal.jsonl"]


def test_a_link_that_leads_nowhere_any_more_is_as_if_it_were_removed(images):
    out = images / "out"
    (images / "real.png").symlink_to("c.png")
    add(PredictionFolder(out, OPTIONS, 0, False), images, "a.jpg")
    PredictionFolder(out, OPTIONS, 0, False).add(prediction("real.png", (4, 9)), images / "real.png")
    (images / "c.png").unlink()

    assert list(taken_up(out, images / "a.jpg", images / "real.png").records) == ["a.jpg"]
