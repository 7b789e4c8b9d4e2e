"""A linear-chain conditional random field over the sequences that keep the rules.

    p(y | x) = exp(sum_t s_t[y_t] + sum_t A[y_{t-1}, y_t]) [y keeps the rules] / Z(x)

The rules are an automaton; the field runs over (state of the automaton, last tag), so that any rule about a sequence
that the engine can compile goes together with learned scores of neighbours. Where rules speak of neighbours alone,
there is one such pair a tag (Lafferty et al. 2001; the constraints are no parameters and are never trained).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune.errors import PlanError
from triune.logic.chains import Chain
from triune.logic.costs import Budget, Cost, affordable
from triune.logic.variables import NEVER
from triune_rule_structure.joint import clamped, kept, possible, unlabelled
from triune_rule_structure.through import of_tags, through

if TYPE_CHECKING:
    from torch import Tensor, nn

    from triune.logic.inference import Compiled
    from triune.seats import Seated

TYPICAL = 32


@dataclass(frozen=True, slots=True)
class Field:
    """A constrained field; its nodes are pairs of a state and the tag that led there, after one for the start.

    Attributes:
        compiled: the rules.
        transitions: (tags, tags) the learned scores, row before column.
        tags: (nodes,) the tag of each node; 0 for the start.
        leads: (nodes, nodes) whether one leads to the other.
        broken: (nodes, formulas) whether a sequence that ends here breaks the formula.
        ends: (nodes,) whether what always holds holds where a sequence ends here.
    """

    compiled: Compiled
    transitions: nn.Parameter
    tags: Tensor
    leads: Tensor
    broken: Tensor
    ends: Tensor
    joint: bool = True
    said: str = "a conditional random field over the sequences that keep them, with learned transitions"

    def log_z(self, scores: Tensor, final: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) the logarithm of the sum over allowed sequences of exp(score); `final` is (batch, nodes)."""
        moves = self._moves(scores)
        ahead = self._start(scores)  # (batch, nodes)
        for token, emitted in enumerate(scores[..., self.tags.to(scores.device)].unbind(1)):
            after = (ahead[:, :, None] + moves).logsumexp(1).add(emitted).clamp(min=NEVER)
            ahead = after if mask is None else after.where(mask[:, token, None].bool(), ahead)
        return (ahead + final).logsumexp(1)

    def best(self, scores: Tensor, final: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, tokens) the tags of the best allowed sequence (Viterbi)."""
        moves, ahead = self._moves(scores), self._start(scores)
        stay = torch.arange(len(self.tags), device=scores.device).expand_as(ahead)
        pointers = []
        for token, emitted in enumerate(scores[..., self.tags.to(scores.device)].unbind(1)):
            top, came = (ahead[:, :, None] + moves).max(1)
            after = (top + emitted).clamp(min=NEVER)
            if mask is not None:
                counts = mask[:, token, None].bool()
                after, came = after.where(counts, ahead), came.where(counts, stay)
            ahead = after
            pointers.append(came)
        node, path = (ahead + final).argmax(1), []
        for came in reversed(pointers):
            path.append(self.tags.to(scores.device)[node])
            node = came.gather(1, node[:, None])[:, 0]
        return torch.stack(path[::-1], 1)

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return the log-marginals of every token's tag."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = scores.detach().double().clone().requires_grad_()
            plain = None if mask is None else mask.clone()
            value = self.log_z(leaf, self._final(leaf, fires.clone()), plain)
            (q,) = torch.autograd.grad(value.sum(), leaf)
        if mask is not None:  # a token that does not count keeps what the model says of it
            q = q.where(mask[..., None].bool(), scores.detach().double().softmax(-1))
        return through(scores, of_tags(scores, q))

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, tokens, tags) true at the tags of the best allowed sequence."""
        from torch.nn.functional import one_hot

        with torch.no_grad():
            tags = self.best(scores, self._final(scores, fires), mask)
        if mask is not None:
            tags = tags.where(mask.bool(), scores.argmax(-1))
        return one_hot(tags, scores.shape[-1]).bool()

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) -log p(targets): over all sequences, less over those that the labels leave."""
        final = self._final(scores, fires)
        log_z = self.log_z(scores, final, mask)
        if unlabelled(targets, mask):
            return log_z - self.log_z(clamped(scores, targets), final, mask)
        return log_z - self._score(scores, targets)

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether there is a sequence."""
        return possible(self.compiled, scores, fires, mask)

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether labels keep the rules, or can be completed so that they do."""
        return kept(self.compiled, "tags", targets, fires, mask)

    def _score(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return (batch,) the score of a sequence of which every token that counts has a label."""
        pairs = torch.einsum("btk,btl,kl->b", targets[:, :-1], targets[:, 1:], self.transitions.to(scores.dtype))
        return (targets * scores).sum((-1, -2)) + pairs

    def _moves(self, scores: Tensor) -> Tensor:
        """Return (nodes, nodes) the score of going from one to the other."""
        tags, leads = self.tags.to(scores.device), self.leads.to(scores.device)
        learned = self.transitions.to(scores.dtype)[tags[:, None], tags]
        after_start = torch.arange(len(tags), device=scores.device)[:, None] > 0  # the start has no tag
        return (learned * after_start).masked_fill(~leads, NEVER)

    def _start(self, scores: Tensor) -> Tensor:
        ahead = scores.new_full((len(scores), len(self.tags)), NEVER)
        ahead[:, 0] = 0.0
        return ahead

    def _final(self, scores: Tensor, fires: Tensor) -> Tensor:
        """Return (batch, nodes) zero where a sequence may end, else never."""
        asked = self.compiled.weighing.penalties(scores.detach(), fires, 1.0, None, 0.0)  # (formulas, batch)
        broken = self.broken.to(scores.device, scores.dtype) @ asked
        never = ~self.ends.to(scores.device)[:, None] | (broken > 0)
        return torch.zeros_like(broken).masked_fill(never, NEVER).t()


def field(rules: Seated, transitions: nn.Parameter) -> Field:
    """Return the field under hard rules about sequences.

    Raises:
        PlanError: the rules are too much for one automaton.
        RuleCostError: the field would exceed the budget.
    """
    compiled = rules.compiled()
    engine = compiled.engine
    if not isinstance(engine, Chain):
        raise PlanError(
            ["transitions: learned needs hard rules that fit one automaton, and these do not: let it be none"]
        )
    nodes = sorted({(state, tag) for row in engine.between for state, tag in _reached(engine, row)})
    start = (0, None)
    every = [start, *nodes]
    affordable(Cost("automaton", TYPICAL * len(every) ** 2), Budget(), "learned transitions under these rules")
    leads = [[node in set(_reached(engine, engine.between[state])) for node in every] for state, _ in every]
    says = torch.tensor([engine.says[state] for state, _ in every])  # (nodes, formulas + 1)
    return Field(
        compiled,
        transitions,
        torch.tensor([tag or 0 for _, tag in every]),
        torch.tensor(leads),
        ~says[:, : engine.formulas],
        says[:, engine.formulas :].all(1),
    )


def _reached(engine: Chain, row: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (state, tag) of every move out of a state, whose row of `between` this is."""
    return [(to, tag) for to, which in enumerate(row) if which < len(engine.sets) for tag in engine.sets[which]]
