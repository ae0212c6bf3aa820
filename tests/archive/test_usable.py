import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.usable import UsableImages
from shipseg_tiles.errors import SkippedImageWarning


@pytest.fixture
def archive(tmp_path):
    """`good` of 10 x 20, `text` that is no image, and `torn`, whose header is whole but not its pixels."""
    Image.new("RGB", (20, 10), (1, 2, 3)).save(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "torn.png")
    whole = (tmp_path / "torn.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\ngood.png,\ntext.png,\ntorn.png,\n")
    return open_archive(tmp_path, tmp_path / "labels.csv")


def test_images_with_a_bad_header_are_left_out(archive):
    with pytest.warns(SkippedImageWarning, match=r"^text.png skipped: .* is damaged or no image"):
        usable = UsableImages(archive)

    assert usable.sizes == {"good.png": (10, 20), "torn.png": (50, 50)}
    assert list(usable.skipped) == ["text.png"]


@pytest.mark.filterwarnings("ignore:text.png")
def test_images_that_are_found_damaged_later_are_left_out_then(archive):
    usable = UsableImages(archive)

    with pytest.warns(SkippedImageWarning, match=r"^torn.png skipped"):
        assert usable.read("torn.png") is None

    assert list(usable.sizes) == ["good.png"]
    assert list(usable.skipped) == ["text.png", "torn.png"]
    good = usable.read("good.png")
    assert good is not None
    assert np.array_equal(good, np.full((10, 20, 3), (1, 2, 3)))
