"""Fuzzy truth of formulas: the product and the Łukasiewicz t-norm (van Krieken et al. 2022), as penalties.

Both are read from the form in which a formula is written, not from what it means: `a & a` is less true than `a`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from triune.errors import PlanError
from triune.logic import AtLeast, FormulaError, Implies, Label, Not
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from triune import Batch, Formula, Outputs
    from triune.seats import Seated

V = TypeVar("V")
Truth = tuple["Tensor", "Tensor"]  # (batch,) logarithms of how true and of how false

SMALLEST = -1e-30
"""The logarithm nearest to zero that still has a complement: below a truth of 1e-30 the slope is lost."""


class Norm(Protocol[V]):
    """How fuzzy truths of type V combine."""

    def of_labels(self, outputs: Outputs) -> Callable[[int], V]:
        """Return what gives the truth of a label by its column; in a sequence, that some token has it."""
        ...

    def negated(self, truth: V) -> V:
        """Return the truth of the opposite."""
        ...

    def at_least(self, k: int, of: Sequence[V], like: V) -> V:
        """Return the truth of at least k of these; `like` gives the shape where there are none."""
        ...

    def trusted(self, truth: V) -> V:
        """Return the truth without its gradient."""
        ...

    def penalty(self, truth: V) -> Tensor:
        """Return (batch,) what it costs that it is no truer."""
        ...


class Product:
    """Truths multiply; everything in logarithms, so that long formulas do not underflow."""

    def of_labels(self, outputs: Outputs) -> Callable[[int], Truth]:
        """Return the log-probability of a label and of its opposite, exact at both ends."""
        kind = outputs.space.kind
        return lambda column: (_of_binary if kind == "binaries" else _of_choice)(outputs, column)

    def negated(self, truth: Truth) -> Truth:
        """Return false for true."""
        return truth[1], truth[0]

    def at_least(self, k: int, of: Sequence[Truth], like: Truth) -> Truth:
        """Return the probability that k of independent events happen: a product for all, its dual for any."""
        import torch

        zero, never = torch.zeros_like(like[0]), torch.full_like(like[0], NEVER)
        if k <= 0:
            return zero, never
        if k > len(of):
            return never, zero
        if k == 1:
            false = torch.stack([one[1] for one in of]).sum(0)
            return complement(false), false
        if k == len(of):
            true = torch.stack([one[0] for one in of]).sum(0)
            return true, complement(true)
        counts = torch.stack([zero, *[never] * k])  # (k + 1, batch) log-probability of each count, at last of k or more
        for true, false in of:
            stay = counts + torch.cat((false.expand(k, -1), zero[None]))
            counts = torch.logaddexp(stay, torch.cat((never[None], counts[:-1] + true)))
        return counts[k], counts[:k].logsumexp(0)

    def trusted(self, truth: Truth) -> Truth:
        """Return both without gradient."""
        return truth[0].detach(), truth[1].detach()

    def penalty(self, truth: Truth) -> Tensor:
        """Return −log truth."""
        return -truth[0]


class Lukasiewicz:
    """Truths add up, bounded: at least k of n is max(0, min(1, Σ truth − k + 1))."""

    def of_labels(self, outputs: Outputs) -> Callable[[int], Tensor]:
        """Return the probability of a label; in a sequence, the sum over tokens, at most 1."""
        p = outputs.space.probabilities(outputs.scores)
        if outputs.space.kind != "tags":
            return lambda column: p[:, column]
        mask = p.new_ones(p.shape[:2]) if outputs.mask is None else outputs.mask.to(p)
        return lambda column: (p[..., column] * mask).sum(1).clamp(max=1)

    def negated(self, truth: Tensor) -> Tensor:
        """Return one minus it."""
        return 1 - truth

    def at_least(self, k: int, of: Sequence[Tensor], like: Tensor) -> Tensor:
        """Return the bounded sum."""
        return (sum(of, 0 * like.detach()) - (k - 1)).clamp(0, 1)

    def trusted(self, truth: Tensor) -> Tensor:
        """Return it without gradient."""
        return truth.detach()

    def penalty(self, truth: Tensor) -> Tensor:
        """Return 1 − truth: its logarithm would be infinite where several are half true."""
        return 1 - truth


def complement(x: Tensor) -> Tensor:
    """Return log(1 − exp(x))."""
    import torch

    return (-torch.expm1(x.clamp(max=SMALLEST))).log()


def _of_binary(outputs: Outputs, column: int) -> Truth:
    from torch.nn.functional import logsigmoid

    scores = outputs.scores[:, column].float()
    return logsigmoid(scores), logsigmoid(-scores)


def _of_choice(outputs: Outputs, column: int) -> Truth:
    """Return the truth of a label that is one of several; of a sequence, that one token or another has it."""
    import torch

    scores = outputs.scores.float()
    true = scores.log_softmax(-1)[..., column]
    others = torch.cat((scores[..., :column], scores[..., column + 1 :]), -1).logsumexp(-1) - scores.logsumexp(-1)
    false = torch.where(true < -1, complement(true), others)  # each where it loses no digits
    if outputs.space.kind != "tags":
        return true, false
    none = (false if outputs.mask is None else false * outputs.mask).sum(1)
    return complement(none), none


@dataclass(frozen=True)
class Fuzzy(Generic[V]):
    """The value Σ confidence · penalty over the rules of a seat that fire; below one half, of the opposite.

    Attributes:
        seated: the rules.
        norm: how truths combine.
        trusting: whether premises keep no gradient, so that a rule is not satisfied by making its premise false.
    """

    seated: Seated
    norm: Norm[V]
    trusting: bool

    def __call__(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (batch,) values, from zero."""
        import torch

        total = outputs.scores.new_zeros(len(batch.rows), dtype=torch.float32)
        fires, label = self.seated.fires(batch), self.norm.of_labels(outputs)
        like = label(0)
        said: dict[Formula, Tensor] = {}
        for place, (rule, formula) in enumerate(zip(self.seated.rules, self.seated.formulas, strict=True)):
            unlikely = rule.confidence < 0.5 and not rule.hard  # it is the opposite that holds more often than not
            then = Not(formula) if unlikely else formula
            if then not in said:
                said[then] = self.norm.penalty(self.truth(then, label, like))
            weight = 1 - rule.confidence if unlikely else rule.confidence
            total = total + torch.where(fires[place], said[then] * weight, 0.0)
        return total

    def truth(self, formula: Formula, label: Callable[[int], V], like: V) -> V:
        """Return how true a formula is."""

        def of(one: Formula) -> V:
            return self.truth(one, label, like)

        match formula:
            case Label(name):
                return label(self._columns[str(name)])
            case Not(inner):
                return self.norm.negated(of(inner))
            case AtLeast(k, parts):
                return self.norm.at_least(k, [of(one) for one in parts], like)
            case Implies(premise, conclusion) if self.trusting:
                return self.norm.at_least(1, [self.norm.negated(self.norm.trusted(of(premise))), of(conclusion)], like)
        return of(formula.expanded())

    @cached_property
    def _columns(self) -> dict[str, int]:
        space = self.seated.grounded.space
        return {str(label): column for column, label in enumerate(space.labels)} if space else {}


NORMS: Mapping[str, Callable[[Seated, bool], Fuzzy[Truth] | Fuzzy[Tensor]]] = {
    "product": lambda seated, trusting: Fuzzy(seated, Product(), trusting),
    "lukasiewicz": lambda seated, trusting: Fuzzy(seated, Lukasiewicz(), trusting),
}


def fuzzy(seated: Seated, kind: str, trusting: bool) -> Fuzzy[Truth] | Fuzzy[Tensor]:
    """Return the penalty of the rules of a seat.

    Raises:
        PlanError: a rule speaks of the order of tags, or of single tokens, which have no fuzzy truth.
    """
    says = zip(seated.rules, seated.formulas, strict=True)
    problems = [_no_truth(rule.where, kind) for rule, then in says if not _has_truth(then)]
    problems.extend(_no_truth(seated.grounded.rules[place].where, kind) for place in seated.pointing)
    if problems:
        raise PlanError(problems)
    return NORMS[kind](seated, trusting)


def _has_truth(formula: Formula) -> bool:
    match formula:
        case Label():
            return True
        case Not(inner):
            return _has_truth(inner)
        case AtLeast(_, parts):
            return all(map(_has_truth, parts))
    try:
        return _has_truth(formula.expanded())
    except FormulaError:
        return False


def _no_truth(where: str, kind: str) -> str:
    return f"{where}: it speaks of the order of tags or of single tokens, and kind: {kind} cannot; take kind: exact"
