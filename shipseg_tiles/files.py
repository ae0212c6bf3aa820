"""Files that appear whole or not at all.

Also what is to be found out before a file is written: whether it can be, whether the disk has room, and whether files
of other images stand beside it; and options that are read from YAML.
"""

import errno
import json
import os
import platform
import re
import shutil
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from shipseg_tiles.errors import InputError, like_others

_UNFINISHED = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9a-f]{1,7})-(?P<started>[0-9a-f]+)\.partial\..+")
"""Names of files that are being written: they tell by whom, so that nobody removes what another one still writes."""

_KEPT = 150
"""Bytes at the end of its name that an unfinished file keeps; its own part takes some 40."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name only when the block ends well.

    The temporary name keeps all suffixes, because many writers choose the format by it. Folders above `path` are
    made. If the block raises, whatever was written is removed and `path` is as it was before. What writers that were
    killed have left in the folder is removed too, when this process writes there for the first time.

    Raises:
        InputError: If `path` is a device, a pipe or the like.
    """
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    process = os.getpid()
    kept = os.fsencode(path.name)[-_KEPT:].decode(errors="ignore")  # a file may be called as long as names can be
    temporary = path.with_name(f".{_machine()}-{process:x}-{_started(process) or 0:x}.partial.{kept}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names no file, or one that nobody asked for
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # a read-only disk refuses even what is not there; the error that led here says more
            temporary.unlink()


def _target(path: Path) -> Path:
    """Return the file that a path leads to, which is replaced in the place of a link; not what is no plain file."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a device or a pipe; name a file")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@lru_cache(maxsize=256)
def _remove_leftovers(folder: Path) -> None:
    with suppress(OSError):  # of a folder that may be written to, but not read; or a file that is somebody else's
        for entry in list(os.scandir(folder)):
            name = _UNFINISHED.fullmatch(entry.name)
            if name and entry.is_file(follow_symlinks=False) and name["machine"] == _machine() and not _runs(name):
                Path(entry).unlink(missing_ok=True)


def _runs(writer: re.Match[str]) -> bool:
    """Say whether the process of this machine that a name tells of is still there; if nobody knows, it is."""
    process = int(writer["process"], 16)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _started(process) in (None, int(writer["started"], 16))


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return 8 hexadecimal digits for this machine, or this container: within it a number is one process at a time."""
    namespace = Path("/proc/self/ns/pid")
    inside = namespace.readlink() if namespace.is_symlink() else ""
    return sha256(f"{platform.node()} {inside}".encode()).hexdigest()[:8]


def _started(process: int) -> int | None:
    """Return when a process was started, in ticks since the system was: its number may have been another's before.

    It is -1 for one that was killed and waits for its parent to notice, and None where nobody says, as on other systems
    than Linux.
    """
    try:
        state, *others = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if state in "ZX" else int(others[18])


def check_writable(path: Path) -> None:
    """Find out, before long work, that its result could not be written to a file. Nothing is left behind.

    Raises:
        InputError: If it is a device, a pipe or the like.
        OSError: If it is a folder, or the lowest folder above it that is there cannot be written to.
    """
    path = _target(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))
    try:
        with TemporaryFile(dir=above):
            pass
    except OSError as error:
        error.filename = str(path)  # not a name that nobody asked for
        raise


def check_space(folder: Path, size: int) -> None:
    """Find out that a disk is full before HDF5 does, which crashes on it or says nothing of disks.

    Args:
        folder: Where so many bytes are to be written.
        size: The bytes; a megabyte more is wanted, for what HDF5 writes beside them.

    Raises:
        OSError: If they do not fit.
    """
    if shutil.disk_usage(folder).free < size + 2**20:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def warn_of_others(folder: Path, stems: set[str], suffixes: tuple[str, ...], why: str) -> None:
    """Warn of files in a folder that is about to be written to, which are of other images and stay.

    Args:
        folder: It may not be there.
        stems: Names without suffix of the images that are written.
        suffixes: Of the files that count.
        why: What becomes of them.
    """
    others = sorted(path for path in folder.glob("[!.]*") if path.suffix in suffixes and path.stem not in stems)
    if others:
        warnings.warn(f"{others[0]} is of another image and stays{like_others(others)}; {why}", stacklevel=3)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON; a number that JSON lacks (NaN) is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values. Numbers stay text: YAML takes 1:0.5 for minutes.

    Raises:
        InputError: If it cannot be read, holds something else, or a name twice, with - or with _ in it.
    """
    import yaml  # slow to load, and few need it

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            names = [str(key.value).replace("-", "_") for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{twice[0]} stands in it twice")
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag.endswith((":bool", ":null"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no options; write lines such as 'epochs: 20'")
    return values
