"""Which blocks are drawn in which period, and the windows that come of it."""

from __future__ import annotations

from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING

from triune import ParameterClaim
from triune.errors import PlanError
from triune.select import Depth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from triune import Run
    from triune_lisa import Lisa

MOST = 2000
"""Periods that a plan can hold: what trains is declared before the first step, each period for itself."""


def drawn(config: Lisa.Config, blocks: int, total: int, run: Run) -> list[frozenset[int]]:
    """Return the blocks of each period, every set of them as likely as any other.

    Raises:
        PlanError: there are fewer blocks than are to be drawn, or too many periods.
    """
    if config.blocks > blocks:
        if not blocks:
            shared = "it has none, or they share one set of weights, as ALBERT's do"
            raise PlanError([f"lisa: no blocks are found in this model ({shared}): use head-only or end-to-end"])
        there = f"wanted at most {blocks}, which is how many the model has"
        raise PlanError([f"lisa: blocks: found {config.blocks}, {there}"])
    periods = ceil(total / config.period)
    if periods > MOST:
        raise PlanError(
            [
                f"lisa: period: found {config.period}, which makes {periods} periods of {total} steps, and a plan "
                f"holds {MOST}: wanted at least {ceil(total / MOST)}"
            ]
        )
    with run.generators.untouched():  # the same is drawn whenever it is asked
        draw = run.generators.numpy("lisa").choice
        return [frozenset(draw(blocks, config.blocks, replace=False).tolist()) for _ in range(periods)]


def windows(periods: Sequence[frozenset[int]], period: int, total: int) -> Iterator[ParameterClaim]:
    """Yield a claim for each stretch of periods in which a block is drawn."""
    for block in sorted(frozenset[int]().union(*periods)):
        for learns, stretch in groupby(enumerate(periods), key=lambda one: block in one[1]):
            numbers = [number for number, _ in stretch]
            if learns:
                stop = min((numbers[-1] + 1) * period, total)
                yield ParameterClaim(Depth(block), trainable=True, start=numbers[0] * period, stop=stop)
