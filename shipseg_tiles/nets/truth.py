"""Truth in the shape of what a net answers."""

from typing import Any

from keras import ops


def truth_like(prediction: Any, truth: Any) -> Any:
    """Return the truth as float32 in the shape of a prediction, so that one loss serves all kinds of nets.

    Args:
        prediction: Probabilities, (N, height, width, 1) of a segmenter, (N, rows, columns, 1) of a gate, or (N, 1) of a
            classifier.
        truth: 0 and 1 in any dtype: masks (N, height, width). A gate's cell is 1 if any pixel in it is ship, and a mask
            is 1 for a classifier if any of its pixels is; for that, labels (N,) will do as well.

    Returns:
        float32 of 0 and 1 in the shape of `prediction`.
    """
    truth = ops.cast(truth, "float32")
    if len(prediction.shape) == 2:
        return ops.max(ops.reshape(truth, (ops.shape(truth)[0], -1)), axis=1, keepdims=True)
    if prediction.shape[1:3] != truth.shape[1:3]:
        _, rows, columns, _ = prediction.shape
        cells = (-1, rows, truth.shape[1] // rows, columns, truth.shape[2] // columns)
        truth = ops.max(ops.reshape(truth, cells), axis=(2, 4))
    return ops.expand_dims(truth, -1)
