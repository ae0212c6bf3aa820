"""What a prediction will take, known before the net is loaded: tiles, pixels and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipseg_tiles.inference.memory import pixels_that_fit
from shipseg_tiles.inference.stitching import batch_size
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.tiling import TileGrid


def grid_over(shape: tuple[int, int], contract: Contract) -> TileGrid:
    """Return the tiles over an image of that (height, width)."""
    return TileGrid.covering(*shape, contract.tile, contract.overlap, contract.tile_multiple)


def pixels_per_batch(contract: Contract) -> int:
    """Return how many pixels of the image a batch may have, so that it fits when it is as large as the net sees it."""
    enlarged = max(1.0, max(contract.patch_sides) / contract.patch)
    return int(pixels_that_fit() / enlarged**2)


@dataclass(frozen=True)
class SizePlan:
    """What images of one size take.

    Attributes:
        height: Height of the images in pixels.
        width: Their width.
        images: How many there are.
        grid: The tiles over each of them.
        batch: Tiles that are predicted together.
        views: How often the net is shown each tile.
        on_disk: Whether they are scenes, which are read by windows.
    """

    height: int
    width: int
    images: int
    grid: TileGrid
    batch: int
    views: int = 1
    on_disk: bool = False

    @property
    def tiles(self) -> int:
        """Tiles over all images."""
        return self.images * len(self.grid)

    @property
    def megapixels(self) -> float:
        """Millions of pixels of tiles, if the net is shown all of them; without filler in a last batch."""
        return self.images * self.grid.computed_pixels * self.views / 1e6

    @property
    def image_bytes(self) -> int:
        """Bytes of the image in memory."""
        return 0 if self.on_disk else 3 * self.height * self.width

    @property
    def line_bytes(self) -> int:
        """Bytes of lines, at most.

        There are 3 bytes of colour and a weighted sum in float32 for each pixel under a row of tiles; and, of the lines
        that leave, a probability in float32, while those that left before them may still be in use.
        """
        return self.grid.padded_shape[1] * ((3 + 4) * self.grid.tile + 2 * 4 * self.grid.stride)

    @property
    def batch_bytes(self) -> int:
        """Bytes of a batch of tiles, at most, without what the net needs between its input and its answer.

        There are 3 bytes of colour and an answer in float32 for each pixel of it, while the answers to the batch before
        may still be in use; and the window and a weighted answer for one tile. With several views there are one view of
        the batch and what is answered to it as well.
        """
        held = 3 + 2 * 4 + (3 + 4 if self.views > 1 else 0)
        return (self.batch * held + 2 * 4) * self.grid.tile**2

    def numbers(self) -> dict[str, Any]:
        """Return everything by name."""
        return {
            "height": self.height,
            "width": self.width,
            "tile": self.grid.tile,
            "batch": self.batch,
            **total([self]),
        }


def plan_sizes(
    images: Mapping[tuple[int, int], int], contract: Contract, scenes: Mapping[tuple[int, int], int] | None = None
) -> list[SizePlan]:
    """Plan the prediction of images.

    Args:
        images: How many there are of each (height, width).
        contract: How the net is used.
        scenes: How many of these there are; None for none.

    Returns:
        A plan for each size, the most frequent one first.
    """
    plans = []
    for sizes, on_disk in ((images, False), (scenes or {}, True)):
        for shape, count in sizes.items():
            grid = grid_over(shape, contract)
            batch = batch_size(grid, pixels_per_batch(contract))
            plans.append(SizePlan(*shape, count, grid, batch, contract.views, on_disk))
    return sorted(plans, key=lambda plan: (-plan.images, plan.height, plan.width))


def total(plans: Sequence[SizePlan]) -> dict[str, Any]:
    """Sum up plans, one or more.

    Returns:
        `images` and `tiles`, how many; `computed_twice`, pixels of tiles over pixels of the images, less 1;
        `megapixels` of tiles if the net is shown all of them; and of the memory that a single image takes the largest
        `image_bytes`, `line_bytes` and `batch_bytes` of any, and the largest sum of the three, `peak_bytes`.
    """
    pixels = sum(plan.images * plan.height * plan.width for plan in plans)
    computed = sum(plan.images * plan.grid.computed_pixels for plan in plans)
    return {
        "images": sum(plan.images for plan in plans),
        "tiles": sum(plan.tiles for plan in plans),
        "computed_twice": computed / pixels - 1,
        "megapixels": sum(plan.megapixels for plan in plans),
        "image_bytes": max(plan.image_bytes for plan in plans),
        "line_bytes": max(plan.line_bytes for plan in plans),
        "batch_bytes": max(plan.batch_bytes for plan in plans),
        "peak_bytes": max(plan.image_bytes + plan.line_bytes + plan.batch_bytes for plan in plans),
    }
