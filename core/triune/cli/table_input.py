"""The table that a finished run is used on: a file, or what comes in on standard input."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from triune.ensembles import members_of
from triune.errors import DataError, listed
from triune.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

STDIN = "-"
PLACE = "standard input"


def table_of(run: Path, file: str) -> Path | pd.DataFrame:
    """Return what the verbs hand to `triune.predict` and `triune.evaluate`.

    Raises:
        DataError: standard input holds nothing, or a line that is no JSON object among those that are.
        OutputError: the folder holds no finished run.
    """
    facts = Folder(members_of(run)[0]).facts()  # first, so that a wrong folder is told before anything is read
    if file != STDIN:
        return Path(file)
    roles, space = facts["roles"], facts["space"]
    assert isinstance(roles, Mapping) and isinstance(space, Mapping)
    parted = str.split if space["kind"] == "tags" else str
    return frame_of(sys.stdin.buffer.read(), str(roles["text"]), parted)


def frame_of(content: bytes, text: str, read: Callable[[str], object] = str) -> pd.DataFrame:
    """Return lines as a frame: JSON objects if the first line is one, else what `read` makes of each as `text`."""
    import pandas as pd

    try:
        lines = list(io.StringIO(content.decode("utf-8-sig"), newline=None))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{PLACE}:{line}: not UTF-8 text; convert it, or give a file") from None
    found = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{PLACE}: nothing came in; send one text a line, or one JSON object a line")
    if not found[0][1].startswith("{"):
        return pd.DataFrame({text: pd.Series([read(line) for _, line in found], dtype=object)})
    objects = [_object(number, line) for number, line in found]
    names = dict.fromkeys(name for one in objects for name in one)
    if text not in names:
        raise DataError(f"{PLACE}: no object has the key {text!r}, the run's text; keys: {listed(names)}; rename one")
    return pd.DataFrame({name: pd.Series([one.get(name) for one in objects], dtype=object) for name in names})


def _object(number: int, line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{PLACE}:{number}: no JSON ({error.msg} at column {error.colno}); "
            "the first line is an object, so every line has to be one"
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{PLACE}:{number}: found {type(value).__name__}, wanted a JSON object, as in the first line")
    return value
