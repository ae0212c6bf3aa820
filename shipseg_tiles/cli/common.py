"""What verbs share: what they give back, how slow packages are loaded, how Ctrl-C ends them, how numbers are told."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from shipseg_tiles.errors import InputError


@dataclass(frozen=True)
class Outcome:
    """What a verb did.

    Attributes:
        summary: One or a few short lines for a person.
        data: The same as numbers, for `--json`.
    """

    summary: str
    data: dict[str, Any]


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keep TensorFlow's messages about its own start off the terminal; errors still come as exceptions.

    They are written by C++ before any log level applies, so the file descriptor itself is turned away.

    Raises:
        InputError: If Keras has no backend, or none of that name.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # not that a net is traced anew for images of other sizes
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
        if "keras" in sys.modules:
            with suppress(ImportError):  # on another backend Keras imports it later, when it first looks at a layer
                import_module("tensorflow")
    except (ModuleNotFoundError, ValueError) as error:
        raise InputError(
            f"Keras cannot start ({error}); install its backend, or set KERAS_BACKEND to tensorflow, jax or torch"
        ) from None
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def interrupts(told: str = "") -> Iterator[None]:
    """Let Ctrl-C end what is within as a `KeyboardInterrupt`, and say `told` on the way.

    One that comes while compiled code answers may end in a `SystemError`, that it answered with an exception set.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        if not any(isinstance(given, KeyboardInterrupt) for given in (error, error.__cause__)):
            raise
        if told:
            print(told, file=sys.stderr)
        raise KeyboardInterrupt from None


def number(value: float | None, form: str) -> str:
    """Say a number in a form, such as `.3f`; a dash if there is none."""
    return "-" if value is None else format(value, form)


def percent(part: int, whole: int) -> str:
    """Say a share in whole percent."""
    return f"{100 * part / whole:.0f} %" if whole else "-"
