"""Which exact form answers for which outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.logic.chains import chain
from triune.logic.networks import network
from triune.logic.truth_table import truth_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from triune.logic.costs import Budget
    from triune.logic.formulas import Formula
    from triune.logic.inference import Engine
    from triune.logic.variables import Space

    Maker = Callable[[Sequence[Formula], Sequence[Formula], Space, Budget], Engine]

MAKERS: Mapping[str, Maker] = {"categorical": truth_table, "tags": chain}


def engine_of(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Engine:
    """Return the cheapest exact form of formulas, and of others that always hold, over an output space.

    Raises:
        FormulaError: a formula names an unknown label, or does not speak of such outputs.
        RuleCostError: exact inference would exceed the budget.
    """
    return MAKERS.get(space.kind, network)(formulas, always, space, budget)
