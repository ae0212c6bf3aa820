import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions


@pytest.fixture
def folder(store, tmp_path):
    """A folder with a copy of the store: 23 ship patches train, 5 validate, as many of background."""
    shutil.copy(store.paths[0], tmp_path / "p.h5")
    return tmp_path


@pytest.fixture
def inspect(shipseg, monkeypatch, tmp_path):
    """Run `inspect` in the test's folder and return its exit status, its output and its complaint."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: shipseg("inspect", *arguments)


def damage(path, name, slot):
    """Change one byte of a patch by hand."""
    with h5py.File(path, "r+") as file:
        patch = file[name][slot]
        patch.flat[100] ^= 1
        file[name][slot] = patch


def test_the_summary_says_what_is_in_a_store(folder, store):
    """56 patches of 64 * 64 * 4 bytes are 0.92 MB, and 4 JPEGs of 256 px come to them. In a process of its own."""
    command = [sys.executable, "-m", "shipseg_tiles", "inspect", "p.h5", "--json", "p.json"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)

    size = (folder / "p.h5").stat().st_size
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        f"p.h5: 56 patches of 64 px, {size / 1e6:.1f} MB",
        "train: 23 ship and 23 background patches (1.00 per ship patch)",
        "valid: 5 ship and 5 background patches (1.00 per ship patch)",
        "4 full images, 0 images left out",
        "options: patch 64, stride 64, resize None, background_ratio 1.0, background_from 'both', min_ship_pixels 1,"
        " jitter 0, max_per_ship_count None, seed 7, valid_fraction 0.25, full_images 4, split 'by place'",
        f"fingerprint: {store.fingerprint}",
    ]
    assert json.loads((folder / "p.json").read_text()) == {
        "patches": {"train": {"ship": 23, "background": 23}, "valid": {"ship": 5, "background": 5}},
        "background_per_ship": {"train": 1.0, "valid": 1.0},
        "side": 64,
        "bytes": size,
        "shards": 0,
        "compression": "",
        "full_images": 4,
        "left_out": {},
        "options": store.options,
        "plan_fingerprint": store.fingerprint,
    }


def test_shards_compression_and_another_ratio_are_told(inspect, scenes, tmp_path):
    """Half as much background: 11.5 patches for 23 ships round to 12, and 2 of 14 are left to validate 5."""
    options = PatchOptions(
        patch=64, stride=64, background_ratio=0.5, seed=7, valid_fraction=0.25, full_images=0, resize=32
    )
    make_patches(scenes, tmp_path / "p.h5", options, layout=Layout(shards=2, compression="gzip"))
    status, output, complaint = inspect("p.h5", "--json", "p.json", "--verify")

    size = sum(path.stat().st_size for path in tmp_path.glob("**/*.h5"))
    assert status == 0, complaint
    assert output.splitlines()[:4] == [
        f"p.h5: 42 patches of 32 px, {size / 1e6:.1f} MB in 2 shards, gzip",
        "train: 23 ship and 12 background patches (0.52 per ship patch)",
        "valid: 5 ship and 2 background patches (0.40 per ship patch)",
        "0 full images, 0 images left out",
    ]
    assert output.splitlines()[-1] == "42 patches verified"
    told = json.loads((tmp_path / "p.json").read_text())
    assert (told["bytes"], told["shards"], told["compression"], told["verified"]) == (size, 2, "gzip", 42)


def test_a_sheet_is_written_as_png(inspect, folder):
    status, output, complaint = inspect("p.h5", "--sheet", "deep/sheet.png")

    assert status == 0, complaint
    assert output.endswith("patches to look at: deep/sheet.png\n")
    with Image.open(folder / "deep" / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert len(np.unique(np.asarray(sheet))) > 100


def test_damage_ends_with_one_line_that_names_it(inspect, folder):
    damage(folder / "p.h5", "train/ship/image", 4)
    damage(folder / "p.h5", "valid/background/image", 2)

    status, output, complaint = inspect("p.h5", "--verify", "--sheet", "sheet.png", "--json", "p.json")

    assert (status, output) == (2, "")
    assert complaint == (
        "error: p.h5 is damaged, make it again with make-patches; the first of 2 problems:"
        " p.h5, train/ship patch 4: its checksum is not that of its pixels\n"
    )
    assert [path.name for path in folder.iterdir()] == ["p.h5"]


def test_a_gzip_patch_that_cannot_be_unpacked_ends_with_one_line(inspect, scenes, tmp_path):
    path = tmp_path / "p.h5"
    options = PatchOptions(patch=64, stride=64, seed=7, valid_fraction=0.25, full_images=0)
    make_patches(scenes, path, options, layout=Layout(compression="gzip"))
    with h5py.File(path) as file:
        chunk = file["train/ship/image"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(b"damage")

    for arguments in (["--verify"], ["--sheet", "sheet.png"]):
        status, _, complaint = inspect("p.h5", *arguments)

        assert status == 2
        assert complaint.startswith("error: p.h5")
        assert complaint.count("\n") == 1
        assert "patch 0" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "required: FILE.h5; see shipseg-tiles inspect --help"),
        (["gone.h5"], "gone.h5 does not exist; make it with make-patches"),
        (["p.h5", "q.h5"], "unrecognized arguments: q.h5"),
        (["--config", "c.yaml", "p.h5"], "c.yaml: there is no option 'patches'"),
    ],
)
def test_bad_input_ends_with_one_line(inspect, arguments, reason, folder):
    (folder / "c.yaml").write_text("patches: p.h5\n")

    status, _, complaint = inspect(*arguments)

    assert status == 2
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint


def test_a_configuration_sets_the_flags(inspect, folder):
    (folder / "c.yaml").write_text("verify: true\njson: p.json\n")

    status, _, complaint = inspect("--config", "c.yaml", "p.h5")

    assert status == 0, complaint
    assert json.loads((folder / "p.json").read_text())["verified"] == 56


def test_options_of_a_stranger_write_nothing_to_the_terminal(folder, inspect):
    with h5py.File(folder / "p.h5", "r+") as file:
        options = json.loads(file.attrs["options"])
        file.attrs["options"] = np.bytes_(json.dumps(options | {"\x1b[32mkey": "\x1b[31m"}))

    _, output, _ = inspect("p.h5")

    assert "\x1b" not in output
    assert r"\x1b[32mkey '\x1b[31m'" in output
