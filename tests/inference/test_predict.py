"""Files to ships with real nets, in this process and on a real Dask cluster of this machine."""

import shutil
import threading
from dataclasses import replace
from importlib.util import find_spec
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, NetError, SkippedImageWarning
from shipseg_tiles.images import list_images
from shipseg_tiles.inference import predict, stitching
from shipseg_tiles.inference.openvino_engine import OpenVinoNet
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predict import predict_files, predict_image
from shipseg_tiles.inference.predict_scene import predict_scene
from shipseg_tiles.inference.prediction import TileCounts
from shipseg_tiles.inference.prediction_nets import load_nets
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.processes import open_workers
from shipseg_tiles.tiling import Region

CONTRACT = {"net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 3}
USE = {"tile": 64, "overlap": 0.25, "tile_multiple": 16, "receptive_field": 3}


def save(path, answer, **changes):
    """Save a net of what is made of the shares of red, green and blue, 0 to 1."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    keras.Model(pixels, answer(keras.layers.Rescaling(1 / 255)(pixels))).save(path)
    write_contract(Contract(weights_sha256=checksum(path), **CONTRACT | USE | changes), path)
    return path


def mean_of(side):
    """The mean brightness of side x side pixels around each; 0 beyond the border of a tile."""
    kernel = keras.initializers.Constant(1 / (3 * side**2))
    return keras.layers.Conv2D(1, side, padding="same", use_bias=False, kernel_initializer=kernel)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """`plain` answers the brightness of a pixel; `blurred` that of the 7 x 7 around it, so that tiles disagree near
    their borders; `classifier` is sure of an image by its brightest pixel; `blind` is a gate that sees nothing,
    `bright` one that sees cells with a bright pixel."""
    folder = tmp_path_factory.mktemp("weights")
    save(folder / "plain.keras", mean_of(1))
    save(folder / "blurred.keras", mean_of(7))
    save(
        folder / "classifier.keras", lambda shares: keras.layers.GlobalMaxPooling2D()(mean_of(1)(shares)), threshold=0.9
    )
    nothing = keras.layers.Rescaling(0.0)
    cells = keras.layers.MaxPooling2D(32)
    save(folder / "blind.keras", lambda shares: mean_of(1)(nothing(cells(shares))), thresholds={"16": 0.5})
    save(folder / "bright.keras", lambda shares: mean_of(1)(cells(shares)), thresholds={"16": 0.5})
    return folder


@pytest.fixture(scope="module")
def plain(nets):
    return PredictOptions(weights=nets / "plain.keras")


@pytest.fixture(scope="module")
def blurred(nets):
    return PredictOptions(weights=nets / "blurred.keras")


def boxes(height, width, *ships, brightness=255):
    """Black with bright boxes (row, column, height, width)."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for row, column, rows, columns in ships:
        image[row : row + rows, column : column + columns] = brightness
    return image


def many_ships(height, width):
    """Bright noise around random boxes; blurred, it has ships of all forms."""
    random = np.random.default_rng(0)
    image = random.integers(0, 100, (height, width, 3), dtype=np.uint8)
    for row, column in random.integers(0, (height - 9, width - 19), (height * width // 1000, 2)):
        image[row : row + 9, column : column + 19] += 155
    return image


def write(path, image):
    Image.fromarray(image).save(path)
    return path


def ships_of(prediction):
    return [(ship.pixels.tolist(), ship.score) for ship in prediction.ships]


# Images


def test_files_are_predicted_one_by_one_and_a_bad_one_is_skipped_with_a_warning(plain, tmp_path):
    ship = write(tmp_path / "ship.png", boxes(40, 60, (5, 7, 4, 4)))
    sea = write(tmp_path / "sea.png", boxes(30, 30))
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 this is no JPEG")

    with pytest.warns(SkippedImageWarning, match=r"bad\.jpg skipped"):
        found = list(predict_files(plain, [ship, tmp_path / "bad.jpg", sea], tmp_path / "strips"))

    assert [prediction.name for prediction in found] == ["ship.png", "sea.png"]
    assert np.array_equal(found[0].mask(), boxes(40, 60, (5, 7, 4, 4))[..., 0] == 255)
    assert found[0].mask().dtype == np.bool_
    assert found[1].ships == []
    assert found[1].mask().shape == (30, 30)
    assert not found[1].mask().any()
    assert all(prediction.in_memory and prediction.georeference is None for prediction in found)
    assert not (tmp_path / "strips").exists()


def test_images_are_predicted_two_at_a_time_and_large_ones_by_themselves(plain, tmp_path, monkeypatch):
    """Those of more than 3,000 pixels are large here; `b` and `d` are."""
    sizes = {"a": (30, 30), "b": (60, 60), "c": (40, 60), "d": (70, 50), "e": (20, 20), "f": (25, 30)}
    paths = [write(tmp_path / f"{name}.png", boxes(*size, (5, 7, 4, 4))) for name, size in sizes.items()]
    threads = {}

    def watched(options, path):
        threads[path.stem] = threading.current_thread() is not threading.main_thread()
        return predict_image(options, path)

    monkeypatch.setattr(predict, "LARGE", 3000)
    monkeypatch.setattr(predict, "predict_image", watched)

    found = list(predict_files(plain, paths, tmp_path / "strips"))

    assert [one.name for one in found] == [path.name for path in paths]
    assert [ships_of(one) for one in found] == [ships_of(predict_image(plain, path)) for path in paths]
    assert threads == {"a": True, "b": False, "c": True, "d": False, "e": True, "f": True}


def test_a_net_that_answers_no_probabilities_ends_the_run_instead_of_skipping_every_image(tmp_path):
    """The sum of three channels of a white box is 3."""
    ship = write(tmp_path / "ship.png", boxes(40, 60, (5, 7, 4, 4)))
    weights = save(tmp_path / "sum.keras", lambda shares: keras.ops.sum(shares, axis=-1, keepdims=True))

    with pytest.raises(NetError, match=r"the net answers 0 to 3, but probabilities are from 0 to 1"):
        list(predict_files(PredictOptions(weights=weights), [ship], tmp_path / "strips"))


def test_files_are_predicted_out_of_a_zip(plain, tmp_path):
    write(tmp_path / "ship.png", boxes(40, 60, (5, 7, 4, 4)))
    with ZipFile(tmp_path / "images.zip", "w") as file:
        file.write(tmp_path / "ship.png", "test_v2/ship.png")

    (found,) = predict_files(plain, list_images(tmp_path / "images.zip"), tmp_path)

    assert found.name == "ship.png"
    assert np.array_equal(found.mask(), boxes(40, 60, (5, 7, 4, 4))[..., 0] == 255)


def test_in_images_that_the_classifier_passes_over_no_ship_is_looked_for(plain, nets, tmp_path):
    """Both images have a box that the segmenter finds. The brightness of the first is 200 / 255, below 0.9."""
    gray = write(tmp_path / "gray.png", boxes(40, 60, (5, 7, 4, 4), brightness=200))
    white = write(tmp_path / "white.png", boxes(40, 60, (5, 7, 4, 4)))
    filtered = replace(plain, classifier=nets / "classifier.keras")

    first, second = predict_files(filtered, [gray, white], tmp_path)

    assert (first.name, first.passed_over, first.ships, first.shape) == ("gray.png", True, [], (40, 60))
    assert not first.mask().any()
    assert (second.passed_over, [ship.pixels.size for ship in second.ships]) == (False, [16])
    alone = list(predict_files(plain, [gray, white], tmp_path))
    assert [(len(found.ships), found.passed_over) for found in alone] == [(1, False)] * 2


@pytest.mark.parametrize("option", [{"bands": (3, 2, 1)}, {"scale": (0.0, 3000.0)}])
def test_bands_and_scale_are_refused_for_images(option, plain, tmp_path):
    """Before anything is predicted, as an image of 8 bits would be predicted without them."""
    image = write(tmp_path / "a.png", boxes(30, 30))

    with pytest.raises(InputError, match=r"a\.png is an image of 8 bits; leave --bands and --scale away"):
        next(predict_files(replace(plain, **option), [tmp_path / "b.tif", image], tmp_path))


def test_a_bad_net_is_not_taken_for_a_bad_image(plain, nets, tmp_path):
    """Nor is an option out of its range: nothing could be predicted with either."""
    image = write(tmp_path / "a.png", boxes(30, 30))

    with pytest.raises(InputError, match=r"none\.keras does not exist"):
        list(predict_files(replace(plain, weights=nets / "none.keras"), [image], tmp_path))
    with pytest.raises(InputError, match=r"overlap 1\.0 must be"):
        list(predict_files(replace(plain, overlap=1.0), [image], tmp_path))


def test_an_image_that_memory_does_not_hold_is_one_that_cannot_be_read(plain, tmp_path):
    """Memory runs out after the first row of tiles, as whoever is told of it says."""

    def full(done, rows):
        raise MemoryError

    image = write(tmp_path / "a.png", boxes(90, 60))
    scene = write_scene(tmp_path / "b.tif", boxes(90, 60))

    with pytest.raises(InputError, match=r"memory does not suffice for a\.png of 90 x 60 pixels; cut it into parts"):
        predict_image(plain, image, full)
    with pytest.raises(InputError, match=r"memory does not suffice for a row of tiles of b\.tif; use --region"):
        predict_scene(plain, scene, StripFolder(tmp_path / "strips"), progress=full)


def test_options_win_over_the_contract(plain, tmp_path):
    """Boxes of 4 and 25 pixels of 0.4; the contract's threshold is 0.5 and its minimum area 3."""
    path = write(tmp_path / "a.png", boxes(40, 60, (5, 5, 2, 2), (20, 20, 5, 5), brightness=102))

    def sizes(**changes):
        return [ship.pixels.size for ship in predict_image(replace(plain, **changes), path).ships]

    assert sizes() == []
    assert sizes(threshold=0.3) == [4, 25]
    assert sizes(threshold=0.3, minimum_area=5) == [25]
    assert sizes(threshold=0.3, minimum_score=0.5) == []


def test_what_the_gate_does_not_see_holds_no_ship(plain, nets, tmp_path):
    path = write(tmp_path / "a.png", boxes(40, 60, (5, 7, 4, 4)))

    assert predict_image(replace(plain, gate=nets / "blind.keras"), path).ships == []


# Not importorskip: it would import OpenVINO with its reports.
@pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")
def test_openvino_runs_the_gate_too(plain, nets):
    loaded = load_nets(replace(plain, gate=nets / "bright.keras", engine="openvino"))

    assert isinstance(loaded.predictor.net, OpenVinoNet)
    assert isinstance(loaded.gate.net, OpenVinoNet)


def test_what_the_net_was_shown_is_counted_by_hand(plain, nets, tmp_path):
    """Tiles of 64 px at stride 48 on 64 x 200 px begin at the columns 0, 48, 96 and 136. A ship in cell 0 lets the gate
    see those that touch cell 0 or 1: the first two, of 4,096 pixels each. On 30 x 40 px there is one tile of 48 px."""
    path = write(tmp_path / "a.png", boxes(64, 200, (5, 7, 4, 4)))
    small = write(tmp_path / "b.png", boxes(30, 40))
    gray = write(tmp_path / "c.png", boxes(30, 40, (5, 7, 4, 4), brightness=200))

    def counts(path, **changes):
        counts = predict_image(replace(plain, **changes), path).counts
        return counts.tiles, counts.tiles_skipped, counts.net_pixels

    assert counts(path) == (4, 0, 4 * 4096)
    assert counts(path, gate=nets / "bright.keras") == (4, 2, 2 * 4096)
    assert counts(path, gate=nets / "bright.keras", symmetries=8) == (4, 2, 8 * 2 * 4096)
    assert counts(path, gate=nets / "bright.keras", region=Region(0, 150, 64, 200)) == (2, 2, 0)
    assert counts(small) == (1, 0, 48 * 48)
    assert counts(gray, classifier=nets / "classifier.keras") == (0, 0, 0)


def test_a_region_of_an_image_has_the_ships_of_the_whole_there(blurred, tmp_path):
    """Without a minimum area, so that what a ship loses at the border of the region does not make it too small."""
    path = write(tmp_path / "a.png", many_ships(200, 150))
    options = replace(blurred, minimum_area=0, rasters=("probability", "disagreement"))

    whole = predict_image(options, path)
    part = predict_image(replace(options, region=Region(77, 30, 500, 101)), path)

    inside = np.zeros((200, 150), dtype=bool)
    inside[77:, 30:101] = True
    assert part.shape == (200, 150)
    assert np.array_equal(part.mask(), whole.mask() & inside)
    assert 0 < part.mask().sum() < whole.mask().sum()
    for name in ("probability", "disagreement"):
        rasters = [np.concatenate([strip.rasters[name] for strip in found.strips]) for found in (part, whole)]
        assert np.array_equal(rasters[0], rasters[1][77:, 30:101])
        assert rasters[0].max() > 0


def test_an_image_that_the_region_misses_is_skipped(plain, tmp_path):
    small, large = write(tmp_path / "small.png", boxes(30, 30)), write(tmp_path / "large.png", boxes(90, 90))

    with pytest.warns(SkippedImageWarning, match=r"small\.png skipped: region of rows 50 .* shares no pixel"):
        found = list(predict_files(replace(plain, region=Region(50, 0, 80, 20)), [small, large], tmp_path))

    assert [prediction.name for prediction in found] == ["large.png"]


# Scenes


def write_scene(path, image, **profile):
    """Write uint8 (height, width, 3), or more bands, as GeoTIFF in tiles, 10 m a pixel."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
    height, width, count = image.shape
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "interleave": "pixel"}
    shape = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": image.dtype}
    with rasterio.open(path, "w", **shape, **layout, **place | profile) as dataset:
        dataset.write(np.moveaxis(image, -1, 0))
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """900 x 120 px: at a stride of 48, the tiles of 64 px begin at 19 rows, 0 to 816 and 836."""
    return write_scene(tmp_path_factory.mktemp("scenes") / "scene.tif", many_ships(900, 120))


@pytest.fixture
def strips(tmp_path):
    return StripFolder(tmp_path / "strips" / "scene.tif")


@pytest.fixture(scope="module")
def finished(scene, blurred, tmp_path_factory):
    """The prediction of a run that nothing stopped, whose strips are kept. May not be changed."""
    return predict_scene(blurred, scene, StripFolder(tmp_path_factory.mktemp("finished") / "scene.tif"))


def test_a_scene_has_the_ships_of_the_same_image_in_memory(blurred, finished, tmp_path):
    image = write(tmp_path / "scene.png", many_ships(900, 120))

    in_memory = predict_image(blurred, image)

    assert len(finished.ships) > 20
    assert ships_of(finished) == ships_of(in_memory)
    assert finished.shape == in_memory.shape == (900, 120)
    assert (finished.in_memory, in_memory.in_memory) == (False, True)
    assert finished.georeference.transform == (10, 0, 500_000, 0, -10, 6_000_000)
    assert len(finished.strips) == 19
    assert finished.counts == in_memory.counts == TileCounts(57, 0, 57 * 4096)  # 19 rows of 3 tiles


def test_strips_are_kept_until_they_are_forgotten(plain, tmp_path):
    path = write_scene(tmp_path / "small.tif", boxes(70, 60, (5, 7, 4, 4), (60, 7, 4, 4)))

    (found,) = predict_files(plain, [path], tmp_path / "strips")

    assert len(list((tmp_path / "strips" / "small.tif").rglob("*.npz"))) == 2
    assert [ship.pixels.size for ship in found.ships] == [16, 16]
    found.forget_strips()
    assert not list((tmp_path / "strips").rglob("*.npz"))


def test_images_and_scenes_are_predicted_together_and_bad_ones_skipped(plain, tmp_path):
    """First the images, then the scenes."""
    scene = write_scene(tmp_path / "a.tif", boxes(40, 60, (5, 7, 4, 4)))
    image = write(tmp_path / "b.png", boxes(40, 60, (5, 7, 4, 4)))
    (tmp_path / "c.tif").write_bytes(b"no TIFF")

    with pytest.warns(SkippedImageWarning, match=r"c\.tif skipped: .* damaged or no TIFF"):
        found = list(predict_files(plain, [scene, image, tmp_path / "c.tif"], tmp_path / "strips"))

    assert [prediction.name for prediction in found] == ["b.png", "a.tif"]
    assert np.array_equal(found[0].mask(), found[1].mask())


def test_a_region_of_a_scene_has_the_ships_of_the_whole_there(blurred, scene, strips, tmp_path):
    options = replace(blurred, minimum_area=0)
    whole = predict_scene(options, scene, StripFolder(tmp_path / "whole"))

    part = predict_scene(replace(options, region=Region(333, 50, 555, 5000)), scene, strips)

    inside = np.zeros((900, 120), dtype=bool)
    inside[333:555, 50:] = True
    assert np.array_equal(part.mask(), whole.mask() & inside)
    assert [strip.top for strip in strips] == [333, 336, 384, 432, 480, 528]


def test_a_scene_that_the_region_misses_is_refused(plain, scene, strips):
    with pytest.raises(InputError, match="shares no pixel with the image of 900 x 120"):
        predict_scene(replace(plain, region=Region(900, 0, 1000, 10)), scene, strips)


def test_what_holds_no_data_is_no_ship(blurred, strips, tmp_path):
    """7 marks no data. In the middle of a white box of 20 x 20 px, 2 x 2 px of it are still 45 / 49 bright to a net
    that sees 7 x 7."""
    image = boxes(64, 64, (20, 20, 20, 20))
    image[30:32, 30:32] = 7

    with_gap = predict_scene(blurred, write_scene(tmp_path / "gap.tif", image, nodata=7), strips)
    without = predict_scene(blurred, write_scene(tmp_path / "whole.tif", image), StripFolder(tmp_path / "whole"))

    gap = np.zeros((64, 64), dtype=bool)
    gap[30:32, 30:32] = True
    assert without.mask()[30:32, 30:32].all()
    assert np.array_equal(with_gap.mask(), without.mask() & ~gap)


def test_where_there_is_no_data_nothing_is_uncertain(blurred, strips, tmp_path):
    """Tiles of 64 px overlap in rows 48 to 63 and disagree there, at the border of the first and of the second."""
    image = many_ships(112, 64)
    image[40:70, 10:30] = 7
    options = replace(blurred, rasters=("probability", "disagreement"))

    found = predict_scene(options, write_scene(tmp_path / "gap.tif", image, nodata=7), strips)

    for name in options.rasters:
        raster = np.concatenate([strip.rasters[name] for strip in found.strips])
        assert raster[40:70, 40:].any()
        assert not raster[40:70, 10:30].any()


def test_bands_and_scale_of_a_scene_are_obeyed(plain, strips, tmp_path):
    """16 bits, of which 3000 is to be white; the fourth band, which is brighter, is not in use."""
    image = np.zeros((40, 60, 4), dtype=np.uint16)
    image[5:9, 7:11, :3] = 3000
    image[..., 3] = 9999
    path = write_scene(tmp_path / "deep.tif", image)

    with pytest.raises(InputError, match=r"say which bands .* --bands 3,2,1, and which values .* --scale"):
        predict_scene(plain, path, strips)
    found = predict_scene(replace(plain, bands=(3, 2, 1), scale=(0.0, 3000.0)), path, strips)

    assert np.array_equal(found.mask(), boxes(40, 60, (5, 7, 4, 4))[..., 0] == 255)


def written_at(strips):
    return {path.name: path.stat().st_mtime_ns for path in strips.folder.iterdir()}


def test_a_scene_that_stopped_half_way_goes_on_where_it_was(blurred, scene, finished, strips, tmp_path, monkeypatch):
    """The file is damaged in its last quarter. When it is whole again, only what is missing is predicted.

    There are 3 tiles in a row; 12 in a batch, so that a batch is done whenever four rows are.
    """
    monkeypatch.setattr(stitching, "PIXELS_PER_BATCH", 12 * 64**2)
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(scene) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_11", "TIFF", bidx=1))
    damaged = tmp_path / "scene.tif"
    data = bytearray(scene.read_bytes())
    data[offset : offset + 2000] = b"\xff" * 2000
    damaged.write_bytes(data)

    with pytest.raises(InputError, match=r"scene\.tif is damaged in rows"):
        predict_scene(blurred, damaged, strips)
    kept = written_at(strips)
    damaged.write_bytes(scene.read_bytes())
    found = predict_scene(blurred, damaged, StripFolder(strips.folder))

    assert 5 < len(kept) < 19
    assert ships_of(found) == ships_of(finished)
    assert len(found.strips) == 19
    assert found.counts == TileCounts(60, 0, 60 * 4096)  # the row of tiles above the first missing one twice
    assert kept.items() <= written_at(strips).items()


@pytest.mark.parametrize("missing", [slice(0, 3), slice(18, 19), slice(1, 19, 4), slice(0, 19, 2), slice(0, 0)])
def test_whichever_strips_are_missing_they_are_predicted_and_no_others(missing, blurred, scene, finished, strips):
    shutil.copytree(finished.strips.folder, strips.folder)
    for path in sorted(strips.folder.iterdir())[missing]:
        path.unlink()
    kept = written_at(strips)

    found = predict_scene(blurred, scene, StripFolder(strips.folder))

    assert ships_of(found) == ships_of(finished)
    assert kept.items() <= written_at(strips).items()
    assert len(list(strips.folder.iterdir())) == 19


# A cluster


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed", reason="Dask is an optional extra")
    with open_workers(1, "local:2") as executor:
        yield executor


def test_a_cluster_finds_the_same_in_images(blurred, nets, cluster, tmp_path):
    """Two chunks of 16 images and 2 more; among them a bad one, and two that the classifier passes over."""
    folder = tmp_path / "images"
    folder.mkdir()
    image = many_ships(100, 130)
    for number in range(18):
        write(folder / f"{number:02d}.png", np.roll(image, 7 * number, axis=1))
    for number in (4, 17):
        write(folder / f"{number:02d}.png", boxes(50, 50, (5, 5, 9, 9), brightness=200))
    (folder / "09.png").write_bytes(b"no image")
    options = replace(blurred, classifier=nets / "classifier.keras", rasters=("probability", "disagreement"))

    with pytest.warns(SkippedImageWarning, match=r"09\.png skipped"):
        here = list(predict_files(options, list_images(folder), tmp_path))
    with pytest.warns(SkippedImageWarning, match=r"09\.png skipped"):
        there = list(predict_files(options, list_images(folder), tmp_path, cluster))

    assert [found.name for found in there] == [found.name for found in here]
    assert [found.name for found in there if found.passed_over] == ["04.png", "17.png"]
    assert [ships_of(found) for found in there] == [ships_of(found) for found in here]
    for ours, theirs in zip(here, there, strict=True):
        assert [strip.top for strip in ours.strips] == [strip.top for strip in theirs.strips]
        for one, other in zip(ours.strips, theirs.strips, strict=True):
            assert all(np.array_equal(raster, other.rasters[name]) for name, raster in one.rasters.items())


def test_a_cluster_finds_the_same_in_a_scene(blurred, scene, finished, strips, cluster):
    """Of its 19 strips one worker has 16 and the other 3, for which it predicts the row of tiles above as well."""
    found = predict_scene(blurred, scene, strips, cluster)

    assert ships_of(found) == ships_of(finished)
    assert [path.name for path in sorted(strips.folder.iterdir())] == sorted(written_at(finished.strips))


def test_a_cluster_goes_on_where_another_run_stopped(blurred, scene, finished, strips, cluster):
    shutil.copytree(finished.strips.folder, strips.folder)
    for path in sorted(strips.folder.iterdir())[5:]:
        path.unlink()
    kept = written_at(strips)

    found = predict_scene(blurred, scene, StripFolder(strips.folder), cluster)

    assert ships_of(found) == ships_of(finished)
    assert kept.items() <= written_at(strips).items()
