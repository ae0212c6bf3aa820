"""Packages that come with an extra of this one: imported where they are needed, asked for where they are missing."""

import sys
from importlib import import_module
from typing import Any

from shipseg_tiles.errors import InputError


def import_extra(module: str, extra: str, complaint: str = "") -> Any:
    """Import a module that comes with an extra of this package.

    Args:
        module: Its name.
        extra: Name of the extra.
        complaint: What is said if it is missing; empty for that it is not installed.

    Raises:
        InputError: If it is missing.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(complaint or f"{error.name} is not installed", extra) from None


def missing_extra(complaint: str, extra: str) -> InputError:
    """Return the error that something is lacking which an extra of this package brings."""
    return InputError(f"{complaint}; in the project's folder: {sys.executable} -m pip install -e '.[{extra}]'")
