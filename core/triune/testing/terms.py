"""Checks of loss composition: terms with a mask and a gradient, the same whole and in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.testing.subject import SEED
from triune.testing.toy_runs import as_in_a_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from triune.objective import Share
    from triune.testing.subject import Subject
    from triune.types import Batch, LossTerm, Step, TermValues

TOLERANCE = 1e-4  # relative, of sums of float32


def values(subject: Subject) -> Iterator[str]:
    """Values and mask have one shape, are finite where they count, and lead back to the model."""
    objective, batch, step = subject.planned.objective, subject.batches()[-1], subject.loudest()
    objective.eval()
    with as_in_a_run(SEED), subject.planned.opened.run.generators.untouched():
        outputs = objective.outputs(batch)
        for term in subject.terms():
            yield from _of_term(term, term.compute(step, batch, outputs), len(batch.rows))


def _of_term(term: LossTerm, found: TermValues, examples: int) -> Iterator[str]:
    shape, mask = tuple(found.values.shape), tuple(found.mask.shape)
    said = f"loss term {term.name!r}"
    if term.of_means and shape[:-1] != mask:
        yield f"{said}: values {shape} of a term of means need a mask {shape[:-1]}, and it has {mask}"
        return
    if not term.of_means and shape != mask:
        yield f"{said}: values {shape} and mask {mask} differ in shape: return both unreduced, of one shape"
        return
    if shape[:1] != (examples,):
        yield f"{said}: values {shape} of {examples} examples: keep a first dimension of examples, do not average"
        return
    if not bool(found.mask.isfinite().all()) or bool((found.mask < 0).any()):
        yield f"{said}: the mask has values that are negative or not finite: return 0 where the term does not apply"
    if not bool(found.values[found.mask > 0].isfinite().all()):
        yield f"{said}: values are not finite where the mask is above 0: clamp before log and division, or mask them"
    if not found.values.requires_grad:
        yield f"{said} has no gradient path to the model: compute it from outputs, without detach or numpy"


def counts(subject: Subject) -> Iterator[str]:
    """`counts` says what the mask sums up to."""
    objective, step = subject.planned.objective, subject.loudest()
    objective.eval()
    for term in subject.terms():
        if term.counts is None:
            continue
        for batch in subject.batches():
            with as_in_a_run(SEED), subject.planned.opened.run.generators.untouched():
                told = float(term.counts(batch))
                summed = float(term.compute(step, batch, objective.outputs(batch)).mask.sum())
            if abs(told - summed) > TOLERANCE * max(abs(summed), 1):
                yield (
                    f"loss term {term.name!r}: counts says {told:g} and the mask sums up to {summed:g} for "
                    f"{len(batch.rows)} examples: return the mask's sum, or leave counts out"
                )
                break


def composed(subject: Subject) -> Iterator[str]:
    """`compose_loss` returns a number that leads back to every term."""
    objective, batch, step = subject.planned.objective, subject.batches()[-1], subject.loudest()
    objective.eval()
    with as_in_a_run(SEED), subject.planned.opened.run.generators.untouched():
        loss, _ = objective(batch, step)
    if loss.dim() or not bool(loss.isfinite()) or not loss.requires_grad:
        yield (
            f"compose_loss returns {tuple(loss.shape)} {'' if loss.requires_grad else 'without a gradient '}"
            f"{loss.detach().flatten()[:1].tolist()}: return one finite number, (), computed from the terms"
        )


def reduction(subject: Subject) -> Iterator[str]:
    """The gradient of a batch is the same whole and in three parts."""
    from triune.objective import share_of

    objective, step = subject.planned.objective, subject.loudest()
    *parts, whole = subject.batches()
    objective.eval()
    # the rehearsal for the share draws as well, and must not move what the parts draw
    with as_in_a_run(SEED), subject.planned.opened.run.generators.untouched():
        share = share_of(objective, parts, step)
    one, again = (_gradient(subject, [whole], step, None) for _ in range(2))
    if float((one - again).norm()) > TOLERANCE * float(one.norm()):
        yield (
            "the loss of the same batch at the same step differs when it is computed again: what changes from call to "
            "call must depend on the step (`step.index`), or change in `observe`"
        )
        return
    three = _gradient(subject, parts, step, share)
    error, size = float((one - three).norm()), float(one.norm())
    if not error <= TOLERANCE * size:
        yield (
            f"the gradient of {len(whole.rows)} examples and that of the same in {len(parts)} parts differ by "
            f"{error / max(size, 1e-12):.2g} of its length: let the value of an example depend on that example alone, "
            "and do not average or normalise over the batch"
        )


def _gradient(subject: Subject, batches: Sequence[Batch], step: Step, share: Share | None) -> Tensor:
    """Return the gradient that a batch in these parts has, (parameters,)."""
    import torch

    objective = subject.planned.objective
    objective.zero_grad(set_to_none=True)
    with as_in_a_run(SEED), subject.planned.opened.run.generators.untouched():
        for batch in batches:
            loss, _ = objective(batch, step, share)
            loss.backward()
    found = [torch.zeros(1) if one.grad is None else one.grad.flatten() for one in objective.parameters()]
    objective.zero_grad(set_to_none=True)
    return torch.cat(found)
