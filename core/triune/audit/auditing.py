"""All questions asked of one rule set and one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from triune.audit.answers import OneLabel, SeveralLabels
from triune.audit.conflicts import conflicts, overlaps
from triune.audit.contradictions import contradictions
from triune.audit.figures import laplace, wilson
from triune.audit.findings import Audit, RuleFigures, Wrong
from triune.audit.redundancy import duplicates, implied, names
from triune.audit.satisfying import plain
from triune.audit.scene import Scene
from triune.audit.votes import votes
from triune.conditions import Groundings, ground_all
from triune.data import label_set
from triune.errors import listed, nearest
from triune.logic import Formula, FormulaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from triune.conditions import Places
    from triune.data import Data
    from triune.types import Rule

MOST_WRONG = 5

OTHER = "any other label"
"""Where no table says which labels there are, there is at least one that no rule speaks of."""


def audit(
    rules: Sequence[Rule],
    data: Data | None = None,
    split: str = "train",
    number: Literal["one", "several"] | None = None,
) -> Audit:
    """Return what rules do on a table, or what can be said of them without one.

    Args:
        rules: the rules.
        data: a table, with labels or without.
        split: which of its tables.
        number: how many labels an example has; None: as the table shows, and one where it shows nothing.

    Raises:
        RuleError: a rule cannot be asked of the table.
    """
    import numpy as np

    gold = _gold(data, split)
    several = number == "several" if number else any(labels is not None and len(labels) != 1 for labels in gold)
    formulas = [_plain(rule) for rule in rules]
    known = sorted({label for labels in gold for label in labels or ()})
    spoken = sorted({str(label) for formula in formulas if formula is not None for label in formula.labels})
    labels = tuple(dict.fromkeys([*known, *spoken] if known else [*spoken, OTHER]))
    none = Groundings(np.zeros((len(rules), 0), dtype=np.bool_), np.zeros(len(rules), dtype=np.int64), {})
    found = none if data is None else ground_all(rules, data.splits[split], data.roles)
    scene = Scene(rules, formulas, found.fires, SeveralLabels(labels) if several else OneLabel(labels))
    same = duplicates(scene)
    superfluous = tuple(implied(scene, same))
    contradictory = tuple(contradictions(scene, lambda row: _place(data, split, row)))
    figures = _figures(scene, found, gold, data, split)
    bound = np.array([not scene.everywhere(rule) for rule in range(len(rules))], dtype=np.bool_)
    return Audit(
        examples=None if data is None else len(data.splits[split]),
        labelled=sum(one is not None for one in gold),
        labels=labels,
        several=several,
        rules=figures,
        covered=int(found.fires[bound].any(axis=0).sum()),
        never=tuple(one.name for one in figures if data is not None and not one.fires),
        duplicates=names(scene, same),
        implied=superfluous,
        contradictions=contradictory,
        undecided=scene.undecided,
        votes=votes(scene, gold),
        problems=tuple(_unknown(rules, formulas, known)),
    )


def _plain(rule: Rule) -> Formula | None:
    try:
        return plain(rule.then) if isinstance(rule.then, Formula) else None
    except FormulaError:
        return None


def _gold(data: Data | None, split: str) -> list[tuple[str, ...] | None]:
    """Return the labels of each example, as text; None where there are none."""
    if data is None:
        return []
    cells = data.labels(split)
    sets = [None] * len(data.splits[split]) if cells is None else [label_set(cell) for cell in cells]
    return [None if one is None else tuple(map(str, one)) for one in sets]


def _place(data: Data | None, split: str, row: int) -> str:
    return "" if data is None else data.place(split, data.splits[split].index[row])


def _unknown(rules: Sequence[Rule], formulas: Sequence[Formula | None], known: Sequence[str]) -> list[str]:
    if not known:
        return []
    return [
        f"{rule.where}: {label!r} is not a label of this table; labels: {listed(known)}{nearest(label, known)}"
        for rule, formula in zip(rules, formulas, strict=True)
        for label in sorted(map(str, formula.labels if formula is not None else ()))
        if label not in known
    ]


def _figures(
    scene: Scene, found: Groundings, gold: Sequence[tuple[str, ...] | None], data: Data | None, split: str
) -> tuple[RuleFigures, ...]:
    if data is None:
        return tuple(_described(rule) for rule in scene.rules)
    both, against = overlaps(scene), conflicts(scene)
    figures = []
    for number, rule in enumerate(scene.rules):
        rows = found.fires[number].nonzero()[0].tolist()
        fires = len(rows)
        formula = scene.formulas[number]
        if formula is None and data.tokenised and isinstance(rule.then, Formula):
            formula = rule.then  # of tags in their order
        judged = list(_judged(formula, found.places.get(number), rows, gold))
        wrong = [(row, said) for row, said, holds in judged if not holds]
        right, of, opposed = len(judged) - len(wrong), len(judged), against[number]
        figures.append(
            _described(
                rule,
                fires=fires,
                coverage=fires / max(len(gold), 1),
                overlaps=int(both[number]) / fires if fires else None,
                conflicts=None if opposed is None or not fires else opposed / fires,
                abstained=int(found.abstained[number]),
                reason=found.reasons.get(rule.name, ""),
                labelled=of,
                right=right,
                accuracy=right / of if of else None,
                interval=wilson(right, of),
                suggested=laplace(right, of),
                wrong=tuple(_wrong(data, split, row, labels) for row, labels in wrong[:MOST_WRONG]),
            )
        )
    return tuple(figures)


def _judged(
    formula: Formula | None, places: Places | None, rows: Sequence[int], gold: Sequence[tuple[str, ...] | None]
) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Yield each labelled example that a rule fires on, what its labels say, and whether they keep the rule.

    A rule about tokens is judged at every stretch of tokens that it points at.
    """
    if formula is None:
        return
    if places is None:
        yield from ((row, said, formula.holds(said)) for row in rows if (said := gold[row]) is not None)
        return
    for row, start, stop in zip(places.rows.tolist(), places.starts.tolist(), places.stops.tolist(), strict=True):
        tags = (gold[row] or ())[start:stop]
        if len(tags) == stop - start:
            yield row, tags, formula.holds(tags)


def _described(rule: Rule, **found: object) -> RuleFigures:
    then = str(rule.then) if isinstance(rule.then, Formula) else "a soft formula"
    return RuleFigures(rule.name, rule.place, f"{rule.when} → {then}", rule.hard, rule.confidence, **found)  # type: ignore[arg-type]


def _wrong(data: Data, split: str, row: int, labels: tuple[str, ...]) -> Wrong:
    return Wrong(_place(data, split, row), str(data.splits[split][data.roles["text"]].iloc[row]), labels)
