from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from shipseg_tiles.archive import places
from shipseg_tiles.archive.places import (
    PlacePair,
    confirm_pairs,
    find_pairs,
    find_similar,
    group_places,
    stack_blocks,
)
from shipseg_tiles.archive.signatures import SIDE, Signature, read_signature


def recompressed(gray, quality):
    stream = BytesIO()
    Image.fromarray(gray).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


@pytest.fixture
def signature_of(tmp_path):
    """Save a gray image as JPEG and read its signature."""

    def read(gray, quality=80):
        path = tmp_path / "image.jpg"
        Image.fromarray(gray).convert("RGB").save(path, quality=quality)
        return read_signature(path)

    return read


def crop(scene, row, column, blocks=3):
    return scene[256 * row : 256 * (row + blocks), 256 * column : 256 * (column + blocks)]


def places_of(pairs):
    return [(pair.first, pair.second, pair.row_offset, pair.column_offset) for pair in pairs]


def test_crops_of_one_scene_are_found_with_their_offsets(landscape, signature_of):
    """The scene is 5 x 5 blocks. What b shows at its upper left corner, a shows 256 px down and 512 px right.

    a and c, one block down and one to the left of b, share the column that starts 256 px down and 256 px right of a.
    """
    scene = recompressed(landscape(5, seed=1), quality=90)
    images = {
        "a.jpg": signature_of(crop(scene, 0, 0)),
        "b.jpg": signature_of(crop(scene, 1, 2), quality=60),
        "c.jpg": signature_of(crop(scene, 2, 1)),
        "other.jpg": signature_of(landscape(3, seed=2)),
    }

    pairs = find_pairs(images)

    assert places_of(pairs) == [
        ("a.jpg", "b.jpg", 256, 512),
        ("a.jpg", "c.jpg", 512, 256),
        ("b.jpg", "c.jpg", 256, -256),
    ]
    assert all(pair.correlation > 0.95 for pair in pairs)


def test_one_common_block_of_one_picture_is_enough(landscape, signature_of):
    scene = landscape(5, seed=1)

    pairs = find_pairs({"a": signature_of(crop(scene, 0, 0)), "b": signature_of(crop(scene, 2, 2))})

    assert places_of(pairs) == [("a", "b", 512, 512)]


def test_the_same_image_under_two_names_is_found(landscape, signature_of):
    image = signature_of(landscape(3, seed=1))

    assert places_of(find_pairs({"b": image, "a": image})) == [("a", "b", 0, 0)]


def test_images_of_different_sizes_are_compared(landscape, signature_of):
    """An image of one block, which is the middle one of another image, and one too small for a block."""
    scene = landscape(3, seed=1)
    images = {
        "large": signature_of(scene),
        "one": signature_of(crop(scene, 1, 1, blocks=1)),
        "small": signature_of(scene[:200, :200]),
    }

    assert places_of(find_pairs(images)) == [("large", "one", 256, 256)]


@pytest.mark.parametrize(("blocks", "found"), [(1, False), (2, True)])
def test_another_day_needs_a_second_block(landscape, signature_of, blocks, found):
    """Half as much of something else, spots as large, laid over: correlation 1 / sqrt(1 + 0.5^2) = 0.89.

    One block alone may be a look-alike; four of them are none.
    """
    scene, clouds = landscape(3, seed=1), landscape(3, seed=2)
    other_day = (scene.astype(float) + 0.5 * (clouds.astype(float) - 120)).clip(0, 255).astype(np.uint8)

    pairs = find_pairs(
        {"a": signature_of(scene), "b": signature_of(crop(other_day, 3 - blocks, 3 - blocks, blocks=blocks))}
    )

    offset = 256 * (3 - blocks)
    assert places_of(pairs) == ([("a", "b", offset, offset)] if found else [])


def test_flat_sea_is_no_place(signature_of):
    """Noise of one grey level, as JPEG leaves it on open water."""
    random = np.random.default_rng(0)
    seas = {str(index): signature_of((60 + random.normal(0, 1, (768, 768))).astype(np.uint8)) for index in range(6)}

    assert find_pairs(seas) == []


def test_look_alikes_that_the_rest_of_the_overlap_contradicts_are_no_pair():
    """One block of 9 is the same, the other 8 are not: they agree to 1/9, and 0.6 is asked for."""
    random = np.random.default_rng(0)
    first, second = (random.integers(-127, 128, (9, SIDE * SIDE)).astype(np.int8) for _ in range(2))
    first[4] = second[4]
    first, second = (patterns - patterns.mean(axis=1, keepdims=True).astype(np.int8) for patterns in (first, second))

    assert find_pairs({"a": signature_from(first), "b": signature_from(second)}) == []


def test_blocks_count_by_their_variance():
    """The 8 that differ are water: of 2 grey levels against 30 they weigh 8 * 4 against 900, and agree to 0.97."""
    random = np.random.default_rng(0)
    first, second = (random.integers(-127, 128, (9, SIDE * SIDE)).astype(np.int8) for _ in range(2))
    first[4] = second[4]
    deviations = np.where(np.arange(9) == 4, 30, 2)

    pairs = find_pairs({"a": signature_from(first, deviations), "b": signature_from(second, deviations)})

    assert places_of(pairs) == [("a", "b", 0, 0)]
    assert pairs[0].correlation == pytest.approx(900 / (900 + 8 * 4), abs=0.01)


def signature_from(patterns, deviations=5):
    places = np.stack(np.divmod(np.arange(len(patterns)), 3), axis=1).astype(np.uint16)
    full = np.broadcast_to(np.float32(deviations), len(patterns)).astype(np.float32)
    return Signature((768, 768), places, patterns, full)


def test_a_pattern_that_repeats_within_an_image_is_no_pair(landscape, signature_of):
    """Tiles of one block: an image resembles itself, which says nothing, and has one best offset to another image."""
    tile = landscape(1, seed=1)
    image = signature_of(np.tile(tile, (3, 3)))

    assert find_pairs({"a": image}) == []
    assert len(find_pairs({"a": image, "b": image})) == 1


def noisy_signatures(count, seed):
    """Images of 9 blocks in couples that share 3 of them, with noise of a tenth."""
    random = np.random.default_rng(seed)
    soft = gaussian_filter(random.standard_normal((9 * count, SIDE, SIDE)), (0, 2, 2)).reshape(count, 9, SIDE * SIDE)
    soft[1::2, :3] = soft[::2, 6:]  # the last row of one image is the first of the next
    noise = gaussian_filter(random.standard_normal((9 * count, SIDE, SIDE)), (0, 2, 2)).reshape(soft.shape)
    patterns = soft + 0.1 * noise
    patterns -= patterns.mean(axis=2, keepdims=True)
    scaled = (patterns * 127 / np.abs(patterns).max(axis=2, keepdims=True)).round().astype(np.int8)
    return {f"{index:04}": signature_from(blocks) for index, blocks in enumerate(scaled)}


def test_the_index_finds_what_a_full_comparison_finds():
    """120 images in 60 couples, 1,080 blocks: many times as many as stand side by side in the index."""
    signatures = noisy_signatures(120, seed=3)
    blocks = stack_blocks(signatures)
    everything = np.triu_indices(len(blocks.image), 1)
    similar = find_similar(blocks.patterns)

    exact = confirm_pairs(blocks, *everything)
    found = confirm_pairs(blocks, *similar)

    assert places_of(exact) == [(f"{index:04}", f"{index + 1:04}", 512, 0) for index in range(0, 120, 2)]
    assert len(found) >= 0.98 * len(exact)
    assert set(found) <= set(exact)
    assert len(similar[0]) < 0.01 * len(everything[0])


def test_blocks_are_found_however_many_are_looked_at_at_once(monkeypatch):
    """A large archive is gone through part by part, and what resembles a block may stand in another part: here all do.

    There are 60 * 59 / 2 = 1770 pairs of blocks.
    """
    random = np.random.default_rng(0)
    noise = random.integers(-27, 28, (60, SIDE * SIDE))
    patterns = (random.integers(-100, 101, SIDE * SIDE) + noise).astype(np.int8)
    at_once = find_similar(patterns)

    monkeypatch.setattr(places, "_PATTERNS_AT_ONCE", 25)
    monkeypatch.setattr(places, "_BLOCKS_AT_ONCE", 7)
    in_parts = find_similar(patterns)

    assert len(at_once[0]) > 1700
    assert np.array_equal(at_once, in_parts)


def test_the_order_of_the_images_does_not_matter():
    signatures = noisy_signatures(20, seed=3)

    assert find_pairs(dict(reversed(signatures.items()))) == find_pairs(signatures)


def test_no_images_make_no_pairs():
    assert find_pairs({}) == []


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15))
def test_places_are_what_pairs_connect(edges):
    """Compared with merging sets one pair after the other."""
    names = [f"{index:02}" for index in range(12)]
    pairs = [PlacePair(names[one], names[other], 0, 256, 1.0) for one, other in edges if one != other]
    sets = {name: {name} for name in names}
    for pair in pairs:
        merged = sets[pair.first] | sets[pair.second]
        sets.update(dict.fromkeys(merged, merged))

    numbers = group_places(reversed(names), pairs)

    assert list(numbers) == names
    assert {name: {other for other in names if numbers[other] == numbers[name]} for name in names} == sets
    assert list(dict.fromkeys(numbers.values())) == list(range(len(set(numbers.values()))))
