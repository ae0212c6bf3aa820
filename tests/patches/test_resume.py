"""Runs that are stopped, for real, and started again."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.fill import fill_slots, image_tasks
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.plan import plan_patches
from shipseg_tiles.patches.shards import fill_shard, partial_path
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import PARTS, shard_path
from shipseg_tiles.patches.store_writer import create_store
from shipseg_tiles.patches.verify import verify_store

OPTIONS = PatchOptions(patch=64, stride=4, background_ratio=0.3, seed=3, valid_fraction=0.25, full_images=3)
"""A stride of 4 px makes thousands of patches out of the 16 small scenes: a second or two of work."""

FLAGS = {
    "patch": 64,
    "stride": 4,
    "background-ratio": 0.3,
    "seed": 3,
    "valid-fraction": 0.25,
    "full-images": 3,
    "workers": 2,
}


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    """The store of a run that nothing stopped."""
    path = tmp_path_factory.mktemp("whole") / "patches.h5"
    make_patches(scenes, path, OPTIONS, workers=2)
    return path


def start(scenes, out, **changes):
    flags = [f"--{name}={value}" for name, value in (FLAGS | changes).items()]
    folder = scenes.source
    labels = os.path.join(os.path.dirname(folder), "train_ship_segmentations_v2.csv")  # noqa: PTH118, PTH120
    command = [sys.executable, "-m", "shipseg_tiles", "make-patches", "--images", folder, "--labels", labels]
    return subprocess.Popen(
        [*command, "--out", str(out), *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a process group of its own, see `wait_until`
    )


def filled(path):
    """How many slots of a file have a checksum."""
    slots = find_slots(path)
    with path.open("rb") as file:
        counts = []
        for part in PARTS:
            patches = PatchStore(path).sets[part]
            file.seek(slots.offsets[part][2] or 0)
            counts.append(np.count_nonzero(np.frombuffer(file.read(4 * len(patches)), dtype=np.uint32)))
        return sum(counts)


def wait_until(happened, process):
    """Wait for something that a process does; fail if it ends before.

    It and its workers stand still while they are looked at: on a busy machine a look may take longer than the work.
    """
    deadline = time.monotonic() + 60
    while not happened_in(process, happened):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def happened_in(process, happened):
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        return happened()
    finally:
        os.killpg(process.pid, signal.SIGCONT)


def kill(process):
    process.kill()
    process.communicate()


def start_and_kill(scenes, whole, out, share):
    """Kill a run without warning once its file is there and such a share of the patches in it; return its workers.

    It is killed while it stands still, or its workers could be done before it is.
    """
    process, partial, least = start(scenes, out), out.with_name(f".{out.name}.partial"), share * filled(whole)
    workers = []

    def is_killed():
        if not (partial.exists() and filled(partial) >= least):
            return False
        workers.extend(children(process))
        process.kill()
        return True

    wait_until(is_killed, process)
    process.communicate()
    return workers


def children(process):
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(path) as file:  # noqa: PTH123
        return [int(number) for number in file.read().split()]


def assert_it_goes_on(scenes, whole, out):
    """The same command makes the same bytes of what a killed run left, and leaves nothing else behind."""
    assert not out.exists()
    assert filled(out.with_name(f".{out.name}.partial")) < filled(whole)
    assert start(scenes, out).wait() == 0
    assert out.read_bytes() == whole.read_bytes()
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("share", [0, 0.01])
def test_run_that_was_killed_early_goes_on_to_the_same_bytes(share, scenes, whole, tmp_path):
    start_and_kill(scenes, whole, tmp_path / "patches.h5", share)

    assert_it_goes_on(scenes, whole, tmp_path / "patches.h5")


@pytest.fixture(scope="module")
def killed(scenes, whole, tmp_path_factory):
    """The folder of a run that was killed when 0.3 of its patches were written, and the workers that it had."""
    folder = tmp_path_factory.mktemp("killed")
    return folder, start_and_kill(scenes, whole, folder / "patches.h5", 0.3)


def test_workers_end_with_a_parent_that_is_killed(killed):
    _, workers = killed

    def all_gone():
        return not any(os.path.exists(f"/proc/{worker}/fd/0") for worker in workers)  # noqa: PTH110

    deadline = time.monotonic() + 20
    while not all_gone():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(workers) >= 2


@pytest.fixture
def stopped(killed, tmp_path):
    """The file that a killed run was to write, in a copy of its folder."""
    shutil.copytree(killed[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "patches.h5"


def test_run_that_was_killed_late_goes_on_in_the_same_file_to_the_same_bytes(stopped, scenes, whole):
    begun = partial_path(stopped).stat().st_ino

    assert_it_goes_on(scenes, whole, stopped)

    assert stopped.stat().st_ino == begun


def test_images_of_which_all_patches_are_there_are_not_read_again(tmp_path):
    """Two images of four patches each, which are gone once their patches are there. One file lacks a patch of a."""
    names = ("a.png", "b.png")
    for name in names:
        Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)).save(tmp_path / name)
    labels = Labels("", {"a.png": ("1 1",), "b.png": ()})
    plan = plan_patches(
        labels, dict.fromkeys(names, (8, 8)), [], PatchOptions(patch=4, stride=4, background_ratio=9, seed=1)
    )
    tasks = image_tasks(Archive("", {name: tmp_path / name for name in names}, labels), plan)
    out, recorded = tmp_path / "shard.h5", {"patch": 4, "stride": 4, "resize": None, "seed": 1}
    create_store(partial_path(out), plan, recorded)
    assert fill_slots(find_slots(partial_path(out)), 4, False, tasks) == {}
    shutil.copy(partial_path(out), partial_path(tmp_path / "lacks one.h5"))
    with h5py.File(partial_path(tmp_path / "lacks one.h5"), "r+") as file:
        file["train/ship/checksum"][0] = 0
    for name in names:
        (tmp_path / name).unlink()

    assert fill_shard(recorded, "", tmp_path / "lacks one.h5", plan, tasks).keys() == {"a.png"}
    assert fill_shard(recorded, "", out, plan, tasks) == {}
    assert verify_store(out).problems == []


def test_patch_that_was_written_by_half_is_written_again(stopped, scenes, whole):
    """As after a power cut: the checksum is there, the pixels are not."""
    partial = stopped.with_name(f".{stopped.name}.partial")
    slots = find_slots(partial)
    at = slots.offsets["train", "ship"][0]
    filled_slots = [slot for slot in range(2000) if slots.holds("train", "ship", slot)]
    with partial.open("r+b") as file:
        file.seek(at + filled_slots[-1] * 3 * 64 * 64 + 77)
        file.write(bytes(1000))
    assert not slots.holds("train", "ship", filled_slots[-1])

    make_patches(scenes, stopped, OPTIONS)

    assert stopped.read_bytes() == whole.read_bytes()


def test_a_store_in_shards_does_not_stand_while_others_take_the_place_of_its_own(scenes, tmp_path):
    """The images were changed since, which the plan does not know."""
    folder = shutil.copytree(Path(scenes.source).parent, tmp_path / "copy")
    images = folder / Path(scenes.source).name
    archive = open_archive(images, folder / "train_ship_segmentations_v2.csv")
    out, layout = tmp_path / "patches.h5", Layout(shards=8)
    make_patches(archive, out, OPTIONS, layout=layout)
    for path in archive.files.values():
        Image.open(path).point(lambda value: 255 - value).save(path)
    with h5py.File(out) as file:
        shard = shard_path(out, json.loads(file.attrs["shards"])[0])
    before = shard.stat().st_mtime_ns
    process = start(archive, out, shards=8)

    wait_until(lambda: shard.stat().st_mtime_ns != before, process)
    kill(process)

    assert not out.exists()
    make_patches(archive, out, OPTIONS, layout=layout)
    assert verify_store(out).problems == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stride": 8}, "--stride 4, not 8"),
        ({"seed": 4}, "--seed 3, not 4"),
        ({"background_from": "ship-images"}, "--background-from both, not ship-images"),
        ({"jitter": 5}, "--jitter 0, not 5"),
    ],
)
def test_other_options_are_refused_by_name(changes, words, stopped, scenes):
    with pytest.raises(InputError, match=f"was begun with {words}; go on with the same options, or remove"):
        make_patches(scenes, stopped, replace(OPTIONS, **changes))
    assert stopped.with_name(f".{stopped.name}.job.json").exists()
    assert stopped.with_name(f".{stopped.name}.partial").exists()


def test_other_layout_or_split_is_refused_by_name(stopped, scenes):
    with pytest.raises(InputError, match="begun with --shards 1, not 2"):
        make_patches(scenes, stopped, OPTIONS, layout=Layout(shards=2))
    with pytest.raises(InputError, match=r"begun with --split by place, not [0-9a-f]{16}"):
        make_patches(scenes, stopped, OPTIONS, split=dict.fromkeys(scenes.files, "train"))


def test_removing_the_record_begins_anew(stopped, scenes, whole):
    stopped.with_name(f".{stopped.name}.job.json").unlink()

    make_patches(scenes, stopped, replace(OPTIONS, background_ratio=0))
    make_patches(scenes, stopped, OPTIONS)

    assert stopped.read_bytes() == whole.read_bytes()


def test_damaged_record_is_refused(stopped, scenes):
    stopped.with_name(f".{stopped.name}.job.json").write_text("{")

    with pytest.raises(InputError, match=r"job\.json is damaged .*; remove it to begin anew"):
        make_patches(scenes, stopped, OPTIONS)


def test_images_and_labels_that_were_changed_since_are_refused_by_name(stopped, scenes, tmp_path):
    """Their plan may be the same to the last patch, as that of other images of the same names is."""
    name = next(iter(scenes.files))
    replaced = Path(shutil.copy(scenes.files[name], tmp_path))
    others = replace(scenes, files=scenes.files | {name: replaced})
    ships = scenes.labels.ships | {name: ("1 1",)}

    with pytest.raises(InputError, match=r"was begun with --images of digest [0-9a-f]{16}, not of digest "):
        make_patches(others, stopped, OPTIONS)
    with pytest.raises(InputError, match=r"was begun with --labels of digest [0-9a-f]{16}, not of digest "):
        make_patches(replace(scenes, labels=replace(scenes.labels, ships=ships)), stopped, OPTIONS)


def test_shards_of_a_run_whose_record_was_removed_are_begun_anew(scenes, tmp_path):
    out = tmp_path / "patches.h5"
    make_patches(scenes, out, OPTIONS, layout=Layout(shards=2))
    shard = next(out.with_suffix(".shards").glob("*.h5"))
    whole = shard.read_bytes()
    partial_path(shard).write_bytes(b"of other images")

    make_patches(scenes, out, OPTIONS, layout=Layout(shards=2))

    assert shard.read_bytes() == whole


def test_shards_may_not_be_called_what_hdf5_takes_for_a_pattern(scenes, tmp_path):
    with pytest.raises(InputError, match=r"100%\.h5: shards may not be called so, .* choose another name"):
        make_patches(scenes, tmp_path / "100%.h5", OPTIONS, layout=Layout(shards=2))


def test_two_runs_at_once_are_refused(scenes, tmp_path):
    with (tmp_path / ".patches.h5.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(InputError, match=r"another process is writing .*patches\.h5"):
            make_patches(scenes, tmp_path / "patches.h5", OPTIONS)


def test_killed_worker_ends_the_run_in_one_line_and_it_can_go_on(scenes, whole, tmp_path):
    out, partial = tmp_path / "patches.h5", tmp_path / ".patches.h5.partial"
    process = start(scenes, out)
    wait_until(lambda: partial.exists() and filled(partial) >= 1000, process)
    os.kill(children(process)[-1], signal.SIGKILL)
    _, complaint = process.communicate()

    assert process.returncode == 2
    assert complaint.decode().splitlines()[-1].startswith("error: a worker process was killed")
    make_patches(scenes, out, OPTIONS)
    assert out.read_bytes() == whole.read_bytes()


def test_killed_run_keeps_the_shards_that_are_complete(scenes, tmp_path):
    """5 shards, one worker: killed when two are there, the other three are made by the second run."""
    make_patches(scenes, tmp_path / "whole.h5", OPTIONS, layout=Layout(shards=5))
    out, folder = tmp_path / "patches.h5", tmp_path / "patches.shards"
    record = tmp_path / ".patches.h5.job.json"
    process = start(scenes, out, shards=5, workers=1)
    wait_until(lambda: record.exists() and len(json.loads(record.read_text())["shards"]) >= 2, process)
    kill(process)
    complete = json.loads(record.read_text())["shards"]
    times = {name: (folder / f"{name}.h5").stat().st_mtime_ns for name in complete}

    assert start(scenes, out, shards=5, workers=2).wait() == 0

    assert all((folder / f"{name}.h5").stat().st_mtime_ns == when for name, when in times.items())
    shards = sorted(path.name for path in folder.iterdir())
    assert len(shards) == 5
    for name in shards:
        assert (folder / name).read_bytes() == (tmp_path / "whole.shards" / name).read_bytes()
