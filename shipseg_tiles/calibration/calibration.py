"""How a net is used, all its settings chosen together on validation images; and how good that choice is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.calibration.choice import choose_setting
from shipseg_tiles.calibration.evidence import Evidence
from shipseg_tiles.calibration.setting_grid import OBJECTIVES, Sums, score_grid
from shipseg_tiles.calibration.settings import Axes, Index, Setting


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and what it was chosen from.

    The held-out scores are honest as far as threshold, minimum area and score, and gate go: each image is scored with
    those that were chosen on the images of other folds.

    Attributes:
        objective: Which of `OBJECTIVES` was made highest.
        axes: What was tried.
        sums: How good it was.
        current: The setting before.
        chosen: The setting that is best on all images.
        by_fold: Index of the setting that was chosen for each fold, on the others; with separation as it was chosen.
        held_out_f2: F2 of the settings by fold with the objects as they are, and with those cut that touch.
    """

    objective: str
    axes: Axes
    sums: Sums
    current: Setting
    chosen: Setting
    by_fold: tuple[Index, ...]
    held_out_f2: tuple[float, float]

    def numbers(self) -> dict[str, Any]:
        """Return everything that is worth telling.

        Returns:
            `objective`, `folds`, `count` (of images) and `empty_images`; `current`, `chosen` and `held_out`, the first
            two with their settings, all with the scores `true_dice`, `f2` and `false_ships` (the share of the empty
            images in which some were predicted; None without empty images); `by_fold`, the setting for each fold and
            its held-out score; `separation`, the two of `held_out_f2` as `off` and `on`; and the `curve`, see `curve`.
        """
        return {
            "objective": self.objective,
            "folds": len(self.by_fold),
            "count": int(self.sums.images.sum()),
            "empty_images": int(self.sums.empty_images.sum()),
            "current": asdict(self.current) | self._scores(self.current),
            "chosen": asdict(self.chosen) | self._scores(self.chosen),
            "held_out": _scores_of(self.sums, self.by_fold),
            "by_fold": [
                asdict(self.axes.setting(index)) | {"score": float(score)}
                for index, score in zip(self.by_fold, self._of_folds(self.by_fold), strict=True)
            ],
            "separation": dict(zip(("off", "on"), self.held_out_f2, strict=True)),
            "curve": self.curve(),
        }

    def curve(self) -> list[dict[str, float | None]]:
        """Tell how good each threshold is with the best minimum area, minimum score and gate for it.

        Returns:
            For each `threshold` its `score` on all images; `held_out`, that with all of these chosen without
            the fold that they are scored on, and `error`, its standard error by the spread between folds; and
            `false_ships`, on all images as `score`.
        """
        return [self._point(number) for number in range(len(self.axes.thresholds))]

    def _point(self, number: int) -> dict[str, float | None]:
        """Tell how good a threshold is, the one of that number on its axis; see `curve`."""
        separate = int(self.chosen.separate_touching)
        scores = self.sums.of(self.objective)[:, separate, number]
        index = (separate, number, *choose_setting(_mean(scores, self.sums.images)))
        of_folds = self._of_folds([(separate, number, *rest) for rest in _chosen_without(scores, self.sums.images)])
        best = _scores_of(self.sums, [index] * len(of_folds))
        return {
            "threshold": self.axes.thresholds[number],
            "score": best[OBJECTIVES[self.objective]],
            "held_out": float(np.average(of_folds, weights=self.sums.images)),
            "error": float(of_folds.std(ddof=1) / np.sqrt(len(of_folds))),
            "false_ships": best["false_ships"],
        }

    def _scores(self, setting: Setting) -> dict[str, float | None]:
        return _scores_of(self.sums, [self.axes.index(setting)] * len(self.by_fold))

    def _of_folds(self, by_fold: Sequence[Index]) -> NDArray[np.float64]:
        """Return the objective of each fold, with a setting for each: float64 (folds,)."""
        sums = self.sums.of(self.objective)
        return np.array([sums[fold][index] for fold, index in enumerate(by_fold)]) / self.sums.images


def calibrate(
    evidence: Sequence[Evidence], folds: NDArray[np.int64], axes: Axes, objective: str, current: Setting
) -> Calibration:
    """Choose a setting.

    Threshold, minimum area, minimum score and gate are chosen with the objects as they are. Ships that touch are cut
    apart if that raises the held-out F2 of the settings that were chosen so.

    Args:
        evidence: Of each image; collected at the thresholds of the axes.
        folds: int64 (images,), see `shipseg_tiles.archive.split.folds_by_place`.
        axes: What is tried.
        objective: One of `OBJECTIVES`.
        current: The setting before, among the axes.
    """
    sums = score_grid(evidence, folds, axes)
    scores = sums.of(objective)[:, 0]  # with the objects as they are
    by_fold = _chosen_without(scores, sums.images)
    off, on = (_scores_of(sums, [(separate, *rest) for rest in by_fold])["f2"] for separate in (0, 1))
    separate = int(on > off)
    chosen = axes.setting((separate, *choose_setting(_mean(scores, sums.images))))
    by_fold = [(separate, *rest) for rest in by_fold]
    return Calibration(objective, axes, sums, current, chosen, tuple(by_fold), (off, on))


def _chosen_without(scores: NDArray[np.float64], images: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Choose for each fold on all others: sums (folds, ...) of scores and the numbers of images (folds,).

    Returns:
        For each fold the rest of an index, on the axes behind the folds.
    """
    others = [np.arange(len(images)) != fold for fold in range(len(images))]
    return [choose_setting(_mean(scores[kept], images[kept])) for kept in others]


def _mean(scores: NDArray[np.float64], images: NDArray[np.int64]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = scores.sum(axis=0) / images.sum()
    return means


def _scores_of(sums: Sums, by_fold: Sequence[Index]) -> dict[str, Any]:
    """Return `true_dice`, `f2` and `false_ships` over all images, each fold with the setting that has its index."""
    true_dice, f2, false_ships = (
        float(sum(scores[fold][index] for fold, index in enumerate(by_fold)))
        for scores in (sums.true_dice, sums.f2, sums.false_ships)
    )
    images, empty_images = int(sums.images.sum()), int(sums.empty_images.sum())
    shares = {"true_dice": true_dice / images, "f2": f2 / images}
    return shares | {"false_ships": false_ships / empty_images if empty_images else None}
