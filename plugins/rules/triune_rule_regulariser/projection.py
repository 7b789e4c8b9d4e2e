"""KL(q ‖ p) from the outputs p to their projection q onto what rules say in expectation: Ganchev et al. 2010."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune import Formula, TermValues
from triune.logic.inference import Weighted
from triune.logic.variables import NEVER
from triune.seats import counting, own_labels
from triune.types import ALWAYS

if TYPE_CHECKING:
    from torch import Tensor

    from triune import Batch, Outputs, Rule, Step
    from triune.logic.inference import Compiled
    from triune.seats import On, Seated
    from triune_rule_regulariser.multipliers import Multipliers


@dataclass(frozen=True, slots=True)
class Projection:
    """The regulariser as a term of means: what bounds speak of are averages over all that a step learns from.

    Attributes:
        seated: the rules.
        compiled: them, in exact form; what breaking one costs is its multiplier.
        multipliers: λ, one a rule.
        on: which examples learn from rules.
    """

    seated: Seated
    compiled: Compiled
    multipliers: Multipliers
    on: On

    def features(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        """Return (batch, 2 + 2 rules): KL(q ‖ p), whether any rule fires, E_q[broken] of each and whether it fires."""
        import torch

        counts = counting(self.on, own_labels(batch)) * batch.weights
        kl, broken, fires = self.divergence(batch, outputs)
        each = torch.cat((broken, fires.to(kl))).t()
        firing = fires.any(0).to(kl)
        values = torch.cat((kl[:, None], firing[:, None], each), 1) * counts[:, None]
        return TermValues(values, torch.ones_like(kl))

    def divergence(self, batch: Batch, outputs: Outputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return (batch,) KL(q ‖ p), with the gradient of −log Z; (rules, batch) E_q[broken] and which fire.

        q holds still: d KL / d score is p's marginal less q's, as if q were a teacher's.
        """
        import torch

        fires, λ = self.seated.fires(batch), self.multipliers.values.to(outputs.scores.device)
        log_z = self.compiled.log_z(outputs.scores, fires, mask=outputs.mask, weights=λ)
        broken = self.compiled.expected_violations(outputs.scores.detach(), fires, mask=outputs.mask, weights=λ)
        broken = broken.to(log_z.dtype)
        kl = -log_z - (λ[:, None].to(log_z) * broken).sum(0)
        # no answer is left only where a sequence is too short for what hard rules ask
        return torch.where(log_z > NEVER / 2, kl, 0.0 * log_z.detach()), broken, fires

    def mean(self, step: Step, means: Tensor) -> Tensor:
        """Return the mean divergence of examples on which a rule fires, (), and show the multipliers the rest."""
        rules = len(self.multipliers.bounds)
        self.multipliers.see(means[2 : 2 + rules], means[2 + rules :])
        return means[0] / means[1].detach().clamp(min=1e-12)


def acting(rule: Rule) -> Weighted:
    """Return how a rule acts: at its multiplier, or always if it is hard."""
    assert isinstance(rule.then, Formula)
    return Weighted(rule.name, rule.then, 1.0, rule.hard, rule.hard and rule.when == ALWAYS)
