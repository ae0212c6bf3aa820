"""What calibration found: a table, the numbers, and a plot of the score over the threshold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shipseg_tiles.calibration.setting_grid import OBJECTIVES
from shipseg_tiles.files import write_json, written_whole
from shipseg_tiles.report.pictures import COLOURS

_SCORE, _HELD_OUT, _FALSE, *_ = COLOURS

_NAMES = {"true-dice": "true dice, mean over all images", "f2": "F2 over ships, mean over all images"}


def calibration_table(numbers: Mapping[str, Any]) -> str:
    """Return the settings and their scores as lines of text under a head.

    Args:
        numbers: What `Calibration.numbers` returned.
    """
    off, on = numbers["separation"]["off"], numbers["separation"]["on"]
    objective = OBJECTIVES[numbers["objective"]]
    proven = numbers["held_out"][objective] > numbers["current"][objective]
    return "\n".join(
        [
            f"{numbers['count']} images in {numbers['folds']} folds, chosen for {numbers['objective']}",
            f"{'':>9} {'threshold':>9} {'area':>5} {'score':>5} {'gate':>6} {'separate':>8}"
            f" {'dice':>7} {'f2':>7} {'false':>7}",
            *(_row(name, numbers[name]) for name in ("current", "chosen", "held_out")),
            f"cutting ships that touch changes the held-out F2 from {off:.4f} to {on:.4f}",
            *([] if proven else ["held out, choosing is no better than the current setting: no gain is proven"]),
        ]
    )


def _row(name: str, told: Mapping[str, Any]) -> str:
    """Return a line; what is held out has a setting for each fold."""
    setting = f"{'by fold':>37}"
    if "threshold" in told:
        gate = "-" if told["gate"] is None else f"{told['gate']:.3f}"
        score = f"{told['minimum_score']:.2f}" if told["minimum_score"] else "-"
        separate = "on" if told["separate_touching"] else "off"
        setting = f"{told['threshold']:>9.2f} {told['minimum_area']:>5} {score:>5} {gate:>6} {separate:>8}"
    false = "-" if told["false_ships"] is None else f"{100 * told['false_ships']:.1f} %"
    return f"{name.replace('_', '-'):>9} {setting} {told['true_dice']:>7.4f} {told['f2']:>7.4f} {false:>7}"


def write_calibration(numbers: Mapping[str, Any], out: Path) -> None:
    """Write `calibration.json`, everything, and `calibration.png`, the curve.

    Args:
        numbers: What `Calibration.numbers` returned, with whatever else is to be in the JSON.
        out: Folder, made if it is not there.
    """
    write_json(out / "calibration.json", numbers)
    with written_whole(out / "calibration.png") as temporary:
        _draw(numbers).savefig(temporary, dpi=110)


def _draw(numbers: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(13, 4.5), layout="constrained")  # without pyplot, which would choose a screen
    left, right = figure.subplots(1, 2)
    curve = pd.DataFrame(numbers["curve"]).astype(float)
    _draw_scores(left, curve, numbers["objective"])
    _draw_false_ships(right, curve)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
        axis.set(xlim=(0, 1), xlabel="probability above which a pixel is ship")
        for name, style in (("current", "--"), ("chosen", "-")):
            axis.axvline(numbers[name]["threshold"], color="black", linestyle=style, linewidth=1, label=name)
        axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    return figure


def _draw_scores(axis: Axes, curve: pd.DataFrame, objective: str) -> None:
    """Draw what each threshold is worth with the best other settings for it, and one standard error of it."""
    low, high = curve["held_out"] - curve["error"], curve["held_out"] + curve["error"]
    axis.fill_between(curve["threshold"], low, high, color=_HELD_OUT, alpha=0.2, label="one standard error")
    axis.plot(curve["threshold"], curve["held_out"], color=_HELD_OUT, marker="s", markersize=4, label="held-out images")
    axis.plot(curve["threshold"], curve["score"], color=_SCORE, marker="o", markersize=4, label="same images")
    axis.set(title="score with the best minimum area, minimum score and gate", ylabel=_NAMES[objective])


def _draw_false_ships(axis: Axes, curve: pd.DataFrame) -> None:
    axis.plot(curve["threshold"], curve["false_ships"], color=_FALSE, marker="^", markersize=4, label="same images")
    axis.set(title="false alarms", ylabel="share of empty images with false ships", ylim=(0, None))
