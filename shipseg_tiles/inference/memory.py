"""Batches that fit into memory: a guess before the first one, and smaller ones for nets that run out of it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError, NetError
from shipseg_tiles.inference.stitching import PIXELS_PER_BATCH, PredictTiles

BYTES_PER_PIXEL = 500
"""What a net takes for each pixel of a batch. Those that `build_net` makes at 16 filters took up to 440, on processors,
with Keras and with OpenVINO."""

_CONTROL_GROUPS = {
    "": ("", "memory.max", "memory.current", ""),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}
"""Of version 2 and version 1, by their name in /proc/self/cgroup: the folder, the files of limit and use, and what the
names in memory.stat begin with."""

_SIGNS = (
    *("out of memory", "resource_exhausted", "oom when allocating"),
    *("failed to allocate", "can't allocate memory", "bad_alloc"),
)
"""What errors of TensorFlow, JAX, PyTorch and OpenVINO say, in lower case; none of them share a class."""


@lru_cache(maxsize=1)
def pixels_that_fit() -> int:
    """Guess how many pixels a batch may have.

    The answer stays that of the first call, so that all of a process is predicted in batches of the same shapes.
    """
    return pixels_within(free_bytes())


def pixels_within(free: int | None) -> int:
    """Return `PIXELS_PER_BATCH`, or half, a quarter ... of it if that does not fit into so many bytes, None for any.

    A net may take half of the memory that is free; the rest is for whatever else runs here.
    """
    pixels = PIXELS_PER_BATCH
    while free is not None and pixels > 1 and pixels * BYTES_PER_PIXEL > free // 2:
        pixels //= 2
    return pixels


@lru_cache(maxsize=1)
def images_at_once() -> int:
    """Say how many images to predict at the same time. As with `pixels_that_fit`, the first answer stays.

    One image alone leaves the processor idle in part: while it is read, resized or blended, and in small layers. On two
    cores two took 0.64 to 0.9 of the time, the less the smaller the net, and three hardly less.
    """
    return images_within(free_bytes())


def images_within(free: int | None) -> int:
    """Return 2 if half of so many bytes, None for any, holds a batch of each of two images, otherwise 1."""
    return 2 if free is None or free // 2 >= 2 * PIXELS_PER_BATCH * BYTES_PER_PIXEL else 1


def free_bytes(root: Path = Path("/")) -> int | None:
    """Find out how much more memory this process may take: what Linux has left, or a control group of the process.

    Args:
        root: Folder of `proc` and `sys`.

    Returns:
        Bytes; None where nobody says, as on other systems.
    """
    try:
        available = 1024 * _numbers(root / "proc/meminfo")["MemAvailable:"]
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, KeyError, ValueError):
        return None
    return min([available, *(left for group in groups for left in _left_to_group(root / "sys/fs/cgroup", group))])


def _left_to_group(mount: Path, line: str) -> Iterator[int]:
    """Yield what is left of the limits of a control group in bytes, its own and of those that it is in.

    Copies of files that were read count as used, but are given back.
    """
    _, controllers, path = line.split(":", 2)
    for controller in _CONTROL_GROUPS.keys() & set(controllers.split(",")):
        folder, limit, used, prefix = _CONTROL_GROUPS[controller]
        group = mount / folder / path.lstrip("/")
        for member in (group, *group.parents):
            with suppress(OSError, KeyError, ValueError):  # no group, or "max" for no limit
                copies = _numbers(member / "memory.stat")
                given_back = copies[f"{prefix}inactive_file"] + copies[f"{prefix}active_file"]
                yield int((member / limit).read_text()) - int((member / used).read_text()) + given_back


def _numbers(path: Path) -> dict[str, int]:
    """Read the first two words of each line: a name and a whole number."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {words[0]: int(words[1]) for words in lines}


class BackingOff:
    """Predicts tiles in parts of a batch, halved whenever memory runs out; what was found to fit stays.

    Threads may share it. Once memory has run out one of them predicts at a time, as it may have been the batch of
    another that was too much.

    Attributes:
        predict_tiles: The net.
        parts: Number of parts that a batch is predicted in.
    """

    def __init__(self, predict_tiles: PredictTiles) -> None:
        self.predict_tiles = predict_tiles
        self.parts = 1
        self._has_run_out = False
        self._running = 0
        self._turn = threading.Condition()

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict: uint8 (N, tile, tile, 3) to float32 (N, tile, tile).

        Raises:
            NetError: If memory does not even suffice for a single tile.
        """
        if not self._has_run_out:
            try:
                with self._beside_others():
                    return self.predict_tiles(tiles)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._has_run_out = True
        with self._turn:
            self._turn.wait_for(lambda: not self._running)
            return self._halved_until_it_fits(tiles)

    @contextmanager
    def _beside_others(self) -> Iterator[None]:
        with self._turn:
            self._running += 1
        try:
            yield
        finally:
            with self._turn:
                self._running -= 1
                self._turn.notify_all()

    def _halved_until_it_fits(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        while True:
            try:
                return self._predict_in_parts(tiles)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.parts >= len(tiles):
                    raise NetError(
                        f"memory does not suffice for a tile of {tiles.shape[1]} px; use a smaller one, by --tile"
                        " or in the contract"
                    ) from None
                self.parts *= 2
                warnings.warn(
                    f"out of memory: predicting {-(-len(tiles) // self.parts)} tiles at once from now on", stacklevel=3
                )

    def _predict_in_parts(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = -(-len(tiles) // self.parts)
        return np.concatenate(
            [self._predict_part(tiles[first : first + size], size) for first in range(0, len(tiles), size)]
        )

    def _predict_part(self, part: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        # The last part repeats a tile: another shape would be compiled anew, and take memory for that.
        filled = np.concatenate((part, np.repeat(part[-1:], size - len(part), axis=0)))
        return self.predict_tiles(filled)[: len(part)]


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error of any backend or engine means that memory did not suffice."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def enough_memory(use: str, remedy: str) -> Iterator[None]:
    """Say what to do if memory runs out in a block.

    Args:
        use: What memory would be used for.
        remedy: What to do.

    Raises:
        InputError: If it does.
    """
    try:
        yield
    except InputError:  # which says what to do already
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"memory does not suffice for {use}; {remedy}") from None
