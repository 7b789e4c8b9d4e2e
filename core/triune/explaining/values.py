"""What an explanation is: one table for each question, and what could not be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from triune.types import JSON

TEXTS = ("text", "predicted", "with_rules")
LABELS = ("example", "token", "word", "label", "predicted", "probability", "model", "with_rules")
RULES = (
    "example", "rule", "says", "when", "confidence", "hard", "acts", "first", "last", "words", "kept", "basis", "token",
    "label", "model", "with", "without", "effect", "holds_model", "holds_with", "holds_without", "answer_without",
    "changes_answer", "place",
)  # fmt: skip
TOKENS = ("example", "label", "of_token", "position", "word", "attribution", "log_odds", "log_odds_empty")
NEAREST = ("example", "similarity", "text", "label", "place")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a finished run says of texts what it says; a column "example" is the number of a text, from 0.

    A probability is `model` of the network alone, `with` all rules that fire, `without` one of them. Its `basis` is
    "structure" where the run's own outputs obey the rule, else "projection": what the exact engine makes of the
    network's scores and the rules, which the prediction of such a run does not use.

    Attributes:
        texts: each text ("text"), what is "predicted", and the likeliest answer "with_rules".
        labels: of each text the probability of every label, or of the explained tag of every token: as the run
            says ("probability"), of the "model", "with_rules".
        rules: each rule that fires, one row for each stretch of tokens it speaks of ("first" to "last"): what it says,
            where it "acts" in the run, whether the prediction has "kept" it, the probability of the "label" that it
            moves most, that of its own statement ("holds_…"), and whether it "changes_answer".
        tokens: how much each word adds to the log-odds of a label ("attribution"); together they make the
            difference between "log_odds" and "log_odds_empty", those of a text without words.
        nearest: the training examples that the model represents most alike, by cosine "similarity".
        notes: what could not be said, and why.
    """

    texts: pd.DataFrame
    labels: pd.DataFrame
    rules: pd.DataFrame
    tokens: pd.DataFrame
    nearest: pd.DataFrame
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, JSON]:
        """Return all of it as one JSON document, by text."""
        tables = {"labels": self.labels, "rules": self.rules, "tokens": self.tokens, "nearest": self.nearest}
        parted = {name: _by_example(table) for name, table in tables.items()}
        texts = [
            {**row, **{name: parts.get(number, []) for name, parts in parted.items()}}
            for number, row in enumerate(_records(self.texts))
        ]
        return {"texts": cast("JSON", texts), "notes": list(self.notes)}


def frame(rows: Iterable[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return rows as a table that has its columns also where there is no row."""
    import pandas as pd

    found = list(rows)
    cells = {name: [row[name] for row in found] for name in columns}
    return pd.DataFrame({name: pd.Series(one, dtype=_dtype(one)) for name, one in cells.items()}, columns=list(columns))


def _dtype(cells: list[object]) -> str | None:
    """Return how a column is held: whole numbers stay whole beside None."""
    kinds = {type(cell) for cell in cells}
    return "float64" if kinds <= {float, type(None)} and float in kinds else "object" if type(None) in kinds else None


def _by_example(table: pd.DataFrame) -> dict[int, list[JSON]]:
    parted: dict[int, list[JSON]] = {}
    for row in _records(table):
        number = cast("int", row.pop("example"))
        parted.setdefault(int(number), []).append(cast("JSON", row))
    return parted


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows as plain values, NaN as None."""
    return [
        {name: _plain(value) for name, value in zip(table.columns, row, strict=True)}
        for row in table.itertuples(index=False, name=None)
    ]


def _plain(value: object) -> object:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value
