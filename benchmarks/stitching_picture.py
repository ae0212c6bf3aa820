"""Draw how stitching works, for docs/stitching.md: `python benchmarks/stitching_picture.py`."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from shipseg_tiles.archive.simulate import simulate_scene
from shipseg_tiles.report.pictures import PREDICTED, TRUTH
from shipseg_tiles.tiling import TileGrid, window_profile

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "stitching.png"
SEED, SCENE = 77, 39
GRID = TileGrid.with_overlap(400, 430, 160, 0.4)
DONE = 6
"""So many tiles have been predicted: the first row of them and two of the second."""

BLUE, AMBER = (tuple(value / 255 for value in colour) for colour in (TRUTH, PREDICTED))
RED = "#dc267f"


def main() -> None:
    image = simulate_scene(SEED, SCENE).image[: GRID.height, 190 : 190 + GRID.width]
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    tiles, weights, lines = figure.subplots(1, 3)
    draw_tiles(tiles, image)
    draw_weights(weights)
    draw_lines(lines, image)
    figure.savefig(OUT, dpi=90)
    print(OUT)


def draw_tiles(axis: Axes, image: NDArray[np.uint8]) -> None:
    axis.imshow(image)
    for row, column in GRID.corners.tolist():
        axis.add_patch(outline(row, column, "white", 1))
    axis.add_patch(outline(int(GRID.rows[1]), int(GRID.columns[1]), AMBER, 3))
    axis.set_title(
        f"1. {len(GRID)} tiles of {GRID.tile} px cover the image;\nthe last ones are moved back to its border",
        fontsize="medium",
    )
    axis.set(xlabel="columns", ylabel="rows")


def draw_weights(axis: Axes) -> None:
    """Draw what each tile of a row counts along a line through their middles, and the sum of it."""
    profile = window_profile("hann", GRID.tile, GRID.stride)
    total = np.zeros(GRID.width)
    for number, column in enumerate(GRID.columns.tolist()):
        total[column : column + GRID.tile] += profile
        is_marked = number == 1
        axis.fill_between(
            np.arange(column, column + GRID.tile),
            profile,
            color=AMBER if is_marked else BLUE,
            alpha=0.7 if is_marked else 0.35,
        )
    axis.plot(total, color="black", linewidth=2, label="sum, which the weighted sum of answers is divided by")
    axis.set(xlim=(0, GRID.width - 1), ylim=(0, 1.25), xlabel="columns", ylabel="weight")
    axis.legend(loc="upper center", frameon=False, fontsize="small")
    axis.set_title(
        "2. Each answer counts most in the middle of its tile\nand little at the border, where it knows least",
        fontsize="medium",
    )


def draw_lines(axis: Axes, image: NDArray[np.uint8]) -> None:
    """Draw which lines are finished, which are held with the weights summed up so far, and which are not yet read."""
    held, bottom = int(GRID.corners[DONE, 0]), int(GRID.corners[DONE, 0]) + GRID.tile
    sums = np.zeros((GRID.height, GRID.width), dtype=np.float32)
    profile = window_profile("hann", GRID.tile, GRID.stride)
    for row, column in GRID.corners[:DONE].tolist():
        sums[GRID.slices(row, column)] += np.outer(profile, profile)
    axis.imshow(image[:held], extent=(0, GRID.width, held, 0))
    axis.imshow(sums[held:bottom], cmap="Blues", extent=(0, GRID.width, bottom, held))
    axis.add_patch(Rectangle((0, held), GRID.width - 1, GRID.tile, fill=False, edgecolor=RED, linewidth=3))
    axis.add_patch(outline(int(GRID.corners[DONE, 0]), int(GRID.corners[DONE, 1]), AMBER, 3))
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none"}
    middle = GRID.width / 2
    axis.text(
        middle,
        held / 2,
        "finished: no later tile reaches them,\nthey are divided and leave",
        ha="center",
        va="center",
        bbox=box,
    )
    axis.text(middle, bottom - 18, "held: sums of one tile's height", ha="center", va="center", color=RED, bbox=box)
    axis.text(middle, (bottom + GRID.height) / 2, "not yet read", ha="center", va="center")
    axis.set(xlim=(0, GRID.width), ylim=(GRID.height, 0), xlabel="columns", ylabel="rows")
    axis.set_title(
        f"3. Row by row: {DONE} tiles are done, the next is amber;\nmemory does not grow with the height",
        fontsize="medium",
    )


def outline(row: int, column: int, colour: object, linewidth: int) -> Rectangle:
    """Outline a tile."""
    return Rectangle((column, row), GRID.tile - 1, GRID.tile - 1, fill=False, edgecolor=colour, linewidth=linewidth)


if __name__ == "__main__":
    main()
