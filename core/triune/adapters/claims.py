"""What learns where a method brings adapters: they do and the head does, and the model's own weights rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import PlanError
from triune.select import Brought, Head, Owner
from triune.types import ParameterClaim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from triune.types import ModelLayout


def adapter_claims(
    layout: ModelLayout, names: Collection[str], lr_scale: float, *, alone: bool, sets_head: bool
) -> Iterator[ParameterClaim]:
    """Yield the claims of a method that brought the parameters of these names.

    That adapters and head train is a default, so that a schedule may say when; that the rest rests is firm where
    the method stands `alone`, so that the plan finds who would train it all the same. The rate of the head is set
    once, by the first method that `sets_head`: scales multiply.

    Raises:
        PlanError: an adapter lies in the head.
    """
    mine = [one for one in layout.parameters if one.name in names]
    inside = [one.name for one in mine if one.head]
    if inside:
        raise PlanError(
            [
                f"{mine[0].owner}: {inside[0]!r} lies in the task's head, which learns as a whole: "
                "let targets name layers of the encoder"
            ]
        )
    owner = Owner(mine[0].owner)
    yield ParameterClaim(owner, trainable=True, default=True)
    yield ParameterClaim(owner, trainable=None, lr_scale=lr_scale)
    if layout.where(Head()):
        yield ParameterClaim(Head(), trainable=True, default=True)
        if sets_head:
            yield ParameterClaim(Head(), trainable=None, lr_scale=lr_scale)
    yield ParameterClaim(~Brought() & ~Head(), trainable=False, default=not alone)
