"""Changes of where things lie: the truth moves with the pixels."""

from typing import Any

from keras import ops

from shipseg_tiles.nets.separable import filter_separably, normalised


def turn(pixels: Any, turns: Any) -> Any:
    """Flip left-right, flip up-down and transpose each patch where its three turns say so: all 8 symmetries.

    Args:
        pixels: (N, side, side, channels) of any dtype.
        turns: bool (3, N, 1, 1, 1).
    """
    pixels = ops.where(turns[0], ops.flip(pixels, axis=2), pixels)
    pixels = ops.where(turns[1], ops.flip(pixels, axis=1), pixels)
    return ops.where(turns[2], ops.transpose(pixels, (0, 2, 1, 3)), pixels)


def zoom(pixels: Any, masks: Any, factors: Any) -> tuple[Any, Any]:
    """Show patches larger or smaller about their centres, and mirrored outside of their borders.

    A pixel of the new mask is ship where more than half of what it shows is ship.

    Args:
        pixels: float32 (N, side, side, 3).
        masks: float32 (N, side, side, 1) of 0 and 1.
        factors: float32 (N,), by which lengths grow; more than a third, as there is one mirror image to each side.
    """
    return _apart(filter_separably(_together(pixels, masks), _zooming(pixels.shape[1], factors)))


def rotate(pixels: Any, masks: Any, angles: Any) -> tuple[Any, Any]:
    """Rotate patches about their centres, and show them mirrored outside of their borders.

    A pixel of the new mask is ship where more than half of what it shows is ship.

    Args:
        pixels: float32 (N, side, side, 3).
        masks: float32 (N, side, side, 1) of 0 and 1.
        angles: float32 (N,), in radians, clockwise as the picture is seen.
    """
    centre = (pixels.shape[1] - 1) / 2
    cosine, sine, zero = ops.cos(angles), ops.sin(angles), ops.zeros_like(angles)
    # Where what is now at (x, y) was before: the last two of eight numbers are for perspective.
    x_from = [cosine, sine, centre * (1 - cosine - sine)]
    y_from = [-sine, cosine, centre * (1 + sine - cosine)]
    transforms = ops.stack([*x_from, *y_from, zero, zero], axis=1)
    both = _together(pixels, masks)
    return _apart(ops.image.affine_transform(both, transforms, "bilinear", "reflect", data_format="channels_last"))


def _together(pixels: Any, masks: Any) -> Any:
    """Put masks behind the colours, (N, side, side, 4), so that both are interpolated alike."""
    return ops.concatenate([pixels, masks], axis=3)


def _apart(both: Any) -> tuple[Any, Any]:
    """Return what was `_together`, masks of 0 and 1 again."""
    return both[..., :3], ops.cast(both[..., 3:] > 0.5, "float32")


def _zooming(side: int, factors: Any) -> Any:
    """Return linearly interpolating filters (N, side, side), wider where they shrink, so that nothing is skipped."""
    positions = ops.arange(side, dtype="float32")
    factors = ops.reshape(factors, (-1, 1, 1))
    centre = (side - 1) / 2
    sources = (ops.expand_dims(positions, 1) - centre) / factors + centre
    # Each source pixel is seen where it is and mirrored at both borders.
    seen = [positions, -1 - positions, 2 * side - 1 - positions]
    reach = ops.maximum(1 / factors, 1)
    return normalised(sum(ops.relu(1 - ops.abs(sources - position) / reach) for position in seen))
