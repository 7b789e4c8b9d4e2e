"""Rules that are too much for exact inference, by draws from the model: only where that was asked for.

With n draws y_s from p, weights w_s = exp(-penalties(y_s)),

    log Z ≈ log (1/n) sum_s w_s,        E_q f ≈ sum_s w_s f(y_s) / sum_s w_s,

and gradients are those of the exact forms with the second in place of the expectation. Where no draw satisfies
what is hard the estimate has nothing to say, and refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.costs import Cost, UnansweredError
from triune.logic.variables import NEVER, variables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from triune.logic.formulas import Formula
    from triune.logic.queries import Engine, Query
    from triune.logic.truths import Truth
    from triune.logic.variables import Space


@dataclass(frozen=True, slots=True)
class Estimate:
    """An engine that draws answers from the model and asks the formulas of each.

    Attributes:
        formulas: those with penalties, then those that always hold.
        penalised: how many have penalties.
        samples: draws an example.
        free: the exact engine of no formula, which draws from the model.
        space: the outputs.
        truths: what says whether each formula holds, made when first used.
    """

    formulas: tuple[Formula, ...]
    penalised: int
    samples: int
    free: Engine
    space: Space
    truths: list[Truth] = field(default_factory=list, compare=False, repr=False)

    @property
    def cost(self) -> Cost:
        """One edge a draw and label of each formula."""
        edges = sum(len(formula.labels) + 1 for formula in self.formulas)
        return Cost(f"estimate from {self.samples:,} draws", self.samples * edges)

    @property
    def possible(self) -> bool:
        """Not known; what cannot be satisfied is refused when it is asked."""
        return True

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label, in the shape of the scores."""
        return self.free.log_probabilities(scores)

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,) the estimate, with the gradients of scores, penalties and what tokens cost."""
        import torch

        with torch.no_grad():
            answers, broken = self._drawn(query)
            log_w = self._weights(query, answers, broken)
            value = log_w.logsumexp(0) - torch.log(torch.tensor(float(self.samples), dtype=log_w.dtype))
            share = log_w.softmax(0)  # (samples, batch)
            of_labels = self._expected(share, answers)
            gap = of_labels - self.free.log_probabilities(query.scores).exp()
            if query.mask is not None:
                gap = gap * query.mask[..., None]
            of_formulas = torch.einsum("sb,fsb->fb", share, broken.to(share.dtype))[: self.penalised]
        slope = (query.scores * gap).flatten(1).sum(1) - (query.penalties * of_formulas).sum(0)
        if query.tokens is not None:
            slope = slope - (query.tokens.to(share.dtype) * of_labels * self._counts(query)).flatten(1).sum(1)
        return value + (slope - slope.detach())

    def best(self, query: Query) -> Tensor:
        """Return booleans in the shape of the scores: the likeliest of the draws, the model's own answer among them."""
        import torch

        drawn, own = self.free.draws(self.samples, self._free(query)), self.free.best(self._free(query))
        answers = torch.cat((drawn, own[None]))
        log_w = self._weights(query, answers, self._broken(query, answers))
        log_p = torch.where(answers, self.free.log_probabilities(query.scores), self._off(query.scores))
        if query.mask is not None:
            log_p = log_p * query.mask[..., None]
        return self._at(answers, (log_w + log_p.flatten(2).sum(-1)).argmax(0)[None])[0]

    def draws(self, n: int, query: Query) -> Tensor:
        """Return booleans (n, *shape of the scores): the draws, drawn again by their weights."""
        import torch

        answers, broken = self._drawn(query)
        share = self._weights(query, answers, broken).softmax(0)
        return self._at(answers, torch.multinomial(share.t(), n, replacement=True, generator=query.generator).t())

    def _drawn(self, query: Query) -> tuple[Tensor, Tensor]:
        """Return (samples, *shape of the scores) answers, and (formulas, samples, batch) which of them break what."""
        answers = self.free.draws(self.samples, self._free(query))
        return answers, self._broken(query, answers)

    def _free(self, query: Query) -> Query:
        from triune.logic.queries import Query

        return Query(query.scores, query.penalties[:0], query.mask, None, query.generator)

    def _broken(self, query: Query, answers: Tensor) -> Tensor:
        import torch

        if not self.truths:
            self.truths.extend(_truths(self.formulas, self.space))
        asked = answers.long().argmax(-1) if self.space.kind == "tags" else answers
        mask = None if query.mask is None else query.mask.bool().expand(len(answers), *query.mask.shape)
        held = [truth(asked, mask) for truth in self.truths]
        return ~torch.stack(held) if held else answers.new_zeros((0, *answers.shape[:2]))

    def _weights(self, query: Query, answers: Tensor, broken: Tensor) -> Tensor:
        """Return (samples, batch) the logarithm of each draw's weight.

        Raises:
            UnansweredError: no draw satisfies what is hard on some example.
        """
        import torch

        always = query.penalties.new_full((len(self.formulas) - self.penalised, len(query.scores)), -NEVER)
        penalties = torch.cat((query.penalties, always))
        log_w = -torch.einsum("fb,fsb->sb", penalties, broken.to(penalties.dtype))
        if query.tokens is not None:
            counts = self._counts(query)
            log_w = log_w - (query.tokens.to(log_w) * counts * answers).flatten(2).sum(-1)
        lost = log_w.amax(0) <= NEVER / 2
        if lost.any():
            raise self._unmet(penalties, broken, lost)
        return log_w

    def _unmet(self, penalties: Tensor, broken: Tensor, lost: Tensor) -> UnansweredError:
        """Return the error that names the formulas that no draw satisfies, or that none satisfies together."""
        hard = (penalties >= -NEVER / 2) & lost
        never = (broken.all(1) & hard).any(1)
        which = never if never.any() else hard.any(1)
        unmet = [formula for formula, one in zip(self.formulas, which.tolist(), strict=True) if one]
        return UnansweredError(unmet, self.samples, int(lost.sum()))

    def _counts(self, query: Query) -> Tensor:
        """Return (batch, tokens, 1) which tokens count."""
        import torch

        counts = torch.ones_like(query.scores[..., :1]) if query.mask is None else query.mask[..., None]
        return counts.to(query.scores.dtype)

    def _expected(self, share: Tensor, answers: Tensor) -> Tensor:
        """Return the expectation of each label, in the shape of the scores."""
        import torch

        flat = torch.einsum("sb,sbl->bl", share, answers.flatten(2).to(share.dtype))
        return flat.view(answers.shape[1:])

    def _off(self, scores: Tensor) -> Tensor:
        """Return the log-probability that each label is false, beside the others; 0 for the labels of a choice."""
        import torch
        from torch.nn.functional import logsigmoid

        if self.space.kind in ("tags", "categorical"):
            return torch.zeros_like(scores)
        variables = variables_of(self.space)
        groups = zip(variables.groups, variables.choice, strict=True)
        yes_or_no = [not choice for group, choice in groups for _ in group]
        return torch.where(torch.tensor(yes_or_no, device=scores.device), logsigmoid(-scores), 0.0)

    def _at(self, answers: Tensor, which: Tensor) -> Tensor:
        """Return (n, *shape of the scores) the answers at (n, batch) places."""
        import torch

        return answers[which, torch.arange(answers.shape[1], device=answers.device)]


def _truths(formulas: Sequence[Formula], space: Space) -> list[Truth]:
    from triune.logic.truths import of_labels, of_tags

    if space.kind == "tags":
        return [of_tags(one, [str(tag) for tag in space.labels]) for one in formulas]
    columns = {str(label): (place, 0) for place, label in enumerate(space.labels)}
    return [of_labels(one, columns) for one in formulas]
