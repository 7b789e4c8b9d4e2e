"""Votes as others write them: the JSON of WRENCH, and the matrix of Snorkel (examples × rules, -1 abstains).

WRENCH (Zhang et al. 2021): `{"0": {"label": 1, "weak_labels": [-1, 1], "data": {"text": "…"}}, …}`, places of labels
being named by a `label.json` in the same folder: `{"0": "ham", "1": "spam"}`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from triune.errors import DataError, count, listed, nearest
from triune_weak_labels.votes import ABSTAIN, Votes, single_votes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from triune.types import LabelValue

NAMES = "label.json"


def to_matrix(votes: Votes) -> NDArray[np.int64]:
    """Return (examples, rules) the place of the label that each rule votes for, -1 where it abstains.

    A vote for a set of labels has no place in this form and becomes -1.
    """
    import numpy as np

    matrix: NDArray[np.int64] = np.where(votes.cast < len(votes.labels), votes.cast, ABSTAIN).T
    return matrix


def from_matrix(matrix: NDArray[np.int64], labels: Sequence[LabelValue], names: Sequence[str] | None = None) -> Votes:
    """Return the votes of a matrix (examples, rules).

    Raises:
        DataError: it is no such matrix: of another shape, or with places that no label has.
    """
    import numpy as np

    cast = np.asarray(matrix)
    if cast.ndim != 2 or cast.dtype.kind not in "iu" or (names is not None and len(names) != cast.shape[1]):
        raise DataError(
            f"votes: found {cast.dtype} {cast.shape}, wanted integers (examples, rules): transpose or round them"
        )
    wrong = sorted({int(one) for one in np.unique(cast) if not ABSTAIN <= one < len(labels)})
    if wrong:
        raise DataError(
            f"votes: {listed(wrong, 3)} is no place of a label; there are {len(labels)}, from 0, and -1 abstains: "
            f"name the labels in the order that the votes mean"
        )
    return single_votes(names or [f"vote {number}" for number in range(cast.shape[1])], labels, cast.T)


def to_wrench(votes: Votes, texts: Sequence[str], gold: NDArray[np.int64]) -> dict[str, dict[str, object]]:
    """Return votes as a file of WRENCH holds them; `gold` (examples,) is -1 where there is no label."""
    return {
        str(number): {"label": int(label), "weak_labels": row, "data": {"text": text}}
        for number, (text, label, row) in enumerate(zip(texts, gold, to_matrix(votes).tolist(), strict=True))
    }


def write_wrench(path: Path, votes: Votes, texts: Sequence[str], gold: NDArray[np.int64]) -> None:
    """Write votes as WRENCH does, and beside them which label each place means."""
    _write(path.with_name(NAMES), {str(place): label for place, label in enumerate(votes.labels)})
    _write(path, to_wrench(votes, texts, gold))


def read_wrench(path: Path, labels: Sequence[LabelValue], texts: Sequence[str]) -> tuple[Votes, int]:
    """Return the votes of a WRENCH file on these texts, and on how many of them it has any entry.

    Entries are found by text, so that the order of rows does not matter. Of several entries with one text the first
    belongs to the first example that has it, and so on; further examples get the last. On a text that the file does
    not know, its rules abstain.

    Raises:
        DataError: the file or its `label.json` is missing or otherwise formed, or knows none of the texts.
    """
    import numpy as np

    entries = _read(path)
    names = {place: str(name) for place, name in _read(path.with_name(NAMES)).items()}
    known = {str(label): place for place, label in enumerate(labels)}
    unknown = [name for name in names.values() if name not in known]
    if unknown:
        raise DataError(
            f"{path.with_name(NAMES)}: {unknown[0]!r} is not a label of this task; labels: {listed(labels)}"
            f"{nearest(unknown[0], known)}"
        )
    rows: dict[str, list[list[int]]] = {}
    rules: int | None = None
    for key, entry in entries.items():
        text, row = _entry(path, key, entry)
        rules = len(row) if rules is None else rules
        if len(row) != rules:
            raise DataError(
                f"{path}: entry {key!r} has votes of {count(len(row), 'rule')} and earlier ones of {rules}: "
                "write -1 where a rule abstains"
            )
        rows.setdefault(text, []).append(row)
    left = {text: iter(several) for text, several in rows.items()}
    found = [next(left[text], rows[text][-1]) if text in rows else None for text in texts]
    matched = sum(row is not None for row in found)
    if not matched:
        raise DataError(f"{path}: none of the {len(texts)} training texts is in it: it belongs to other data")
    width = rules or 0
    cast = np.asarray([row or [ABSTAIN] * width for row in found], dtype=np.int64).reshape(len(texts), width)
    return from_matrix(_translated(path, cast, names, known), labels), matched


def _translated(
    path: Path, cast: NDArray[np.int64], names: Mapping[str, str], known: Mapping[str, int]
) -> NDArray[np.int64]:
    import numpy as np

    new = cast.copy()
    for place in np.unique(cast).tolist():
        if place == ABSTAIN:
            continue
        if str(place) not in names:
            raise DataError(f"{path}: votes for {place}, which {NAMES} does not name; it names {listed(names)}")
        new[cast == place] = known[names[str(place)]]
    return new


def _entry(path: Path, key: str, entry: object) -> tuple[str, list[int]]:
    data = entry.get("data") if isinstance(entry, dict) else None
    row = entry.get("weak_labels") if isinstance(entry, dict) else None
    text = data.get("text") if isinstance(data, dict) else None
    whole = isinstance(row, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in row)
    if not isinstance(text, str) or not isinstance(row, list) or not whole:
        raise DataError(
            f'{path}: entry {key!r} is not {{"weak_labels": [-1, 0, …], "data": {{"text": "…"}}}}: '
            "write it as WRENCH does"
        )
    return text, row


def _read(path: Path) -> dict[str, object]:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file of votes: give WRENCH's JSON, and {NAMES} beside it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: votes cannot be read ({error}): give a JSON file of WRENCH's form") from error
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path}: found {type(found).__name__}, wanted an object with an entry for each example")
    return found


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    part.replace(path)
