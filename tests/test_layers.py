import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import shipseg_tiles
from shipseg_tiles.cli.main import VERBS

PACKAGE = Path(shipseg_tiles.__file__).parent
STAGES = ["archive", "patches", "nets", "inference", "scoring", "calibration", "training", "report", "serving", "cli"]
"""In the order of the flow: a module imports only from its own stage and from those to the left of it."""

FOUNDATIONS = {
    "connected",
    "digests",
    "errors",
    "extras",
    "files",
    "names",
    "pixels",
    "jobs",
    "rle",
    "tiling",
    "images",
    "masks",
    "processes",
    "zipped",
}
ENTRANCES = {"__init__", "__main__"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def stage_of(module):
    """First part of a module's path inside the package: a stage, a foundation, or an entrance."""
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(tree):
    """First parts, inside the package, of everything that a module imports, at its top or within a function."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("shipseg_tiles.")} - {"__version__"}


def allowed(part):
    """What a stage, a foundation or an entrance may import."""
    if part in FOUNDATIONS:
        return FOUNDATIONS
    if part in ENTRANCES:
        return {"cli"}
    return FOUNDATIONS | set(STAGES[: STAGES.index(part) + 1])


def test_the_order_of_the_flow_names_every_part_of_the_package():
    parts = {stage_of(module) for module in MODULES}

    assert parts == FOUNDATIONS | ENTRANCES | set(STAGES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_imports_only_from_what_stands_to_its_left(module):
    imports = imported_parts(ast.parse(module.read_text(encoding="utf-8")))

    assert imports <= allowed(stage_of(module))


def test_an_import_from_the_right_would_be_found():
    source = "def f():\n    from shipseg_tiles.report.report import write_report\nimport shipseg_tiles.rle"

    imports = imported_parts(ast.parse(source))

    assert imports == {"report", "rle"}
    assert not imports <= allowed("nets")
    assert imports <= allowed("cli")


@pytest.mark.parametrize("stage", ["nets", "patches"])
def test_nets_and_feed_know_no_backend(stage):
    """The same weights are to train under JAX or PyTorch: nothing but `keras` itself is imported."""
    for module in (PACKAGE / stage).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"tensorflow", "tf", "jax", "torch"}, module


RUN_ALL = """
import json, sys
from shipseg_tiles.cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == 0, arguments
print("loaded", [name for name in ("tensorflow", "keras", "torch", "jax") if name in sys.modules])
"""


def loaded_after(*runs):
    """What of the slow packages is loaded after some runs of the command line, in one process of their own."""
    arguments = json.dumps([[str(argument) for argument in run] for run in runs])
    finished = subprocess.run([sys.executable, "-c", RUN_ALL, arguments], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()[-1]


@pytest.mark.parametrize("verb", VERBS)
def test_help_loads_no_network_library(verb):
    assert loaded_after([verb, "--help"]) == "loaded []"


def test_verbs_that_need_no_network_load_no_network_library(tmp_path):
    labels, images = tmp_path / "train_ship_segmentations_v2.csv", tmp_path / "train_v2"
    masks, store = tmp_path / "masks", tmp_path / "patches.h5"

    loaded = loaded_after(
        ["simulate", "--out", tmp_path, "--images", "3", "--seed", "1"],
        ["convert-labels", "--labels", labels, "--out", masks],
        ["make-patches", "--images", images, "--labels", labels, "--out", store, "--workers", "1"],
        ["score", "--labels", labels, "--predictions", masks],
    )

    assert loaded == "loaded []"
    assert store.is_file()


@pytest.mark.parametrize("verb", VERBS)
def test_help_answers_at_once(verb):
    """Under half a second, in the best of five runs, as a busy machine may delay one of them."""
    seconds = []
    while len(seconds) < 5 and min(seconds, default=1) >= 0.5:
        began = time.monotonic()
        finished = subprocess.run(
            [sys.executable, "-m", "shipseg_tiles", verb, "--help"], capture_output=True, text=True, timeout=60
        )
        seconds.append(time.monotonic() - began)
        assert finished.returncode == 0
        assert f"usage: shipseg-tiles {verb}" in finished.stdout

    assert min(seconds) < 0.5
