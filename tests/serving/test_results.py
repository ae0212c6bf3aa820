"""What is made of an image too large to be shown in full."""

import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.report.pictures import PREDICTED
from shipseg_tiles.serving.results import make_result

BOX = slice(30, 40), slice(3000, 3011)
"""10 x 11 px; shrunk 3 times, rows 10 to 13 and columns 1000 to 1003, of which the last ones are a third and two."""


@pytest.fixture(scope="module")
def long(weights, tmp_path_factory):
    """A black image of 100 x 5000 px with one white box: its result as an image, and as a scene."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
    pixels = np.zeros((100, 5000, 3), dtype=np.uint8)
    pixels[BOX] = 255
    folder = tmp_path_factory.mktemp("long")
    (folder / "image").mkdir()
    (folder / "scene").mkdir()
    Image.fromarray(pixels).save(folder / "image" / "image.png")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
    layout = {"driver": "GTiff", "height": 100, "width": 5000, "count": 3, "dtype": "uint8"}
    with rasterio.open(folder / "scene" / "image.tif", "w", **layout, **place) as dataset:
        dataset.write(pixels.transpose(2, 0, 1))
    told = []
    options = PredictOptions(weights=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a name that nobody knows
        results = {
            path.parent.name: make_result(options, path, "long.png", lambda *progress: told.append(progress))
            for path in (folder / "image" / "image.png", folder / "scene" / "image.tif")
        }
    yield results, told
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["image", "scene"])
def test_the_pictures_are_shrunk_by_a_whole_number(long, kind):
    """5000 px fit into 2048 at a third: 1667 x 34 px, rounded up. The middle of the box is white, the sea black."""
    result = long[0][kind]

    assert result.data["shrunk"] == 3
    preview = np.array(Image.open(result.files["preview"]), dtype=int)
    assert preview.shape == (34, 1667, 3)
    assert preview[11, 1001].min() > 230
    assert preview[11, 990].max() < 20


@pytest.mark.parametrize("kind", ["image", "scene"])
def test_the_overlay_lies_on_the_picture(long, kind):
    """Ship inside, outline around it, and nothing elsewhere."""
    overlay = np.array(Image.open(long[0][kind].files["overlay"]).convert("RGBA"))

    assert overlay.shape == (34, 1667, 4)
    inside = np.argwhere((overlay[..., 3] > 0) & (overlay[..., 3] < 255))
    assert (inside.min(axis=0).tolist(), inside.max(axis=0).tolist()) == ([10, 1000], [13, 1003])
    assert len(inside) == 16
    assert tuple(overlay[9, 1001]) == (*PREDICTED, 255)
    assert overlay[..., 3].astype(bool).sum() < 100


def test_progress_goes_by_rows_of_tiles(long):
    """Tiles of 64 px over 100 rows begin at 0 and 36: the lines of the first are final down to the second."""
    assert long[1] == [(1, 2), (2, 2)] * 2


@pytest.mark.parametrize("kind", ["image", "scene"])
def test_of_the_upload_only_results_are_left(long, kind):
    files = long[0][kind].files

    folder = files["preview"].parent
    assert {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")} == {*files.values()}
