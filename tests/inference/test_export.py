from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.inference.export import Exported, check_batches, export_net, largest_difference
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.nets.weights_files import contract_path

CONTRACT = Contract(
    weights_sha256="",
    net="unet",
    patch=64,
    threshold=0.5,
    minimum_area=4,
    tile=64,
    overlap=0.25,
    tile_multiple=16,
    receptive_field=0,
)


def save(net, path):
    net.save(path)
    write_contract(replace(CONTRACT, weights_sha256=checksum(path)), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(build_net("unet", width=2, depth=1), tmp_path_factory.mktemp("weights") / "net.keras")


@pytest.fixture
def images(tmp_path):
    """Three images of 100 x 150, 64 x 64 and 20 x 30 px."""
    (tmp_path / "images").mkdir()
    paths = []
    for number, shape in enumerate([(100, 150), (64, 64), (20, 30)]):
        paths.append(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*shape, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def test_a_folder_appears_with_the_net_and_its_contract(weights, images, tmp_path):
    """Compared are 2 tiles of noise; of the first image 4 of 64 px and 2 of 128; one each of the other two, twice."""
    out = tmp_path / "new" / "net"

    exported = export_net(weights, "saved-model", out, images)

    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert exported == Exported(out, size, 2 + 4 + 2 + 2 + 2, 0.0)
    assert (out / "contract.json").read_bytes() == contract_path(weights).read_bytes()
    assert (out / "saved_model.pb").is_file()
    assert [path.name for path in out.parent.iterdir()] == ["net"]


def test_without_images_simulated_scenes_are_compared(weights, tmp_path):
    """2 tiles of noise, and of each of 4 scenes of 384 px 4 tiles of 64 px and 4 of 128."""
    assert export_net(weights, "saved-model", tmp_path / "net").tiles == 2 + 4 * (4 + 4)


def test_what_is_there_is_not_replaced(weights, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "notes.txt").write_text("mine")

    with pytest.raises(InputError, match=r"net exists already; remove it or give another folder"):
        export_net(weights, "saved-model", tmp_path / "net")
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["notes.txt"]


def test_a_net_that_answers_no_numbers_is_refused_and_nothing_is_left(tmp_path):
    net = build_net("unet", width=2, depth=1)
    net.set_weights([np.full_like(values, np.nan) for values in net.get_weights()])
    weights = save(net, tmp_path / "net.keras")
    (tmp_path / "out").mkdir()

    with pytest.raises(InputError, match=r"net\.keras answers differently as saved-model, by up to nan where 0\.001"):
        export_net(weights, "saved-model", tmp_path / "out" / "net")
    assert not list((tmp_path / "out").iterdir())


def test_a_net_that_cannot_be_run_is_refused_in_one_line_and_nothing_is_left(tmp_path):
    """It takes images of 64 x 64 px alone."""
    pixels = keras.Input((64, 64, 3), dtype="uint8")
    net = keras.Model(pixels, keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))))
    weights = save(net, tmp_path / "net.keras")
    (tmp_path / "out").mkdir()

    with pytest.raises(InputError, match=r"net\.keras cannot be exported to saved-model: ") as caught:
        export_net(weights, "saved-model", tmp_path / "out" / "net")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("to", ["saved-model", "onnx"])
def test_a_full_disk_is_told_as_what_it_is(weights, small_disk, to):
    """Converters call it all kinds of things, and some do not name it."""
    pytest.importorskip("onnx" if to == "onnx" else "tensorflow", reason="an optional extra")
    (small_disk / "others").write_bytes(bytes(500 * 1024))

    with pytest.raises(OSError, match="No space left on device") as caught:
        export_net(weights, to, small_disk / "net")

    assert caught.value.filename == str(small_disk / "net")
    assert [path.name for path in small_disk.iterdir()] == ["others"]


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_bad_input_is_refused_before_anything_is_written(weights, images, tmp_path):
    images[1].write_bytes(b"no image")

    for arguments, reason in [
        ((weights, "tensorrt", tmp_path / "net"), "there is no format 'tensorrt'; choose one of onnx, openvino"),
        ((tmp_path / "none.keras", "onnx", tmp_path / "net"), r"none\.keras does not exist"),
        ((weights, "saved-model", tmp_path / "net", images[1:2]), "none of the images to compare answers on"),
    ]:
        with pytest.raises(InputError, match=reason):
            export_net(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_the_sizes_that_are_compared_by_hand(images):
    """At a multiple of 16 noise is 32 x 48. Tiles of 64 px cover 100 x 150 px as 2 x 3, of which 4 are taken; those of
    128 px as 1 x 2, as the image is mirrored below. 64 px are one tile at either size, 20 x 30 px one of 32 px."""
    shapes = [batch.shape for batch in check_batches(CONTRACT, images)]

    assert shapes == [
        (2, 32, 48, 3),
        (4, 64, 64, 3),
        (2, 128, 128, 3),
        (1, 64, 64, 3),
        (1, 64, 64, 3),
        (1, 32, 32, 3),
        (1, 32, 32, 3),
    ]


def test_a_bad_image_is_left_out(images):
    images[1].write_bytes(b"no image")

    with pytest.warns(SkippedImageWarning, match=r"1\.png skipped"):
        assert len(list(check_batches(CONTRACT, images))) == 1 + 2 + 2


def test_tiles_are_compared_at_the_scale_of_the_training(images):
    """Patches of 64 px that became 24 make 38 x 56 of 100 x 150; their tiles have 32 px, the next multiple of 16: 2 x 2
    of them. Tiles of 64 px cover it at once."""
    shapes = [batch.shape for batch in check_batches(replace(CONTRACT, resize=24, tile=128), images[:1])]

    assert shapes == [(2, 32, 48, 3), (4, 32, 32, 3), (1, 64, 64, 3)]


def test_of_many_images_some_are_taken_evenly(tmp_path):
    """Of 31 images every second one: 16, the first and the last among them. Each is one tile, as gray as its number."""
    paths = [tmp_path / f"{number:02}.png" for number in range(31)]
    for gray, path in enumerate(paths):
        Image.fromarray(np.full((16, 16, 3), gray, dtype=np.uint8)).save(path)

    _, *batches = check_batches(CONTRACT, paths)

    assert [batch.max() for batch in batches[::2]] == list(range(0, 31, 2))


def test_the_largest_difference_by_hand():
    """Answers are the red over 256, and 0.25 more where it is 128: in the second batch alone."""
    batches = [np.full((2, 4, 4, 3), red, dtype=np.uint8) for red in (64, 128, 192)]

    def right(tiles):
        return tiles[..., :1] / 256

    def wrong(tiles):
        return right(tiles) + 0.25 * (tiles[..., :1] == 128)

    def without_channels(tiles):
        return tiles[..., 0] / 256

    def unsure(tiles):
        return np.where(tiles[..., :1] == 64, np.nan, right(tiles))

    assert largest_difference(right, right, batches) == 0
    assert largest_difference(right, wrong, batches) == 0.25
    assert largest_difference(wrong, right, batches) == 0.25
    assert largest_difference(right, without_channels, batches) == np.inf
    assert np.isnan(largest_difference(right, unsure, batches))
