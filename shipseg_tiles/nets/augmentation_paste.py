"""Copy-paste: labelled ships onto empty water of the same batch (Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177)."""

from typing import Any

from keras import ops

from shipseg_tiles.nets.separable import filter_separably, gaussian

CALMEST = 1.0
"""Smallest deviation of water in grey levels; below it patches are mostly black margins of scenes."""

ROUGHEST = 12.0
"""Largest deviation of water in grey levels, of a whole patch or of what surrounds its ships."""

FEATHER = 4.0
"""Deviation in pixels of the blur that makes surroundings of a ship's mask."""

REACH = 20.0
"""How much that blur is raised before it is cut off at 1: surroundings are whole up to 4 px around a ship of 3 x 3 px
and 6 px around a large one, and fade over as much again."""

TONE = 12.0
"""Deviation in pixels of the blur that carries the difference of colours from the surroundings over the ship."""


def paste_ships(pixels: Any, masks: Any, order: Any, takes: Any) -> tuple[Any, Any]:
    """Paste ships onto patches of empty water, each with its surroundings.

    A patch takes all ships of another patch, in their places there, so that a ship cut by the border stays at the
    border. A patch gives only if its ships lie in water, and takes only if it is water throughout. The surroundings
    fade out, and their colours are drawn to those of the patch that they come to, so that no seam is seen.

    Args:
        pixels: float32 (N, side, side, 3), grey levels.
        masks: float32 (N, side, side, 1) of 0 and 1.
        order: float32 (N,), 0 to 1: those who give do so in this order, over and over.
        takes: bool (N,), which patches take, if they are empty water.

    Returns:
        Pixels and masks with the ships in them.
    """
    count, side = ops.shape(pixels)[0], pixels.shape[1]
    near = ops.minimum(filter_separably(masks, gaussian(side, ops.full((count,), FEATHER))) * REACH, 1)
    brightness = ops.mean(pixels, axis=3, keepdims=True)
    has_ships = ops.max(masks, axis=(1, 2, 3)) > 0
    gives = ops.logical_and(has_ships, _is_water(brightness, near * (1 - masks)))
    empty = ops.logical_and(ops.logical_not(has_ships), _is_water(brightness, ops.ones_like(masks)))
    giver = _givers(gives, order)
    pasted = ops.logical_and(ops.logical_and(empty, takes), ops.take(gives, giver))
    pasted = ops.reshape(ops.cast(pasted, "float32"), (-1, 1, 1, 1))
    given, ships, alpha = (ops.take(field, giver, axis=0) for field in (pixels, masks, near))
    given = given + _tone(pixels - given, alpha * (1 - ships))
    return pixels + pasted * alpha * (given - pixels), ops.maximum(masks, pasted * ships)


def _givers(gives: Any, order: Any) -> Any:
    """Return for each patch the number of one that gives; of any, if none does."""
    givers_first = ops.argsort(order - ops.cast(gives, "float32"))
    total = ops.maximum(ops.sum(ops.cast(gives, "int32")), 1)
    return ops.take(givers_first, ops.arange(ops.shape(gives)[0], dtype="int32") % total)


def _tone(difference: Any, ring: Any) -> Any:
    """Carry the difference of colours inside the rings around ships smoothly over the ships."""
    count, side = ops.shape(ring)[0], ring.shape[1]
    wide = gaussian(side, ops.full((count,), TONE))
    blurred = filter_separably(ops.concatenate([difference * ring, ring], axis=3), wide)
    return blurred[..., :3] / ops.maximum(blurred[..., 3:], 1e-6)


def _is_water(brightness: Any, weights: Any) -> Any:
    """Say of which patches the deviation, where `weights` (N, side, side, 1) are, is that of water: bool (N,)."""
    total = ops.maximum(ops.sum(weights, axis=(1, 2, 3), keepdims=True), 1)
    mean = ops.sum(brightness * weights, axis=(1, 2, 3), keepdims=True) / total
    variance = ops.sum((brightness - mean) ** 2 * weights / total, axis=(1, 2, 3))
    return ops.logical_and(variance >= CALMEST**2, variance <= ROUGHEST**2)
