"""`make_patches` on a real Dask cluster of this machine."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.store import PatchStore

distributed = pytest.importorskip("distributed", reason="Dask is an optional extra")

OPTIONS = PatchOptions(patch=64, stride=4, background_ratio=0.3, seed=3, valid_fraction=0.25, full_images=3)
SHARDS = Layout(shards=6)


@pytest.fixture(scope="module")
def local(scenes, tmp_path_factory):
    """The same store made by one process of this machine."""
    path = tmp_path_factory.mktemp("local") / "patches.h5"
    make_patches(scenes, path, OPTIONS, layout=SHARDS)
    return path


def shards(path):
    return {shard.name: shard.read_bytes() for shard in path.with_suffix(".shards").iterdir()}


def test_cluster_makes_the_same_files(scenes, local, tmp_path):
    made = make_patches(scenes, tmp_path / "patches.h5", OPTIONS, cluster="local:2", layout=SHARDS)

    assert made.images == 16
    assert (tmp_path / "patches.h5").read_bytes() == local.read_bytes()
    assert shards(tmp_path / "patches.h5") == shards(local)
    assert {path.name for path in tmp_path.iterdir()} == {"patches.h5", "patches.shards"}


def test_images_of_a_lost_worker_are_done_by_another(scenes, local, tmp_path):
    """A worker is killed while it is filling a shard; its shard is taken up by whoever comes next."""
    folder = tmp_path / "patches.shards"
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        victim = cluster.workers[0].pid

        def kill_one():
            while not list(folder.glob(".*.partial")):
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)

        thread = threading.Thread(target=kill_one)
        thread.start()
        make_patches(scenes, tmp_path / "patches.h5", OPTIONS, cluster=cluster.scheduler_address, layout=SHARDS)
        thread.join()

    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    assert (tmp_path / "patches.h5").read_bytes() == local.read_bytes()
    assert shards(tmp_path / "patches.h5") == shards(local)


def test_store_made_on_a_cluster_reads_like_a_plain_one(scenes, local, tmp_path):
    """One after the other, the shards hold the patches in the order of a plain store."""
    make_patches(scenes, tmp_path / "plain.h5", OPTIONS)
    plain, sharded = PatchStore(tmp_path / "plain.h5"), PatchStore(local)

    assert sharded.fingerprint == plain.fingerprint
    for key, patches in plain.sets.items():
        everything = np.arange(len(patches))
        assert len(sharded.sets[key]) == len(patches)
        for ours, theirs in zip(sharded.sets[key].read(everything), patches.read(everything), strict=True):
            assert np.array_equal(ours, theirs)
        assert sharded.source(*key).equals(plain.source(*key))
