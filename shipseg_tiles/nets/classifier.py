"""Ship or no ship: the answer of a whole image."""

from typing import Any

from keras import layers


def ship_probability(features: Any) -> Any:
    """Answer the probability that an image shows a ship.

    A ship fills a few of the deepest cells: their maximum finds it however large the image is, and their mean, which
    would drown it alone, says what scenery it is in and lets all cells learn.

    Args:
        features: Features (N, height, width, channels), the deepest of an encoder.

    Returns:
        float32 (N, 1), 0 to 1, whatever the precision of the layers before it.
    """
    maximum = layers.GlobalMaxPooling2D(name="maximum")(features)
    mean = layers.GlobalAveragePooling2D(name="mean")(features)
    pooled = layers.Concatenate(name="pooled")([maximum, mean])
    return layers.Dense(1, activation="sigmoid", dtype="float32", name="ship")(pooled)
