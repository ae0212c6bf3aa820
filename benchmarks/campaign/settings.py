"""Compare ways to use nets, over several of them: `python benchmarks/campaign/settings.py --help`.

What `calibrate` chooses for one net on some hundred images is noise in part: of two settings that score alike, one
draws false ships where the other misses ships. What holds for several nets is less so. Each is run once over the images
that are `valid` in the split, and each setting is scored on all of them. Printed is the mean over the nets, with the
95 % interval over images of the difference to the first setting, and what the rule of `calibrate` chooses on the mean.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.split_file import validation_places
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.scoring.bootstrap import bootstrap_intervals

with quiet_import():
    from shipseg_tiles.calibration.choice import choose_setting
    from shipseg_tiles.calibration.measurement import Measurement, measure_nets
    from shipseg_tiles.calibration.setting_grid import score_grid
    from shipseg_tiles.calibration.settings import Axes, Setting

EMPTY = 0.78
"""Share of the competition's images that show no ship."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--gate", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--only", type=Path, help="text file of image names, one a line: leave out all others")
    parser.add_argument("settings", nargs="+", help="threshold,minimum area,minimum score,gate", type=parse)
    given = parser.parse_args()
    archive = open_archive(given.images, given.labels)
    names = validation_places(archive, given.split)
    if given.only:
        names = {name: names[name] for name in given.only.read_text(encoding="utf-8").split() if name in names}
    measured = [measure_nets(weights, given.gate, archive.only(names)) for weights in given.weights]
    print_table(given.settings, scores_of(measured, given.settings))
    print("chosen on the mean:", chosen_on_the_mean(measured))


def parse(text: str) -> Setting:
    threshold, area, score, gate = text.split(",")
    return Setting(float(threshold), int(area), float(score), float(gate), separate_touching=False)


def scores_of(measured: list[Measurement], settings: list[Setting]) -> NDArray[np.float64]:
    """Return (settings, images, 4): true dice, F2, whether ships were found though it is empty, and whether it is."""
    scores = np.zeros((len(settings), len(measured[0].evidence), 4))
    for nets in measured:
        evidence = list(nets.evidence.values())
        for number, setting in enumerate(settings):
            axes = Axes((setting.threshold,), (setting.minimum_area,), (setting.minimum_score,), (None, setting.gate))
            sums = score_grid(evidence, np.arange(len(evidence)), axes)
            index: tuple[Any, ...] = (slice(None), *axes.index(setting))
            values = [sums.true_dice[index], sums.f2[index], sums.false_ships[index], sums.empty_images]
            scores[number] += np.stack(values, axis=-1) / len(measured)
    return scores


def chosen_on_the_mean(measured: list[Measurement]) -> Setting:
    axes = measured[0].axes()
    sums = [
        score_grid(list(nets.evidence.values()), np.zeros(len(nets.evidence), dtype=int), axes) for nets in measured
    ]
    mean = np.mean([each.true_dice[0, 0] / each.images for each in sums], axis=0)
    return axes.setting((0, *choose_setting(mean)))


def print_table(settings: list[Setting], scores: NDArray[np.float64]) -> None:
    print("| setting | ship images | all images | F2 | false ships on empties | all images at the competition's mix |")
    print("|---|---|---|---|---|---|")
    above, below = sums_of(scores)
    for number, setting in enumerate(settings):
        name = f"{setting.threshold:g}, {setting.minimum_area} px, {setting.minimum_score:g}, {setting.gate:.3f}"
        values = above[number].sum(axis=0) / below.sum(axis=0)
        cells = [f"{value:.3f}" for value in values]
        if number:
            intervals = bootstrap_intervals(above[number] - above[0], below)
            cells = [f"{cell} {told(ends)}" for cell, ends in zip(cells, intervals, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def sums_of(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is divided, (settings, images, 5), and by what, (images, 5), for the columns of the table."""
    dice, f2, false_ships, empty = np.moveaxis(scores, -1, 0)
    ship, ones = 1 - empty[0], np.ones_like(empty[0])
    weight = ship * (1 - EMPTY) / ship.mean() + empty[0] * EMPTY / empty[0].mean()
    above = np.stack([dice * ship, dice, f2, false_ships, dice * weight], axis=-1)
    return above, np.stack([ship, ones, ones, empty[0], weight], axis=-1)


def told(ends: tuple[float, float] | None) -> str:
    return f"({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""


if __name__ == "__main__":
    main()
