"""The layout of a patch store, an HDF5 file; known here, in `slots`, `store_file`, `store_writer` and nowhere else.

    /train/ship        image     uint8 (N, side, side, 3)
    /train/background  mask      uint8 (N, side, side), 0 or 1
    /valid/ship        source    (N,) compound: image (file name), row, column, ship_pixels
    /valid/background  checksum  uint32 (N,): CRC-32 of each patch
    /full_images       files     uint8: the validation images as they were on disk, one behind the other
                       index     compound: image (file name), offset, length, checksum (CRC-32)
                       labels    their labels as a competition CSV, UTF-8
    /left_out          JSON: why images of the archive are not in it, by name
    root attributes    format_version, options (JSON), seed, patch (side as stored), plan_fingerprint, shards (JSON):
                       numbers and text of fixed size, as HDF5 crashes on damaged text of variable size

In a plain store `image` and `mask` are contiguous, so each patch has a fixed place in the file. Writers write there and
readers map it into memory instead of going through HDF5, which is what makes many writers safe and reading fast. In a
compressed store each patch is a chunk. A store in shards holds virtual datasets, for other programs, over the stores in
the folder `NAME.shards`, which are called by a hash of what is in them; its attribute `shards` (JSON) lists them.
"""

import json
import operator
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.split import SPLITS
from shipseg_tiles.digests import text_digest
from shipseg_tiles.errors import InputError

FORMAT_VERSION = 3

CLASSES = ("ship", "background")

PARTS = tuple(product(SPLITS, CLASSES))
"""Split and class of every part of a store."""

MINED = ("train", "background")
"""Split and class of all hard negatives."""

MAXIMUM_SIDE = 8192
"""Larger patches are refused before memory is taken for one."""

FILTERS = {"lz4": 32004, "zstd": 32015, "gzip": 1}
"""What patches may be compressed with, and HDF5's codes for it."""

SOURCE = {"row": "<i4", "column": "<i4", "ship_pixels": "<i4"}
INDEX = {"offset": "<i8", "length": "<i8", "checksum": "<u4"}
"""Of `source` and of `index`: the numbers that stand behind `image`, which is text of a fixed size."""


def stored_side(options: Mapping[str, Any]) -> int:
    """Return the side of patches as they are stored, in pixels."""
    return operator.index(options["resize"] or options["patch"])


def shards_folder(path: Path) -> Path:
    """Return the folder of the shards of the store at `path`."""
    return path.with_suffix(".shards")


def shard_path(path: Path, name: str) -> Path:
    """Return the file of a shard of the store at `path`.

    Raises:
        InputError: If the name is not one that `shard_name` gives, and could lead elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{16}", name):
        raise InputError(f"{path} names a shard {name!r}, which is no shard's name; do not use this file")
    return shards_folder(path) / f"{name}.h5"


def shard_name(options: Mapping[str, Any], fingerprint: str) -> str:
    """Name a shard after what is in it: after the options of the run and the fingerprint of its part of the plan."""
    return text_digest(f"{json.dumps(options)} {fingerprint}")
