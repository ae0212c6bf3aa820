import resource
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.rasters import create_raster
from shipseg_tiles.inference.scenes import open_scene

rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

UTM_32 = rasterio.CRS.from_epsg(32632).to_wkt()
PLACE = (10, 2, 500_000, 2, -10, 6_000_000)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scene.tif"


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def written(path, values, georeference=None, valid=None, lines=130):
    """Write a raster some lines at a time, which is not how its tiles are cut."""
    ask = None if valid is None else lambda rows, columns: valid[rows, columns]
    with create_raster(path, values.shape, georeference, ask) as raster:
        for top in range(0, len(values), lines):
            raster[top : top + lines, :] = values[top : top + lines]


def test_raster_holds_what_was_written_where_it_lies(path):
    values = (noise(1100, 700) > 200).astype(np.uint8) * 255
    georeference = Georeference(UTM_32, PLACE)

    written(path, values, georeference)

    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(1), values)
        assert dataset.crs == rasterio.CRS.from_epsg(32632)
        assert dataset.transform[:6] == PLACE
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        assert dataset.mask_flag_enums[0][0].name == "all_valid"
    assert path.stat().st_size < values.size / 4


def test_raster_marks_what_is_not_valid_and_keeps_its_values(path, tmp_path):
    values = noise(1100, 700)
    valid = np.random.default_rng(1).random((1100, 700)) < 0.9

    written(path, values, None, valid)

    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(1), values)
        assert np.array_equal(dataset.read_masks(1) != 0, valid)
        assert dataset.crs is None
    with open_scene(path) as scene:
        assert np.array_equal(scene.valid(slice(None), slice(None)), valid)
        assert np.array_equal(scene[:, :][..., 0], np.where(valid, values, 0))


def test_raster_of_a_scene_takes_over_its_gaps(tmp_path):
    source, target = tmp_path / "scene.tif", tmp_path / "masks" / "scene.tif"
    values, valid = noise(300, 200), np.ones((300, 200), np.bool_)
    valid[40:250, 10:20] = False
    written(source, values, Georeference(UTM_32, PLACE), valid)

    with (
        open_scene(source) as scene,
        create_raster(target, scene.shape[:2], scene.georeference, valid=scene.valid) as raster,
    ):
        for rows in (slice(0, 99), slice(99, 300)):
            raster[rows, :] = scene[rows, :][..., 0] > 127

    with rasterio.open(target) as dataset:
        assert np.array_equal(dataset.read(1), (values > 127) & valid)
        assert np.array_equal(dataset.dataset_mask() != 0, valid)
        assert dataset.crs == rasterio.CRS.from_epsg(32632)
        assert dataset.transform[:6] == PLACE


def stop_halfway(path):
    with create_raster(path, (300, 200), None) as raster:
        raster[0:100, :] = np.ones((100, 200))
        raise KeyboardInterrupt


def test_raster_that_fails_leaves_the_old_file(path, tmp_path):
    path.write_bytes(b"old")

    with pytest.raises(KeyboardInterrupt):
        stop_halfway(path)

    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]


@contextmanager
def files_of_at_most(size):
    """A disk that is full as soon as a file has so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [100, 100_000, 700_000])
def test_full_disk_is_noticed(limit, path, tmp_path):
    """Files may have so many bytes; the noise takes 770,000. GDAL writes most of it when the file is closed."""
    values = noise(1100, 700)

    with files_of_at_most(limit), pytest.raises(OSError, match="disk full") as caught:
        written(path, values)

    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_that_lacks_its_last_byte_is_noticed(path, tmp_path):
    """GDAL says nothing of it, neither when it writes nor when it reads: all of a tile would be valid."""
    values, valid = noise(1100, 700), np.random.default_rng(1).random((1100, 700)) < 0.9
    written(path, values, None, valid)
    size = path.stat().st_size
    path.unlink()

    with files_of_at_most(size - 1), pytest.raises(OSError, match="disk full"):
        written(path, values, None, valid)

    assert list(tmp_path.iterdir()) == []


def test_without_rasterio_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)

    with pytest.raises(InputError, match="needs rasterio"), create_raster(path, (300, 200), None):
        pass
