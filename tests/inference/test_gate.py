from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, NetError
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.openvino_engine import OpenVinoNet
from shipseg_tiles.inference.stitching import stitched_lines
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract, GateUse
from shipseg_tiles.nets.contract_file import contract_in_front, write_contract
from shipseg_tiles.nets.weights_files import contract_path, gate_path
from shipseg_tiles.tiling import TileGrid


def contract(**changes):
    values = {
        "weights_sha256": "",
        "net": "gate",
        "patch": 128,
        "threshold": 0.5,
        "minimum_area": 10,
        "tile": 768,
        "overlap": 0.25,
        "tile_multiple": 32,
        "receptive_field": None,
        "miss_rate": 0.01,
        "thresholds": {"16": 0.5},
    }
    return Contract(**values | changes)


class Brightest:
    """A net whose probability of a cell of 32 px is its brightest pixel over 256, which remembers the shapes it saw."""

    def __init__(self):
        self.shapes = []

    def predict_on_batch(self, pixels):
        self.shapes.append(pixels.shape)
        count, height, width, _ = pixels.shape
        cells = pixels.reshape(count, height // 32, 32, width // 32, 32, 3).max(axis=(2, 4, 5))
        return (cells / 256).astype(np.float32)[..., np.newaxis]


def band(height, width, *bright):
    """Black with bright pixels (row, column)."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for row, column in bright:
        pixels[row, column] = 255
    return pixels


def sees(pixels, *columns, tile, threshold=0.5):
    gate = Gate(Brightest(), contract(thresholds={"1": threshold}))
    return gate.sees(pixels, np.array(columns), tile).tolist()


def save(net, path, **changes):
    net.save(path)
    write_contract(contract(weights_sha256=checksum(path), **changes), path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return save(build_net("gate", width=2, depth=4), tmp_path_factory.mktemp("weights") / "net.gate.keras")


# Which tiles are seen


def test_tiles_that_touch_a_cell_or_its_neighbour_are_seen():
    """Column 100 lies in cell 3. Tiles of 64 px from 0, 64, 128 and 192 touch the cells 0-1, 2-3, 4-5 and 6-7: the
    second touches 3 itself, the third its neighbour 4."""
    assert sees(band(64, 256, (10, 100)), 0, 64, 128, 192, tile=64) == [False, True, True, False]


def test_nothing_above_the_threshold_is_not_seen():
    assert sees(band(64, 256), 0, 64, 128, 192, tile=64) == [False] * 4


def test_tiles_need_not_begin_where_cells_do():
    """Of 300 px, column 170 lies in cell 5. Tiles of 96 px from 10, 106 and 204 hold the pixels 10-105, 106-201 and
    204-299, so they touch the cells 0-3, 3-6 and 6-9: the last touches the neighbour."""
    assert sees(band(96, 300, (95, 170)), 10, 106, 204, tile=96) == [False, True, True]


def test_a_ship_in_the_last_pixel_of_a_band_that_ends_within_a_cell_is_seen():
    """Of 70 px, the last 6 lie in cell 2; the tile of 32 px from 0 touches cell 0 alone, the one from 38 cells 1-2."""
    assert sees(band(32, 70, (31, 69)), 0, 38, tile=32) == [False, True]


@pytest.mark.parametrize("times", [2, 3])
def test_of_finer_pixels_as_much_ground_is_seen(tmp_path, times):
    """Each pixel of the other test is now 2 x 2 or 3 x 3, of half or a third of the size."""
    weights = tmp_path / "net.gate.keras"
    weights.write_bytes(b"")
    write_contract(contract(weights_sha256=checksum(weights), thresholds={"32": 0.5}, pixel_size=1.5), weights)
    gate = Gate(Brightest(), contract_in_front(weights, None, 1.5 / times))
    finer = band(96, 300, (95, 170)).repeat(times, axis=0).repeat(times, axis=1)

    assert gate.sees(finer, times * np.array([10, 106, 204]), 96 * times).tolist() == [False, True, True]
    assert gate.net.shapes == [(1, 96, 320, 3)]


def test_a_probability_at_the_threshold_is_not_above_it():
    """255 / 256 is a float32; the next float64 below it would be rounded to it in float32."""
    pixels = band(32, 32, (0, 0))

    assert sees(pixels, 0, tile=32, threshold=255 / 256) == [False]
    assert sees(pixels, 0, tile=32, threshold=float(np.nextafter(255 / 256, 0))) == [True]


@pytest.mark.parametrize(
    ("tile", "seen"),
    [
        # Smaller than any that is known: nothing is left out.
        (31, True),
        # From 32 on 0.25 holds, which 128/256 is above; from 64 on 0.5, which it is not.
        (32, True),
        (63, True),
        (64, False),
        (100, False),
    ],
)
def test_the_threshold_is_that_of_the_largest_known_tiles_that_are_no_larger(tile, seen):
    gate = Gate(Brightest(), contract(thresholds={"64": 0.5, "32": 0.25}))
    pixels = np.full((tile, tile, 3), 128, dtype=np.uint8)

    assert gate.sees(pixels, np.array([0]), tile).tolist() == [seen]
    assert bool(gate.net.shapes) == (tile >= 32)  # it need not be asked where all are seen


def test_a_calibrated_threshold_counts_for_its_tiles():
    """128/256 is above the own threshold of 0.25, and not above that of calibration, which is for tiles of 64 px; with
    none there, all tiles are seen."""
    pixels = np.full((64, 64, 3), 128, dtype=np.uint8)
    own = contract(weights_sha256="abc", thresholds={"32": 0.25})

    def seen(tile, brightness, threshold):
        gate = Gate(Brightest(), own, GateUse("abc", 64, threshold))
        return gate.sees(pixels[:tile, :tile] * brightness, np.array([0]), tile).tolist()

    assert [seen(64, 1, 0.5), seen(32, 1, 0.5), seen(64, 1, 0.49)] == [[False], [True], [True]]
    assert [seen(64, 0, None), seen(32, 0, None)] == [[True], [False]]


def test_peaks_of_all_tiles_of_an_image_by_hand():
    """40 x 102 px in tiles of 32 px side by side begin at the rows 0 and 8 and the columns 0, 32, 64 and 70. The pixel
    in row 35, column 3 is in the second row of tiles, and in the cell of the first column; the tile from column 32 on
    touches the cell beside it. The one in row 2, column 69 is in the first row, and in cell 2 of 4."""
    peaks = Gate(Brightest(), contract()).tile_peaks(band(40, 102, (35, 3), (2, 69)), TileGrid(40, 102, 32, 32))

    assert peaks.dtype == np.float32
    assert (peaks * 256).tolist() == [0, 255, 255, 255, 255, 255, 0, 0]


def test_peaks_by_hand():
    """Cells of 64/256, 32/256 and 0 in turn: tiles of 32 px see one of them and its neighbours."""
    pixels = np.zeros((32, 160, 3), dtype=np.uint8)
    pixels[5, 40], pixels[31, 64] = 64, 32

    peaks = Gate(Brightest(), contract()).peaks(pixels, np.array([0, 32, 64, 96, 128]), 32)

    assert peaks.dtype == np.float32
    assert peaks.tolist() == [0.25, 0.25, 0.25, 0.125, 0]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_tile_is_seen_if_and_only_if_a_cell_within_reach_is_bright(data):
    """Slowly: from a cell before the one of the tile's first pixel to a cell after the one of its last.

    The last cell is filled by the mirror image of the columns before it, so that it may be bright by one of these.
    """
    tile = data.draw(st.integers(1, 100))
    width = data.draw(st.integers(tile, 400))
    columns = data.draw(st.lists(st.integers(0, width - tile), min_size=1, max_size=5))
    bright = data.draw(st.lists(st.tuples(st.integers(0, tile - 1), st.integers(0, width - 1)), max_size=3))

    shown = [*(column for _, column in bright), *(2 * width - 1 - column for _, column in bright)]
    cells = [column // 32 for column in shown if column < -(-width // 32) * 32]
    expected = [any(first // 32 - 1 <= cell <= (first + tile - 1) // 32 + 1 for cell in cells) for first in columns]

    assert sees(band(tile, width, *bright), *columns, tile=tile) == expected


def test_all_rows_of_an_image_are_shown_in_one_shape():
    """Tiles of 48 px on 100 x 150 px begin at the rows 0, 36 and 52: bands of 48 x 150 px fill 2 x 5 cells."""
    net = Brightest()
    grid = TileGrid(100, 150, 48, 36)

    list(stitched_lines(band(100, 150), lambda tiles: tiles[..., 0] / 255, grid, sees=Gate(net, contract()).sees))

    assert net.shapes == [(1, 64, 160, 3)] * 3


def test_probabilities_are_those_of_cells():
    """40 x 70 px have 2 x 3 cells, which the mirror image fills. The pixel in row 35, column 3 is in cell (1, 0)."""
    probabilities = Gate(Brightest(), contract()).probabilities(band(40, 70, (35, 3)))

    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[0, 0, 0], [255 / 256, 0, 0]]


def test_a_net_that_needs_larger_sides_than_cells_is_shown_such():
    """40 x 300 px are mirrored to 128 x 384, for the answers to their 2 x 10 cells."""
    gate = Gate(Brightest(), contract(tile_multiple=128))

    probabilities = gate.probabilities(band(40, 300, (35, 299)))

    assert gate.net.shapes == [(1, 128, 384, 3)]
    assert probabilities.shape == (2, 10)
    assert np.argwhere(probabilities).tolist() == [[1, 9]]


@pytest.mark.parametrize("units", [5, 6, 9, 14])
def test_a_wide_band_is_cut_where_such_a_net_begins_to_halve(monkeypatch, units):
    """Pieces of 4 x 128 px: the middle two answer."""
    gate = Gate(Brightest(), contract(tile_multiple=128))
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128 * units, 3), dtype=np.uint8)
    whole = gate.probabilities(pixels)
    gate.net.shapes.clear()
    monkeypatch.setattr("shipseg_tiles.inference.gate.PIXELS_AT_ONCE", 128 * 128)

    assert np.array_equal(gate.probabilities(pixels), whole)
    assert gate.net.shapes == [(1, 128, 512, 3)] * -(-units // 2)


@pytest.mark.parametrize("cells", [21, 24, 25, 33, 40])
def test_a_wide_band_is_seen_in_pieces_with_the_same_answers(saved, monkeypatch, cells):
    """At most 20 cells of 32 x 32 px at once, in pieces of one shape: the middle ones answer for 12 of their cells."""
    gate, pieces = Gate.load(saved), Gate(Brightest(), contract())
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32 * cells, 3), dtype=np.uint8)
    whole = gate.probabilities(pixels)
    monkeypatch.setattr("shipseg_tiles.inference.gate.PIXELS_AT_ONCE", 20 * 32 * 32)

    np.testing.assert_allclose(gate.probabilities(pixels), whole, rtol=1e-5)
    assert pieces.probabilities(pixels).shape == (1, cells)
    assert pieces.net.shapes == [(1, 32, 20 * 32, 3)] * -(-cells // 12)


# Loading


def test_a_saved_gate_answers_bands_of_any_size(saved):
    gate = Gate.load(saved)

    assert (gate.contract.miss_rate, gate.contract.thresholds) == (0.01, {"16": 0.5})
    for height, width in ((64, 64), (50, 333), (5, 5)):
        assert gate.sees(band(height, width), np.array([0, width - height]), height).shape == (2,)


# Not importorskip: it would import OpenVINO with its reports.
@pytest.mark.skipif(not find_spec("openvino"), reason="the extra openvino is not installed")
@pytest.mark.parametrize("name", ["gate", "mobilenetv2-gate"])
def test_openvino_runs_a_gate_as_keras_does(tmp_path, name):
    """The second shrinks what it is shown; its cells must not move."""
    weights = save(build_net(name, width=2, depth=3), tmp_path / "net.gate.keras")
    gate, fast = Gate.load(weights), Gate.load(weights, engine="openvino")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 200, 3), dtype=np.uint8)

    assert isinstance(fast.net, OpenVinoNet)
    assert gate.probabilities(pixels).std() > 0
    np.testing.assert_allclose(fast.probabilities(pixels), gate.probabilities(pixels), atol=1e-5)


def test_weights_without_contract_are_refused(saved, tmp_path):
    copy = tmp_path / "net.gate.keras"
    copy.write_bytes(saved.read_bytes())

    with pytest.raises(InputError, match=r"net\.gate\.json does not exist"):
        Gate.load(copy)


def test_a_gate_stands_beside_the_weights_it_works_for():
    assert gate_path(Path("weights/default.keras")) == Path("weights/default.gate.keras")
    assert gate_path(Path("ships.v2.keras")) == Path("ships.v2.gate.keras")
    assert contract_path(gate_path(Path("weights/default.keras"))) == Path("weights/default.gate.json")


def test_a_net_that_answers_no_numbers_leaves_nothing_out_in_silence():
    class Wrong(Brightest):
        def predict_on_batch(self, pixels):
            return super().predict_on_batch(pixels) * np.nan

    with pytest.raises(NetError, match="the net answers nan"):
        Gate(Wrong(), contract()).sees(band(64, 128), np.array([0, 64]), 64)
