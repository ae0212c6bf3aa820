import keras
import numpy as np
import pytest

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, NetError
from shipseg_tiles.inference.planning import plan_sizes
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.nets.weights_files import contract_path
from shipseg_tiles.tiling import Region


def brightness_net():
    """A net whose probability is a third of the sum of the channels over 255: 0 on black, 1 on white."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    shares = keras.layers.Rescaling(1 / 255)(pixels)
    mean = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3))(shares)
    return keras.Model(pixels, mean)


def contract(**changes):
    values = {
        "weights_sha256": "",
        "net": "unet",
        "patch": 64,
        "threshold": 0.5,
        "minimum_area": 10,
        "tile": 64,
        "overlap": 0.25,
        "tile_multiple": 16,
        "receptive_field": 0,
    }
    return Contract(**values | changes)


class Recording:
    """The brightness net as numpy, which remembers what it was shown."""

    def __init__(self):
        self.shapes = []

    def predict_on_batch(self, tiles):
        self.shapes.append(tiles.shape)
        return tiles.mean(axis=-1, keepdims=True) / 255


def save(net, path):
    net.save(path)
    write_contract(contract(weights_sha256=checksum(path)), path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save(brightness_net(), tmp_path_factory.mktemp("weights") / "net.keras")


@pytest.fixture
def weights(saved, tmp_path):
    """A copy of the saved net and its contract that a test may spoil."""
    copy = tmp_path / "net.keras"
    copy.write_bytes(saved.read_bytes())
    contract_path(copy).write_bytes(contract_path(saved).read_bytes())
    return copy


def scene(height, width, *ships):
    """Black with white boxes (row, column, height, width)."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for row, column, rows, columns in ships:
        image[row : row + rows, column : column + columns] = 255
    return image


def test_ships_by_hand(saved):
    """On 100 x 150 px a box of 2 x 6 from row 3, column 1. Its pixels count down the columns of 100: in column 1
    they are 103 and 104, in column 2 203 and 204, and so on to column 6."""
    ships = Predictor.load(saved).ships(scene(100, 150, (3, 1, 2, 6)))

    assert [ship.tolist() for ship in ships] == [[column * 100 + row for column in range(1, 7) for row in (3, 4)]]


def test_exactly_the_ships_below_the_minimum_area_are_dropped():
    """Boxes of 3 x 3, 2 x 5 and 1 x 11 px have 9, 10 and 11 pixels; at a minimum of 10 the first one goes."""
    image = scene(40, 80, (2, 2, 3, 3), (10, 2, 2, 5), (20, 2, 1, 11))

    def sizes(minimum_area):
        predictor = Predictor(Recording(), contract(minimum_area=minimum_area))
        return sorted(ship.size for ship in predictor.ships(image))

    assert sizes(0) == [9, 10, 11]
    assert sizes(10) == [10, 11]
    assert sizes(11) == [11]
    assert sizes(12) == []


class Halves:
    """A net that answers the red over 256, so that 128 is exactly a half."""

    def predict_on_batch(self, tiles):
        return tiles[..., :1] / 256


def test_the_minimum_score_is_that_of_the_contract():
    """Boxes of 160 / 256 = 0.625 and 192 / 256 = 0.75: both are above the threshold of 0.5."""
    image = scene(40, 80, (2, 2, 4, 4), (20, 20, 5, 5))
    image[2:6, 2:6], image[20:25, 20:25] = 160, 192

    def sizes(**changes):
        return [ship.size for ship in Predictor(Halves(), contract(**changes)).ships(image)]

    assert sizes() == [16, 25]
    assert sizes(minimum_score=0.7) == [25]


def test_a_pixel_at_the_threshold_is_no_ship():
    """128 / 256 is not above 0.5, 129 / 256 is."""
    image = np.full((16, 16, 3), 128, dtype=np.uint8)
    image[4:8, 4:8] = 129

    (ship,) = Predictor(Halves(), contract(threshold=0.5)).ships(image)

    assert ship.size == 16


def test_ships_that_touch_at_a_corner_are_one():
    image = scene(20, 20, (2, 2, 4, 4), (6, 6, 4, 4))

    assert [ship.size for ship in Predictor(Recording(), contract()).ships(image)] == [32]


def test_the_ship_across_tile_lines_is_not_cut():
    """A box from 40 to 160 crosses the lines of tiles of 64 px at stride 48 several times."""
    image = scene(200, 200, (100, 40, 6, 120))

    assert [ship.size for ship in Predictor(Recording(), contract()).ships(image)] == [720]


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (63, 64), (65, 64), (101, 37), (64, 193)])
def test_images_of_any_size_are_predicted(saved, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    probabilities = Predictor.load(saved).probabilities(image)

    assert probabilities.shape == shape
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, image.mean(axis=-1) / 255, atol=1e-5)


def test_batches_are_as_large_as_the_net_sees_them():
    """Tiles of 64 px that the net sees at 512: a batch of 589,824 pixels holds two of them, not 144."""
    net, how = Recording(), contract(tile=64, resize=512)

    Predictor(net, how).probabilities(np.zeros((256, 320, 3), dtype=np.uint8))

    (plan,) = plan_sizes({(256, 320): 1}, how)
    assert plan.batch == 2
    assert set(net.shapes) == {(2, 512, 512, 3)}


@pytest.mark.parametrize("shape", [(1000, 3000), (40, 50)])
def test_batches_are_as_planned(shape):
    net, how = Recording(), contract(tile=256)

    Predictor(net, how).probabilities(np.zeros((*shape, 3), dtype=np.uint8))

    (plan,) = plan_sizes({shape: 1}, how)
    assert set(net.shapes) == {(plan.batch, plan.grid.tile, plan.grid.tile, 3)}


def test_a_ship_has_the_mean_probability_of_its_pixels():
    """Boxes of white and of a gray of 204, which is 0.8: 12 white pixels and 4 gray ones beside them are one ship of
    (12 * 1 + 4 * 0.8) / 16 = 0.95; further down, in a later column, 16 gray ones are another."""
    image = scene(40, 60, (2, 2, 4, 3))
    image[2:6, 5] = image[20:24, 30:34] = 204
    predictor = Predictor(Recording(), contract())

    ships = predictor.joined(predictor.strips(image), 40)

    assert [ship.score for ship in ships] == pytest.approx([0.95, 0.8])
    assert [ship.pixels.size for ship in ships] == [16, 16]


class Neighbourly:
    """A net that answers half the brightness of a pixel and half that of the pixel on its right, if its tile has it."""

    def predict_on_batch(self, tiles):
        brightness = tiles.mean(axis=-1, keepdims=True) / 255
        right = np.zeros_like(brightness)
        right[:, :, :-1] = brightness[:, :, 1:]
        return (brightness + right) / 2


@pytest.mark.parametrize("resize", [None, 16, 96])
def test_a_region_has_exactly_the_pixels_of_the_whole(resize):
    """Where tiles are resized for the net, too. Its lines are those that the grid's `bands` foretell."""
    image = np.random.default_rng(0).integers(0, 256, (200, 180, 3), dtype=np.uint8)
    region = Region(77, 30, 150, 101)
    predictor = Predictor(Neighbourly(), contract(resize=resize, patch=64))

    lines = list(predictor.lines(image, region, disagreement=True))

    whole = list(predictor.lines(image, disagreement=True))
    for value in ("probability", "disagreement"):
        part, everything = (np.concatenate([getattr(found, value) for found in these]) for these in (lines, whole))
        assert np.array_equal(part, everything[77:150, 30:101])
    bands = predictor.grid(200, 180).bands(region)
    assert [(found.top, found.left, *found.probability.shape) for found in lines] == [
        (band.top, band.left, band.bottom - band.top, band.right - band.left) for band in bands
    ]
    assert len(bands) == 3  # tiles begin at the rows 0, 48, 96, 136: from 77, 96 and 136 on


def test_ships_of_a_region_are_cut_at_its_border():
    """A box of 4 x 20 px, of which the region has the last 6 columns. Pixels are numbered in the whole image: row 50
    of column 60 of 100 lines is 6050."""
    predictor = Predictor(Recording(), contract())
    strips = predictor.strips(scene(100, 150, (50, 46, 4, 20)), Region(40, 60, 100, 150))

    (ship,) = predictor.joined(strips, 100)

    assert ship.pixels.tolist() == [column * 100 + row for column in range(60, 66) for row in range(50, 54)]


@pytest.mark.parametrize("resize", [None, 32])
def test_tiles_that_are_not_seen_hold_no_ship(resize):
    """Two ships, one in each of the 2 x 2 tiles of 64 px on the diagonal; only the second row of tiles is seen."""
    rows = iter([False, True])
    predictor = Predictor(Recording(), contract(overlap=0.0, resize=resize), sees=lambda *_: np.full(2, next(rows)))

    ships = predictor.ships(scene(128, 128, (10, 10, 4, 4), (100, 100, 4, 4)))

    assert [ship[0] for ship in ships] == [100 * 128 + 100]


def test_symmetries_make_a_lopsided_net_even():
    """A pixel alone is half as bright to itself and to the one on its left, as it is: 0.5 each. Of the 8 views of a
    tile two have each side on the left, so each of the 4 neighbours gets 0.5 / 4."""
    image = scene(16, 16, (7, 7, 1, 1))

    plain = Predictor(Neighbourly(), contract()).probabilities(image)
    even = Predictor(Neighbourly(), contract(symmetries=8)).probabilities(image)

    assert plain[6:9, 6:9].tolist() == [[0, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]
    assert even[6:9, 6:9].tolist() == [[0, 0.125, 0], [0.125, 0.5, 0.125], [0, 0.125, 0]]


def test_tiles_are_shown_at_several_sizes():
    """Patches of 64 px are shown at 64 and at 32: a pixel alone is 1 to the first. To the second a quarter of a cell of
    2 x 2 px is, which is enlarged linearly: of it the four have 0.75 * 0.75, those beside them 0.75 * 0.25."""
    net, image = Recording(), scene(64, 64, (10, 10, 1, 1))

    probabilities = Predictor(net, contract(resizes=[64, 32])).probabilities(image)

    assert net.shapes == [(1, 64, 64, 3), (1, 32, 32, 3)]
    quarter = 64 / 255 * 0.75 / 2  # 63.75 is rounded to a whole grey level
    assert probabilities[10, 10] == pytest.approx(0.5 + 0.75 * quarter)
    assert probabilities[10, 9:13].tolist() == pytest.approx(
        [0.25 * quarter, 0.5 + 0.75 * quarter, *[0.75 * quarter, 0.25 * quarter]]
    )


def test_a_tile_that_shrinks_to_no_size_of_the_net_is_mirrored_and_keeps_its_scale():
    """80 px at 48 / 64 of their size are 60, beside which the net, which takes multiples of 16, sees 4 px of their
    mirror image. A ship in the last 4 columns of the tile is the last 3 of the 60 and the first 3 of the 4."""
    net = Recording()

    found = Predictor(net, contract(resize=48, tile=80)).probabilities(scene(80, 80, (0, 76, 80, 4)))

    assert net.shapes == [(1, 64, 64, 3)]
    assert (found[:, :75] == 0).all()
    assert (found[:, 77:] == 1).all()


class Forgetful(Recording):
    """The brightness net, with memory for 5 tiles at once."""

    def predict_on_batch(self, tiles):
        answer = super().predict_on_batch(tiles)
        if len(tiles) > 5:
            raise MemoryError
        return answer


def test_a_net_that_runs_out_of_memory_gets_smaller_batches():
    """16 tiles: 8 and 8 fail as well, 4 at a time are predicted."""
    net = Forgetful()

    with pytest.warns(UserWarning, match="predicting [84] tiles at once"):
        ships = Predictor(net, contract()).ships(scene(200, 200, (100, 40, 6, 120)))

    assert [shape[0] for shape in net.shapes] == [16, 16, 8, 4, 4, 4, 4]
    assert [ship.size for ship in ships] == [720]


def test_a_small_image_does_not_take_a_full_tile():
    """40 x 50 px needs a side of 50, the next multiple of 16 is 64: a tile of 768 px would be 99 % filler."""
    net = Recording()

    Predictor(net, contract(tile=768)).probabilities(scene(40, 50))

    assert net.shapes == [(1, 64, 64, 3)]


def test_a_larger_image_takes_the_tile_of_the_contract():
    """200 px in tiles of 64 px at stride 48 begin at 0, 48, 96, 136: 4 x 4 tiles, all in one batch."""
    net = Recording()

    Predictor(net, contract()).probabilities(scene(200, 200))

    assert net.shapes == [(16, 64, 64, 3)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tile": 60}, "tile 60 must be a multiple of 16"),
        ({"tile": 0}, "tile 0"),
        ({"tile": -16}, "tile -16"),
        ({"overlap": 1.0}, "overlap 1.0"),
        ({"overlap": -0.1}, "overlap -0.1"),
        ({"overlap": float("nan")}, "overlap nan"),
        ({"threshold": 0.0}, "threshold 0.0"),
        ({"threshold": 1.0}, "threshold 1.0"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"minimum_area": -1}, "minimum area -1"),
        ({"minimum_score": 1.0}, "minimum score 1.0"),
    ],
)
def test_values_out_of_range_are_refused(saved, changes, reason):
    with pytest.raises(InputError, match=reason):
        Predictor.load(saved, **changes)


def test_an_unknown_window_is_refused(saved):
    with pytest.raises(InputError, match="no window 'triangle'"):
        Predictor.load(saved, "triangle").probabilities(scene(20, 20))


def test_values_given_win_over_the_contract(saved):
    loaded = Predictor.load(saved, "uniform", tile=32, overlap=0.5, threshold=0.25, minimum_area=None).contract

    assert (loaded.tile, loaded.overlap, loaded.threshold, loaded.minimum_area) == (32, 0.5, 0.25, 10)


def test_weights_without_contract_are_refused(weights):
    contract_path(weights).unlink()

    with pytest.raises(InputError, match=r"net\.json does not exist"):
        Predictor.load(weights)


@pytest.mark.parametrize(("resize", "seen"), [(16, (50, 80)), (None, (200, 320)), (128, (400, 640))])
def test_tiles_are_resized_as_the_patches_were(resize, seen):
    """Patches of 64 px that became 16 shrink 200 x 320 px to 50 x 80; the answer has the size of the image.

    The ship is at multiples of 4 px, so that shrinking it loses nothing but its edges.
    """
    net = Recording()
    image = scene(200, 320, (40, 80, 64, 120))

    probabilities = Predictor(net, contract(resize=resize, tile=640, tile_multiple=1)).probabilities(image)

    assert net.shapes == [(1, max(seen), max(seen), 3)]
    assert probabilities.shape == (200, 320)
    assert probabilities.dtype == np.float32
    assert (probabilities[44:100, 84:196] == 1).all()
    assert (probabilities[:36] == 0).all()
    assert (probabilities[108:] == 0).all()


def test_a_saved_net_answers_as_before(saved):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)

    answer = load_net(saved).predict_on_batch(pixels)

    np.testing.assert_allclose(answer[..., 0], pixels.mean(axis=-1) / 255, atol=1e-6)


@pytest.mark.parametrize("factor", [-1.0, 1.5, np.nan], ids=["negative", "above one", "not a number"])
def test_answers_that_are_no_probabilities_are_refused(factor):
    class Wrong(Recording):
        def predict_on_batch(self, tiles):
            return super().predict_on_batch(tiles) * factor

    predictor = Predictor(Wrong(), contract())

    with pytest.raises(NetError, match=r"the net answers .* but probabilities are from 0 to 1"):
        predictor.probabilities(np.full((64, 64, 3), 255, np.uint8))


def test_answers_that_leave_the_range_by_what_arithmetic_rounds_end_at_it():
    class Rounded(Recording):
        def predict_on_batch(self, tiles):
            return super().predict_on_batch(tiles) + np.float32(0.0005)

    probabilities = Predictor(Rounded(), contract()).probabilities(np.full((64, 64, 3), 255, np.uint8))

    assert (probabilities == 1).all()
