"""Truth in the shape of what a net answers."""

from typing import Any

from keras import ops


def truth_like(prediction: Any, truth: Any) -> Any:
    """Return the truth as float32 in the shape of a prediction, so that one loss serves segmenters and classifiers.

    Args:
        prediction: Probabilities, (N, height, width, 1) of a segmenter or (N, 1) of a classifier.
        truth: 0 and 1 in any dtype. For a segmenter masks (N, height, width); for a classifier masks as well, each of
            which stands for 1 if any of its pixels is ship, or labels (N,).

    Returns:
        float32 of 0 and 1 in the shape of `prediction`.
    """
    truth = ops.cast(truth, "float32")
    if len(prediction.shape) == 2:
        return ops.max(ops.reshape(truth, (ops.shape(truth)[0], -1)), axis=1, keepdims=True)
    return ops.expand_dims(truth, -1)
