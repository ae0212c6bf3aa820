from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.morphology import convex_hull_image

from shipseg_tiles import rle
from shipseg_tiles.archive.simulate import (
    Scene,
    SimulatedArchive,
    image_name,
    is_empty,
    simulate_archive,
    simulate_scene,
)
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image, read_size

SIZE = 256
IMAGES = 10


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SimulatedArchive:
    return simulate_archive(tmp_path_factory.mktemp("archive"), IMAGES, seed=3, size=SIZE)


@pytest.fixture(scope="module")
def ship_scenes() -> list[Scene]:
    return [simulate_scene(11, index, size=SIZE, empty=False) for index in range(30)]


def labels_of(archive: SimulatedArchive) -> pd.DataFrame:
    return pd.read_csv(archive.labels, keep_default_na=False)


def test_equal_seed_and_index_give_equal_scenes_and_others_do_not() -> None:
    first, again = (simulate_scene(5, 2, size=SIZE) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert len(first.ships) == len(again.ships)
    assert all(np.array_equal(a, b) for a, b in zip(first.ships, again.ships, strict=True))
    assert not np.array_equal(first.image, simulate_scene(5, 3, size=SIZE).image)
    assert not np.array_equal(first.image, simulate_scene(6, 2, size=SIZE).image)


def test_an_image_is_the_same_bytes_however_many_are_made(archive: SimulatedArchive, tmp_path: Path) -> None:
    fewer = simulate_archive(tmp_path, 4, seed=3, size=SIZE)
    names = [image_name(3, index) for index in range(4)]
    assert sorted(path.name for path in fewer.images.iterdir()) == sorted(names)
    for name in names:
        assert (fewer.images / name).read_bytes() == (archive.images / name).read_bytes()
    everything = labels_of(archive)
    expected = everything[everything.ImageId.isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(labels_of(fewer), expected)


def test_the_archive_has_the_layout_of_the_competition(archive: SimulatedArchive) -> None:
    assert archive.images.name == "train_v2"
    assert archive.labels.name == "train_ship_segmentations_v2.csv"
    assert archive.labels.read_text().splitlines()[0] == "ImageId,EncodedPixels"
    names = sorted(path.name for path in archive.images.iterdir())
    labels = labels_of(archive)
    assert sorted(set(labels.ImageId)) == names
    assert list(labels.ImageId) == sorted(labels.ImageId)
    assert len(names) == archive.image_count == IMAGES
    assert all(read_size(archive.images / name) == (SIZE, SIZE) for name in names)
    assert read_image(archive.images / names[0]).shape == (SIZE, SIZE, 3)


def test_the_csv_holds_one_row_a_ship_and_decodes_to_the_masks(archive: SimulatedArchive) -> None:
    labels = labels_of(archive)
    ships = 0
    for index in range(IMAGES):
        texts = list(labels.EncodedPixels[labels.ImageId == image_name(3, index)])
        scene = simulate_scene(3, index, size=SIZE)
        masks = [rle.decode(text, (SIZE, SIZE)).astype(bool) for text in texts if text]
        assert len(texts) == max(1, len(scene.ships))
        assert len(masks) == len(scene.ships)
        assert all(np.array_equal(mask, ship) for mask, ship in zip(masks, scene.ships, strict=True))
        ships += len(masks)
    assert ships == archive.ship_count > 0
    assert archive.ship_image_count == labels.ImageId[labels.EncodedPixels != ""].nunique()


@pytest.mark.parametrize("seed", range(50))
def test_most_images_are_empty_but_a_quarter_of_any_eight_or_more_are_not(seed: int) -> None:
    ships = np.cumsum([not is_empty(seed, index) for index in range(400)])
    images = np.arange(1, 401)
    assert np.all(ships[7:] * 4 >= images[7:])
    assert ships[-1] / 400 == pytest.approx(0.4, abs=0.02)


def test_a_run_repeated_is_welcome_but_images_of_another_are_refused(tmp_path: Path) -> None:
    first = simulate_archive(tmp_path, 2, seed=1, size=128)
    written = first.labels.read_bytes()
    assert simulate_archive(tmp_path, 2, seed=1, size=128) == first
    with pytest.raises(InputError, match="other images"):
        simulate_archive(tmp_path, 2, seed=2, size=128)
    assert first.labels.read_bytes() == written


def test_scenes_asked_for_with_ships_have_some_and_empty_ones_have_none(ship_scenes: list[Scene]) -> None:
    assert all(1 <= len(scene.ships) <= 15 for scene in ship_scenes)
    assert all(simulate_scene(11, index, size=128, empty=True).ships == () for index in range(5))


def test_ships_differ_in_brightness_from_the_water_beside_them(ship_scenes: list[Scene]) -> None:
    differences = []
    for scene in ship_scenes:
        brightness = scene.image.mean(axis=2)
        for mask in scene.ships:
            rows, columns = np.nonzero(mask)
            window = np.s_[max(0, rows.min() - 6) : rows.max() + 7, max(0, columns.min() - 6) : columns.max() + 7]
            around = brightness[window][~mask[window]]
            differences.append(np.abs(brightness[mask] - np.median(around)).mean())
    assert np.mean(np.array(differences) > 10) > 0.8


def test_labels_are_boxes(ship_scenes: list[Scene]) -> None:
    """A box fills its convex hull; a hull with a pointed bow and a wake would not."""
    for mask in (mask for scene in ship_scenes for mask in scene.ships if mask.sum() > 60):
        assert mask.sum() / convex_hull_image(mask, offset_coordinates=False).sum() > 0.95
        rows, columns = np.nonzero(mask)
        if min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == SIZE - 1:
            continue
        # A uniform rectangle of sides a and b has variances a^2/12 and b^2/12 along its axes.
        long_side, short_side = np.sqrt(12 * np.linalg.eigvalsh(np.cov(rows, columns))[::-1])
        assert mask.sum() == pytest.approx(long_side * short_side, rel=0.12)


def test_labels_of_one_image_do_not_overlap_and_have_six_pixels(ship_scenes: list[Scene]) -> None:
    for scene in ship_scenes:
        assert np.sum(scene.ships, axis=0).max() == 1
        assert min(mask.sum() for mask in scene.ships) >= 6


def test_some_ships_are_cut_by_the_border_and_most_are_not(ship_scenes: list[Scene]) -> None:
    cut = [
        mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        for s in ship_scenes
        for mask in s.ships
    ]
    assert 0.02 < np.mean(cut) < 0.5


@pytest.mark.parametrize("size", [128, 301, 1024])
def test_scenes_have_the_size_asked_for(size: int) -> None:
    scene = simulate_scene(2, 0, size=size, empty=False)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert all(mask.shape == (size, size) for mask in scene.ships)


def test_names_are_nine_hexadecimal_digits_and_distinct() -> None:
    names = {image_name(0, index) for index in range(5000)}
    assert len(names) == 5000
    assert all(len(name) == 13 and int(name[:9], 16) >= 0 and name.endswith(".jpg") for name in names)
    assert names.isdisjoint(image_name(1, index) for index in range(5000))


def test_values_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 images"):
        simulate_archive(tmp_path, 0, seed=1)
    with pytest.raises(InputError, match="1000001 images asked for; ask for 1 to 1000000"):
        simulate_archive(tmp_path, 1_000_001, seed=1)
    with pytest.raises(InputError, match="127 px"):
        simulate_scene(0, 0, size=127)
    with pytest.raises(InputError, match="seed -1"):
        simulate_scene(-1, 0)
    assert not any(tmp_path.iterdir())
