"""How much of a machine a training uses: `python benchmarks/train_step.py`, under any backend (KERAS_BACKEND).

For float32 and for mixed_bfloat16: patches/s of `train`, over those of a bare loop over batches in memory, and the
share of the machine's peak that a step reaches. The peak is that of a large matrix product in the same backend and
precision.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import Patches, PatchStore

with quiet_import():
    import keras
    from keras import ops

    from shipseg_tiles.nets.augmentation import AugmentedNet
    from shipseg_tiles.patches.batch_mix import BatchMix
    from shipseg_tiles.patches.feed import RatioFeed
    from shipseg_tiles.patches.read_ahead import ReadAhead
    from shipseg_tiles.training.callbacks import BeginEpoch, Pace, Progress, StopOnNaN, tensorboard
    from shipseg_tiles.training.journal import Journal
    from shipseg_tiles.training.judges import LossJudge
    from shipseg_tiles.training.model import build_model, prepare_stage
    from shipseg_tiles.training.options import TrainOptions
    from shipseg_tiles.training.precision import device, precision

PRECISIONS = ("float32", "mixed_bfloat16")
SECONDS = 10.0
"""About how long each loop runs in a round."""

IN_MEMORY = 16
"""Batches that the bare loop goes round."""

SIDE = 4096
"""Of the matrices that are multiplied."""


@dataclass(frozen=True)
class Contest:
    """One precision: its loops, each of which returns patches/s, and its peak in multiply-adds/s."""

    train: Callable[[], float]
    bare: Callable[[], float]
    peak: Callable[[], float]
    multiply_adds: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="mobilenetv2-unet")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{keras.backend.backend()} on {device()}; {given.net}, batches of {given.batch_size}, {given.rounds} rounds")
    with TemporaryDirectory(dir=".") as name:
        store = make_store(Path(name))
        contests = {}
        for kind in PRECISIONS:
            options = TrainOptions(
                net=given.net, width=given.width, depth=given.depth, batch_size=given.batch_size, precision=kind
            )
            contests[kind] = prepare(store, options, Path(name))
        rounds = [{kind: run(contest) for kind, contest in contests.items()} for _ in range(given.rounds)]
    for kind in PRECISIONS:
        report(kind, contests[kind], [figures[kind] for figures in rounds])
    plain, mixed = ([figures[kind][0] for figures in rounds] for kind in PRECISIONS)
    print(f"train with mixed precision over without: {median(b / a for a, b in zip(plain, mixed, strict=True)):.2f}")


def make_store(folder: Path) -> PatchStore:
    made = simulate_archive(folder, images=40, seed=0)
    options = PatchOptions(stride=32, background_ratio=1.0, valid_fraction=0.0)
    make_patches(open_archive(made.images, made.labels), folder / "patches.h5", options, workers=1)
    return PatchStore(folder / "patches.h5")


def prepare(store: PatchStore, options: TrainOptions, folder: Path) -> Contest:
    """Build what is timed, and run all of it once, so that nothing is compiled later."""
    schedule = options.stages_and_rates()
    model = build_model(options, AugmentedNet)
    prepare_stage(model, schedule.stages[0], store.side, options)
    feed = RatioFeed(store, BatchMix.parse(options.batch_size, "0.5"), options.seed)
    batches = [feed[index % len(feed)] for index in range(IN_MEMORY)]
    time_bare(model, batches, 1)
    seconds = options.batch_size / time_bare(model, batches, 3)
    steps = min(len(feed), max(3, round(SECONDS / seconds)))
    pace = Pace(schedule, Journal(folder, {}), LossJudge("loss"), options.minutes)
    time_train(model, feed, pace, folder, 1)
    return Contest(
        train=lambda: time_train(model, feed, pace, folder, steps),
        bare=lambda: time_bare(model, batches, steps),
        peak=find_peak(options.precision, model.jit_compile),
        multiply_adds=count_multiply_adds(model.net, (1, store.side, store.side, 3)),
    )


def run(contest: Contest) -> tuple[float, float, float]:
    """Measure one round."""
    return contest.train(), contest.bare(), contest.peak()


def report(kind: str, contest: Contest, rounds: list[tuple[float, float, float]]) -> None:
    """Print one line about one precision. A step costs three times its forward pass: the gradients cost two more."""
    train, bare, peak = (median(values) for values in zip(*rounds, strict=True))
    ratio = median(ours / alone for ours, alone, _ in rounds)
    reached = median(3 * contest.multiply_adds * rate / most for rate, _, most in rounds)
    print(
        f"{kind:14} train {train:8,.1f} patches/s, bare loop {bare:8,.1f}, ratio {ratio:.3f};"
        f" {6 * contest.multiply_adds / 1e9:.2f} GFLOP a patch, {100 * reached:.1f} % of the peak of"
        f" {2 * peak / 1e12:.2f} TFLOP/s"
    )


def time_train(model: AugmentedNet, feed: RatioFeed, pace: Pace, folder: Path, steps: int) -> float:
    """Return the patches/s of `train` in an epoch of so many steps, without what it does between epochs."""
    progress = Progress(1)
    callbacks = [BeginEpoch(feed), StopOnNaN(), *tensorboard(folder / "tensorboard"), pace, progress]
    began = time.perf_counter()
    model.fit(ReadAhead(feed), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=callbacks)
    seconds = time.perf_counter() - began
    progress.close()
    return steps * feed.mix.size / seconds


def time_bare(model: AugmentedNet, batches: list[Patches], steps: int) -> float:
    """Return the patches/s of the same steps on batches in memory."""
    began = time.perf_counter()
    for images, masks in islice(cycle(batches), steps):
        model.train_on_batch(images, masks)
    return steps * len(batches[0][0]) / (time.perf_counter() - began)


class Products(keras.layers.Layer):
    """Multiplies by a square matrix, over and over; the input (`SIDE`, 1) keeps a compiler from doing it beforehand."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        deviation = keras.initializers.RandomNormal(stddev=SIDE**-0.5)  # so that numbers neither grow nor vanish
        self.matrix = self.add_weight(shape=(SIDE, SIDE), initializer=deviation)

    def call(self, rows: Any) -> Any:
        """Return the mean of each row of the product."""
        matrix = ops.convert_to_tensor(self.matrix)
        product = ops.fori_loop(0, self.count, lambda _, product: ops.matmul(product, matrix), matrix * rows)
        return ops.mean(product, axis=1)


def find_peak(kind: str, jit_compile: bool) -> Callable[[], float]:
    """Return what measures the multiply-adds/s of a matrix product that takes about a second."""
    count, seconds = 1, 0.0
    while seconds < 0.5:
        with precision(kind):
            net = keras.Sequential([keras.Input((1,)), Products(count)])
        net.compile(jit_compile=jit_compile)
        time_products(net)
        seconds, counted = time_products(net), count
        count = math.ceil(count * min(100.0, 1 / seconds))
    return lambda: counted * SIDE**3 / time_products(net)


def time_products(net: keras.Model) -> float:
    """Return the seconds that the products take."""
    began = time.perf_counter()
    net.predict_on_batch(np.ones((SIDE, 1), dtype=np.float32))
    return time.perf_counter() - began


def count_multiply_adds(net: keras.Model, shape: tuple[int, ...]) -> int:
    """Return the multiply-adds of a net's convolutions and dense layers, and of those of the encoder inside it.

    All of them, depthwise and separable ones too, use each number of their kernels once at each place of their output;
    transposed ones at each place of their input.
    """
    layers = [layer for layer in net.layers if not isinstance(layer, keras.Model) and kernel_size(layer)]
    seen = keras.Model(net.inputs, [layer.output for layer in layers]).compute_output_shape(shape)
    count: int = sum(
        kernel_size(layer) * math.prod(output[:-1]) // strides(layer)
        for layer, output in zip(layers, seen, strict=True)
    )
    return count + sum(count_multiply_adds(layer, shape) for layer in net.layers if isinstance(layer, keras.Model))


def kernel_size(layer: keras.layers.Layer) -> int:
    """Return the numbers in the kernels of a layer; biases and what normalises have one axis."""
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)


def strides(layer: keras.layers.Layer) -> int:
    """Return how many places of the output come from one of the input."""
    return math.prod(layer.strides) if isinstance(layer, keras.layers.Conv2DTranspose) else 1


if __name__ == "__main__":
    main()
