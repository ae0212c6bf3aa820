"""Choices stand once more in the command line, whose help may not wait for the packages that own them."""

from dataclasses import fields
from importlib import import_module
from typing import get_args

import pytest

from shipseg_tiles.calibration.setting_grid import OBJECTIVES
from shipseg_tiles.inference.engines import ENGINES, PRECISIONS
from shipseg_tiles.inference.formats import FORMATS
from shipseg_tiles.nets.blocks import NORMALISATIONS
from shipseg_tiles.nets.contract import SYMMETRIES
from shipseg_tiles.tiling import WindowName


def choices_of(verb, name):
    options = import_module(f"shipseg_tiles.cli.{verb}").Options
    (field,) = (field for field in fields(options) if field.name == name)
    return field.metadata["choices"]


@pytest.mark.parametrize(
    ("verb", "name", "known"),
    [
        ("predict", "window", get_args(WindowName)),
        ("predict", "symmetries", SYMMETRIES),
        ("ensemble", "symmetries", SYMMETRIES),
        ("predict", "engine", ENGINES),
        ("predict", "precision", PRECISIONS),
        ("train", "normalisation", (*NORMALISATIONS, "frozen")),
        ("calibrate", "objective", OBJECTIVES),
        ("export", "to", FORMATS),
    ],
)
def test_what_may_be_chosen_is_what_there_is(verb, name, known):
    assert sorted(choices_of(verb, name)) == sorted(known)
