"""Filters of square patches as two products with a matrix, one along the columns and one along the rows.

A matrix of its own for each patch makes a random blur or zoom as cheap as a fixed one, and matrix products are what
every backend and every device does best.
"""

from typing import Any

from keras import ops


def filter_separably(pixels: Any, matrices: Any) -> Any:
    """Filter patches along both axes.

    Args:
        pixels: float32 (N, side, side, channels).
        matrices: float32 (N, side, side). Row i holds what each pixel of a line contributes to pixel i. There must be
            one for each patch: products that had to repeat one matrix crashed TensorFlow 2.21 on a CPU.

    Returns:
        float32 in the shape of `pixels`.
    """
    side, channels = pixels.shape[1], pixels.shape[3]
    for _ in range(2):
        filtered = ops.matmul(matrices, ops.reshape(pixels, (-1, side, side * channels)))
        pixels = ops.transpose(ops.reshape(filtered, (-1, side, side, channels)), (0, 2, 1, 3))
    return pixels


def gaussian(side: int, deviations: Any) -> Any:
    """Return Gaussian filters for `filter_separably`, cut off at the border of the patch and scaled up there.

    Args:
        side: Of the patches.
        deviations: float32 (N,), in pixels; 0 gives the filter that changes nothing.
    """
    positions = ops.arange(side, dtype="float32")
    distances = positions - ops.expand_dims(positions, 1)
    # At a twentieth of a pixel all but the middle weight are 0 in float32.
    spread = ops.reshape(2 * ops.maximum(deviations, 0.05) ** 2, (-1, 1, 1))
    return normalised(ops.exp(-(distances**2) / spread))


def normalised(matrix: Any) -> Any:
    """Scale the weights of each output pixel to the sum 1."""
    return matrix / ops.sum(matrix, axis=2, keepdims=True)
