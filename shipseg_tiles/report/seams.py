"""What was measured of seams: table, profile and plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_text, written_whole
from shipseg_tiles.report.pictures import COLOURS
from shipseg_tiles.scoring.seams import Profile, SeamOptions, Seams, summarise_differences
from shipseg_tiles.tiling import overlap_for

_MARKERS = "os^Dv"

_PROFILE = ("pixels", "mean", "at_stake", "percentile_99")

_LINEAR_BELOW = 1e-3
"""The axis of differences is logarithmic above it, and linear below, where it reaches 0."""


def seam_numbers(seams: Seams, options: SeamOptions) -> dict[str, Any]:
    """Return what was measured, and the tiles that follow, as numbers.

    Args:
        seams: The measurement.
        options: What it was asked for.

    Returns:
        `images`; `receptive_field` of the contract, in pixels of the image; `tolerance`; `profiles`, for each tile its
        `halo` and the `overlap` that follows (None if the tile is too small), and by distance `pixels`, `mean`,
        `at_stake` and `percentile_99`; `stitched`, for each `tile` and `overlap` what `summarise_differences` says.
    """
    return {
        "images": seams.images,
        "receptive_field": options.contract.reach,
        "tolerance": options.tolerance,
        "profiles": [_profile_numbers(profile, options.contract.tile_multiple) for profile in seams.profiles.values()],
        "stitched": [
            {"tile": tile, "overlap": overlap, **summarise_differences(differences)}
            for (tile, overlap), differences in seams.differences.items()
        ],
    }


def _profile_numbers(profile: Profile, multiple: int) -> dict[str, Any]:
    halo = profile.halo
    return {
        "tile": profile.tile,
        "halo": halo,
        "overlap": None if halo is None else overlap_for(halo, profile.tile, multiple),
        "pixels": profile.pixels.tolist(),
        "mean": profile.mean.tolist(),
        "at_stake": profile.at_stake.tolist(),
        "percentile_99": profile.percentile_99.tolist(),
    }


def seams_table(stitched: Sequence[dict[str, Any]]) -> str:
    """Return the rows of `stitched` as lines of text under a head."""
    head = f"{'tile':>5} {'overlap':>8} {'mean':>8} {'maximum':>8} {'changed':>9} {'dice':>7} {'cost':>6}"
    rows = [
        f"{row['tile']:>5} {row['overlap']:>8.4g} {row['mean_difference']:>8.5f} {row['maximum_difference']:>8.3f}"
        f" {100 * row['changed_share']:>7.4f} % {row['dice']:>7.4f} {row['cost']:>6.2f}"
        for row in stitched
    ]
    return "\n".join([head, *rows])


def write_seams(numbers: dict[str, Any], out: Path) -> None:
    """Write `seams.csv`, a row for each tile and overlap; `profile.csv`, one for each tile and distance; `seams.png`.

    Args:
        numbers: What `seam_numbers` returned.
        out: Folder, made if it is not there.
    """
    write_text(out / "seams.csv", pd.DataFrame(numbers["stitched"]).to_csv(index=False))
    profiles = [_profile_table(profile) for profile in numbers["profiles"]]
    write_text(out / "profile.csv", pd.concat(profiles).to_csv(index=False))
    with written_whole(out / "seams.png") as temporary:
        _draw(numbers).savefig(temporary, dpi=110)


def read_profiles(folder: Path) -> pd.DataFrame:
    """Read `profile.csv` of a folder that `write_seams` wrote.

    Returns:
        A row for each `tile` and `distance`, with `pixels`, `mean`, `at_stake` and `percentile_99`.

    Raises:
        InputError: If it is not there, or is no such table.
    """
    path = folder / "profile.csv"
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder that check-seams wrote to")
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # parser errors and empty files are ValueErrors
        raise InputError(f"{path} is no table: {' '.join(str(error).split())}") from None
    if not {"tile", "distance", *_PROFILE} <= set(table):
        raise InputError(f"{path} is no profile of seams; give the folder that check-seams wrote to")
    return table


def _profile_table(profile: dict[str, Any]) -> pd.DataFrame:
    measured = {name: profile[name] for name in _PROFILE}
    return pd.DataFrame({"tile": profile["tile"], "distance": range(len(profile["pixels"])), **measured})


def _draw(numbers: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(13, 4.5), layout="constrained")  # without pyplot, which would choose a screen
    left, right = figure.subplots(1, 2)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
        axis.set_yscale("symlog", linthresh=_LINEAR_BELOW)
        axis.set_ylim(0, 1)
    _draw_profiles(left, numbers)
    _draw_price(right, numbers["stitched"])
    return figure


def _draw_profiles(axis: Axes, numbers: dict[str, Any]) -> None:
    """Draw the differences over the distance to the border, and what they are to be compared with."""
    for number, profile in enumerate(numbers["profiles"]):
        name, colour = f"tile {profile['tile']}", COLOURS[number % len(COLOURS)]
        distances = np.arange(len(profile["pixels"]))
        axis.plot(distances, profile["percentile_99"], color=colour, label=f"{name}, 99th percentile at stake")
        axis.plot(distances, profile["mean"], color=colour, linestyle=":", label=f"{name}, mean of all")
    axis.axhline(numbers["tolerance"], color="black", linewidth=1, label=f"tolerance {numbers['tolerance']:g}")
    if numbers["receptive_field"] is not None:
        field = numbers["receptive_field"]
        axis.axvline(field, color="gray", linestyle="--", linewidth=1, label=f"receptive field {field} px")
    axis.set(title="raw tiles", xlabel="pixels to the tile's border", ylabel="difference from the whole image")
    axis.legend(fontsize="small")


def _draw_price(axis: Axes, stitched: Sequence[dict[str, Any]]) -> None:
    """Draw how large the difference of stitched maps is at which cost, a line for each tile."""
    for number, (tile, rows) in enumerate(pd.DataFrame(stitched).groupby("tile", sort=False)):
        rows = rows.sort_values("cost")
        colour, marker = COLOURS[number % len(COLOURS)], _MARKERS[number % len(_MARKERS)]
        axis.plot(rows["cost"], rows["mean_difference"], color=colour, marker=marker, label=f"tile {tile}")
        for _, row in rows[(rows["overlap"] > 0) | (number == 0)].iterrows():  # all begin at 0, in one place
            point = (row["cost"], row["mean_difference"])
            axis.annotate(f"{row['overlap']:g}", point, (4, 4), textcoords="offset points", fontsize="small")
    axis.set(
        title="stitched maps; numbers are overlaps",
        xlabel="computed pixels over pixels of the images",
        ylabel="mean difference from the whole image",
    )
    axis.legend(fontsize="small")
