from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from scipy.ndimage import gaussian_filter

from shipseg_tiles.archive.signatures import BLOCK, MINIMUM_DEVIATION, SIDE, read_signature, read_signatures
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.images import read_image, read_reduced


def textured(height, width, seed=0, deviation=20.0):
    """Gray land of soft spots some 20 px wide, uint8 (height, width, 3)."""
    spots = gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 10)
    gray = 120 + deviation * spots / spots.std()
    return np.repeat(gray.clip(20, 230).round().astype(np.uint8)[..., None], 3, axis=2)


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def test_blocks_stand_on_a_grid_from_the_upper_left_corner(tmp_path):
    """600 x 800 px hold 2 x 3 whole blocks of 256 px; the size is that of the image."""
    signature = read_signature(saved(tmp_path / "a.jpg", textured(600, 800), quality=90))

    assert signature.size == (600, 800)
    assert signature.positions.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert signature.patterns.shape == (6, SIDE * SIDE)
    assert (np.abs(signature.patterns.astype(int)).max(axis=1) == 127).all()


@pytest.mark.parametrize("shape", [(255, 768), (768, 255), (9, 8), (1, 2)])
def test_an_image_smaller_than_a_block_has_none(tmp_path, shape):
    signature = read_signature(saved(tmp_path / "a.png", textured(*shape)))

    assert signature.size == shape
    assert len(signature.positions) == len(signature.patterns) == len(signature.deviations) == 0


def test_jpeg_and_png_of_one_picture_have_the_same_patterns(tmp_path):
    """A JPEG is decoded at an eighth of its size, a PNG in full and shrunk: the same means but for rounding."""
    image = textured(512, 512)
    jpeg = read_signature(saved(tmp_path / "a.jpg", image, quality=95))
    png = read_signature(saved(tmp_path / "a.png", image))

    for one, other in zip(jpeg.patterns, png.patterns, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.99
    assert np.allclose(jpeg.deviations, png.deviations, rtol=0.05)


def test_light_that_changes_smoothly_changes_no_pattern(tmp_path):
    """Brighter as the square downwards, darker as the square to the right, and brighter towards the lower right corner,
    each by far more than the spots deviate."""
    image = textured(256, 256, deviation=5)
    y, x = np.meshgrid(np.linspace(0, 1, 256), np.linspace(0, 1, 256), indexing="ij")
    lit = (image + (80 * y * y - 80 * x * x + 60 * x * y)[..., None]).clip(0, 255).astype(np.uint8)

    before = read_signature(saved(tmp_path / "a.png", image))
    after = read_signature(saved(tmp_path / "b.png", lit))

    assert np.corrcoef(before.patterns[0], after.patterns[0])[0, 1] > 0.99


@pytest.mark.parametrize("deviation", [0.8, 3.0])
def test_flat_blocks_say_nothing(tmp_path, deviation):
    """Spots of the right block deviate by so many grey levels, those of the left one by 20; 1.5 are needed."""
    image = np.concatenate([textured(256, 256), textured(256, 256, deviation=deviation)], axis=1)

    signature = read_signature(saved(tmp_path / "a.png", image))

    assert signature.positions[:, 1].tolist() == ([0, 1] if deviation > MINIMUM_DEVIATION else [0])


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (0, 0, 255)])
@pytest.mark.parametrize(("rows", "dropped"), [(8, False), (64, True)])
def test_blocks_with_colours_of_no_data_say_nothing(tmp_path, colour, rows, dropped):
    """64 of 256 rows are a quarter of the left block, 8 are 3 %; 5 % are suffered."""
    image = textured(256, 512)
    image[:rows, :256] = colour

    signature = read_signature(saved(tmp_path / "a.jpg", image, quality=95, subsampling=0))

    assert signature.positions[:, 1].tolist() == ([1] if dropped else [0, 1])


@pytest.mark.parametrize(
    "colour", [(0, 0, 128), (0, 128, 0), (128, 0, 0), (0, 128, 255), (128, 0, 255), (255, 255, 128), (128, 255, 255)]
)
def test_deep_water_and_bright_land_are_no_lack_of_data(tmp_path, colour):
    """One or two of the colours are at an end of their range."""
    image = textured(256, 256)
    image[:64] = colour

    assert len(read_signature(saved(tmp_path / "a.png", image)).positions) == 1


def test_a_reduced_image_holds_the_means_of_squares(tmp_path):
    """Squares of 8 x 8 px in columns of 10, 20 and 30, from a PNG with 3 px to spare on the right."""
    image = np.repeat(np.array([10, 20, 30], dtype=np.uint8), 8)[None, :, None].repeat(16, 0).repeat(3, 2)
    image = np.concatenate([image, np.full((16, 3, 3), 99, dtype=np.uint8)], axis=1)

    small, size = read_reduced(saved(tmp_path / "a.png", image))

    assert size == (16, 27)
    assert small[..., 0].tolist() == [[10, 20, 30]] * 2


def test_a_jpeg_that_only_pillow_reads_is_read(tmp_path):
    """The fast decoder refuses stray bytes before the end marker, which harm nobody."""
    path = saved(tmp_path / "a.jpg", textured(256, 256), quality=95)
    good = read_signature(path)
    path.write_bytes(path.read_bytes()[:-2] + bytes(9) + b"\xff\xd9")
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(path.read_bytes(), "RGB", min_height=1, min_width=1, min_factor=8)

    assert np.corrcoef(read_signature(path).patterns[0], good.patterns[0])[0, 1] > 0.99


@pytest.mark.parametrize("keep", [2, 200, -200])
def test_a_damaged_image_is_refused_as_everywhere(tmp_path, keep):
    """Cut after the first bytes, within the header, and shortly before its end; the last has its end marker back."""
    data = saved(tmp_path / "a.jpg", textured(256, 256), quality=90).read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:keep] + b"\xff\xd9")

    with pytest.raises(InputError) as everywhere:
        read_image(tmp_path / "a.jpg")
    with pytest.raises(InputError) as here:
        read_signature(tmp_path / "a.jpg")

    assert str(here.value) == str(everywhere.value)


def test_a_jpeg_without_its_end_is_refused(tmp_path):
    path = saved(tmp_path / "a.jpg", textured(256, 256))
    path.write_bytes(path.read_bytes()[:-2])

    with pytest.raises(InputError, match=r"a\.jpg is cut off: a JPEG ends with its end marker"):
        read_signature(path)


def test_a_missing_image_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg does not exist"):
        read_signature(tmp_path / "gone.jpg")


def test_bad_images_are_told_apart_from_good_ones(tmp_path):
    files = {name: saved(tmp_path / name, textured(256, 256)) for name in ("b.png", "a.png", "c.png")}
    files["a.png"].write_bytes(b"no image")

    with ThreadPoolExecutor(1) as workers, pytest.warns(SkippedImageWarning, match=r"^a\.png skipped: "):
        signatures, reasons = read_signatures(files, workers)

    assert list(signatures) == ["b.png", "c.png"]
    assert list(reasons) == ["a.png"]
    assert "a.png is damaged or no image" in reasons["a.png"]
    assert signatures["b.png"].size == (BLOCK, BLOCK)
