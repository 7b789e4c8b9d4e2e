"""The target of a text without a label: q(y) ∝ p(y) exp(−what the rules that y breaks are worth).

A rule that is right with probability a where it fires, and whose statement holds with probability s anywhere, is
worth log(a / (1 − a)) − log(s / (1 − s)) nats. A model that knows no more than s so comes to believe the rule as far
as a, a rule at chance is worth nothing, and one for a rare label is worth more than one for a frequent label, as in
naive Bayes. a is estimated from the labels, s is how often the model predicts the statement on text without labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.confidences import estimated, evidence_of, lift
from triune.errors import listed
from triune.guard import observed, stated
from triune.logic.variables import NEVER
from triune.types import ALWAYS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune import Batch, Outputs, Rule
    from triune.confidences import Evidence
    from triune.examples import Examples
    from triune.guard import Guarded
    from triune.logic.inference import Compiled
    from triune.seats import Seated
    from triune.spaces import OutputSpace

EVEN = 0.5
"""The chance that leaves log-odds as they are, for statements whose own chance is not known."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What the rules make of what the model believes.

    Attributes:
        seated: the rules.
        compiled: those that say a formula, in their exact form.
        confidences: how often each rule is right, by its name.
    """

    seated: Seated
    compiled: Compiled
    confidences: dict[str, float]

    def __call__(self, batch: Batch, outputs: Outputs, marginals: Tensor | None) -> Tensor:
        """Return q's marginals, in the shape of the scores, without gradient.

        Where no answer satisfies the hard rules, they are the model's own.

        Args:
            batch: the examples.
            outputs: what the model says of them.
            marginals: (labels,) how often each label is predicted; None where nobody knows.
        """
        import torch

        with torch.no_grad():
            worth = self.worth(marginals)
            scores = outputs.scores.detach().float()
            costs = self.seated.tokens(batch, scores.shape[1], lambda rule: worth[rule.name])
            if costs is not None:
                # p exp(−costs) with costs of single tokens is again a softmax, of scores less costs
                scores = scores.log_softmax(-1) - (costs - costs.amin(-1, keepdim=True)).to(scores)
            weights = scores.new_tensor([worth[rule.name] for rule in self.seated.rules])
            return self.compiled.marginals(scores, self.seated.fires(batch), mask=outputs.mask, weights=weights)

    def worth(self, marginals: Tensor | None) -> dict[str, float]:
        """Return the nats that breaking each rule costs, by its name; 1e30 of hard ones."""
        chances = self.chances(marginals)
        acting = (*self.seated.rules, *self._pointing().values())
        return {
            rule.name: -NEVER if rule.hard else lift(self.confidences[rule.name], chances.get(rule.name, EVEN))
            for rule in acting
        }

    def chances(self, marginals: Tensor | None) -> dict[str, float]:
        """Return how often the statement of each rule holds anywhere, by its name, where single labels tell."""
        if marginals is None:
            return {}
        return self._of_tokens(marginals) if self.compiled.space.kind == "tags" else self._of_labels(marginals)

    def _of_labels(self, marginals: Tensor) -> dict[str, float]:
        m = marginals.clamp(1e-6, 1 - 1e-6)
        scores = m.logit() if self.compiled.space.kind == "binaries" else m.log()
        holds = self.compiled.satisfaction(scores[None])[:, 0].tolist()
        # a rule that always fires has no elsewhere to be compared with
        return {rule.name: p for rule, p in zip(self.seated.rules, holds, strict=True) if rule.when != ALWAYS}

    def _of_tokens(self, marginals: Tensor) -> dict[str, float]:
        """Of a rule about tokens, the mean over the tokens that it points at in training."""
        import numpy as np

        table = self.seated.grounded.tokens.get("train")
        if table is None:
            return {}
        holds = (table.allowed @ marginals.double().cpu().numpy())[table.sets]  # (entries,)
        size = len(self.seated.grounded.rules)
        totals, counts = np.bincount(table.rules, holds, size), np.bincount(table.rules, minlength=size)
        return {
            rule.name: float(totals[place] / counts[place]) for place, rule in self._pointing().items() if counts[place]
        }

    def _pointing(self) -> dict[int, Rule]:
        return {place: self.seated.grounded.rules[place] for place in self.seated.pointing}


def targets_of(
    mine: Seated | None, space: OutputSpace, train: Examples, prior_worth: float | None
) -> tuple[Targets | None, str]:
    """Return the targets that rules make, None where there are none, and what the plan says of them.

    Args:
        mine: the rules that act.
        space: what is predicted.
        train: what is learnt from.
        prior_worth: how many labelled examples the prior of a rule is worth; None: rules are as right as is written.

    Raises:
        RuleCostError: exact inference would exceed the budget.
    """
    if mine is None:
        return None, "no rule acts here: the model learns from its own belief"
    rules = mine.grounded.rules
    compiled = mine.compiled()
    notes = [str(compiled.cost)]
    if mine.soft:
        left = listed((repr(rules[place].name) for place in mine.soft), 3)
        notes.append(f"left out, as a SoftFormula has no exact cost: {left}")
    if prior_worth is None:
        return Targets(mine, compiled, {rule.name: rule.confidence for rule in rules}), "; ".join(notes)
    evidence = evidence_of(mine.grounded, train.split)
    found = estimated(rules, evidence, prior_worth)
    notes.append(_told(rules, evidence, found))
    by_name = {rule.name: float(one) for rule, one in zip(rules, found, strict=True)}
    return Targets(mine, compiled, by_name), "; ".join(notes)


def prior_of(settings: Guarded, space: OutputSpace, train: Examples) -> Tensor | None:
    """Return (labels,) how often each label is expected, None where nobody knows."""
    import torch

    found = stated(settings.prior, space) if settings.prior else observed(space, train)
    return None if found is None else torch.from_numpy(found[0])


def _told(rules: tuple[Rule, ...], evidence: Evidence, found: NDArray[np.float64]) -> str:
    """Return how far labels corrected what is written, and of which rules most."""
    falls = [rule.confidence - confidence for rule, confidence in zip(rules, found, strict=True)]
    worst = [place for place in sorted(range(len(rules)), key=lambda place: -falls[place]) if falls[place] > 0.005]
    named = (
        f"{rules[place].name!r} {rules[place].confidence:.2f} → {found[place]:.2f} "
        f"({evidence.kept[place]:.0f} of {evidence.judged[place]:.0f} right)"
        for place in worst
    )
    lower = f", lower for {listed(named, 3)}" if worst else ""
    return f"confidences estimated from {evidence.examples} labelled examples{lower}"
