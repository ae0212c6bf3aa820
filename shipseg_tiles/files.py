"""Files that appear whole or not at all, and names that cannot leave their folder."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name only when the block ends well.

    The temporary name keeps all suffixes, because many writers choose the format by it. Folders above `path` are
    made. If the block raises, whatever was written is removed and `path` is as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.partial.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names no file, or one that nobody asked for
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


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
        InputError: If it cannot be read, or holds something else.
    """
    import yaml  # slow to load, and few need it

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag.endswith((":bool", ":null"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no options; write lines such as 'epochs: 20'")
    return values


def checked_name(name: str, where: str) -> str:
    """Return `name` if it is a bare file name.

    Args:
        name: A file name that came out of a file, such as an `ImageId`.
        where: The file it came from, for the message.

    Raises:
        InputError: If the name has a folder in it, is hidden or is empty, so that it could choose a path.
    """
    if not name or name.startswith(".") or any(character in name for character in "/\\\0\n\r"):
        raise InputError(f"{where}: {name!r} is no plain file name; remove folders and leading dots from it")
    return name
