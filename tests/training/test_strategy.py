"""Real processes: two logical processors stand for two accelerators, and two processes for two machines."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed, ValidationFeed
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.strategy import DealtFeed, choose_devices

TINY = TrainOptions(width=2, depth=1, batch_size=8)
SECONDS = 120
"""After so long a process is killed: workers wait for one another for ever."""

TRAIN = """
import os, sys
import tensorflow as tf

strategy, store, out, seen, batch_sizes, *more = sys.argv[1:]
if strategy == "mirrored":
    processors = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], processors)

from shipseg_tiles.cli.main import main
from shipseg_tiles.nets.augmentation import AugmentedNet

augment = AugmentedNet.augment

def watched(net, pixels, masks):
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    ships = tf.reduce_sum(tf.cast(tf.reduce_any(masks > 0, axis=(1, 2)), tf.int32))
    sums = tf.reduce_sum(tf.cast(pixels, tf.int32), axis=(1, 2, 3))
    where = "file://" + seen
    tf.print("seen", number, ships, net.random.state.value[0], sums, summarize=-1, sep=";", output_stream=where)
    return augment(net, pixels, masks)

AugmentedNet.augment = watched
for batch_size in batch_sizes.split(","):
    try:
        main(["train", "--strategy", strategy, "--patches", store, "--out", out, "--width", "2", "--depth", "1",
              "--batch-size", batch_size, "--learning-rate", "0.1", "--moving-average", "0.5", *more])
    except SystemExit as end:
        status = end.code
    print("exit status", status, "with" if os.path.exists(out) else "without", "weights", file=sys.stderr)
sys.exit(status)
"""


def begin(strategy, store, out, seen, *more, batch_sizes="8", **environment):
    """Begin a training that notes what each of its replicas sees; of several batch sizes one after the other."""
    command = [sys.executable, "-c", TRAIN, strategy, *map(str, (store.paths[0], out, seen, batch_sizes, *more))]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(*processes):
    """Wait for all, and leave none behind."""
    try:
        said = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return said


def cluster():
    """`TF_CONFIG` of two workers on this machine."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("localhost", 0))
        workers = [f"localhost:{free.getsockname()[1]}" for free in (one, other)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [json.dumps({"cluster": {"worker": workers}, "task": task}) for task in tasks]


def steps(*seen):
    """What replicas saw: columns replica, ships, seed, and sums, the sums of the pixels of each patch."""
    lines = [line.split(";") for path in seen for line in path.read_text().splitlines()]
    return pd.DataFrame(
        [(int(r), int(s), int(seed), tuple(map(int, sums.strip("[]").split()))) for _, r, s, seed, sums in lines],
        columns=["replica", "ships", "seed", "sums"],
    )


def check(store, out, table, epochs):
    """The loss fell, the weights predict, and two replicas shared each batch of 4 ships and 4 background patches.

    Feed and augmentation of the first replica are those of a single device; the numbers 0 and 2^32 begin the states of
    the augmentations. Dealt like cards, a batch gives 2 of its ships to each replica.
    """
    loss = pd.read_csv(out.with_suffix(".training") / "history.csv")["loss"]
    assert len(loss) == epochs.stop
    assert loss.iloc[-1] < 0.95 * loss.iloc[0]
    answer = Predictor.load(out).probabilities(np.zeros((64, 64, 3), dtype=np.uint8))
    assert answer.shape == (64, 64)
    assert np.isfinite(answer).all()
    feed = RatioFeed(store, BatchMix.parse(8, "0.5"), seed=0)
    shown = []
    for feed.epoch in epochs:
        shown += [images.sum(axis=(1, 2, 3), dtype=np.int64) for images, _ in (feed[i] for i in range(len(feed)))]
    assert set(table["ships"]) == {2}
    assert {replica: set(own["seed"]) for replica, own in table.groupby("replica")} == {0: {0}, 1: {2**32}}
    for replica in range(2):
        own = table.loc[table["replica"] == replica, "sums"].to_list()
        assert own == [tuple(batch[replica::2].tolist()) for batch in shown]


@pytest.fixture(scope="module")
def mirrored(store, tmp_path_factory):
    """Two epochs on two devices of one machine: where the weights are, what was seen, and what was said.

    Before them a batch size that does not go round.
    """
    folder = tmp_path_factory.mktemp("mirrored")
    out = folder / "out" / "net.keras"
    out.parent.mkdir()
    (said,) = finish(begin("mirrored", store, out, folder / "seen", "--epochs", "2", batch_sizes="7,8"))
    return out, folder / "seen", said


def test_two_devices_of_a_machine_share_each_batch(mirrored, store):
    out, seen, said = mirrored

    check(store, out, steps(seen), range(2))
    assert "after 2 epochs" in said[0]


def test_two_workers_take_up_what_one_machine_began_and_the_chief_alone_writes(mirrored, store, tmp_path):
    out, seen, scratch = tmp_path / "out" / "net.keras", [tmp_path / "0", tmp_path / "1"], tmp_path / "scratch"
    shutil.copytree(mirrored[0].parent, out.parent)
    scratch.mkdir()

    said = finish(
        *(
            begin("multi-worker", store, out, path, "--epochs", "4", "--resume", TF_CONFIG=config, TMPDIR=str(scratch))
            for path, config in zip(seen, cluster(), strict=True)
        )
    )

    check(store, out, steps(*seen), range(2, 4))
    assert "after 4 epochs" in said[0][0]
    assert "epoch 4: " in said[0][1]
    assert "epoch 4: " not in said[1][1]
    assert sorted(path.name for path in out.parent.iterdir()) == ["net.json", "net.keras", "net.training"]
    assert len(list(out.with_suffix(".training").rglob("train/events*"))) == 2  # of the first training, and the chief's
    assert not list(scratch.iterdir())
    assert read_contract(out).scores["images"] == 4


def test_a_batch_is_dealt_like_cards(store):
    """Of 6 patches, 3 ships first, two replicas get those numbered 0, 2, 4 and 1, 3, 5: two ships and one."""
    feed = RatioFeed(store, BatchMix.parse(6, "0.5"), seed=0)

    images, masks = DealtFeed(feed, 2)[0]

    for dealt, listed in zip((images, masks), feed[0], strict=True):
        assert np.array_equal(dealt, listed[[0, 2, 4, 1, 3, 5]])
    assert masks.reshape(2, 3, -1).any(axis=2).sum(axis=1).tolist() == [2, 1]


def test_what_does_not_go_round_is_left_out_of_validation(store):
    """With batches of all patches but one, the last batch is one patch, which two replicas cannot share."""
    total = sum(len(store.sets["valid", kind]) for kind in ("ship", "background"))
    dealt = DealtFeed(ValidationFeed(store, total - 1), 2)

    assert len(dealt.feed) == 2
    assert len(dealt) == 1
    assert len(dealt[0][0]) == (total - 1) // 2 * 2


@pytest.mark.parametrize(
    ("changes", "config", "reason"),
    [
        ({"strategy": "tpu"}, "", "no strategy 'tpu'; choose one of none, mirrored, multi-worker"),
        ({"strategy": "multi-worker"}, "", "TF_CONFIG '' does not name the workers"),
        ({"strategy": "multi-worker"}, "{", "TF_CONFIG '{' does not name the workers"),
        (
            {"strategy": "multi-worker"},
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
            "names one worker; use --strategy mirrored",
        ),
        (
            {"strategy": "multi-worker", "minutes": 1.0},
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            "minutes 1.0 cannot be kept by several workers",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(monkeypatch, changes, config, reason):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match=reason):
        choose_devices(replace(TINY, **changes))


def test_a_batch_that_does_not_go_round_is_refused(mirrored):
    complaint = mirrored[2][1]

    assert "error: batch size 7 must be a multiple of the 2 replicas\nexit status 2 without weights\n" in complaint
    assert complaint.endswith("exit status 0 with weights\n")


def test_another_backend_is_refused(monkeypatch):
    """The other backends are not installed here, so Keras is made to name one."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")

    with pytest.raises(InputError, match="mirrored needs TensorFlow, Keras runs on jax; set KERAS_BACKEND=tensorflow"):
        choose_devices(replace(TINY, strategy="mirrored"))
