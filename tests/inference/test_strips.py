import io
import pickle
from zipfile import ZipFile

import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.detection import Strip
from shipseg_tiles.inference.strips import StripFolder, strips_of


def strip(top, *pixels, left=3, **rasters):
    probabilities = np.linspace(0.5, 1, len(pixels), dtype=np.float32)
    return Strip(top, left, np.array(pixels, dtype=np.int64), probabilities, rasters, tiles=7, tiles_skipped=top % 7)


def same(found, expected):
    """Whether two strips hold the same numbers of the same types."""
    pairs = [(found.pixels, expected.pixels), (found.probabilities, expected.probabilities)]
    pairs += [(found.rasters[name], expected.rasters[name]) for name in expected.rasters]
    return (
        (found.top, found.left, set(found.rasters)) == (expected.top, expected.left, set(expected.rasters))
        and (found.tiles, found.tiles_skipped) == (expected.tiles, expected.tiles_skipped)
        and all(np.array_equal(ours, theirs) for ours, theirs in pairs)
        and all(ours.dtype == theirs.dtype for ours, theirs in pairs)
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "scene.tif"


def test_strips_come_back_from_the_top_however_they_were_saved(folder):
    """Among them is one of row 1,000,000,000, whose name is longer than the others."""
    tops = [48, 1_000_000_000, 0, 500, 96]
    strips = StripFolder(folder)

    for top in tops:
        strips.save(strip(top, top, top + 1))

    assert [found.top for found in strips] == sorted(tops)
    assert all(same(found, strip(found.top, found.top, found.top + 1)) for found in strips)
    assert len(strips) == 5
    assert [top for top in (0, 47, 48, 1_000_000_000) if strips.begins_at(top)] == [0, 48, 1_000_000_000]


def test_a_later_run_finds_the_same(folder):
    raster = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    saved = [
        strip(0, left=0),
        strip(5, 1, 2, 3, probability=raster),
        strip(9, 4, probability=raster, disagreement=~raster),
    ]
    for one in saved:
        StripFolder(folder).save(one)

    found = StripFolder(folder)

    assert len(found) == 3
    assert all(same(ours, theirs) for ours, theirs in zip(found, saved, strict=True))


def test_the_same_strip_saved_again_replaces_the_first(folder):
    strips = StripFolder(folder)
    strips.save(strip(5, 1))
    strips.save(strip(5, 1, 2))

    assert [found.pixels.tolist() for found in strips] == [[1, 2]]
    assert len(list(folder.iterdir())) == 1


def test_a_folder_is_made_with_its_first_strip_and_removed_with_all_of_them(folder):
    strips = StripFolder(folder)
    assert not folder.exists()
    assert list(strips) == []
    strips.remove()

    strips.save(strip(5, 1))
    strips.remove()

    assert not folder.exists()


def test_what_a_killed_run_has_begun_to_write_is_no_strip(folder):
    StripFolder(folder).save(strip(5, 1))
    (folder / ".77.partial.000000009.npz").write_bytes(b"half a st")

    assert [found.top for found in StripFolder(folder)] == [5]


def test_strips_of_a_scene_are_taken_up_until_it_is_another_one(tmp_path):
    path, other = tmp_path / "scene.tif", tmp_path / "other.tif"
    for scene in (path, other):
        scene.write_bytes(b"a scene")
        strips_of(scene, tmp_path / "strips").save(strip(5, 1))
    assert len(strips_of(path, tmp_path / "strips")) == 1

    (tmp_path / "strips" / "scene.tif" / ".DS_Store").touch()
    path.write_bytes(b"another scene")

    assert len(strips_of(path, tmp_path / "strips")) == 0
    assert len(strips_of(other, tmp_path / "strips")) == 1
    assert len(list((tmp_path / "strips").rglob("*.npz"))) == 1


@pytest.fixture
def saved(folder):
    """A strip's file."""
    StripFolder(folder).save(strip(5, *range(100, 140), probability=np.arange(60, dtype=np.uint8).reshape(5, 12)))
    return folder / "000000005.npz"


def refused(path):
    with pytest.raises(
        InputError, match=r"000000005\.npz is damaged .*; remove it, and it is predicted again"
    ) as caught:
        list(StripFolder(path.parent))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_strip_that_is_cut_off_is_refused(saved, part):
    saved.write_bytes(saved.read_bytes()[: int(part * saved.stat().st_size)])

    refused(saved)


def test_whichever_byte_of_a_strip_is_damaged_it_is_refused_or_read_right(saved):
    """A byte may be one that nobody needs, such as the hour at which it was written. Behind the parts stands the zip's
    list of them, which has no checksum."""
    data = saved.read_bytes()
    (right,) = StripFolder(saved.parent)
    complaints = 0

    for place in range(data.index(b"PK\x01\x02")):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            (found,) = StripFolder(saved.parent)
        except InputError:
            complaints += 1
        else:
            assert same(found, right)

    assert complaints > len(data) / 2


@pytest.mark.parametrize("content", [b"", b"no strip", b"PK\x03\x04", pickle.dumps({"left": 3})])
def test_what_is_no_strip_is_refused(saved, content):
    saved.write_bytes(content)

    refused(saved)


def test_another_array_file_is_refused(saved):
    with saved.open("wb") as file:
        np.save(file, np.arange(5))

    refused(saved)


@pytest.mark.parametrize("missing", ["left", "pixels", "probabilities"])
def test_a_strip_without_one_of_its_parts_is_refused(saved, missing):
    with np.load(saved) as file:
        parts = {name: file[name] for name in file if name != missing}
    np.savez(saved, **parts)

    refused(saved)


class Evidence:
    """What leaves a file behind if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_inside_is_refused_and_does_not_run(saved, tmp_path):
    """A file of NumPy's can hold any object, as a pickle."""
    evidence = tmp_path / "the code ran"
    packed = io.BytesIO()
    np.save(packed, np.array([Evidence(evidence)], dtype=object), allow_pickle=True)
    with ZipFile(saved) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with ZipFile(saved, "w") as file:
        for name, content in (parts | {"pixels.npy": packed.getvalue()}).items():
            file.writestr(name, content)

    refused(saved)
    assert not evidence.exists()
