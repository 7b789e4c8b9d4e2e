"""What a finished model says of one example, as `predictions.jsonl` holds it: an example a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from triune.data import label_set
from triune.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from triune.types import JSON, LabelValue

Text = str | list[str] | None
Cell = str | int | list[str | int | None] | None


@dataclass(frozen=True, slots=True)
class Record:
    """An example with its label, its prediction and the rules that speak of it.

    Attributes:
        split: the table that it is from.
        place: where it stands: `test.csv:17`.
        gold: its label cell; None is no label.
        predicted: the cell that is predicted.
        probabilities: of each label by name, those below `recording.NEGLIGIBLE` left out; of tokens, that of the
            tag that is predicted for each.
        fired: the rules that speak of it.
        broken_by_prediction: those of them that the prediction breaks.
        broken_by_label: those that the label breaks.
        text: its text or tokens; None where it was not to be kept.
        text_pair: its second text.
        confidence: of training examples, how probable its label is to the model, which has learnt from it.
        unseen: how probable it is to a head that has not seen it.
        unseen_says: what that head says.
        doubted: True where the two together believe another label, with confidence.
    """

    split: str
    place: str
    gold: Cell
    predicted: Cell
    probabilities: dict[str, float] | list[float] = field(default_factory=dict)
    fired: tuple[str, ...] = ()
    broken_by_prediction: tuple[str, ...] = ()
    broken_by_label: tuple[str, ...] = ()
    text: Text = None
    text_pair: str | None = None
    confidence: float | None = None
    unseen: float | None = None
    unseen_says: Cell = None
    doubted: bool | None = None

    @property
    def labelled(self) -> bool:
        """Whether the example has a label."""
        return self.gold is not None

    @property
    def broken(self) -> tuple[str, ...]:
        """The rules that the prediction or the label breaks."""
        return tuple(name for name in self.fired if name in (*self.broken_by_prediction, *self.broken_by_label))

    @property
    def kept(self) -> tuple[str, ...]:
        """The rules that speak of it and that neither breaks."""
        return tuple(name for name in self.fired if name not in self.broken)

    @property
    def differs(self) -> bool:
        """Whether it has a label, and the prediction is another."""
        return bool(self.differences)

    @property
    def differences(self) -> tuple[tuple[str, str], ...]:
        """What label and prediction say where they differ: of several labels "" on one side, of tokens a pair each."""
        gold, said = label_set(self.gold), label_set(self.predicted)
        if gold is None or said is None:
            return ()
        if isinstance(self.probabilities, list):  # tokens
            pairs = zip(gold, said, strict=False)
            return tuple((str(g), str(s)) for g, s in pairs if g is not None and str(g) != str(s))
        wanted, given = _names(gold), _names(said)
        if isinstance(self.predicted, list):
            missing = [(one, "") for one in wanted if one not in given]
            return (*missing, *(("", one) for one in given if one not in wanted))
        return () if wanted == given else ((wanted[0], given[0]),)

    @property
    def sureness(self) -> float | None:
        """How sure the model is: of what it says against the label; where they agree, of what it is least sure of."""
        sure = self._of_tokens() if isinstance(self.probabilities, list) else self._of_labels(self.probabilities)
        against, agreed = sure
        return max(against) if against else min(agreed, default=None)

    def _of_tokens(self) -> tuple[list[float], list[float]]:
        gold, said = label_set(self.gold) or (), label_set(self.predicted) or ()
        assert isinstance(self.probabilities, list)
        known = [*gold, *[None] * (len(said) - len(gold))]
        triples = list(zip(known, said, self.probabilities, strict=False))
        against = [p for g, s, p in triples if g is not None and str(g) != str(s)]
        return against, [p for g, s, p in triples if g is None or str(g) == str(s)]

    def _of_labels(self, probabilities: Mapping[str, float]) -> tuple[list[float], list[float]]:
        said = _names(label_set(self.predicted) or ())
        if not isinstance(self.predicted, list):
            sure = [probabilities[one] for one in said if one in probabilities]
            return (sure, []) if self.differs else ([], sure)
        sure_of = {one: p if one in said else 1 - p for one, p in probabilities.items()}
        other = {wanted or given for wanted, given in self.differences}
        return (
            [p for one, p in sure_of.items() if one in other],
            [p for one, p in sure_of.items() if one not in other],
        )


def _names(labels: Iterable[LabelValue | None]) -> list[str]:
    return [str(one) for one in labels]


def as_line(record: Record) -> str:
    """Return a record as a line of `predictions.jsonl`; what is not there is left out."""
    needed = ("split", "place", "gold", "predicted")
    kept = {name: value for name, value in asdict(record).items() if name in needed or value not in (None, (), {})}
    return json.dumps(kept, ensure_ascii=False)


def read_records(path: Path) -> list[Record]:
    """Return the records of a file; none where there is no file.

    Raises:
        CheckpointError: a line is not what a run wrote.
    """
    return [_record(line, f"{path}:{number}") for number, line in lines_of(path)]


def lines_of(path: Path) -> list[tuple[int, dict[str, JSON]]]:
    """Return the objects of a file of JSON lines with their numbers; none where there is no file.

    Raises:
        CheckpointError: it cannot be read, or a line is no object.
    """
    if not path.is_file():
        return []
    found = []
    try:
        # a text may hold what splitlines() takes for the end of a line, and JSON does not
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}): run again with another output") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}:{number}: is no JSON ({error}): delete the line, or run again") from error
        if not isinstance(value, dict):
            raise CheckpointError(f"{path}:{number}: holds a {type(value).__name__}, and a run writes an object")
        found.append((number, value))
    return found


_TUPLES = ("fired", "broken_by_prediction", "broken_by_label")


def _record(line: dict[str, JSON], place: str) -> Record:
    try:
        names = {name: tuple(line.get(name, ())) for name in _TUPLES}  # type: ignore[arg-type]
        return Record(**{**line, **names})  # type: ignore[arg-type]
    except TypeError as error:
        raise CheckpointError(f"{place}: is no line that a run writes ({error}): run again") from error
