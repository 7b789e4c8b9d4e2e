"""Tables out of what scikit-learn hands over: lists, arrays, series and frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.data import missing_column
from triune.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def table_of(X: object, text: str) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
    """Return the examples as a table whose column `text` holds the text.

    A frame keeps its columns, which rules may ask for; one with a single column need not call it `text`.

    Raises:
        DataError: there is no text in it, or not one a row.
    """
    import numpy as np
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        frame = X.rename(columns={X.columns[0]: text}) if X.shape[1] == 1 else X
        if text not in frame.columns:
            raise DataError(missing_column("X", text, "text", list(map(str, frame.columns))))
        return _checked(frame.reset_index(drop=True).rename(columns=str), text)
    if isinstance(X, str):
        raise DataError("X is one text: give a list of texts")
    cells = np.asarray(X, dtype=object)
    if cells.ndim == 2 and cells.shape[1] == 1:
        cells = cells[:, 0]
    if cells.ndim != 1:
        raise DataError(f"X has the shape {cells.shape}: give one text a row, or a frame with a column {text!r}")
    return _checked(pd.DataFrame({text: cells}), text)


def _checked(frame: pd.DataFrame, text: str) -> pd.DataFrame:
    if not len(frame):
        raise DataError("X holds no example: give at least one")
    wrong = next((row for row, cell in enumerate(frame[text]) if not isinstance(cell, str)), None)
    if wrong is not None:
        raise DataError(f"X, row {wrong}: found {frame[text].iloc[wrong]!r}, wanted a text")
    return frame
