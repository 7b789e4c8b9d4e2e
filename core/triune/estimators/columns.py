"""Tables out of what scikit-learn hands over: lists, arrays, series and frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triune.data import missing_column
from triune.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

BINARISED = "one column a label, as sklearn.preprocessing.MultiLabelBinarizer makes them"


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


def answers_of(y: object, count: int) -> tuple[NDArray[Any], list[str] | None]:
    """Return what `y` holds, (examples,) or (examples, labels), and the names of the columns where it is a frame.

    Args:
        y: classes as a list, an array, a series or a frame of one column; or zeros and ones, a column a label.
        count: how many examples there are.

    Raises:
        DataError: it holds neither classes nor zeros and ones, or not one an example.
    """
    import numpy as np
    import pandas as pd

    if y is None:
        raise DataError("y is None: give one label an example")
    names = list(map(str, y.columns)) if isinstance(y, pd.DataFrame) else None
    cells: Any = y.toarray() if hasattr(y, "toarray") else y  # of a sparse matrix
    if any(isinstance(one, list | tuple | set | frozenset) and _holds_texts(one) for one in cells):
        raise DataError(f"y holds lists of labels: give zeros and ones, {BINARISED}")
    found = np.asarray(cells)
    if found.ndim == 2 and found.shape[1] == 1:
        found, names = found[:, 0], None
    if found.ndim not in (1, 2):
        raise DataError(f"y has the shape {found.shape}: give one label an example")
    if len(found) != count:
        raise DataError(f"X has {count} examples and y {len(found)}: give one label an example")
    return (found, None) if found.ndim == 1 else (_zeros_and_ones(found), names)


def _holds_texts(cell: Any) -> bool:  # noqa: ANN401
    return not cell or any(isinstance(one, str) for one in cell)


def _zeros_and_ones(found: NDArray[Any]) -> NDArray[Any]:
    """Return several labels an example as numbers; a row of NaN is an example without an answer."""
    import numpy as np
    import pandas as pd

    missing = pd.isna(found)
    known = ~missing.any(axis=1)
    wrong = [
        str(one) for one in np.unique(found[known].astype(str)) if one not in ("0", "1", "0.0", "1.0", "False", "True")
    ]
    if wrong:
        raise DataError(f"y has {found.shape[1]} columns and holds {wrong[0]!r}: give zeros and ones, {BINARISED}")
    if (missing.any(axis=1) & ~missing.all(axis=1)).any():
        row = int(np.argmax(missing.any(axis=1) & ~missing.all(axis=1)))
        raise DataError(f"y, row {row}: some labels are NaN and some are not: give all of an example, or none")
    return np.where(missing, np.nan, found).astype(float)


def weights_of(sample_weight: ArrayLike, count: int) -> NDArray[Any]:
    """Return how much each example counts.

    Raises:
        DataError: it is not one number an example.
    """
    import numpy as np

    found = np.asarray(sample_weight, dtype=float)
    if found.shape != (count,):
        raise DataError(f"sample_weight has the shape {found.shape} for {count} examples: give one number an example")
    return found


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a setting without numpy's numbers, which searches over arrays of values hand over."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
