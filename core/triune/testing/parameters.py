"""Checks of parameter freezing and of adapters: claims that hold, a model that comes out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.testing.subject import Subject
    from triune.types import ParameterClaim


def claims(subject: Subject) -> Iterator[str]:
    """Claims match parameters, contradict nobody, end inside the run, and are the same when asked again."""
    from triune.windows import step_of

    steps = subject.planned.plan.steps
    found, again = _claims(subject), _claims(subject)
    if list(map(repr, found)) != list(map(repr, again)):
        yield "claim_parameters says something else when asked again: compute claims from the layout and the config"
    for claim in found:
        last = 0 if claim.stop is None else step_of(claim.stop, steps.total, steps.per_epoch)
        if last > steps.total:
            yield (
                f"the claim of {claim.where!r} ends at step {last}, and the run has {steps.total}: give shares of "
                "the run as Fraction(1, 2), or None for its end"
            )


def _claims(subject: Subject) -> list[ParameterClaim]:
    from triune.hookspecs import ParameterFreezing
    from triune.types import RunLength

    opened, steps = subject.planned.opened, subject.planned.plan.steps
    length = RunLength(steps.total, steps.per_epoch)
    owned = opened.hooks.collect(
        ParameterFreezing.claim_parameters, run=opened.run, layout=opened.layout, length=length
    )
    return [claim for owner, claim in owned if owner == subject.name]


def adapted(subject: Subject) -> Iterator[str]:
    """The model that one seed makes is the same to the bit every time, and so are the names in it."""
    import torch

    one, two = (dict(each.opened.bundle.model.state_dict()) for each in (subject.planned, subject.prepared()))
    if one.keys() != two.keys():
        other = sorted(one.keys() ^ two.keys())
        yield f"the names of parameters differ from one run to the next: {other[:4]}; derive names from the model"
        return
    moved = [name for name in one if not torch.equal(one[name], two[name])]
    if moved:
        yield (
            f"two models of one seed differ in {moved[0]!r} and {len(moved) - 1} more: draw from torch's global "
            "generator, which the run has seeded, or from run.generators"
        )
