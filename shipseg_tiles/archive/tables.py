"""CSV files with named columns."""

from collections.abc import Sequence
from io import BytesIO

import pandas as pd

from shipseg_tiles.errors import InputError


def read_table(data: bytes, source: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV; all of it is text, empty where a field is.

    Args:
        data: What is in the file.
        source: Where it came from, for messages.
        columns: Which ones must be there; others may be.

    Raises:
        InputError: If it is no CSV, or lacks a column.
    """
    if b"\0" in data:  # which pandas would take for the end of a field
        raise InputError(f"{source} is no CSV: it holds a NUL byte; write it in UTF-8")
    try:
        table = pd.read_csv(BytesIO(data), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:  # EmptyDataError and UnicodeDecodeError are ValueErrors
        raise InputError(f"{source} is no CSV: {' '.join(str(error).split())}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for row names
        raise InputError(f"{source} has more fields in a row than columns in its first line; remove the extra fields")
    absent = [column for column in columns if column not in table]
    if absent:
        raise InputError(f"{source} has no column {' and '.join(absent)}; its first line must hold {','.join(columns)}")
    return table
