"""What advice is given on: the labelled and unlabelled texts, the labels that there are, the rules, the features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from triune.advising.heads import Ground
from triune.advising.voting import voting_of
from triune.audit import audit
from triune.catalog import installed, reader_of, task_for_text
from triune.config import checked
from triune.data import Data
from triune.documents import Document
from triune.errors import DataError, RuleError, listed, nearest
from triune.opening import build, started
from triune.representations import features
from triune.rule_input import table_of
from triune.spaces import labels_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.audit import Audit
    from triune.types import LabelValue, Rule

    Table = Path | pd.DataFrame

MOST, MOST_LABELLED = 1500, 1000
"""How many texts are looked at, and how many of these may have a label: a sample of more."""

DIRECTIONS = 64
"""How many of the main directions of the features are kept, by which heads are made ten times as fast."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The texts.

    Attributes:
        data: all of them as the table "train", those of the unlabelled table below.
        own: how many come from the first table.
        names: the labels as rules say them.
        labels: the labels.
        gold: (texts,) the place of the label of each; -1 where there is none.
    """

    data: Data
    own: int
    labels: tuple[LabelValue, ...]
    gold: NDArray[np.intp]

    @property
    def names(self) -> list[str]:
        """The labels as text."""
        return [str(label) for label in self.labels]

    def place(self, row: int) -> str:
        """Return where a text stands."""
        return self.data.place("train" if row < self.own else "unlabelled", self.data.train.index[row])

    def text(self, row: int) -> str:
        """Return a text."""
        return str(self.data.train[self.data.roles["text"]].iloc[row])

    def at(self, rows: NDArray[np.intp]) -> Tables:
        """Return some of the texts, in this order."""
        data = replace(self.data, splits={**self.data.splits, "train": self.data.train.iloc[rows]})
        return replace(self, data=data, own=int((rows < self.own).sum()), gold=self.gold[rows])


def tables_of(
    source: Table, unlabelled: Table | None, columns: Mapping[str, str], rules: Sequence[Rule], given: Sequence[str]
) -> Tables:
    """Return the texts of one or two tables.

    Raises:
        TriuneError: a table cannot be read, has no text, more than one label a text or a single class; or there is
            neither a label nor a rule.
    """
    import numpy as np
    import pandas as pd

    data, split = table_of(source, columns)
    cells = data.labels(split)
    found = [] if cells is None else cells.tolist()
    found = found or [None] * len(data.splits[split])
    place = data.place(split)
    _check(data, found, place)
    labels = _labels(found, rules, given, place)
    names = [str(label) for label in labels]
    gold = [-1 if cell is None else _known(str(cell), names, place) for cell in found]
    tables, sources = [data.splits[split]], {"train": data.sources[split]}
    if unlabelled is not None:
        more, other = table_of(unlabelled, {key: value for key, value in columns.items() if key == "text"})
        tables.append(more.splits[other])
        sources["unlabelled"] = more.sources[other]
    if not sum(map(len, tables)):
        raise DataError(f"{place}: the table has no examples: give it some")
    both = pd.concat(tables)
    if cells is not None:  # pandas would say NaN where there is none
        rest = [None] * (len(both) - len(found))
        both[data.roles["label"]] = pd.Series([*found, *rest], index=both.index, dtype=object)
    roles = {role: column for role, column in data.roles.items() if role in ("text", "text_pair", "label")}
    made = Data({"train": both}, roles, sources)
    return Tables(made, len(tables[0]), labels, np.array(gold + [-1] * (len(both) - len(gold)), dtype=np.intp))


def _check(data: Data, cells: Sequence[object], place: str) -> None:
    if data.tokenised:
        raise DataError(
            f"{place}: texts are lists of tokens, and advice is given on labels of whole texts alone; compare "
            "strategies instead: `triune compare`"
        )
    if any(isinstance(cell, list | tuple) for cell in cells):
        raise DataError(
            f"{place}: examples have lists of labels, and advice is given where each has one label; compare strategies "
            "instead: `triune compare`"
        )


def _labels(cells: Sequence[object], rules: Sequence[Rule], given: Sequence[str], place: str) -> tuple[LabelValue, ...]:
    there = [cell for cell in cells if cell is not None]
    if not there and not rules:
        raise DataError(
            f"{place}: no example has a label and no rule is given, so there is nothing to learn from: name the column "
            "of the label (--label), or give rules (--rules)"
        )
    found = tuple(given) or labels_in_order(there) or labels_in_order([_spoken(rules)])
    if len(found) < 2:
        raise DataError(
            f"{place}: every label is {found[0]!r}, and a classifier needs two classes or more"
            if found
            else f"{place}: neither a label nor a rule says which classes there are: name them (--labels)"
        )
    return found


def _spoken(rules: Sequence[Rule]) -> list[str]:
    from triune.logic import Formula

    return sorted({str(one) for rule in rules if isinstance(rule.then, Formula) for one in rule.then.labels})


def _known(label: str, names: Sequence[str], place: str) -> int:
    if label not in names:
        raise DataError(f"{place}: the label {label!r} is none of those given: {listed(names)}")
    return names.index(label)


def sampled(tables: Tables, seed: int) -> Tables:
    """Return a sample of the texts if there are many, the labelled ones first."""
    import numpy as np

    generator = np.random.default_rng(seed)
    labelled, rest = np.flatnonzero(tables.gold >= 0), np.flatnonzero(tables.gold < 0)
    some = np.sort(generator.permutation(labelled)[:MOST_LABELLED])
    others = np.sort(generator.permutation(rest)[: MOST - len(some)])
    return tables.at(np.sort(np.concatenate([some, others])))


def audited(tables: Tables, rules: Sequence[Rule]) -> Audit:
    """Return what the rules do on the texts.

    Raises:
        RuleError: a run would refuse them.
    """
    problems = [
        f"{rule.where}: {label!r} is not a label of this table; labels: {listed(tables.names)}"
        f"{nearest(label, tables.names)}; if it is one, and has no example yet, name them all (--labels)"
        for rule in rules
        for label in _spoken([rule])
        if label not in tables.names
    ]
    if problems:
        raise RuleError(problems)
    found = audit(rules, tables.data, "train", "one")
    if found.contradictions:
        raise RuleError(f"these hard rules contradict one another: {listed(one.rules)}" for one in found.contradictions)
    return found


def ground_of(tables: Tables, rules: Sequence[Rule], model: str, max_length: int | None, seed: int) -> Ground:
    """Return features of the texts by a pretrained model, with what the rules say of them.

    Raises:
        TriuneError: the model cannot be loaded, or a rule not be asked.
    """
    import numpy as np

    config = {
        "task": {"use": task_for_text(), "model": model, "labels": list(tables.labels)},
        "data": {"use": reader_of(["label"])[0]},
        "training": {"seed": seed, "max_length": max_length},
    }
    run, hooks = started(checked(Document("advice", config), Path.cwd(), installed()))
    opened = build(run, hooks, tables.data)
    x = features(opened.bundle, opened.bundle.encode(tables.data, "train")).astype(np.float64)
    x -= x.mean(axis=0)
    _, _, directions = np.linalg.svd(x, full_matrices=False)
    voting = voting_of(rules, tables.data.train, tables.data.roles, tables.names) if rules else None
    return Ground(x @ directions[:DIRECTIONS].T, tables.gold, len(tables.labels), voting)
