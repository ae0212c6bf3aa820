"""File names: which may stand in a file without choosing a path, and which can be told apart."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from shipseg_tiles.errors import InputError

_LONGEST_NAME = 255
"""Bytes that a file's name may have."""

_NO_PLAIN_NAME = re.compile(r"^\.|^\Z|[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Hidden or empty names, those with a folder or line end in them, and how Python spells those that are not UTF-8."""


def by_stem(names: Iterable[str], where: str) -> dict[str, str]:
    """Return file names by what they are without suffix.

    Args:
        names: The names.
        where: What they are the names of, for the message.

    Raises:
        InputError: If two differ in their suffix only.
    """
    stems: dict[str, str] = {}
    for name in names:
        stem = Path(name).stem
        if stem in stems:
            raise InputError(f"{where}: {stems[stem]} and {name} differ in their suffix only; rename or remove one")
        stems[stem] = name
    return stems


def check_length(name: str, more: int) -> None:
    """Refuse a file name that lacks room for a suffix that has `more` bytes than its own.

    Raises:
        InputError: If it does.
    """
    over = len(os.fsencode(name)) + more - _LONGEST_NAME
    if over > 0:
        raise InputError(
            f"{name}: no file of that name with a longer suffix can be written; shorten it by {over} bytes"
        )


def checked_name(name: str, where: str) -> str:
    """Return `name` if it is a bare file name.

    Args:
        name: A file name that came out of a file, such as an `ImageId`.
        where: The file it came from, for the message.

    Raises:
        InputError: If the name has a folder in it, is hidden or is empty, so that it could choose a path; or if it
            could not stand in a line of a text file, as it has control characters or is not UTF-8.
    """
    if _NO_PLAIN_NAME.search(name):
        raise InputError(
            f"{where}: {name!r} is no plain file name; remove folders, leading dots and control characters from it,"
            " and spell it in UTF-8"
        )
    return name
