"""`shipseg-tiles VERB`: find the verb, parse its options, run it, and say in one line what went wrong."""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from io import TextIOWrapper
from itertools import permutations
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin

from argparse_dataclass import ArgumentParser

from shipseg_tiles import __version__
from shipseg_tiles.cli.common import Outcome, interrupts
from shipseg_tiles.cli.options import flag_words
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import check_writable, read_yaml, write_json
from shipseg_tiles.nets.weights_files import contract_path

VERBS = {
    "simulate": "make synthetic scenes with their labels",
    "explore": "show what is in a labelled archive: numbers, charts and examples on one page",
    "convert-labels": "turn the competition's CSV into a folder of masks, or such a folder into a CSV",
    "split": "choose validation images so that no place is on both sides",
    "audit-split": "find images of one place on different sides of a split",
    "make-patches": "cut labelled images into patches and store them in HDF5",
    "inspect": "show what is in a patch store, and find damage",
    "train": "train a net on a patch store",
    "presets": "list the ways to train that are set up",
    "compare": "train presets within the same time on the same images, and score them on other places",
    "mine": "keep the background on which a net sees ships, to train on it",
    "mine-and-train": "mine and train in turn, and keep the best",
    "ensemble": "make one net of several, which answers their mean",
    "plan": "tell tiles, memory and time of a prediction before it",
    "calibrate": "choose threshold, minimum area and score, gate and separation on validation images",
    "predict": "find ships in images of any size",
    "check-seams": "measure how far tiled prediction is from that of the whole image",
    "serve": "find ships in images that are dropped on a page in the browser",
    "classify": "say of each image whether it shows a ship",
    "export": "write a net for other runtimes, and check that it answers there as in Keras",
    "score": "compare predictions with labels: true dice and F2",
    "report": "show on one page how good predictions are: numbers, charts and pictures",
    "demo": "do all of it on synthetic scenes",
}


_RESULTS = ("out", "json", "sheet")
"""Options that name what is written."""


_RECORDS = ("run.json", "state.json")
"""Files that verbs read back, as they do contracts: how a prediction was made, how far a training is."""

_OTHER_FILES = {".csv", ".geojson", ".h5", ".html", ".jpg", ".keras", ".md", ".png", ".tif", ".yaml"}
"""Suffixes of what else verbs write, so that what is written first is not replaced by the JSON."""


class _Parser(ArgumentParser):
    """A parser whose complaints are errors like all others, and that takes no empty path for the current folder."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        hint = "; a value that begins with - is written as in --scale=-25,0" if "expected one" in message else ""
        raise InputError(f"{message}{hint}; see {self.prog} --help")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path")
    return Path(text)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 if all went well, 2 on bad input, 130 on Ctrl-C."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):  # names that the terminal cannot spell are told all the same
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        with interrupts():
            _run(list(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        sys.exit(_complain(str(error)))
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted", 130))
    except OSError as error:
        sys.exit(_complain(_explained(error)))
    except MemoryError:
        sys.exit(_complain("memory ran out; free some, or give smaller images, tiles or batches"))
    sys.exit(0)


def _open_closed_streams() -> None:
    """Lead streams nowhere that were closed before the start, as by `2>&-`: a file would get their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return
    if arguments[0] == "--version":
        print(__version__)
        return
    verb, *rest = arguments
    if verb not in VERBS:
        raise InputError(f"there is no verb {verb!r}; choose one of {', '.join(VERBS)}")
    module = import_module(f"shipseg_tiles.cli.{verb.replace('-', '_')}")
    options = parse_options(verb, module.Options, rest)
    _refuse_replacing(options)
    _check_results(options)
    if options.json:
        _check_json(options.json)
    _report(module.run(options), options.json)


def parse_options(verb: str, options_class: type[Any], arguments: list[str]) -> Any:
    """Parse a verb's flags, those of its `--config` file first, so that the ones on the command line win.

    Raises:
        InputError: If a flag or a key of the file is unknown, missing or malformed.
    """
    for field in fields(options_class):
        if isinstance(field.type, UnionType):  # argparse-dataclass knows what is optional by its older name alone
            field.type = Union[get_args(field.type)]  # noqa: UP007
    description = f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}."
    parser = _Parser(options_class, prog=f"shipseg-tiles {verb}", description=description, allow_abbrev=False)
    first_pass = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first_pass.add_argument("--config", nargs="?")
    first_pass.add_argument("--preset", nargs="?", default="")
    known, _ = first_pass.parse_known_args(arguments)
    config = read_yaml(Path(known.config)) if known.config else {}
    flags = _flags_of(config, known.config, options_class)
    preset = known.preset or str(config.get("preset") or "")
    if preset and "preset" in {field.name for field in fields(options_class)}:
        flags = [*_preset_flags(preset, verb, options_class, config), *flags]
    return parser.parse_args([*flags, *arguments])


def _preset_flags(name: str, verb: str, options_class: type[Any], config: Mapping[str, Any]) -> list[str]:
    """Turn what a preset sets into flags, but for options that `config` names: it may leave one at its default."""
    from shipseg_tiles.training.presets import read_preset

    named = {str(key).replace("-", "_") for key in config}
    values = read_preset(name).options[verb]
    others = {key: value for key, value in values.items() if str(key).replace("-", "_") not in named}
    return _flags_of(others, f"preset {name}", options_class)


def _flags_of(values: Mapping[str, Any], source: str, options_class: type[Any]) -> list[str]:
    """Turn what a YAML file sets into flags, so that one parser checks both."""
    types = {field.name: field.type for field in fields(options_class) if "args" not in field.metadata}
    flags: list[str] = []
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in types or name == "config":
            raise InputError(f"{source}: there is no option {key!r}; --help lists them")
        if any(isinstance(part, (list, dict)) for part in (value if isinstance(value, list) else [value])):
            raise InputError(f"{source}: {key} {value!r} is nested; give one value, or a list of values")
        if isinstance(value, list) and get_origin(types[name]) is not list:
            value = ",".join(map(str, value))  # as after the flag, such as 0,0,300,300
        if isinstance(value, bool) and types[name] is str:
            value = "on" if value else "off"  # words, but YAML takes them for truth values
        elif isinstance(value, bool) and types[name] is not bool:
            raise InputError(f"{source}: {key} is a truth value to YAML; write a value as after --{key}")
        flags += flag_words(str(key), value)
    return flags


def _refuse_replacing(options: Any) -> None:
    """Refuse to write a result over a file that is read for it, or over another result; weights have a contract."""
    given = [
        (name, Path(value))
        for name, values in vars(options).items()
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, Path) or str(value).endswith(".keras")  # which may be a word instead, such as imagenet
    ]
    contracts = [(name, contract_path(path)) for name, path in given if path.suffix == ".keras"]
    for (name, path), (other, its) in permutations([*given, *contracts], 2):
        is_there = path.is_file() or other in _RESULTS
        if name in _RESULTS and is_there and os.path.realpath(path) == os.path.realpath(its):
            what = "the contract of " if (other, its) in contracts else ""
            raise InputError(f"--{name} {path} would replace {what}--{other.replace('_', '-')}; choose another name")


def _check_results(options: Any) -> None:
    """Find out, before the work, that what comes of it could not be written."""
    for item in fields(options):
        path = getattr(options, item.name)
        if item.name in _RESULTS and isinstance(path, Path):
            what = item.metadata["metavar"]
            is_folder = what == "DIR" or (what == "DIR_OR_CSV" and path.is_dir())
            check_writable(path / "any" if is_folder else path)


def _check_json(path: Path) -> None:
    """Refuse a file that holds anything but an earlier result."""
    if path.suffix.lower() in _OTHER_FILES:
        raise InputError(f"--json {path} is called as files of another kind are; end its name in .json")
    if not path.exists():
        return
    with path.open("rb") as file:
        is_result = file.read(1) in (b"", b"{")
    if not is_result or path.name in _RECORDS or path.with_suffix(".keras").exists():
        raise InputError(f"--json {path} would replace a file that is no result; choose another name")


def _report(outcome: Outcome, json_file: Path | None) -> None:
    if json_file:  # first, as whoever reads the summary may have closed it
        write_json(json_file, outcome.data)
    try:
        print(outcome.summary, flush=True)
    except BrokenPipeError:  # as of `| head`, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more at its end


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = [f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items()]
    return "\n".join(
        [
            "usage: shipseg-tiles VERB [options]",
            "",
            "Find ships in satellite images: patches, training, stitched masks, true dice.",
            "",
            *verbs,
            "",
            "shipseg-tiles VERB --help lists the options of a verb.",
        ]
    )


def _explained(error: OSError) -> str:
    """Say what the system refused, and for which file."""
    text = error.strerror or " ".join(str(error).split())
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        text = "a file is where a folder should be; choose another place"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text += "; free some space, then give the same command again"
    return f"{error.filename}: {text}" if error.filename else text


def _complain(message: str, status: int = 2) -> int:
    print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)
    return status
