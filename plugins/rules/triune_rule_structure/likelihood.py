"""The loss: the likelihood of labels under the rules, in place of what the task would say of them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune import LossTerm, TermValues
from triune.errors import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune import Batch, Outputs, Step
    from triune_rule_structure.structure import Structure

NAME = "task under rules"


def likelihood(structure: Structure, left_out: NDArray[np.bool_]) -> LossTerm:
    """Return the term -log p(labels | rules), a mean over labels, or tokens, as the task's own.

    Args:
        structure: the rules.
        left_out: (examples,) whose labels are not learnt from.
    """
    import torch

    grounded = structure.seated.grounded
    assert grounded.space is not None
    kind, labels = grounded.space.kind, len(grounded.space.labels)
    counted = torch.from_numpy(~left_out)

    def shares(batch: Batch, targets: Tensor) -> Tensor:
        """Return (batch,) how much each example counts: its weight, for each token whose label is learnt from."""
        kept = counted[batch.rows.cpu()].to(batch.labelled.device)
        tokens = targets.any(-1).sum(-1) if kind == "tags" else 1
        return batch.labelled * batch.weights * kept * tokens

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        assert outputs.free is not None
        free, targets = outputs.free, batch.targets
        if outputs.read is not None:  # of a token that was not read anything may be, and its label teaches nothing
            free, targets = free * outputs.read[..., None], targets * outputs.read[..., None]
        nats = structure.form.loss(structure.barred(free, batch), targets, structure.seated.fires(batch), outputs.mask)
        parts = {"categorical": 1, "binaries": labels}.get(kind) or targets.any(-1).sum(-1).clamp(min=1)
        return TermValues(nats / parts, shares(batch, targets))

    def counts(batch: Batch) -> Tensor:
        return shares(batch, batch.targets).sum()

    note = _note(structure, left_out)
    # which tokens were read only outputs know
    return LossTerm(NAME, compute, counts=None if kind == "tags" else counts, replaces=("task",), note=note)


def _note(structure: Structure, left_out: NDArray[np.bool_]) -> str:
    rules, broken = len(structure.rules), int(left_out.sum())
    note = f"{count(rules, 'hard rule')} {'holds' if rules == 1 else 'hold'} by {structure.form.said}"
    if broken:
        note += f"; {count(broken, 'example')} whose labels break them {'is' if broken == 1 else 'are'} left out"
    if structure.form.joint:
        note += "; other terms that read the scores given the rules pass gradients on as if labels were independent"
    return note
