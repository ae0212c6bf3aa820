"""The history of a training: what it is called, and how its columns are shown; known without Keras."""

HISTORY = "history.csv"
"""File in the folder of a training with a row for each epoch: `epoch`, losses, scores and `learning_rate`."""

CURVES = {"loss": "loss", "dice, F1 and F2": "dice|f1|f2", "learning rate": "learning_rate"}
"""Titles of the charts that show it, each with a pattern for the names of its columns."""
