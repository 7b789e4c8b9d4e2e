"""What each rule that fires does to an outcome, by leaving one out at a time, exactly.

The outcome is the projection q(y) ∝ p(y) exp(-Σ weight · broken) of `triune.projection`, where rules about tokens are
broken once at each token with a tag that they do not allow. Every rule is compiled twice:
as it weighs, and as a question: log Z with a rule held for sure, less log Z, is the log-probability of what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.logic import Formula, OnTokens
from triune.logic.inference import RuleSet, log_odds
from triune.logic.variables import NEVER
from triune.projection import BUDGET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.logic.inference import Compiled
    from triune.spaces import OutputSpace
    from triune.types import GroundedRules


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said of one example: the probability of every label, (labels,) or (tokens, tags), and the answer."""

    probabilities: Tensor
    answer: object


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of an example that a rule speaks of, and which tags it forbids at each, (tokens, tags)."""

    rule: int
    tokens: tuple[int, ...]
    forbidden: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Statement:
    """What one rule says of an example, or of a stretch of it, and how probable that is; None where it is not known."""

    rule: int
    stretch: Stretch | None
    model: float | None = None
    with_rules: float | None = None
    without: float | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """An example with all rules that fire on it, and without each of them."""

    with_rules: Outcome
    without: dict[int, Outcome]
    statements: tuple[Statement, ...]
    possible: bool = True  # whether the hard rules that fire leave an answer


@dataclass(frozen=True, slots=True)
class Case:
    """Rules that act, and a statement that is held for sure beside them."""

    acting: frozenset[int]
    sure: Statement | None = None


def says_formula(rules: GroundedRules, place: int) -> bool:
    """Return whether a rule speaks of an example as a whole, in a formula."""
    then = rules.rules[place].then
    return isinstance(then, Formula) and not isinstance(then, OnTokens)


def statements_of(rules: GroundedRules, split: str, row: int, length: int | None) -> list[Statement]:
    """Return what the rules say that fire on an example, in their order; `length` is that of a sequence."""
    fires: list[bool] = rules.fires[split][:, row].tolist()
    found = [Statement(place, None) for place in range(len(rules)) if fires[place] and not _pointing(rules, place)]
    found += [Statement(one.rule, one) for one in _stretches(rules, split, row, length or 0)]
    return sorted(found, key=lambda one: (one.rule, one.stretch.tokens if one.stretch else ()))


def _pointing(rules: GroundedRules, place: int) -> bool:
    return isinstance(rules.rules[place].then, OnTokens)


def _stretches(rules: GroundedRules, split: str, row: int, length: int) -> Iterator[Stretch]:
    import numpy as np

    table = rules.tokens.get(split)
    if table is None:
        return
    entries, _ = table.of(np.asarray([row]))
    entries = entries[table.tokens[entries] < length]
    for number in np.unique(table.places[entries]):
        own = entries[table.places[entries] == number]
        yield Stretch(int(table.rules[own[0]]), tuple(table.tokens[own].tolist()), ~table.allowed[table.sets[own]])


@dataclass(frozen=True, slots=True)
class Exact:
    """The rules that fire somewhere, as the exact engine answers for them.

    Attributes:
        rules: all rules of the run.
        places: those that say a formula; as they weigh and then, in the same order, as questions.
        compiled: both.
        space: the outputs.
    """

    rules: GroundedRules
    places: tuple[int, ...]
    compiled: Compiled
    space: OutputSpace

    @classmethod
    def of(cls, rules: GroundedRules, split: str, space: OutputSpace) -> Exact:
        """Return the rules that fire in a table.

        Raises:
            TriuneError: exact inference with them is not possible, or costs too much.
        """
        import numpy as np

        fired = np.flatnonzero(rules.fires[split].any(axis=1)).tolist()
        places = tuple(place for place in fired if says_formula(rules, place))
        own = RuleSet.of(rules.rules[place] for place in places).rules
        sure = tuple(replace(rule, hard=True) for rule in own)
        return cls(rules, places, RuleSet((*own, *sure)).compiled(space, BUDGET), space)

    def effects(self, scores: Tensor, statements: Sequence[Statement], alone: Collection[int]) -> Effects:
        """Return the outcome of an example with the rules that say `statements`, and without each of `alone`.

        Args:
            scores: (labels,), or (tokens, tags), of the network.
            statements: what the rules say that fire on it and act.
            alone: the rules to leave out one at a time.
        """
        asked = [one for one in statements if one.stretch or one.rule in self.places]
        acting = frozenset(one.rule for one in asked)
        left_out = [rule for rule in sorted(acting) if rule in alone]
        base = [Case(acting), *(Case(acting - {rule}) for rule in left_out)]
        log_z, probabilities, decided = self._outcomes(base, scores, asked)
        cells = self.space.cells(decided)
        outcomes = [Outcome(one, cell) for one, cell in zip(probabilities, cells, strict=True)]
        of_rule = dict(zip(left_out, log_z.tolist()[1:], strict=True))
        return Effects(
            outcomes[0],
            dict(zip(left_out, outcomes[1:], strict=True)),
            tuple(self._told(one, acting, log_z[0].item(), of_rule.get(one.rule), scores, asked) for one in asked),
            bool(log_z[0] > NEVER / 2),
        )

    def _told(
        self,
        statement: Statement,
        acting: frozenset[int],
        with_rules: float,
        without: float | None,
        scores: Tensor,
        asked: Sequence[Statement],
    ) -> Statement:
        """Return a statement with its probabilities, given log Z with all rules and without its own."""
        cases = [Case(one, statement) for one in (frozenset[int](), acting, acting - {statement.rule})]
        held = self._log_z(cases, scores, asked).tolist()
        return replace(
            statement,
            model=_ratio(held[0], 0.0),
            with_rules=_ratio(held[1], with_rules),
            without=None if without is None else _ratio(held[2], without),
        )

    def _outcomes(
        self, cases: Sequence[Case], scores: Tensor, asked: Sequence[Statement]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log Z, the probabilities of labels and the likeliest answers of all cases."""
        many, fires = scores.double().expand(len(cases), *scores.shape), self._fires(cases)
        tokens = self._tokens(cases, scores, asked)
        return (
            self.compiled.log_z(many, fires, tokens=tokens),
            self.compiled.marginals(many, fires, tokens=tokens),
            self.compiled.most_likely(many, fires, tokens=tokens),
        )

    def _log_z(self, cases: Sequence[Case], scores: Tensor, asked: Sequence[Statement]) -> Tensor:
        many = scores.double().expand(len(cases), *scores.shape)
        return self.compiled.log_z(many, self._fires(cases), tokens=self._tokens(cases, scores, asked))

    def _fires(self, cases: Sequence[Case]) -> Tensor:
        """Return (rules as they weigh and as questions, cases)."""
        import torch

        weighing = [[place in case.acting for case in cases] for place in self.places]
        sure = [
            [case.sure is not None and case.sure.stretch is None and case.sure.rule == place for case in cases]
            for place in self.places
        ]
        return torch.tensor([*weighing, *sure], dtype=torch.bool).reshape(2 * len(self.places), len(cases))

    def _tokens(self, cases: Sequence[Case], scores: Tensor, asked: Sequence[Statement]) -> Tensor | None:
        """Return (cases, tokens, tags) what each tag costs by the rules about tokens; None of other outputs."""
        import torch

        if self.space.kind != "tags":
            return None
        costs = torch.zeros(len(cases), *scores.shape, dtype=torch.float64)
        for number, case in enumerate(cases):
            for one in asked:
                if one.stretch and one.rule in case.acting:
                    _add(costs[number], one.stretch, self._nats(one.rule))
            if case.sure and case.sure.stretch:
                _add(costs[number], case.sure.stretch, -NEVER)
        return costs.clamp(max=-NEVER)

    def _nats(self, place: int) -> float:
        rule = self.rules.rules[place]
        return -NEVER if rule.hard else max(log_odds(rule.confidence), 0.0)


def _add(costs: Tensor, stretch: Stretch, nats: float) -> None:
    import torch

    costs[list(stretch.tokens)] += nats * torch.from_numpy(stretch.forbidden).double()


def _ratio(part: float, whole: float) -> float | None:
    """Return the probability exp(part - whole); None where nothing is possible."""
    import math

    return None if whole <= NEVER / 2 else min(math.exp(max(part - whole, -700.0)), 1.0)
