"""What the documentation imports from the package."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*")], key=str)
IMPORTS = {
    (path.name, module, name)
    for path in PAGES
    if path.is_file()
    for module, names in re.findall(r"from (shipseg_tiles[\w.]*) import ([\w, ]+)", path.read_text(encoding="utf-8"))
    for name in names.split(", ")
}


@pytest.mark.parametrize(("page", "module", "name"), sorted(IMPORTS))
def test_it_is_there(page, module, name):
    assert hasattr(import_module(module), name)
