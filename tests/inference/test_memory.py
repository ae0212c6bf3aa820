import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.memory import (
    BYTES_PER_PIXEL,
    BackingOff,
    enough_memory,
    free_bytes,
    images_within,
    pixels_within,
)
from shipseg_tiles.inference.stitching import PIXELS_PER_BATCH


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
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] can't allocate memory: you tried to allocate 99 bytes"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
    ],
    ids=["Python", "NumPy", "JAX", "TensorFlow", "PyTorch", "PyTorch on a processor", "OpenVINO"],
)
def test_a_batch_is_halved_until_it_fits_and_stays_so(error):
    """Of 36 tiles 10 fit: 36 fail, once more in case another thread was in the way, halves of 18 fail, quarters of 9
    fit. The next batch is in quarters at once."""
    net, tiles = Limited(10, error), noise(36)
    backing_off = BackingOff(net)

    with pytest.warns(UserWarning, match="out of memory: predicting") as warned:
        answer = backing_off(tiles)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = backing_off(tiles)

    assert net.sizes == [36, 36, 18, *[9] * 4, *[9] * 4]
    assert [str(warning.message) for warning in warned] == [
        "out of memory: predicting 18 tiles at once from now on",
        "out of memory: predicting 9 tiles at once from now on",
    ]
    assert np.array_equal(answer, tiles[..., 0])
    assert np.array_equal(again, tiles[..., 0])
    assert answer.dtype == np.float32


@pytest.mark.filterwarnings("ignore:out of memory")
def test_all_parts_have_the_same_size_and_filler_is_not_answered():
    """Of 11 tiles 4 fit: 11 fail twice, 6 fail, and quarters are 2.75 tiles, rounded up 3: the last one has 2 and 1 of
    filler. A smaller batch of 5 in quarters is three parts of 2, the last one half filler."""
    net, tiles = Limited(4), noise(11)
    backing_off = BackingOff(net)

    answer = backing_off(tiles)
    smaller = backing_off(tiles[:5])

    assert net.sizes == [11, 11, 6, 3, 3, 3, 3, 2, 2, 2]
    assert np.array_equal(answer, tiles[..., 0])
    assert np.array_equal(smaller, tiles[:5, ..., 0])


@pytest.mark.filterwarnings("ignore:out of memory")
@pytest.mark.parametrize("sizes", [[1, 1], [2, 2, 1], [3, 3, 2, 1], [7, 7, 4, 2, 1]])
def test_a_single_tile_that_is_too_large_is_refused_with_the_remedy(sizes):
    """It is tried once, unless it is the whole batch, and nothing after it."""
    net = Limited(0)

    with pytest.raises(
        InputError, match="memory does not suffice for a tile of 16 px; use a smaller one, by --tile or in"
    ):
        BackingOff(net)(noise(sizes[0]))

    assert net.sizes == sizes


def test_threads_that_are_in_the_way_of_each_other_take_turns():
    """A net with room for one batch at a time, shown two: whoever comes second is refused, and has its turn later."""
    beside, met = threading.Lock(), threading.Barrier(2)
    met_once = threading.Event()

    def net(tiles):
        if not met_once.is_set():
            met.wait(timeout=20)  # both are in here
            met_once.set()
        if not beside.acquire(blocking=False):
            raise MemoryError
        try:
            time.sleep(0.2)
            return tiles[..., 0].astype(np.float32)
        finally:
            beside.release()

    backing_off, tiles = BackingOff(net), noise(1)
    with ThreadPoolExecutor(2) as executor, warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = list(executor.map(backing_off, [tiles] * 8))

    assert all(np.array_equal(answer, tiles[..., 0]) for answer in answers)
    assert backing_off.parts == 1


@pytest.mark.parametrize("error", [ValueError("shapes do not fit"), RuntimeError("the room is dark"), OSError(28, "x")])
def test_other_errors_pass_through_at_once(error):
    net = Limited(0, error)

    with pytest.raises(type(error)) as caught:
        BackingOff(net)(noise(8))

    assert caught.value is error
    assert net.sizes == [8]


# What fits, before the first batch


@pytest.fixture
def machine(tmp_path):
    """Make `proc` and `sys` of a Linux with so many kB left, and files of control groups."""

    def make(available, groups="", files=None):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "meminfo").write_text(
            f"MemTotal: 16777216 kB\nMemAvailable:   {available} kB\nHugePages_Free: 0\n"
        )
        (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
        for path, text in (files or {}).items():
            file = tmp_path / "sys" / "fs" / "cgroup" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


def test_without_limits_it_is_what_the_system_has_left(machine):
    """A group of version 2 without a limit, and one of version 1, whose limit is a number that stands for none."""
    root = machine(
        1000,
        "4:memory:/some\n1:name=systemd:/\n0::/some\n",
        {
            "some/memory.max": "max\n",
            "some/memory.current": "123\n",
            "some/memory.stat": "inactive_file 0\nactive_file 0\n",
            "memory/some/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/some/memory.usage_in_bytes": "123\n",
            "memory/some/memory.stat": "total_inactive_file 0\ntotal_active_file 0\n",
        },
    )

    assert free_bytes(root) == 1_024_000


def test_the_limit_of_a_group_above_counts_too(machine):
    """The job itself has no limit; 700,000 of the 900,000 bytes of its user are taken, 30,000 + 4,000 of them by copies
    of files. The other group is somebody else's. Kubernetes puts colons into names."""
    root = machine(
        1000,
        "0::/user/cri:job:0123\n",
        {
            "user/cri:job:0123/memory.max": "max\n",
            "user/memory.max": "900000\n",
            "user/memory.current": "700000\n",
            "user/memory.stat": "anon 666000\nfile 34000\ninactive_file 30000\nactive_file 4000\n",
            "other/memory.max": "1\n",
            "other/memory.current": "1\n",
            "other/memory.stat": "inactive_file 0\nactive_file 0\n",
        },
    )

    assert free_bytes(root) == 234_000


def test_the_limit_of_a_container_of_version_1_counts_too(machine):
    """Inside it stands where the root of all groups is outside. Of 900,000 bytes 700,000 are taken, 50,000 by files."""
    stat = "inactive_file 1\nactive_file 1\ntotal_inactive_file 20000\ntotal_active_file 30000\n"
    root = machine(
        1000,
        "9:hugetlb,memory:/docker/0123\n8:cpu:/docker/0123\n",
        {
            "memory/memory.limit_in_bytes": "900000\n",
            "memory/memory.usage_in_bytes": "700000\n",
            "memory/memory.stat": stat,
        },
    )

    assert free_bytes(root) == 250_000


@pytest.mark.parametrize("said", [None, "MemTotal: 16777216 kB\n", "MemAvailable: much kB\n"])
def test_where_nobody_says_what_is_left_the_batch_is_the_largest(machine, said):
    """There is no such file outside of Linux, and an old Linux knows of less."""
    meminfo = machine(1000) / "proc" / "meminfo"
    meminfo.unlink() if said is None else meminfo.write_text(said)

    assert free_bytes(meminfo.parents[1]) is None
    assert pixels_within(None) == PIXELS_PER_BATCH


@pytest.mark.parametrize(("missing", "part"), [(0, 1), (1, 2), (500_000, 8), (575_990, 65_536)])
def test_a_batch_may_take_half_of_what_is_left(missing, part):
    """768 x 768 pixels of 500 bytes take 294,912,000, twice that is 576,000 kB. With one kB less, half of the pixels
    are all. Of 76,000 kB 38,912,000 bytes may be taken, and an eighth needs 36,864,000. Of 10 kB it is 5,120 bytes for
    10 pixels; 768 x 768, halved 16 times, are 9."""
    assert (PIXELS_PER_BATCH, BYTES_PER_PIXEL) == (768 * 768, 500)

    assert pixels_within(1024 * (576_000 - missing)) == PIXELS_PER_BATCH // part


@pytest.mark.parametrize("free", [-1, 0, 999])
def test_where_nothing_is_left_a_batch_has_a_pixel_all_the_same(free):
    """Not none, which would say that nobody knows. A group may have taken more than its limit."""
    assert pixels_within(free) == 1


@pytest.mark.parametrize(("free", "images"), [(1_152_000, 2), (1_151_999, 1), (10, 1)])
def test_two_images_are_predicted_at_once_where_half_of_what_is_left_holds_two_batches(free, images):
    """Twice 294,912,000 bytes, and as much again, are 1,152,000 kB."""
    assert images_within(1024 * free) == images


def test_two_images_are_predicted_at_once_where_nobody_says_what_is_left():
    assert images_within(None) == 2


def test_this_machine_says_what_is_left():
    if not Path("/proc/meminfo").is_file():
        pytest.skip("no Linux")

    assert 0 < free_bytes() < 2**60


def test_batches_that_memory_does_not_hold_are_told():
    """16 TB. Other errors are no matter of memory, or have a remedy already."""
    with (
        pytest.raises(InputError, match="memory does not suffice for batches of 8; use fewer"),
        enough_memory("batches of 8", "use fewer"),
    ):
        keras.ops.zeros((1 << 22, 1 << 20))
    with pytest.raises(ZeroDivisionError), enough_memory("batches of 8", "use fewer"):
        raise ZeroDivisionError
    with pytest.raises(InputError, match="workers died"), enough_memory("batches of 8", "use fewer"):
        raise InputError("workers died, perhaps out of memory; use fewer")
