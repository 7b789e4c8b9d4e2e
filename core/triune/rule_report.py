"""The rule report: how often each rule speaks, how often it is broken, and how often the labels themselves break it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from triune.answers import soft_places
from triune.data import label_set
from triune.logic import Formula, Implies, OnTokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.types import JSON, GroundedRules, LabelValue, Rule

RATES = ("violation_rate", "satisfaction_probability")
"""What changes as a model learns."""
TRUE = 0.5
"""The truth of a `SoftFormula` below which it counts as broken."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the answers that were judged break a statement."""

    broken: int = 0
    judged: int = 0

    @property
    def rate(self) -> float | None:
        """The share of them; None where none was judged."""
        return self.broken / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class Cells:
    """The distinct answers of a table, and which of them each example has; None is no answer."""

    distinct: tuple[tuple[LabelValue, ...] | None, ...]
    which: NDArray[np.int64]  # (examples,)

    @classmethod
    def of(cls, cells: Iterable[object]) -> Cells:
        """Return label cells; a sequence of which a token has no label is no answer as a whole."""
        import numpy as np

        numbers: dict[tuple[LabelValue, ...] | None, int] = {}
        which = []
        for cell in cells:
            labels = label_set(cell)
            answer = None if labels is None or None in labels else labels
            which.append(numbers.setdefault(answer, len(numbers)))
        return cls(tuple(numbers), np.asarray(which, dtype=np.int64))

    def tally(self, formula: Formula, rows: NDArray[np.int64]) -> Tally:
        """Return how many answers of some examples break a formula."""
        import numpy as np

        broken = judged = 0
        for number, count in zip(*np.unique(self.which[rows], return_counts=True), strict=True):
            labels = self.distinct[number]
            if labels is not None:
                judged += int(count)
                broken += 0 if formula.holds(labels) else int(count)
        return Tally(broken, judged)


def rule_report(
    rules: GroundedRules, split: str, predictions: pd.DataFrame, truths: NDArray[np.float32] | None = None
) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """Return what there is to say of each rule by its name, and of all together.

    A rule about tokens is judged at every stretch of tokens that it points at, any other rule on every example on which
    it fires. A `SoftFormula` is broken where it is less than half true. It is asked of what the model believes and not
    of an answer, so labels do not judge it, and the rates of all rules together leave it out.

    Args:
        rules: the rules.
        split: the table.
        predictions: with the columns "predicted" and "gold".
        truths: (rules that say a `SoftFormula`, examples) how true each is, NaN where it does not fire; None: unknown.
    """
    predicted, gold = Cells.of(predictions["predicted"]), Cells.of(predictions["gold"])
    fires = rules.fires[split]
    said = tallies(rules, split, predicted)
    true = tallies(rules, split, gold)
    believed = {} if truths is None else dict(zip(soft_places(rules), truths, strict=True))
    each: dict[str, JSON] = {}
    for place, rule in enumerate(rules.rules):
        noise = true[place].rate
        each[rule.name] = {
            "coverage": float(fires[place].mean()) if fires.shape[1] else 0.0,
            "violation_rate": said[place].rate,
            "violation_rate_on_gold": noise,
            "agreement_with_gold": None if noise is None else 1 - noise,
            **_of_premise(rule, fires[place], predicted),
            **_of_truth(believed.get(place), fires[place]),
        }
    hard = [tally.broken for rule, tally in zip(rules.rules, said, strict=True) if rule.hard]
    overall: dict[str, JSON] = {
        "coverage": float(fires.any(axis=0).mean()) if fires.size else 0.0,
        "violation_rate": _sum(said).rate,
        "violation_rate_on_gold": _sum(true).rate,
        "hard_violations": sum(hard),
    }
    return each, overall


def _of_truth(truth: NDArray[np.float32] | None, fires: NDArray[np.bool_]) -> dict[str, JSON]:
    """Return, of a function of the outputs, how often it is rather false where the rule fires, and its mean truth."""
    if truth is None:
        return {}
    spoken = truth[fires]
    if not len(spoken):
        return {"satisfaction_probability": None}
    return {"violation_rate": float((spoken < TRUE).mean()), "satisfaction_probability": float(spoken.mean())}


def _of_premise(rule: Rule, fires: NDArray[np.bool_], predicted: Cells) -> dict[str, JSON]:
    """Return, of an implication, how often it is broken where its premise holds, and how often that does not hold."""
    if not isinstance(rule.then, Implies):
        return {}
    import numpy as np

    rows = np.flatnonzero(fires)
    premise, whole = predicted.tally(rule.then.premise, rows), predicted.tally(rule.then, rows)
    held = Tally(whole.broken, premise.judged - premise.broken)  # an implication is broken only where its premise holds
    return {"violation_given_premise": held.rate, "vacuous_share": premise.rate}


def tallies(rules: GroundedRules, split: str, cells: Cells) -> list[Tally]:
    """Return for each rule how often answers break it where it speaks."""
    import numpy as np

    fires = rules.fires[split]
    on_tokens = _on_tokens(rules, split, cells)
    found = []
    for place, rule in enumerate(rules.rules):
        if isinstance(rule.then, Formula) and not isinstance(rule.then, OnTokens):
            found.append(cells.tally(rule.then, np.flatnonzero(fires[place])))
        else:
            found.append(on_tokens.get(place, Tally()))
    return found


def _on_tokens(rules: GroundedRules, split: str, cells: Cells) -> dict[int, Tally]:
    """Return for each rule about tokens at how many stretches its statement is broken."""
    table = rules.tokens.get(split)
    if table is None or rules.space is None:
        return {}
    numbers = {str(label): place for place, label in enumerate(rules.space.labels)}
    tags = [None if one is None else [numbers[str(label)] for label in one] for one in cells.distinct]
    found: dict[int, Tally] = {}
    for place, _, broken in table.broken([tags[number] for number in cells.which]):
        before = found.get(place, Tally())
        found[place] = Tally(before.broken + broken, before.judged + 1)
    return found


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(sum(one.broken for one in tallies), sum(one.judged for one in tallies))


def rates_of(metrics: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what changes of a report as a model learns, as `with_before` takes it."""
    each = cast("Mapping[str, Mapping[str, JSON]]", metrics["rules"])
    overall = cast("Mapping[str, JSON]", metrics["rules_overall"])
    return {
        "each": {name: {key: one[key] for key in RATES if key in one} for name, one in each.items()},
        "overall": {key: overall[key] for key in RATES if key in overall},
    }


def with_before(metrics: Mapping[str, JSON], before: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the metrics of a split with the rates of the same model before it learnt."""
    each = cast("Mapping[str, Mapping[str, JSON]]", metrics["rules"])
    overall = cast("Mapping[str, JSON]", metrics["rules_overall"])
    then = cast("Mapping[str, Mapping[str, JSON]]", before["each"])
    return {
        **metrics,
        "rules": {name: {**one, **_before(then.get(name, {}))} for name, one in each.items()},
        "rules_overall": {**overall, **_before(cast("Mapping[str, JSON]", before["overall"]))},
    }


def _before(rates: Mapping[str, JSON]) -> dict[str, JSON]:
    return {f"{key}_before": value for key, value in rates.items()}
