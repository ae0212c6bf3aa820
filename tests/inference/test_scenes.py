import json
import pickle
import resource
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.scenes import LONGEST_SIDE, is_scene, open_scene, read_scene_size
from shipseg_tiles.zipped import ZipMember

rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

UTM = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
"""10 m pixels; the left border is the meridian of 9 degrees east, in the middle of the zone."""

LAYOUTS = {
    "strips": {},
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
    "pixels": {"tiled": True, "blockxsize": 128, "blockysize": 32, "compress": "lzw", "interleave": "pixel"},
    "cloud": {"driver": "COG", "blocksize": 128},
}


def noise(bands, height=300, width=200, dtype=np.uint8, top=256):
    return np.random.default_rng(0).integers(0, top, (bands, height, width)).astype(dtype)


def write_tiff(path, bands, **profile):
    """Write (bands, height, width) as they are."""
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype} | profile
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(bands)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scene.tif"


def whole(path, bands=None, scale=None):
    """All pixels of a scene, and which of them are valid."""
    with open_scene(path, bands, scale) as scene:
        return scene[:, :], scene.valid(slice(None), slice(None))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (Path("missing.tif"), True),
        (Path("b/missing.TIFF"), True),
        (Path("a.tif.png"), False),
        (Path("tif"), False),
        (ZipMember(Path("a.zip"), "a.tif"), False),
    ],
)
def test_tiffs_on_disk_are_scenes(path, expected):
    assert is_scene(path) is expected


def test_colours_of_16_bits_are_no_picture_although_pillow_calls_them_rgb(tmp_path):
    path = write_tiff(tmp_path / "a.tif", noise(3, 4, 5).astype(np.uint16), photometric="RGB")

    with Image.open(path) as image:
        assert image.mode == "RGB"
    assert is_scene(path)


def test_files_beside_a_scene_are_passed_over(tmp_path):
    path = write_tiff(tmp_path / "a.tif", noise(3, 4, 5), **UTM)
    palette = '<PAMRasterBand band="1"><ColorInterp>Palette</ColorInterp></PAMRasterBand>'
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{palette}</PAMDataset>")

    assert read_scene_size(path) == (4, 5)


@pytest.mark.parametrize(("bits", "shape", "expected"), [(8, (4, 5, 3), False), (8, (4, 5), False), (16, (4, 5), True)])
def test_a_tiff_that_any_program_reads_is_an_image(tmp_path, bits, shape, expected):
    Image.fromarray(np.zeros(shape, dtype=f"uint{bits}")).save(tmp_path / "a.tif")

    assert is_scene(tmp_path / "a.tif") is expected


def test_a_tiff_of_inks_is_no_picture(tmp_path):
    """They are four bands, of which somebody must say what they are."""
    Image.new("CMYK", (5, 4)).save(tmp_path / "a.tif")

    assert is_scene(tmp_path / "a.tif")


def test_a_tiff_with_a_place_on_earth_is_a_scene(tmp_path):
    assert is_scene(write_tiff(tmp_path / "a.tif", noise(3, 4, 5), **UTM))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_are_those_of_the_array(layout, path):
    colours = noise(3)
    write_tiff(path, colours, **UTM, **LAYOUTS[layout])
    image = np.moveaxis(colours, 0, -1)

    with open_scene(path) as scene:
        assert scene.shape == (300, 200, 3)
        assert not scene.has_gaps
        for window in [
            np.s_[:, :],
            np.s_[0:1, 0:1],
            np.s_[60:70, 50:180],
            np.s_[250:400, 190:],
            np.s_[-10:, :-150],
            np.s_[5:5, 3:9],
        ]:
            pixels = scene[window]
            assert pixels.dtype == np.uint8
            assert pixels.flags.c_contiguous
            assert np.array_equal(pixels, image[window])
            assert np.array_equal(scene.valid(*window), np.ones(image[window].shape[:2], dtype=bool))
        with pytest.raises(InputError, match=r"every 2\. row and 1\. column cannot be read"):
            scene[::2, :]


@pytest.mark.parametrize("alpha", [None, "alpha"])
def test_gray_becomes_three_equal_channels(alpha, path):
    gray = noise(1)
    bands = gray if alpha is None else np.concatenate((gray, np.full_like(gray, 255)))
    write_tiff(path, bands, photometric="MINISBLACK", alpha="YES")

    pixels, valid = whole(path)

    assert np.array_equal(pixels, np.stack([gray[0]] * 3, axis=-1))
    assert valid.all()


def test_alpha_says_what_is_valid(path):
    """Valid is what is not wholly transparent; the colours below the rest are read as 0."""
    colours, alpha = noise(3), np.full((1, 300, 200), 255, dtype=np.uint8)
    alpha[0, 10:20, 30:50] = 0
    alpha[0, 100:, :] = 1
    write_tiff(path, np.concatenate((colours, alpha)), photometric="RGB", alpha="YES")
    expected = np.ones((300, 200), dtype=bool)
    expected[10:20, 30:50] = False

    pixels, valid = whole(path)

    assert np.array_equal(valid, expected)
    assert np.array_equal(pixels, np.moveaxis(colours, 0, -1) * expected[..., np.newaxis])


@pytest.mark.parametrize(
    ("uses", "dtype", "bands"),
    [
        ("red green blue undefined alpha", np.uint8, (1, 2, 3)),
        ("alpha red green blue", np.uint8, None),
        ("red green blue alpha", np.int16, None),
        ("red green blue alpha", np.float32, (1, 2, 3)),
    ],
)
def test_alpha_counts_whatever_the_type_of_pixels_and_the_order_of_bands(path, uses, dtype, bands):
    """GDAL makes a mask of it in files of 8 or 16 bits with one or three bands before it alone."""
    names = uses.split()
    values = noise(len(names), dtype=dtype, top=100) + 1
    values[names.index("alpha"), 10:20, 30:50] = 0
    write_tiff(path, values)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    expected = np.ones((300, 200), dtype=bool)
    expected[10:20, 30:50] = False

    scale = None if dtype == np.uint8 else (0, 255)
    pixels, valid = whole(path, bands, scale)
    with open_scene(path, bands, scale) as scene:
        part = scene[15:40, 20:35]

    assert np.array_equal(valid, expected)
    colours = [values[names.index(colour)] for colour in ("red", "green", "blue")]
    assert np.array_equal(pixels, np.stack(colours, axis=-1) * expected[..., np.newaxis])
    assert np.array_equal(part, pixels[15:40, 20:35])


@pytest.mark.parametrize("uses", ["blue green red", "green alpha red blue", "undefined undefined undefined"])
def test_bands_that_are_called_by_their_colours_are_taken_by_them(path, uses):
    names = uses.split()
    values = noise(len(names)) // 2 + 1
    write_tiff(path, values)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]

    order = [names.index(colour) for colour in ("red", "green", "blue")] if "red" in names else [0, 1, 2]
    assert np.array_equal(whole(path)[0], np.moveaxis(values[order], 0, -1))


def test_deep_bands_are_chosen_and_scaled(path):
    """Scale 100,3100 over bands 3, 2, 1: 100 -> 0, 3100 -> 255, 1600 -> 127.5, which rounds to the even 128,
    700 -> 0.2 * 255 = 51; 0 and 60000 are outside and clipped."""
    bands = np.zeros((4, 1, 3), dtype=np.uint16)
    bands[2], bands[1], bands[0], bands[3] = [100, 3100, 1600], [700, 0, 60000], [0, 100, 3100], 9999
    write_tiff(path, bands)

    pixels, valid = whole(path, (3, 2, 1), (100, 3100))

    assert pixels.tolist() == [[[0, 51, 0], [255, 0, 0], [128, 255, 255]]]
    assert valid.all()


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_signed_and_float_values_are_scaled(dtype, path):
    """Scale -10,10: -10 -> 0, 10 -> 255, 2 -> 0.6 * 255 = 153, -100 is clipped."""
    write_tiff(path, np.array([[[-10, 10, 2, -100]]], dtype=dtype))

    assert whole(path, None, (-10, 10))[0][..., 0].tolist() == [[0, 255, 153, 0]]


def test_8_bits_may_be_stretched_too(path):
    """Scale 50,100: 50 -> 0, 100 -> 255, 60 -> 0.2 * 255 = 51."""
    write_tiff(path, np.array([[[50, 100, 60, 255]]], dtype=np.uint8))

    assert whole(path, scale=(50, 100))[0][..., 0].tolist() == [[0, 255, 51, 255]]


def test_nan_is_no_data_and_infinity_is_clipped(path):
    """A pixel is invalid if one of the bands in use is NaN; the fourth is not in use."""
    bands = np.full((4, 1, 4), 0.5, dtype=np.float32)
    bands[1, 0, 0] = np.nan
    bands[3, 0, 1] = np.nan
    bands[:, 0, 2] = np.inf
    bands[:, 0, 3] = -np.inf
    write_tiff(path, bands)

    pixels, valid = whole(path, (3, 2, 1), (0, 1))

    assert valid.tolist() == [[False, True, True, True]]
    assert pixels[..., 0].tolist() == [[0, 128, 255, 0]]


def test_nodata_is_what_no_band_has(path):
    """The value 7 marks no data: in all bands it does, in one of them it is a colour. 7 scaled by 0,10 is 178.5."""
    bands = np.full((3, 1, 3), 5, dtype=np.uint8)
    bands[:, 0, 0] = 7
    bands[0, 0, 1] = 7
    write_tiff(path, bands, nodata=7)

    pixels, valid = whole(path, scale=(0, 10))

    assert valid.tolist() == [[False, True, True]]
    assert pixels[0].tolist() == [[0, 0, 0], [178, 128, 128], [128, 128, 128]]


def test_nodata_of_four_bands_is_what_none_of_them_has(path):
    """Not what the last one lacks, such as infrared over water, which is 0."""
    bands = np.full((4, 1, 3), 5, dtype=np.uint8)
    bands[:, 0, 0] = 0
    bands[3] = 0
    write_tiff(path, bands, nodata=0, photometric="RGB")

    _, valid = whole(path, (1, 2, 3))

    assert valid.tolist() == [[False, True, True]]


@pytest.mark.filterwarnings("ignore:.*nodata attribute is shadowing the alpha band")
def test_an_opaque_pixel_has_data_whatever_value_has_none(path):
    """255 marks no data in colours, and the first pixel; in the alpha band it is opaque. The last one is not."""
    bands = np.full((4, 1, 3), 5, dtype=np.uint8)
    bands[:3, 0, 0] = 255
    bands[3] = (255, 255, 0)
    write_tiff(path, bands, nodata=255, photometric="RGB", alpha="YES")

    _, valid = whole(path)

    assert valid.tolist() == [[False, True, False]]


def test_the_white_of_fewer_bits_must_be_said(path):
    write_tiff(path, noise(3, top=16), nbits=4)

    with pytest.raises(InputError, match=r"has 3 bands of uint8, 4 bits of it; say which values .*--scale 0,15$"):
        whole(path)
    assert whole(path, scale=(0, 15))[0].max() == 255


def test_mask_inside_the_file_says_what_is_valid(path):
    mask = np.random.default_rng(1).random((300, 200)) < 0.5
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", count=3, height=300, width=200, dtype="uint8", tiled=True) as file,
    ):
        file.write(noise(3))
        file.write_mask(mask)

    with open_scene(path) as scene:
        assert scene.has_gaps
        assert np.array_equal(scene.valid(slice(100, 250), slice(7, 90)), mask[100:250, 7:90])
        assert not scene[100:250, 7:90][~mask[100:250, 7:90]].any()


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (noise(4), "has 4 bands of uint8; say which bands .*such as --bands 3,2,1$"),
        (noise(2), "has 2 bands of uint8; say which bands"),
        (noise(3, dtype=np.uint16), "has 3 bands of uint16; say which values .*such as --scale 0,3000$"),
        (noise(1, dtype=np.int8, top=100), "has 1 band of int8; say which values"),
        (noise(8, dtype=np.float32), "has 8 bands of float32; say which bands .*--bands 3,2,1, and which values"),
    ],
)
def test_what_must_be_said_is_asked_for(bands, expected, path):
    write_tiff(path, bands, photometric="MINISBLACK")

    with pytest.raises(InputError, match=rf"scene\.tif {expected}"):
        whole(path)


@pytest.mark.parametrize("bands", [(3, 2, 5), (0, 1, 2), (1, 2), (1, 2, 3, 4), (-1, 1, 1)])
def test_bands_that_the_file_lacks_are_refused(bands, path):
    write_tiff(path, noise(4))

    with pytest.raises(InputError, match=r"scene\.tif has 4 bands .*three numbers from 1 to 4"):
        whole(path, bands)


@pytest.mark.parametrize("scale", [(5, 5), (10, 0), (float("nan"), 1), (0, float("inf"))])
def test_scales_that_do_not_grow_are_refused(scale, path):
    write_tiff(path, noise(3))

    with pytest.raises(InputError, match="value of white must be above"):
        whole(path, scale=scale)


def test_pixels_that_are_no_brightness_are_refused(path):
    write_tiff(path, noise(1, dtype=np.complex64))
    with pytest.raises(InputError, match="type complex64"):
        whole(path, (1, 1, 1), (0, 1))

    Image.fromarray(noise(1)[0]).convert("P").save(path)
    with pytest.raises(InputError, match=r"scene\.tif has a palette.*-expand rgb"):
        whole(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_that_is_stored_as_0_is_refused(dtype, path):
    """GDAL gives the numbers as they are stored: ships would be dark on a bright sea."""
    write_tiff(path, noise(1, dtype=dtype), photometric="MINISWHITE")

    with pytest.raises(InputError, match=r"scene\.tif stores white as 0 \(MINISWHITE\); invert it"):
        whole(path, scale=(0, 255))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="nobody tells which files are open")
def test_a_scene_that_is_refused_is_closed(path):
    write_tiff(path, noise(3, dtype=np.uint16))

    with pytest.raises(InputError) as caught, open_scene(path):
        pass

    held = [file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert "scale" in str(caught.value)
    assert path not in held


def degrees(georeference, *points):
    return georeference.to_degrees(np.array(points, dtype=float))


def georeference_of(path, **place):
    write_tiff(path, noise(3), **place)
    with open_scene(path) as scene:
        return scene.georeference


def test_georeference_in_utm(path):
    """The left border is the zone's meridian, 9 degrees; 6,000,000 m north of the equator along it, shortened by
    0.9996, are 6,002,401 m of meridian: 54.148 degrees. 100 columns of 10 m are 1000 m / (0.9996 N cos(54.148)) with
    N = 6,392,209: 1000 / 3,742,674 = 0.00026719 radians = 0.015309 degrees."""
    georeference = georeference_of(path, **UTM)

    assert georeference.transform == (10, 0, 500_000, 0, -10, 6_000_000)
    np.testing.assert_allclose(degrees(georeference, (0, 0)), [(9, 54.1481)], atol=1e-4)
    np.testing.assert_allclose(degrees(georeference, (100, 0))[0, 0] - 9, 0.015309, rtol=1e-3)
    assert pickle.loads(pickle.dumps(georeference)) == georeference


def test_georeference_in_web_mercator(path):
    """x = R longitude, so 1,113,194.908 m are 10 degrees; y = R ln tan(45 + 60 / 2) = 6,378,137 ln 3.7320508 =
    8,399,737.9 for 60 degrees north. 5 m pixels; column 0 and row 0 lie 100 and 40 pixels off."""
    transform = rasterio.Affine(5, 0, 1_113_194.908 - 500, 0, -5, 8_399_737.89 + 200)

    georeference = georeference_of(path, crs="EPSG:3857", transform=transform)

    np.testing.assert_allclose(degrees(georeference, (100, 40)), [(10, 60)], atol=1e-6)


def test_georeference_in_degrees(path):
    transform = rasterio.Affine(0.5, 0, -20, 0, -0.25, 30)

    georeference = georeference_of(path, crs="EPSG:4326", transform=transform)

    np.testing.assert_allclose(degrees(georeference, (0, 0), (10, 40)), [(-20, 30), (-15, 20)], atol=1e-9)


def test_georeference_that_is_turned(path):
    """Rows run to the east and columns to the north: row 20 is 10 degrees east, column 10 is 1 degree north."""
    transform = rasterio.Affine(0, 0.5, 10, 0.1, 0, 50)

    georeference = georeference_of(path, crs="EPSG:4326", transform=transform)

    np.testing.assert_allclose(degrees(georeference, (0, 0), (10, 20)), [(10, 50), (20, 51)], atol=1e-9)


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"transform": UTM["transform"]},
        {"crs": UTM["crs"]},
        UTM | {"transform": rasterio.Affine(0, 0, 5, 0, 0, 5)},
        UTM | {"crs": 'LOCAL_CS["harbour",UNIT["metre",1]]'},
    ],
    ids=["nothing", "no system", "no transform", "all in one point", "system of its own"],
)
def test_scenes_that_lie_nowhere_have_no_georeference(place, path):
    assert georeference_of(path, **place) is None


def test_a_scene_that_lies_nowhere_is_read_in_silence(path):
    write_tiff(path, noise(3))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole(path)
        read_scene_size(path)


@pytest.mark.parametrize(
    "place",
    [
        UTM | {"transform": rasterio.Affine(10, 0, 1e30, 0, -10, 0)},
        UTM | {"crs": "EPSG:4326"},
        *(
            {"crs": "EPSG:4326", "transform": rasterio.Affine(0.05, 0, 10, *latitude)}
            for latitude in [(-0.05, -0.05, 94), (0.05, -0.05, 84), (-0.05, 0.05, 79), (0.01, 0.05, 74)]
        ),
    ],
    ids=["outside the projection", "metres for degrees", "upper left", "upper right", "lower left", "lower right"],
)
def test_scenes_outside_the_earth_are_refused_at_once(place, path):
    """Also if only one corner is beyond a pole: at 300 x 200 pixels it is at 94 degrees and the next one at 84, or the
    last one at 91 and the next one at 89."""
    with pytest.raises(InputError, match=r"scene\.tif: pixels lie nowhere on earth.*; correct its"):
        georeference_of(path, **place)


def test_damaged_tile_is_named_and_the_others_are_read(path):
    """The tile of rows 128 to 191 and columns 64 to 127 has its middle overwritten."""
    colours = noise(3)
    write_tiff(path, colours, **LAYOUTS["tiles"], interleave="pixel")
    with rasterio.open(path) as dataset:
        offset, length = (int(dataset.get_tag_item(f"BLOCK_{name}_1_2", "TIFF", bidx=1)) for name in ("OFFSET", "SIZE"))
    data = bytearray(path.read_bytes())
    data[offset + length // 2 : offset + length // 2 + 200] = b"\xff" * 200
    path.write_bytes(data)

    with open_scene(path) as scene:
        with pytest.raises(InputError, match=r"scene\.tif is damaged in rows 150 to 159, columns 100 to 199 \(.+\)"):
            scene[150:160, 100:200]
        assert np.array_equal(scene[:, 128:], np.moveaxis(colours, 0, -1)[:, 128:])


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_off_file_is_refused(layout, part, path, capfd):
    write_tiff(path, noise(3), **LAYOUTS[layout])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    with pytest.raises(InputError, match=r"scene\.tif is damaged .*fetch it again"):
        whole(path)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_tiff_is_refused(path, tmp_path):
    with pytest.raises(InputError, match=r"scene\.tif does not exist"):
        whole(path)
    with pytest.raises(InputError, match="does not exist or is no file"):
        whole(tmp_path)
    Image.fromarray(np.moveaxis(noise(3), 0, -1)).save(path, format="PNG")
    with pytest.raises(InputError, match=r"scene\.tif is damaged or no TIFF"):
        whole(path)
    for content in (b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"text" * 99):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"scene\.tif is damaged or no TIFF"):
            whole(path)


def vrt_of(path):
    """A virtual dataset that shows another file."""
    return (
        '<VRTDataset rasterXSize="200" rasterYSize="300"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize("name", ["/vsizip/{}/scene.tif", "http://localhost/scene.tif", "GTIFF_DIR:1:{}", "file://{}"])
def test_names_that_only_gdal_understands_are_refused(name, path):
    write_tiff(path, noise(3))

    with pytest.raises(InputError, match="does not exist or is no file"):
        whole(Path(name.format(path)))


def test_no_other_file_is_followed(path, tmp_path):
    """Neither a virtual dataset under a wrong name, nor what lies beside a scene and would change it."""
    other = write_tiff(tmp_path / "other.tif", np.zeros((1, 300, 200), dtype=np.uint8))
    path.write_text(vrt_of(other))
    with pytest.raises(InputError, match="no TIFF"):
        whole(path)

    colours = noise(3)
    write_tiff(path, colours)
    Path(f"{path}.msk").write_text(vrt_of(other))
    Path(f"{path}.aux.xml").write_text("<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>")
    path.with_suffix(".tfw").write_text("10\n0\n0\n-10\n500000\n6000000\n")
    with rasterio.open(path) as dataset:
        assert len(dataset.files) == 5  # as GDAL would have it
    with open_scene(path) as scene:
        assert not scene.has_gaps
        assert scene.georeference is None
        assert np.array_equal(scene[:, :], np.moveaxis(colours, 0, -1))


@pytest.mark.parametrize("name", ["a b.tif", "s3:bucket.tif", "scene #1?.tif", "Küste.tif", "%41.tif"])
def test_odd_names_are_plain_files(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / name, noise(3))

    assert np.array_equal(whole(Path(name))[0], np.moveaxis(noise(3), 0, -1))


def write_empty(path, height, width, **layout):
    """Write a file of zeros that takes no space."""
    profile = {"driver": "GTiff", "count": 3, "height": height, "width": width, "dtype": "uint8", "SPARSE_OK": True}
    with rasterio.open(path, "w", **profile | layout):
        pass


def test_scenes_that_are_too_large_are_refused(path):
    write_empty(path, 1, LONGEST_SIDE + 1)
    with pytest.raises(InputError, match=r"scene\.tif has 1 x 1048577 pixels"):
        whole(path)
    with pytest.raises(InputError, match=r"scene\.tif has 1 x 1048577 pixels"):
        read_scene_size(path)

    one_tile = {"tiled": True, "blockysize": 2**15, "blockxsize": 2**13}  # of 1.6 GB
    write_empty(path, 2**15, 2**13, **one_tile, dtype="uint16")
    with pytest.raises(InputError, match=r"blocks of 32768 x 8192 pixels.*gdal_translate -of COG"):
        whole(path)


def test_blocks_much_larger_than_the_scene_are_refused(path):
    """A block is unpacked whole, whatever the scene shows of it: 16 px squared would take 200 MB."""
    write_empty(path, 16, 16, tiled=True, blockxsize=1024, blockysize=65_536)
    with pytest.raises(InputError, match=r"blocks of 65536 x 1024 pixels.*gdal_translate -of COG"):
        whole(path)

    write_empty(path, 16, 16, tiled=True, blockxsize=512, blockysize=512)
    assert whole(path)[0].shape == (16, 16, 3)
    write_empty(path, 4096, 2048, tiled=True, blockxsize=2048, blockysize=4096)  # one block, all of it shown
    with open_scene(path) as scene:
        assert scene.shape == (4096, 2048, 3)


def test_large_scene_is_known_without_a_warning(path):
    """Pillow would take 1.6 billion pixels for an attack."""
    write_empty(path, 20_000, 80_000, tiled=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert is_scene(path)
    assert [str(warning.message) for warning in caught] == []


def test_large_scene_takes_little_memory(path):
    """60,000 x 60,000 pixels are 10.8 GB."""
    write_empty(path, 60_000, 60_000, tiled=True, compress="deflate")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with open_scene(path) as scene:
        for corner in range(0, 60_000, 4_000):
            assert scene[corner : corner + 384, corner : corner + 384].shape == (384, 384, 3)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_threads_may_share_a_scene(path):
    colours = noise(3, 512, 512)
    write_tiff(path, colours, **LAYOUTS["tiles"])
    image = np.moveaxis(colours, 0, -1)
    right = []

    def read(scene, seed):
        for row, column in np.random.default_rng(seed).integers(0, 400, (50, 2)):
            window = np.s_[row : row + 100, column : column + 100]
            right.append(np.array_equal(scene[window], image[window]))

    with open_scene(path) as scene:
        threads = [threading.Thread(target=read, args=(scene, seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert right == [True] * 200


def test_without_rasterio_the_extra_is_named(path, monkeypatch):
    write_tiff(path, noise(3))
    monkeypatch.setitem(sys.modules, "rasterio", None)

    with pytest.raises(InputError, match=r"needs rasterio; .*pip install -e '\.\[scenes\]'$"):
        whole(path)


def test_import_loads_neither_rasterio_nor_shapely():
    code = (
        "import json, sys, shipseg_tiles.inference.scenes, shipseg_tiles.inference.vectors;"
        "print(json.dumps([name for name in ('rasterio', 'shapely', 'keras') if name in sys.modules]))"
    )

    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert json.loads(finished.stdout) == []
