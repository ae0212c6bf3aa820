"""The history of a training: what it is called, and how its columns are shown; known without Keras."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.weights_files import journal_folder

HISTORY = "history.csv"
"""File in the folder of a training with a row for each epoch: `epoch`, losses, scores and `learning_rate`."""

CURVES = {"loss": "loss", "dice, F1 and F2": "dice|f1|f2", "learning rate": "learning_rate"}
"""Titles of the charts that show it, each with a pattern for the names of its columns."""


def read_history(weights: Path | None, record: Mapping[str, Any]) -> pd.DataFrame | None:
    """Read what the training noted down that made the weights of a run.

    Args:
        weights: The weights; None for those that the record names, if they are still there.
        record: What `run.json` says.

    Returns:
        A row for each epoch: `epoch`, losses, scores and `learning_rate`; None if nobody noted it down.

    Raises:
        InputError: If `weights` have no history beside them, or it is damaged.
    """
    named = weights or Path(str(record.get("weights", "")))
    path = journal_folder(named) / HISTORY if named.name else named
    if not path.is_file():
        if weights:
            raise InputError(f"{path} does not exist; leave --weights away to do without the curves of the training")
        return None
    try:
        history = pd.read_csv(path, dtype="float64")
    except ValueError as error:  # parser errors and empty files are ValueErrors
        raise InputError(f"{path} is no history of a training: {' '.join(str(error).split())}") from None
    if "epoch" not in history:
        raise InputError(f"{path} is no history of a training: it has no column epoch")
    return history
