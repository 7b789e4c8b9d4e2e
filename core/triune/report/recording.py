"""What a finished model says of every example of a table, written down when the model is at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from triune.data import label_set
from triune.logic import Formula, OnTokens
from triune.report.disagreements import kind_of
from triune.report.records import Record
from triune.report.training_labels import doubt_of
from triune.rule_report import Cells
from triune.rules import Seat
from triune.spaces import PROBABILITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.data import Data
    from triune.types import JSON, GroundedRules

NEGLIGIBLE = 0.001
"""Probabilities below it are not written down, unless they are of the label or of the prediction."""
LONGEST = 2000
"""Characters, or tokens, of a text that are kept."""
BROKEN = 1  # what `verdicts` says of a rule that fires and is broken; 0 of one that is kept, -1 where none judges


def recorded(split: str, predictions: pd.DataFrame, rules: GroundedRules, data: Data) -> Iterator[Record]:
    """Yield a record for each example of a table, without its text.

    Args:
        split: the table.
        predictions: "gold", "predicted" and probabilities, as evaluation returns them.
        rules: the rules of the run, grounded.
        data: its tables.
    """
    names = [rule.name for rule in rules.rules]
    gold, predicted = predictions["gold"].tolist(), predictions["predicted"].tolist()
    said, true = (verdicts(rules, split, Cells.of(cells)) for cells in (predicted, gold))
    fires = rules.fires.get(split)
    probabilities = _probabilities(predictions)
    table = data.splits[split]
    for place in range(len(predictions)):
        spoken = [] if fires is None else fires[:, place].nonzero()[0].tolist()
        yield Record(
            split,
            data.place(split, table.index[place]),
            _plain(gold[place]),
            _plain(predicted[place]),
            probabilities(place),
            tuple(names[one] for one in spoken),
            tuple(names[one] for one in spoken if said[one, place] == BROKEN),
            tuple(names[one] for one in spoken if true[one, place] == BROKEN),
        )


def with_texts(records: Iterable[Record], split: str, data: Data) -> Iterator[Record]:
    """Yield all records of a table, those that a page may show with their texts: of training, labels in doubt."""
    table = data.splits[split]
    for place, record in enumerate(records):
        if (doubt_of if split == "train" else kind_of)(record) is None:
            yield record
        else:
            text, pair = (_text(table, data.roles, role, place) for role in ("text", "text_pair"))
            yield replace(record, text=text, text_pair=pair)


def verdicts(rules: GroundedRules, split: str, cells: Cells) -> NDArray[np.int8]:
    """Return (rules, examples): 1 where a rule fires and the answer breaks it, 0 where it keeps it, else -1.

    A rule about tokens is broken where it is at one stretch at least.
    """
    import numpy as np

    found = np.full((len(rules), len(cells.which)), -1, dtype=np.int8)
    for place, rule in enumerate(rules.rules):
        if isinstance(rule.then, Formula) and not isinstance(rule.then, OnTokens):
            judged = [-1 if one is None else int(not rule.then.holds(one)) for one in cells.distinct]
            fires = rules.fires[split][place]
            found[place, fires] = np.asarray(judged, dtype=np.int8)[cells.which[fires]]
    table = rules.tokens.get(split)
    if table is not None and rules.space is not None:
        numbers = {str(label): place for place, label in enumerate(rules.space.labels)}
        tags = [None if one is None else [numbers[str(label)] for label in one] for one in cells.distinct]
        for place, example, broken in table.broken([tags[number] for number in cells.which]):
            found[place, example] = max(found[place, example], int(broken))
    return found


def written(rules: GroundedRules) -> list[JSON]:
    """Return the rules of a run as a reader wants them, for `run.json`."""
    return [
        {
            "name": rule.name,
            "when": str(rule.when),
            "then": str(rule.then),
            "confidence": rule.confidence,
            "hard": rule.hard,
            "seats": [seat.value for seat in Seat if seat in rule.seats],
            "place": rule.place,
            "note": rule.note,
        }
        for rule in rules.rules
    ]


def _probabilities(predictions: pd.DataFrame) -> Callable[[int], dict[str, float] | list[float]]:
    """Return what gives an example's probabilities that are worth a word, by label; of tokens each one's."""
    columns = [column for column in predictions.columns if str(column).startswith(PROBABILITY)]
    if not columns:
        given = predictions["probability"].tolist() if "probability" in predictions else [()] * len(predictions)
        return lambda place: [round(float(one), 6) for one in given[place]]
    matrix = predictions[columns].to_numpy(dtype=float)  # (examples, labels)
    names = [str(column).removeprefix(PROBABILITY) for column in columns]
    column_of = {name: column for column, name in enumerate(names)}
    cells = list(zip(predictions["gold"], predictions["predicted"], strict=True))

    def of_labels(place: int) -> dict[str, float]:
        kept = {column_of[str(one)] for cell in cells[place] for one in label_set(cell) or () if str(one) in column_of}
        kept |= set((matrix[place] >= NEGLIGIBLE).nonzero()[0].tolist())
        return {names[column]: round(float(matrix[place, column]), 6) for column in sorted(kept)}

    return of_labels


def _text(table: pd.DataFrame, roles: Mapping[str, str], role: str, place: int) -> Any:  # noqa: ANN401 - a cell
    column = roles.get(role)
    if column is None or column not in table.columns:
        return None
    cell = table[column].iloc[place]
    if isinstance(cell, list):
        return [str(one) for one in cell[:LONGEST]]
    return str(cell) if len(str(cell)) <= LONGEST else f"{str(cell)[:LONGEST]}…"


def _plain(cell: object) -> Any:  # noqa: ANN401 - what JSON holds
    if isinstance(cell, list | tuple):
        return [_plain(one) for one in cell]
    return cell if cell is None or isinstance(cell, int | str) else str(cell)
