import warnings

import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.memory import BackingOff


class Limited:
    """A net that answers the red of each pixel, and has no memory for more than so many tiles at once.

    Attributes:
        sizes: Of the batches it was shown.
    """

    def __init__(self, limit, error=None):
        self.limit = limit
        self.error = error or MemoryError()
        self.sizes = []

    def __call__(self, tiles):
        self.sizes.append(len(tiles))
        if len(tiles) > self.limit:
            raise self.error
        return tiles[..., 0].astype(np.float32)


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def test_a_batch_that_fits_is_predicted_at_once_and_in_silence():
    net, tiles = Limited(36), noise(36)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = BackingOff(net)(tiles)

    assert net.sizes == [36]
    assert np.array_equal(answer, tiles[..., 0])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 4.00 GiB for an array with shape (32768, 32768)"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes"),
        ValueError("Graph execution error: OOM when allocating tensor with shape[64,768,768,16]"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: failed to allocate 99 bytes"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
    ],
    ids=["Python", "NumPy", "JAX", "TensorFlow", "PyTorch", "PyTorch on a processor", "OpenVINO"],
)
def test_a_batch_is_halved_until_it_fits_and_stays_so(error):
    """Of 36 tiles 10 fit: 36 fail, halves of 18 fail, quarters of 9 fit. The next batch is in quarters at once."""
    net, tiles = Limited(10, error), noise(36)
    backing_off = BackingOff(net)

    with pytest.warns(UserWarning, match="out of memory: predicting") as warned:
        answer = backing_off(tiles)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = backing_off(tiles)

    assert net.sizes == [36, 18, *[9] * 4, *[9] * 4]
    assert [str(warning.message) for warning in warned] == [
        "out of memory: predicting 18 tiles at once from now on",
        "out of memory: predicting 9 tiles at once from now on",
    ]
    assert np.array_equal(answer, tiles[..., 0])
    assert np.array_equal(again, tiles[..., 0])
    assert answer.dtype == np.float32


@pytest.mark.filterwarnings("ignore:out of memory")
def test_all_parts_have_the_same_size_and_filler_is_not_answered():
    """Of 10 tiles 4 fit: 10 fail, 5 fail, and quarters are 2.5 tiles, rounded up 3: the last one has 1 and 2 of
    filler. A smaller batch of 6 in quarters is three parts of 2."""
    net, tiles = Limited(4), noise(10)
    backing_off = BackingOff(net)

    answer = backing_off(tiles)
    smaller = backing_off(tiles[:6])

    assert net.sizes == [10, 5, 3, 3, 3, 3, 2, 2, 2]
    assert np.array_equal(answer, tiles[..., 0])
    assert np.array_equal(smaller, tiles[:6, ..., 0])


@pytest.mark.filterwarnings("ignore:out of memory")
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_single_tile_that_is_too_large_is_refused_with_the_remedy(count):
    net = Limited(0)

    with pytest.raises(InputError, match="memory does not suffice for a tile of 16 px; use a smaller --tile"):
        BackingOff(net)(noise(count))

    assert net.sizes[-1] == 1
    assert len(net.sizes) <= 4  # 7, 4, 2, 1


@pytest.mark.parametrize("error", [ValueError("shapes do not fit"), RuntimeError("the room is dark"), OSError(28, "x")])
def test_other_errors_pass_through_at_once(error):
    net = Limited(0, error)

    with pytest.raises(type(error)) as caught:
        BackingOff(net)(noise(8))

    assert caught.value is error
    assert net.sizes == [8]
