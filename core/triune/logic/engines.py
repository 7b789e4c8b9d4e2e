"""Which exact form answers for which outputs."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from triune.logic.alternatives import alternatives
from triune.logic.chains import chain
from triune.logic.costs import Budget, RuleCostError
from triune.logic.estimates import Estimate
from triune.logic.networks import network
from triune.logic.patterns import SILENT, SOFT, ByPattern
from triune.logic.truth_table import truth_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from triune.logic.formulas import Formula
    from triune.logic.queries import Engine
    from triune.logic.variables import Space

    Maker = Callable[[Sequence[Formula], Sequence[Formula], Space, Budget], Engine]

MAKERS: Mapping[str, Maker] = {"categorical": truth_table, "tags": chain}


def engine_of(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Engine:
    """Return the cheapest exact form of formulas, and of others that always hold, over an output space.

    Formulas that are too much all together get one form for each set of them that fires together; what is too much
    even so is estimated, if the budget says from how many draws.

    Raises:
        FormulaError: a formula names an unknown label, or does not speak of such outputs.
        RuleCostError: exact inference would exceed the budget.
    """
    if len(formulas) < 2:
        return _made(formulas, always, space, budget)
    try:
        return _exact(formulas, always, space, budget)
    except RuleCostError:
        engine = ByPattern(tuple(formulas), tuple(always), partial(_made, space=space, budget=budget))
    for place in range(len(formulas)):  # what is too much alone is too much in every pattern
        engine.of(tuple(SOFT if place == one else SILENT for one in range(len(formulas))))
    return engine


def _made(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Engine:
    """Return the exact form, or the estimate that the budget allows where it is too much."""
    try:
        return _exact(formulas, always, space, budget)
    except RuleCostError:
        if not budget.samples:
            raise
    free = _exact((), (), space, Budget(edges=sys.maxsize))  # of no formula: it draws from the model
    return Estimate((*formulas, *always), len(formulas), budget.samples, free, space)


def _exact(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Engine:
    closed = alternatives(formulas, always, space, budget)
    if closed is not None:
        return closed
    return MAKERS.get(space.kind, network)(formulas, always, space, budget)
