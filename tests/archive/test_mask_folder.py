from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles import rle
from shipseg_tiles.archive.labels import Labels, read_labels
from shipseg_tiles.archive.mask_folder import write_masks
from shipseg_tiles.errors import InputError


def box(shape, top, left, bottom, right):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[top:bottom, left:right] = 1
    return rle.encode(mask)


@st.composite
def ships(draw, height, width):
    """A box, a box that lies anywhere over others, or a ship whose runs are cut up and out of order."""
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    text = box((height, width), top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))
    pairs = [f"{pixel + 1} 1" for pixel in rle.decode_indices(text, height * width)]
    return " ".join(draw(st.permutations(pairs))) if draw(st.booleans()) and len(pairs) < 9 else text


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_labels_come_back_from_a_folder_of_masks_without_loss(tmp_path_factory, data):
    """Not a ship is lost, joined, split or reordered, however ships touch and overlap."""
    folder = tmp_path_factory.mktemp("data")
    labels = Labels("labels.csv", {})
    for index in range(data.draw(st.integers(1, 3))):
        height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
        suffix = data.draw(st.sampled_from(["jpg", "png", "TIF"]))
        name = f"image {index}.b.{suffix}"
        (folder / "images").mkdir(exist_ok=True)
        Image.new("RGB", (width, height)).save(folder / "images" / name)
        labels.ships[name] = tuple(data.draw(st.lists(ships(height, width), max_size=4)))

    write_masks(labels, folder / "masks", folder / "images")

    read = read_labels(folder / "masks")
    assert read.ships == labels.ships
    assert list(read.ships) == sorted(labels.ships)
    for name in labels.ships:
        with Image.open(folder / "images" / name) as image, Image.open(folder / "masks" / f"{name[:-4]}.png") as mask:
            assert mask.size == image.size
            assert np.array_equal(np.asarray(mask) // 255, labels.mask(name, (image.height, image.width)))


def test_simulated_labels_come_back(scenes, tmp_path):
    write_masks(scenes.labels, tmp_path, Path(scenes.source))

    assert read_labels(tmp_path).ships == scenes.labels.ships
    assert len(list(tmp_path.iterdir())) == 16


def test_without_images_masks_have_the_size_of_the_competition(tmp_path):
    """The last pixel of 768 x 768 is the 589,824th."""
    write_masks(Labels("labels.csv", {"a.jpg": ("589824 1",)}), tmp_path)

    with Image.open(tmp_path / "a.png") as mask:
        assert mask.size == (768, 768)
        assert mask.getpixel((767, 767)) == 255
        assert np.count_nonzero(mask) == 1


def test_masks_of_images_that_are_no_longer_labelled_are_told_of(tmp_path):
    write_masks(Labels("labels.csv", {"a.jpg": (), "b.jpg": (), "c.jpg": ()}), tmp_path)

    with pytest.warns(UserWarning, match=r"a\.png is of another image and stays, like 1 more; as labels"):
        write_masks(Labels("labels.csv", {"b.jpg": ()}), tmp_path)


def test_images_that_differ_in_their_suffix_only_are_refused(tmp_path):
    labels = Labels("labels.csv", {"a.jpg": (), "a.png": ()})

    with pytest.raises(InputError, match=r"labels\.csv: .*suffix"):
        write_masks(labels, tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_a_picture_of_the_same_name_is_not_replaced(tmp_path):
    """It may be the very image that the mask is of; a mask that was written before may be."""
    labels = Labels("labels.csv", {"a.png": ("1 1",)})
    Image.new("RGB", (768, 768)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    with pytest.raises(InputError, match=r"a\.png would be replaced, but is no mask"):
        write_masks(labels, tmp_path, tmp_path)
    assert (tmp_path / "a.png").read_bytes() == before
    for _ in range(2):
        write_masks(labels, tmp_path / "masks", tmp_path)


def test_the_size_of_an_image_that_is_cut_off_is_known(tmp_path):
    """The competition has such an image; its labels are as good as those of others."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-400])

    write_masks(Labels("labels.csv", {"a.jpg": ("1200 1",)}), tmp_path / "masks", tmp_path)

    assert read_labels(tmp_path / "masks").shapes == {"a.jpg": (40, 30)}


def test_nothing_is_written_if_one_run_leaves_its_image(tmp_path):
    labels = Labels("labels.csv", {"a.jpg": ("1 1",), "b.jpg": ("589824 2",)})

    with pytest.raises(InputError, match=r"labels\.csv: b\.jpg: run '589824 2' leaves"):
        write_masks(labels, tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_nothing_is_written_if_one_image_is_missing(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")

    with pytest.raises(InputError, match=r"lacks labelled images, such as b\.jpg; give the folder of all of them"):
        write_masks(Labels("labels.csv", {"a.jpg": (), "b.jpg": ()}), tmp_path / "masks", tmp_path)
    assert not (tmp_path / "masks").exists()


def test_folder_without_masks_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()

    with pytest.raises(InputError, match="holds no mask"):
        read_labels(tmp_path)


def test_one_damaged_mask_is_named(tmp_path):
    write_masks(Labels("labels.csv", {"a.jpg": (), "b.jpg": ()}), tmp_path)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-30])

    with pytest.raises(InputError, match=r"b\.png is damaged"):
        read_labels(tmp_path)
