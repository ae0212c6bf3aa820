"""What batch normalisation costs: `python benchmarks/normalisation.py [--weights NAME.keras]`.

Seconds of an image of 768 px through the net as it was trained, over those with its normalisation folded into its
convolutions, as `predict` runs it; and of a training step on 8 patches of 256 px that learns all, over one with
`--normalisation frozen`. Both take turns.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from shipseg_tiles.cli.common import quiet_import

with quiet_import():
    import keras

    from shipseg_tiles.nets.folding import fold_normalisation
    from shipseg_tiles.nets.saved import load_model
    from shipseg_tiles.training.trainable_layers import choose_layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path("weights/fast.keras"))
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 256, 256, 3), dtype=np.uint8)
    image, masks = np.tile(pixels[:1], (1, 3, 3, 1)), pixels[..., :1] > 250

    trained = load_model(given.weights)
    nets = [trained, fold_normalisation(trained)]
    difference = np.abs(np.subtract(*(net.predict_on_batch(image) for net in nets))).max()
    print(f"folded, a probability differs by {difference:.0e} at most")
    report("image of 768 px", [partial(net.predict_on_batch, image) for net in nets], given.rounds)

    nets = [prepared(given.weights, normalisation) for normalisation in ("batch", "frozen")]
    report("training step", [partial(net.train_on_batch, pixels, masks) for net in nets], given.rounds)


def prepared(weights: Path, normalisation: str) -> keras.Model:
    net = load_model(weights)
    choose_layers(net, "all", normalisation)
    net.compile(optimizer="adam", loss="binary_crossentropy", jit_compile=False)
    return net


def report(name: str, ways: list[Callable[[], object]], rounds: int) -> None:
    """Print the median seconds of two ways, and the median of their ratios."""
    for way in ways:
        way()
    with_it, without = zip(*([seconds(way) for way in ways] for _ in range(rounds)), strict=True)
    ratio = median(a / b for a, b in zip(with_it, without, strict=True))
    print(f"{name}: {median(with_it):.3f} s with normalisation, {median(without):.3f} s without, ratio {ratio:.2f}")


def seconds(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
