"""Which images show the same place: found by the patterns of their blocks, whatever the number of images."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from shipseg_tiles.archive.signatures import BLOCK, SIDE, Signature, read_signatures
from shipseg_tiles.zipped import AnyPath

SAME_PLACE = 0.85
"""Two blocks that correlate less never make a pair of images."""

WITNESS = 0.7
"""A second block of the overlap that correlates so much confirms the first."""

SAME_PICTURE = 0.99
"""A block that correlates so much needs no second one: both are cut out of one picture."""

AGREEMENT = 0.6
"""Mean correlation over the overlap below which the other blocks contradict."""

# How blocks are sketched; benchmarks/places.py measures what so many bits find, and in which time.
_WORDS = 8
"""Of 64 bits, in a sketch: the more, the more orders there are in which alike blocks may be neighbours."""

_WINDOW = 48
"""So many neighbours are looked at in each order."""

_BITS_APART = 110
"""Sketches that differ in more bits, of 512, are not compared further; those of unrelated blocks differ in half."""

_FREQUENCIES = 8
"""The lowest, in each direction, which stay alike on another day; blocks have 32."""

_PATTERNS_AT_ONCE = 8192
"""As float32 they take 32 MB."""

_BLOCKS_AT_ONCE = 65536
"""Their sketches take 4 MB."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PlacePair:
    """Two images that show the same place.

    Attributes:
        first: Name of one image.
        second: Name of the other, later in the alphabet.
        row_offset: What the second shows at row r, the first shows at row r + `row_offset`, in pixels.
        column_offset: The same for columns.
        correlation: Mean over the blocks that both show, each weighted by its variance.
    """

    first: str
    second: str
    row_offset: int
    column_offset: int
    correlation: float


@dataclass(frozen=True)
class Blocks:
    """The blocks of all images, one after the other.

    Attributes:
        names: Sorted names of the images.
        image: int64 (N): index of each block's image in `names`, ascending.
        positions: int64 (N, 2): row and column in the image's grid, in reading order.
        patterns: int8 (N, 1024).
        deviations: float32 (N).
    """

    names: list[str]
    image: Indices
    positions: Indices
    patterns: NDArray[np.int8]
    deviations: NDArray[np.float32]


def find_places(files: Mapping[str, AnyPath], processes: Executor) -> tuple[dict[str, int], dict[str, str]]:
    """Look at images and number the places that they show; bad images are left out with a warning.

    Args:
        files: The file of each image, by name.
        processes: Where to read them.

    Returns:
        The places as from `group_places`, and for bad images the reason by name.
    """
    signatures, reasons = read_signatures(files, processes)
    return places_of(signatures), reasons


def places_of(signatures: Mapping[str, Signature]) -> dict[str, int]:
    """Number the places that images show, by what they look like; see `group_places`."""
    return group_places(signatures, find_pairs(signatures))


def group_places(names: Iterable[str], pairs: Sequence[PlacePair]) -> dict[str, int]:
    """Number the places.

    Args:
        names: All images; one without a pair is a place of its own.
        pairs: What `find_pairs` found among them.

    Returns:
        The number of each image's place, by name in alphabetical order, numbered from 0 in the order of the names.
    """
    index = {name: number for number, name in enumerate(sorted(names))}
    ends = ([index[pair.first] for pair in pairs], [index[pair.second] for pair in pairs])
    graph = coo_matrix((np.ones(len(pairs), dtype=np.int8), ends), shape=(len(index), len(index)))
    _, parts = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return {name: numbers.setdefault(part, len(numbers)) for name, part in zip(index, parts.tolist(), strict=True)}


def find_pairs(signatures: Mapping[str, Signature]) -> list[PlacePair]:
    """Find the pairs of images that show the same place.

    Not every image is compared with every other: blocks meet when their sketches are neighbours in one of several
    orders. A rare pair is missed; no pair is reported that a full comparison would not report.

    Args:
        signatures: By name of the image.

    Returns:
        Pairs in the order of their names, each once.
    """
    blocks = stack_blocks(signatures)
    return confirm_pairs(blocks, *find_similar(blocks.patterns))


def stack_blocks(signatures: Mapping[str, Signature]) -> Blocks:
    """Put the blocks of all images into common arrays."""
    names = sorted(signatures)
    ordered = [signatures[name] for name in names]
    image = np.repeat(np.arange(len(names)), [len(signature.positions) for signature in ordered])
    patterns = np.empty((len(image), SIDE * SIDE), dtype=np.int8)
    positions = np.empty((len(image), 2), dtype=np.int64)
    deviations = np.empty(len(image), dtype=np.float32)
    end = 0
    for signature in ordered:
        begin, end = end, end + len(signature.positions)
        patterns[begin:end] = signature.patterns
        positions[begin:end] = signature.positions
        deviations[begin:end] = signature.deviations
    return Blocks(names, image, positions, patterns, deviations)


def find_similar(patterns: NDArray[np.int8]) -> tuple[Indices, Indices]:
    """Find pairs of blocks whose patterns may be alike, most of those that are and few others.

    Each pattern is sketched in 512 bits, 8 words of 64, so that like patterns differ in few bits. Sorted by one of the
    words, like patterns stand close together unless one of its first bits differs; then another word helps.

    Args:
        patterns: int8 (N, 1024).

    Returns:
        Indices of the first and second block of each pair, first < second.
    """
    sketches = _sketches(patterns)
    codes: list[Indices] = [np.empty(0, dtype=np.int64)]
    for word in range(_WORDS):
        order = np.argsort(sketches[:, word], kind="stable")
        codes.append(_close_neighbours(sketches[order], order))
    first, second = np.divmod(np.unique(np.concatenate(codes)), max(len(patterns), 1))
    return first, second


def _sketches(patterns: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Return uint64 (N, words): on which side of random planes each pattern lies.

    The planes look at low frequencies only, which stay alike on another day, and weight them up to the square root of
    their frequency, as else the lowest would decide alone and most sketches would be alike.
    """
    waves = dct(np.eye(SIDE), norm="ortho", axis=0)[:_FREQUENCIES]
    basis = np.einsum("ay,bx->abyx", waves, waves).reshape(-1, SIDE * SIDE)
    y, x = np.divmod(np.arange(len(basis)), _FREQUENCIES)
    weights = np.hypot(y, x) ** 0.5  # 0 for the mean
    random = np.random.default_rng(0)
    planes = (random.standard_normal((64 * _WORDS, len(basis))) * weights @ basis).astype(np.float32).T
    sketches = np.empty((len(patterns), _WORDS), dtype=np.uint64)
    for begin in range(0, len(patterns), _PATTERNS_AT_ONCE):
        sides = patterns[begin : begin + _PATTERNS_AT_ONCE].astype(np.float32) @ planes > 0
        sketches[begin : begin + _PATTERNS_AT_ONCE] = np.packbits(sides, axis=1).view(">u8")
    return sketches


def _close_neighbours(sketches: NDArray[np.uint64], order: Indices) -> Indices:
    """Compare each sorted sketch with the next few; return pairs as first * N + second, in the indices of `order`."""
    codes: list[Indices] = [np.empty(0, dtype=np.int64)]
    for begin in range(0, len(sketches), _BLOCKS_AT_ONCE):
        part = sketches[begin : begin + _BLOCKS_AT_ONCE + _WINDOW]
        for step in range(1, min(_WINDOW + 1, len(part))):
            here = part[: len(part) - step][:_BLOCKS_AT_ONCE]
            apart = np.bitwise_count(here ^ part[step : step + len(here)]).sum(axis=1, dtype=np.uint16)
            near = begin + np.flatnonzero(apart <= _BITS_APART)
            ends = np.sort(np.stack([order[near], order[near + step]]), axis=0)
            codes.append(ends[0] * len(order) + ends[1])
    return np.unique(np.concatenate(codes))


def confirm_pairs(blocks: Blocks, first: Indices, second: Indices) -> list[PlacePair]:
    """Keep the pairs of images that pairs of blocks speak for and the rest of the overlap does not speak against.

    Args:
        blocks: All blocks.
        first: Indices of blocks that may look like ...
        second: ... these, each of them later in `blocks`.

    Returns:
        Pairs in the order of their names. Of several offsets between two images, the best one.
    """
    apart = blocks.image[first] != blocks.image[second]
    first, second = first[apart], second[apart]
    alike = _correlations(blocks.patterns, first, second) >= SAME_PLACE
    first, second = first[alike], second[alike]
    shift = blocks.positions[first] - blocks.positions[second]
    supposed = np.unique(np.column_stack([blocks.image[first], blocks.image[second], shift]), axis=0)
    agreement, confirmed = _judge(blocks, supposed)
    supposed, agreement = supposed[confirmed], agreement[confirmed]
    best_first = np.lexsort((-agreement, supposed[:, 1], supposed[:, 0]))
    _, chosen = np.unique(supposed[best_first, :2], axis=0, return_index=True)
    names = blocks.names
    return [
        PlacePair(names[a], names[b], row * BLOCK, column * BLOCK, correlation)
        for (a, b, row, column), correlation in zip(
            supposed[best_first[chosen]].tolist(), agreement[best_first[chosen]].tolist(), strict=True
        )
    ]


def _judge(blocks: Blocks, supposed: Indices) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Compare all of the overlap.

    Args:
        blocks: All blocks.
        supposed: int64 (M, 4): index of one image and of another, and the shift between them in rows and columns of
            blocks.

    Returns:
        For each, the mean correlation weighted by variance, and whether both show the same place.
    """
    number, first, second = _overlaps(blocks, supposed)
    correlations = _correlations(blocks.patterns, first, second)
    weights = np.minimum(blocks.deviations[first], blocks.deviations[second]).astype(np.float64) ** 2
    count = len(supposed)
    agreement = np.bincount(number, weights * correlations, count) / np.bincount(number, weights, count)
    same_picture = np.bincount(number, correlations >= SAME_PICTURE, count) >= 1
    witnesses = np.bincount(number, correlations >= WITNESS, count)
    return agreement, (agreement >= AGREEMENT) & (same_picture | (witnesses >= 2))


def _overlaps(blocks: Blocks, supposed: Indices) -> tuple[Indices, Indices, Indices]:
    """Line up the blocks that each supposed pair shows: the pair's number, the first's block, the second's block."""
    begins = np.searchsorted(blocks.image, np.arange(len(blocks.names) + 1))
    counts = np.diff(begins)[supposed[:, 0]]
    number = np.repeat(np.arange(len(supposed)), counts)
    rank = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = begins[supposed[number, 0]] + rank
    positions = blocks.positions[first] - supposed[number, 2:]
    inside = (positions >= 0).all(axis=1)
    number, first, positions = number[inside], first[inside], positions[inside]
    # Blocks are in order of image, row and column, so that a number made of the three is found by bisection.
    factor = 2 + int(max(blocks.positions.max(initial=0), positions.max(initial=0)))
    keys = (blocks.image * factor + blocks.positions[:, 0]) * factor + blocks.positions[:, 1]
    wanted = (supposed[number, 1] * factor + positions[:, 0]) * factor + positions[:, 1]
    second = np.searchsorted(keys, wanted)
    there = keys[np.minimum(second, len(keys) - 1)] == wanted
    return number[there], first[there], second[there]


def _correlations(patterns: NDArray[np.int8], first: Indices, second: Indices) -> NDArray[np.float64]:
    """Return float64 (M): the correlation of each first pattern with its second; patterns have no mean."""
    correlations = np.empty(len(first))
    for begin in range(0, len(first), _PATTERNS_AT_ONCE):
        part = slice(begin, begin + _PATTERNS_AT_ONCE)
        one, other = patterns[first[part]].astype(np.float32), patterns[second[part]].astype(np.float32)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        correlations[part] = np.einsum("ij,ij->i", one, other) / lengths
    return correlations
