import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, NetError
from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.nets.weights_files import contract_path


def contract(**changes):
    values = {
        "weights_sha256": "",
        "net": "classifier",
        "patch": 64,
        "threshold": 0.5,
        "minimum_area": 10,
        "tile": 768,
        "overlap": 0.25,
        "tile_multiple": 16,
        "receptive_field": 0,
    }
    return Contract(**values | changes)


class Recording:
    """A net whose probability is the mean brightness over 255, which remembers what it was shown."""

    def __init__(self):
        self.shapes = []
        self.means = set()

    def predict_on_batch(self, tiles):
        self.shapes.append(tiles.shape)
        means = tiles.mean(axis=(1, 2, 3))
        self.means |= set(means.tolist())
        return (means / 255).astype(np.float32)[:, np.newaxis]


class Brightest:
    """A net whose probability is the brightest pixel over 255."""

    def predict_on_batch(self, tiles):
        return tiles.max(axis=(1, 2))[:, :1] / np.float32(255)


class Red:
    """A net that answers the red of the first pixel over 256, so that 128 is exactly a half."""

    def predict_on_batch(self, tiles):
        return tiles[:, 0, 0, :1] / np.float32(256)


def scene(height, width, *ships):
    """Black with white boxes (row, column, height, width)."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for row, column, rows, columns in ships:
        image[row : row + rows, column : column + columns] = 255
    return image


def save(net, path, **changes):
    net.save(path)
    write_contract(contract(weights_sha256=checksum(path), **changes), path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    keras.utils.set_random_seed(0)
    net = build_net("classifier", width=2, depth=2)
    return save(net, tmp_path_factory.mktemp("weights") / "net.keras", threshold=0.25)


# What the net is shown


def test_an_image_as_large_as_a_patch_is_asked_at_once():
    """A box of 32 x 32 is a quarter of 64 x 64 pixels."""
    net = Recording()

    assert Classifier(net, contract()).probability(scene(64, 64, (0, 0, 32, 32))) == 0.25
    assert net.shapes == [(1, 64, 64, 3)]


def test_a_larger_image_is_as_likely_as_the_likeliest_tile():
    """100 x 150 px in tiles of 64 begin at rows 0 and 36 and columns 0, 64 and 86. A box of 32 x 64 in the lower right
    corner fills half of the last tile; in the tile at column 64 it has 42 of its columns."""
    net = Recording()

    assert Classifier(net, contract()).probability(scene(100, 150, (68, 86, 32, 64))) == 0.5
    assert net.shapes == [(6, 64, 64, 3)]
    assert net.means == {0, 255 * 0.5, 255 * 32 * 42 / 64**2}


@pytest.mark.parametrize("patch", [64, 50])
def test_a_small_image_is_mirrored_to_the_next_size_that_the_net_takes(patch):
    """20 x 30 px need a side of 32. Lines 8 to 19 are seen again below, columns 28 and 29 to the right: of the white
    ones, 2 lines and 2 columns in the corner, 4 x 4 pixels are seen. A patch of 50 px itself takes 64."""
    net = Recording()
    classifier = Classifier(net, contract(patch=patch))

    assert classifier.probability(scene(20, 30, (18, 28, 2, 2))) == 16 / 32**2
    classifier.probability(scene(64, 64))
    assert net.shapes == [(1, 32, 32, 3), (1, 64, 64, 3)]


@pytest.mark.parametrize(("resize", "side"), [(16, 16), (128, 128), (None, 64)])
def test_images_are_resized_as_the_patches_were(resize, side):
    """128 x 192 px are 2 x 3 patches of 64 px, whatever size those had when the net saw them; the ship fills half of
    one, and of a pixel on its edge resizing makes the same mixture on both sides."""
    net = Recording()

    probability = Classifier(net, contract(resize=resize)).probability(scene(128, 192, (64, 64, 32, 64)))

    assert probability == pytest.approx(0.5, abs=0.01)
    assert net.shapes == [(6, side, side, 3)]


def test_of_finer_pixels_as_much_ground_is_seen_at_once():
    """Of half the size, 128 x 128 px are what 64 x 64 were."""
    net = Recording()
    finer = contract(pixel_size=1.5).for_pixels_of(0.75)

    assert Classifier(net, finer).probability(scene(128, 128, (0, 0, 64, 64))) == 0.25
    assert net.shapes == [(1, 64, 64, 3)]


def test_a_whole_image_that_was_shrunk_in_training_is_one_tile():
    """768 px that became 256 in training: the image is seen at once, and one of 800 x 800 px, now 267, in 2 x 2."""
    net = Recording()
    classifier = Classifier(net, contract(patch=768, resize=256))

    classifier.probability(scene(768, 768))
    classifier.probability(scene(800, 800))

    assert net.shapes == [(1, 256, 256, 3), (4, 256, 256, 3)]


def test_many_tiles_are_shown_in_batches_of_one_bounded_shape():
    """3 x 3 tiles of 384 px, four of which have as many pixels as an image of 768 px; each is filled with a gray of its
    own, and all of them are seen."""
    net = Recording()
    grays = np.arange(10, 100, 10, dtype=np.uint8).reshape(3, 3)
    image = np.repeat(grays.repeat(384, axis=0).repeat(384, axis=1)[..., np.newaxis], 3, axis=2)

    assert Classifier(net, contract(patch=384)).probability(image) == pytest.approx(90 / 255)
    assert net.shapes == [(4, 384, 384, 3)] * 3
    assert net.means == set(range(10, 100, 10))


@settings(deadline=None)
@given(st.data())
def test_no_pixel_is_overlooked(data):
    """One white pixel anywhere is found, in tiles that are never larger than a patch."""
    height, width = data.draw(st.tuples(st.integers(1, 200), st.integers(1, 200)))
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    image = scene(height, width, (row, column, 1, 1))
    usage = contract(patch=data.draw(st.sampled_from([16, 48, 64])))
    net = Recording()

    assert Classifier(Brightest(), usage).probability(image) == 1
    assert Classifier(net, usage).probability(image) > 0
    for _, *sides, _ in net.shapes:
        assert max(sides) <= usage.patch
        assert all(side % 16 == 0 for side in sides)


def test_a_probability_at_the_threshold_is_no_ship():
    """128 / 256 is not above 0.5, 129 / 256 is."""
    classifier = Classifier(Red(), contract())

    assert not classifier.has_ship(np.full((16, 16, 3), 128, dtype=np.uint8))
    assert classifier.has_ship(np.full((16, 16, 3), 129, dtype=np.uint8))


# Loading


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (64, 64), (101, 37)])
def test_a_saved_net_answers_images_of_any_size(saved, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    probability = Classifier.load(saved).probability(image)

    assert isinstance(probability, float)
    assert 0 < probability < 1


def test_a_patch_gets_the_answer_of_the_net_itself(saved):
    patch = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    classifier = Classifier.load(saved)

    assert classifier.probability(patch) == pytest.approx(classifier.net.predict_on_batch(patch[np.newaxis]).item())


def test_the_threshold_is_the_contracts_unless_another_is_given(saved):
    assert Classifier.load(saved).contract.threshold == 0.25
    assert Classifier.load(saved, 0.75).contract.threshold == 0.75
    with pytest.raises(InputError, match=r"threshold 0\.0 must be above 0"):
        Classifier.load(saved, 0.0)


def test_weights_without_contract_are_refused(tmp_path):
    weights = save(build_net("classifier", width=1, depth=1), tmp_path / "net.keras")
    contract_path(weights).unlink()

    with pytest.raises(InputError, match=r"net\.json does not exist"):
        Classifier.load(weights)


def test_a_net_that_answers_no_number_passes_nothing_over_in_silence():
    class Wrong(Red):
        def predict_on_batch(self, tiles):
            return super().predict_on_batch(tiles) * np.nan

    with pytest.raises(NetError, match="the net answers nan"):
        Classifier(Wrong(), contract()).has_ship(scene(64, 64))
