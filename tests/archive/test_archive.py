from zipfile import ZipFile

import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.mask_folder import write_masks
from shipseg_tiles.errors import InputError, SkippedImageWarning


@pytest.fixture
def images(tmp_path):
    """Four images of 4 x 4 pixels, one of each suffix, and a file that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.tif", "c.png", "d.PNG"):
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder / "notes.txt").touch()
    return folder


def csv(folder, rows):
    path = folder / "labels.csv"
    path.write_text("ImageId,EncodedPixels\n" + rows)
    return path


def test_labelled_images_that_are_there(images, tmp_path):
    """c.png and d.PNG are there without a label; they are no part of the archive, and no error."""
    archive = open_archive(images, csv(tmp_path, "b.tif,\na.jpg,1 2\na.jpg,9 1\n"))

    assert archive.files == {"a.jpg": images / "a.jpg", "b.tif": images / "b.tif"}
    assert archive.labels.ships == {"a.jpg": ("1 2", "9 1"), "b.tif": ()}
    assert archive.missing == ()


def test_missing_images_are_listed_and_left_out_with_one_warning(images, tmp_path):
    with pytest.warns(SkippedImageWarning) as caught:
        archive = open_archive(images, csv(tmp_path, "z.jpg,\na.jpg,1 2\ng.jpg,1 1\nnotes.txt,\n"))

    assert list(archive.files) == ["a.jpg"]
    assert archive.missing == ("g.jpg", "notes.txt", "z.jpg")
    assert [str(warning.message) for warning in caught] == [
        f"g.jpg skipped: it is labelled, but not in {images}, like 2 more"
    ]


def test_labels_of_other_images_are_refused(images, tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv labels none of the 4 images in .*images"):
        open_archive(images, csv(tmp_path, "z.jpg,1 2\nb.jpg,\n"))


def test_labels_without_rows_are_refused(images, tmp_path):
    with pytest.raises(InputError, match="holds no row"):
        open_archive(images, csv(tmp_path, ""))


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_names_in_a_csv_are_matched_with_their_suffix(images, tmp_path):
    """Only masks, whose own names end in .png, are matched without."""
    assert open_archive(images, csv(tmp_path, "a.jpg,\nb.jpg,\n")).missing == ("b.jpg",)


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_masks_are_matched_by_their_names_without_suffix(images, tmp_path):
    """Masks by other programs say nothing of the suffix of their image; z.png has no image."""
    (tmp_path / "masks").mkdir()
    for name in "abcdz":
        mask = Image.new("1", (4, 4))
        mask.putpixel((1, 0), 1)  # column 1, row 0: the 5th pixel
        mask.save(tmp_path / "masks" / f"{name}.png")

    archive = open_archive(images, tmp_path / "masks")

    assert archive.labels.ships == dict.fromkeys(("a.jpg", "b.tif", "c.png", "d.PNG"), ("5 1",))
    assert archive.labels.shapes == dict.fromkeys(archive.labels.ships, (4, 4))
    assert archive.missing == ("z.jpg",)


def test_mask_that_names_its_image_labels_that_one(images, tmp_path):
    """Beside a.jpg there is an a.webp; the mask says that it belongs to a.jpg."""
    Image.new("RGB", (4, 4)).save(images / "a.webp")
    write_masks(Labels("", {"a.jpg": ("1 2",)}), tmp_path / "masks", images)

    assert open_archive(images, tmp_path / "masks").labels.ships == {"a.jpg": ("1 2",)}


def test_mask_that_may_be_of_two_images_is_refused(images, tmp_path):
    """A mask of any other program names no image: a.tif and a.png may both be meant."""
    (images / "a.jpg").unlink()
    for suffix in ("tif", "png"):
        Image.new("RGB", (4, 4)).save(images / f"a.{suffix}")
    (tmp_path / "masks").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "masks" / "a.png")

    with pytest.raises(InputError, match=r"masks: a\.png and a\.tif differ in their suffix only"):
        open_archive(images, tmp_path / "masks")


def test_two_masks_of_one_image_are_refused(images, tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "a.PNG"):
        Image.new("L", (4, 4)).save(tmp_path / "masks" / name, "PNG")

    with pytest.raises(InputError, match=r"masks: a\.PNG and a\.png differ in their suffix only"):
        open_archive(images, tmp_path / "masks")


def test_images_and_labels_in_a_zip(images, tmp_path):
    """The competition's zip holds the test images as well, in a folder of their own."""
    with ZipFile(tmp_path / "airbus.zip", "w") as file:
        file.writestr("train.csv", "ImageId,EncodedPixels\na.jpg,1 2\n")
        for path in images.iterdir():
            file.write(path, f"train_v2/{path.name}")
        file.write(images / "a.jpg", "test_v2/a.jpg")

    archive = open_archive(tmp_path / "airbus.zip" / "train_v2", tmp_path / "airbus.zip" / "train.csv")

    assert archive.labels.ships == {"a.jpg": ("1 2",)}
    assert archive.files["a.jpg"].read_bytes() == (images / "a.jpg").read_bytes()
    with pytest.raises(InputError, match=r"train_v2/a\.jpg and .*test_v2/a\.jpg have one name"):
        open_archive(tmp_path / "airbus.zip", tmp_path / "airbus.zip" / "train.csv")


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_some_of_the_images(images, tmp_path):
    archive = open_archive(images, csv(tmp_path, "b.tif,\na.jpg,1 2\nz.jpg,\n")).only(["a.jpg"])

    assert list(archive.files) == list(archive.labels.ships) == ["a.jpg"]
    assert archive.missing == ("z.jpg",)


@pytest.mark.parametrize("which", ["images", "labels"])
def test_missing_folder_or_labels_are_refused(which, images, tmp_path):
    labels = csv(tmp_path, "a.jpg,\n")
    gone = tmp_path / "gone"

    with pytest.raises(InputError, match="gone"):
        open_archive(gone if which == "images" else images, gone if which == "labels" else labels)
