"""The errors that mean: the input is wrong, not the program."""

import warnings
from collections.abc import Mapping, Sequence


class InputError(ValueError):
    """Bad input from outside: a file, a value, an option.

    The message is one line that names the bad file or value and the remedy. The command line prints it after
    `error: ` and exits with 2; from Python it is an ordinary `ValueError`.
    """


class NetError(InputError):
    """The net is to blame, not the image that it was shown: it would fail with all others as well."""


class SkippedImageWarning(UserWarning):
    """One bad image among many was left out; the run goes on without it."""


def warn_skipped(name: str, reason: object) -> None:
    """Warn that the image `name` is left out because of `reason`."""
    warnings.warn(f"{name} skipped: {reason}", SkippedImageWarning, stacklevel=2)


def warn_all_skipped(names: Sequence[str], reason: str) -> None:
    """Warn in one line of images that one reason leaves out: it may be nearly all, as of a part of the competition."""
    if names:
        warn_skipped(names[0], f"{reason}{like_others(names)}")


def like_others(names: Sequence[object]) -> str:
    """Return what to say behind the first of some names, of which one line cannot tell all."""
    return f", like {len(names) - 1} more" if len(names) > 1 else ""


def none_readable(images: str = "images") -> InputError:
    """Return the error that nothing is left, after a warning for each of the images that were skipped."""
    return InputError(f"none of the {images} could be read; the warnings above say why")


def none_usable(source: object, reasons: Mapping[str, str]) -> InputError:
    """Return the error that all images of a source are left out, for these reasons by name."""
    return InputError(
        f"none of the {len(reasons)} images in {source} is usable; the first: {next(iter(reasons.values()))}"
    )


def first_of(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names as a list, with dots behind them if there are more."""
    return ", ".join(names[:most]) + " ..." * (len(names) > most)
