"""Which parts thaw in which phase, and when phases begin."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from itertools import accumulate, pairwise
from operator import or_
from typing import TYPE_CHECKING

from triune import ParameterClaim
from triune.errors import PlanError, listed, nearest
from triune.select import Depth, Head, Outside, Owner, Selector
from triune.types import Epochs, OnPlateau

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune import ModelLayout
    from triune.types import When
    from triune_layer_by_layer import LayerByLayer


def claims_of(config: LayerByLayer.Config, layout: ModelLayout) -> Iterator[ParameterClaim]:
    """Yield each part's claims, from the head down.

    Raises:
        PlanError: the schedule does not fit the model.
    """
    parts = parts_of(config, layout)
    rests = config.thaw == "one-at-a-time"
    begins = starts_of(config, len(parts) + rests)
    for phase, part in enumerate(parts):
        scale = max(config.lr_divisor**-phase, config.lowest_lr_scale)
        if not rests:
            yield ParameterClaim(part, trainable=True, lr_scale=scale, start=begins[phase])
            continue
        yield ParameterClaim(part, trainable=True, lr_scale=scale, start=begins[phase], stop=begins[phase + 1])
        yield ParameterClaim(part, trainable=True, lr_scale=scale, start=begins[-1])


def parts_of(config: LayerByLayer.Config, layout: ModelLayout) -> list[Selector]:
    """Return what thaws in each phase: the head, blocks from the top down, and what lies outside of both.

    Raises:
        PlanError: the model has no blocks, or fewer than thaw together.
    """
    if not layout.blocks:
        raise PlanError(
            [
                "layer-by-layer: no blocks are found in this model (it has none, or they share one set of weights, as "
                "ALBERT's do): use head-only or end-to-end"
            ]
        )
    if config.blocks_per_phase > layout.blocks:
        raise PlanError(
            [
                f"layer-by-layer: blocks_per_phase: found {config.blocks_per_phase}, wanted at most {layout.blocks}, "
                "which is how many blocks the model has"
            ]
        )
    head: list[Selector] = [Head()] if layout.where(Head()) else []
    outside = [_owned(Outside(), config)] if config.embeddings and layout.where(_owned(Outside(), config)) else []
    places = _places(config, layout)
    edges = [*range(0, len(places), config.blocks_per_phase), len(places)]
    return [*head, *(_blocks(places[one:two], config) for one, two in pairwise(edges)), *outside]


def _places(config: LayerByLayer.Config, layout: ModelLayout) -> list[int]:
    """Return which blocks thaw, counted from the top; those in which the owner has nothing are no part of it."""
    places = [place for place in range(1, layout.blocks + 1) if layout.where(_owned(Depth(-place), config))]
    if not places:
        owners = sorted({one.owner for one in layout.parameters if one.brought})
        found = f"layer-by-layer: owner: {config.owner!r} has no parameters in the model's blocks"
        if config.owner in owners:
            raise PlanError([f"{found}, all that it brought lies outside of them: leave layer-by-layer out"])
        near = nearest(str(config.owner), owners)
        raise PlanError([f"{found}; methods that brought some: {listed(owners) or 'none'}{near}"])
    return places


def _owned(place: Selector, config: LayerByLayer.Config) -> Selector:
    return place if config.owner is None else place & Owner(config.owner)


def _blocks(places: list[int], config: LayerByLayer.Config) -> Selector:
    return _owned(reduce(or_, [Depth(-place) for place in places]), config)


def starts_of(config: LayerByLayer.Config, phases: int) -> list[When]:
    """Return when each phase begins; the last one lasts to the end of the run.

    Raises:
        PlanError: there are more or fewer fractions than phases, or they are not the whole run.
    """
    if config.phase_steps is not None:
        return [phase * config.phase_steps for phase in range(phases)]
    if config.phase_patience is not None:
        ends = [OnPlateau(config.phase_metric, config.phase_patience, phase) for phase in range(phases - 1)]
        return [0, *ends]
    if config.phase_epochs is not None:
        return [Epochs(phase * _exact(config.phase_epochs)) for phase in range(phases)]
    if config.phase_fractions is None:
        return [Fraction(phase, phases) for phase in range(phases)]
    shares = [_exact(share) for share in config.phase_fractions]
    if len(shares) != phases:
        raise PlanError(
            [f"layer-by-layer: phase_fractions: found {len(shares)}, wanted {phases}, one a phase of this model"]
        )
    if sum(shares) != 1:
        raise PlanError([f"layer-by-layer: phase_fractions: they sum up to {float(sum(shares)):g}, wanted 1"])
    return [Fraction(0), *accumulate(shares[:-1])]


def _exact(value: float) -> Fraction:
    """Return a number as it was written: three times 0.1 is 0.3, and tenths sum up to one."""
    return Fraction(repr(value))
