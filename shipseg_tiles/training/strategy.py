"""Training on several devices at once: those of one machine, or of several.

Each device, a replica, holds a copy of the net, sees its part of each batch, and all learn from the mean of their
gradients. The machines of a training, its workers, run the same program on the same batches. The first one is the
chief: it alone judges, tells the others what it found, and writes to where was asked for.

Nothing outside this module knows of TensorFlow, whose `tf.distribute` does the work.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from keras import ops

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.augmentation import AugmentedNet
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.weights_files import contract_path, journal_folder
from shipseg_tiles.patches.store import Patches
from shipseg_tiles.training.judges import Judge
from shipseg_tiles.training.options import STRATEGIES, TrainOptions


class Devices:
    """The one device that Keras chooses.

    Attributes:
        net_class: Class of the model that is trained.
    """

    net_class: type[AugmentedNet] = AugmentedNet

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the model is built and compiled."""
        return nullcontext()

    def target(self, out: Path, resume: bool) -> AbstractContextManager[Path]:
        """Return the context that gives the path to write weights to, with what is there already if that is resumed."""
        return nullcontext(out)

    def deal(self, feed: keras.utils.PyDataset) -> keras.utils.PyDataset:
        """Return a feed whose batches can be cut into the parts of the replicas."""
        return feed

    def judge(self, judge: Judge) -> Judge:
        """Return a judge that answers the same on all workers."""
        return judge

    def agree(self, contract: Contract) -> Contract:
        """Return the contract of the chief."""
        return contract


class SharedDevices(Devices):
    """The devices of a `tf.distribute.Strategy`."""

    def __init__(self, strategy: Any, is_chief: bool) -> None:
        self.strategy = strategy
        self.is_chief = is_chief
        self.net_class = WorkerNet if strategy.cluster_resolver else ReplicaNet

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the strategy: variables that are made in it have a copy on each device."""
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

    @contextmanager
    def target(self, out: Path, resume: bool) -> Iterator[Path]:
        """Give the chief `out`, and the others, which go through the same motions in silence, a folder that vanishes.

        All must go through them: to read a metric is to add up what the workers counted.
        """
        if self.is_chief:
            yield out
            return
        with TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            if resume:
                _copy_training(out, Path(folder))
            yield Path(folder) / out.name

    def deal(self, feed: keras.utils.PyDataset) -> keras.utils.PyDataset:
        """Deal each batch out like cards, see `DealtFeed`."""
        return DealtFeed(feed, self.strategy.num_replicas_in_sync)

    def judge(self, judge: Judge) -> Judge:
        """Return a judge that lets the chief judge alone."""
        return ChiefJudge(judge, self)

    def agree(self, contract: Contract) -> Contract:
        """Return the contract of the chief."""
        return Contract(**self.tell(asdict(contract)))

    def tell(self, answer: Any) -> Any:
        """Return what the chief has to say, which must go into JSON; what the others have is not looked at."""
        if not self.strategy.cluster_resolver:
            return answer
        text = np.frombuffer(json.dumps(answer).encode() if self.is_chief else b"", dtype=np.uint8).astype(np.int32)
        (length,) = self._sum(np.array([len(text)], dtype=np.int32))
        told = self._sum(text if self.is_chief else np.zeros(length, dtype=np.int32))
        return json.loads(told.astype(np.uint8).tobytes())

    def _sum(self, numbers: Any) -> Any:
        """Add up int32 numbers (N,), to which the first replica of each worker but the chief gives zeros."""
        import tensorflow as tf

        def add() -> Any:
            context = tf.distribute.get_replica_context()
            is_first = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.int32)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, is_first * tf.constant(numbers))

        return self.strategy.experimental_local_results(self.strategy.run(add))[0].numpy()


class ReplicaNet(AugmentedNet):
    """A net of which each device holds a copy."""

    def begin_epoch(self, epoch: int) -> None:
        """Give each replica random numbers of its own; those of the first one are as on a single device."""
        import tensorflow as tf

        def assign() -> None:
            replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
            self.random.state.assign(tf.stack([self.seed + replica * 2**32, tf.constant(epoch << 20, tf.int64)]))

        self.distribute_strategy.run(assign)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Build nothing on a batch: it is built, and Keras 3.12 cannot take the mean of workers' batches for it."""


class WorkerNet(ReplicaNet):
    """A net of which devices of several machines hold copies.

    Keras takes the mean of what the workers' steps answer along the first axis, which plain numbers lack:
    https://github.com/keras-team/keras/issues/20585.
    """

    def train_step(self, *state_and_batch: Any) -> Any:
        """Train on a batch, and answer the metrics as arrays (1,)."""
        return {name: ops.expand_dims(value, 0) for name, value in super().train_step(*state_and_batch).items()}

    def test_step(self, *state_and_batch: Any) -> Any:
        """Validate a batch, and answer the metrics as arrays (1,)."""
        return {name: ops.expand_dims(value, 0) for name, value in super().test_step(*state_and_batch).items()}


class DealtFeed(keras.utils.PyDataset):
    """Batches of another feed, dealt out like cards: consecutive parts of the same size have equal shares of ships.

    TensorFlow cuts a batch into consecutive parts, and feeds list ships first: the losses, which are sums over a
    replica's part, would be of ships alone on one replica and of water on another. What does not go round, fewer
    patches than replicas at the end of a validation, is left out.
    """

    def __init__(self, feed: keras.utils.PyDataset, replicas: int) -> None:
        super().__init__()
        self.feed = feed
        self.replicas = replicas

    def __len__(self) -> int:
        """Batches, without a last one that does not go round once."""
        count = len(self.feed)
        return count - 1 if count and len(self.feed[count - 1][0]) < self.replicas else count

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index`: first what the first replica sees, then the second, and so on."""
        images, masks = self.feed[index]
        even = len(images) - len(images) % self.replicas
        order = np.arange(even).reshape(-1, self.replicas).T.ravel()
        return images[order], masks[order]

    def on_epoch_end(self) -> None:
        """Pass it on."""
        self.feed.on_epoch_end()


class ChiefJudge:
    """Lets the chief judge and tells the others, as all must stop and slow down at the same time.

    It judges a copy of the net on a single device: asked for a prediction, a net of several would answer for each one.
    """

    def __init__(self, judge: Judge, devices: SharedDevices) -> None:
        self.monitor = judge.monitor
        self.sign = judge.sign
        self._judge = judge
        self._devices = devices
        self._twin: keras.Model | None = None

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Judge the copy."""
        answer: tuple[dict[str, float], Contract] = {}, usage
        if self._devices.is_chief:
            self._twin = self._twin or keras.models.clone_model(net)
            self._twin.set_weights(net.get_weights())
            answer = self._judge.judge(self._twin, usage)
        columns: dict[str, float] = self._devices.tell(answer[0])
        return columns, self._devices.agree(answer[1])

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Score what the chief saved."""
        scores: dict[str, Any] = self._devices.tell(
            self._judge.score(weights, contract) if self._devices.is_chief else {}
        )
        return scores


def choose_devices(options: TrainOptions) -> Devices:
    """Take hold of the devices that a training is to run on, before anything else is asked of TensorFlow.

    Raises:
        InputError: If there is no such strategy, Keras runs on another backend, the batch size cannot be divided among
            the replicas, or, with several workers, `TF_CONFIG` does not name them or there is a limit of time.
    """
    if options.strategy not in STRATEGIES:
        raise InputError(f"there is no strategy {options.strategy!r}; choose one of {', '.join(STRATEGIES)}")
    if options.strategy == "none":
        return Devices()
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"strategy {options.strategy} needs TensorFlow, Keras runs on {keras.backend.backend()};"
            " set KERAS_BACKEND=tensorflow"
        )
    devices = _mirrored() if options.strategy == "mirrored" else _multi_worker(options)
    replicas = devices.strategy.num_replicas_in_sync
    if options.batch_size % replicas:
        raise InputError(f"batch size {options.batch_size} must be a multiple of the {replicas} replicas")
    return devices


def _copy_training(out: Path, folder: Path) -> None:
    """Copy what a training is resumed from; what is missing is found out by those who read it."""
    for path in (out, contract_path(out)):
        if path.is_file():
            shutil.copy(path, folder)
    journal = journal_folder(out)
    if journal.is_dir():
        shutil.copytree(journal, folder / journal.name, ignore=shutil.ignore_patterns("tensorboard"))


def _mirrored() -> SharedDevices:
    """Return all accelerators of this machine, or, without any, its processors as TensorFlow counts them."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return SharedDevices(tf.distribute.MirroredStrategy([device.name for device in devices]), is_chief=True)


def _multi_worker(options: TrainOptions) -> SharedDevices:
    """Return the accelerators of all machines in `TF_CONFIG`; waits for the other workers."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], (str(config["task"]["type"]), int(config["task"]["index"]))
        count = sum(len(cluster.get(kind, [])) for kind in ("chief", "worker"))
        cluster[task[0]][task[1]]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise InputError(
            f"TF_CONFIG {text!r} does not name the workers and this one's task; see docs/distributed.md"
        ) from None
    if count < 2:
        raise InputError(f"TF_CONFIG {text!r} names one worker; use --strategy mirrored on a single machine")
    if options.minutes:
        raise InputError(
            f"minutes {options.minutes} cannot be kept by several workers, whose clocks differ; use epochs"
        )
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return SharedDevices(strategy, is_chief=task == ("chief" if "chief" in cluster else "worker", 0))
