"""Files inside a zip archive, read in place; the competition comes as one of 31 GB.

A path may go on inside a zip as if it were a folder: `data/airbus-ship-detection.zip/train_v2`.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from shipseg_tiles.errors import InputError

MAXIMUM_FILE_BYTES = 2**32
"""Larger files are refused before they are unpacked: 4 GiB, the pixels of the largest image that is read."""


@dataclass(frozen=True)
class ZipMember:
    """A file inside a zip, with the part of `Path` that reading takes; small enough to send to other processes.

    Attributes:
        archive: The zip file.
        member: Path of the file inside it.
    """

    archive: Path
    member: str

    @property
    def name(self) -> str:
        """File name without folders."""
        return PurePosixPath(self.member).name

    @property
    def stem(self) -> str:
        """File name without folders and suffix."""
        return PurePosixPath(self.member).stem

    def __str__(self) -> str:
        return f"{self.archive}/{self.member}"

    def open(self, mode: str = "rb") -> BytesIO:
        """Open the unpacked file for reading; the mode is there because `Path.open` has one."""
        return BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Unpack the file and check it.

        Raises:
            InputError: If it is damaged, encrypted, too large, or neither stored nor packed by deflate.
        """
        try:
            files = _opened(self.archive)
            about = files.getinfo(self.member)
            size, method = about.file_size, about.compress_type
            if size > MAXIMUM_FILE_BYTES:
                raise InputError(f"{self} unpacks to {size} bytes, more than {MAXIMUM_FILE_BYTES}; unpack it first")
            if method not in (ZIP_STORED, ZIP_DEFLATED):  # Python unpacks others whole, whatever size they claim
                raise InputError(f"{self} is packed by method {method}, not by deflate (8); unpack the zip first")
            with files.open(about) as file:  # each has a place of its own in the zip: threads may read at once
                return file.read(size)  # which checks the checksum; read() would unpack all before it cuts off the rest
        except InputError:
            raise
        except KeyError:
            raise InputError(f"{self.archive} holds no {self.member}") from None
        except (BadZipFile, RuntimeError, OSError, EOFError, ValueError, zlib.error) as error:
            # RuntimeError: encrypted, or patched; ValueError: a name that is not in the encoding it claims
            raise InputError(f"{self} cannot be unpacked ({error}); fetch the zip again or unpack it first") from None


AnyPath = Path | ZipMember
"""A file on disk or inside a zip."""


def located(path: Path) -> AnyPath:
    """Turn a path that goes on inside a zip into its member; leave any other path as it is."""
    parts = _split(path)
    return ZipMember(*parts) if parts and parts[1] else path


def identity_of(path: AnyPath) -> str:
    """Return what tells a file from others that have had its name, without reading it: its size and time of change.

    Inside a zip it is the checksum that the zip knows in place of the time, which is that of packing.

    Raises:
        InputError: If there is no such file.
    """
    if isinstance(path, ZipMember):
        try:
            packed = _opened(path.archive).getinfo(path.member)
        except KeyError:
            raise InputError(f"{path.archive} holds no {path.member}") from None
        return f"{packed.file_size}-{packed.CRC:08x}"
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return f"{status.st_size}-{status.st_mtime_ns}"


def list_members(path: Path) -> list[ZipMember] | None:
    """List all files inside a zip, or inside a folder of one, however deep, or a single one; None if there is no zip.

    Raises:
        InputError: If the zip is damaged.
    """
    parts = _split(path)
    if not parts:
        return None
    archive, inside = parts
    prefix = f"{inside}/" if inside else ""
    return [
        ZipMember(archive, name)
        for name in _opened(archive).namelist()
        if name == inside or (name.startswith(prefix) and not name.endswith("/"))
    ]


def _split(path: Path) -> tuple[Path, str] | None:
    """Split a path into the zip that it leads to or through, and the rest of it; None if there is no zip."""
    for candidate in (path, *path.parents):
        if candidate.suffix.lower() == ".zip" and candidate.is_file():
            return candidate, "" if candidate == path else path.relative_to(candidate).as_posix()
    return None


@lru_cache(maxsize=4)
def _opened(archive: Path) -> ZipFile:
    """Open a zip once in each process: its table of contents may have 200,000 entries."""
    try:
        return ZipFile(archive)
    except (BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{archive} is no zip or is damaged ({error}); fetch it again") from None
