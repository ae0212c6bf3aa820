"""Where patches lie inside a store's file, and how processes write to them. Loads nothing but numpy."""

import errno
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def checksum(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> int:
    """Return the CRC-32 of a patch: of the bytes of its image, then of its mask."""
    return zlib.crc32(np.ascontiguousarray(mask).data, zlib.crc32(np.ascontiguousarray(image).data))


@dataclass(frozen=True)
class Slots:
    """Where in a file the patches stand; many processes may write to one file at once.

    They write to places in the file instead of to a memory map: three times as fast, as the system need not fetch
    each page first, and a disk that fails is an error and not a crash.

    Attributes:
        path: The file.
        side: Height and width of a patch as it is stored, in pixels.
        offsets: By (split, class): byte offsets of the datasets `image`, `mask` and `checksum`.
    """

    path: Path
    side: int
    offsets: dict[tuple[str, str], tuple[int, int, int]]

    @cached_property
    def _file(self) -> int:
        return os.open(self.path, os.O_RDWR)

    def __getstate__(self) -> dict[str, object]:
        """Leave the open file behind when sent to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def close(self) -> None:
        """Close the file, if it was used; the next use opens it again."""
        if "_file" in self.__dict__:
            os.close(self.__dict__.pop("_file"))

    def write(self, split: str, kind: str, slot: int, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
        """Write one patch: image uint8 (side, side, 3), mask uint8 (side, side) of 0 and 1; its checksum last.

        Raises:
            OSError: If the disk is full or fails.
        """
        at_image, at_mask, at_checksum = self.offsets[split, kind]
        self._write(np.ascontiguousarray(image), at_image + slot * image.size)
        if mask.any():  # a fresh file holds zeros
            self._write(np.ascontiguousarray(mask), at_mask + slot * mask.size)
        self._write(np.array(checksum(image, mask), dtype="<u4"), at_checksum + slot * 4)

    def _write(self, values: NDArray[np.generic], offset: int) -> None:
        if os.pwrite(self._file, values.data, offset) != values.nbytes:
            raise OSError(errno.ENOSPC, "only a part of a patch could be written")

    def holds(self, split: str, kind: str, slot: int) -> bool:
        """Say whether a slot holds a whole patch: whether its checksum is that of its pixels.

        Zeros, which a fresh file holds, have another checksum than 0.
        """
        at_image, at_mask, at_checksum = self.offsets[split, kind]
        image = self._read(3 * self.side**2, at_image + slot * 3 * self.side**2)
        mask = self._read(self.side**2, at_mask + slot * self.side**2)
        return self._read(4, at_checksum + slot * 4) == zlib.crc32(mask, zlib.crc32(image)).to_bytes(4, "little")

    def _read(self, size: int, offset: int) -> bytes:
        return os.pread(self._file, size, offset)
