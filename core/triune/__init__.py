"""triune: fine-tune language models with rules, with labels, or with both.

Plugin authors read `hookspecs` (the contract), `types` and `select` (what crosses it), `testing` (the kit
that proves a plugin right). Those who orchestrate runs read `runs`. Core developers go on with `hooks`,
`planning`, `objective`, `engine`, `checkpoint`, in this order.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.advising import Advice, advise
    from triune.comparing import Comparison, compare
    from triune.context import Run
    from triune.data import Data, Source
    from triune.errors import TriuneError
    from triune.events import Event
    from triune.explaining.values import Explanation
    from triune.functions import rule
    from triune.hookspecs import hookimpl
    from triune.logic import Formula, Label, SoftFormula
    from triune.result import Result
    from triune.runs import evaluate, explain, plan, predict, run
    from triune.schedules import Schedule
    from triune.strategies import Strategy
    from triune.types import (
        ALL,
        ALWAYS,
        Batch,
        Bundle,
        GroundedRules,
        LossTerm,
        ModelLayout,
        Outputs,
        ParameterClaim,
        ParamGroup,
        Rule,
        RuleLabels,
        Seat,
        Step,
        TermValues,
        TextMatches,
    )

__version__ = "0.1.0"

_HOME = {
    "advising": ["Advice", "advise"],
    "comparing": ["Comparison", "compare"],
    "context": ["Run"],
    "data": ["Data", "Source"],
    "errors": ["TriuneError"],
    "events": ["Event"],
    "explaining.values": ["Explanation"],
    "functions": ["rule"],
    "hookspecs": ["hookimpl"],
    "logic": ["Formula", "Label", "SoftFormula"],
    "result": ["Result"],
    "runs": ["evaluate", "explain", "plan", "predict", "run"],
    "schedules": ["Schedule"],
    "strategies": ["Strategy"],
    "types": [
        "ALL", "ALWAYS", "Batch", "Bundle", "GroundedRules", "LossTerm", "ModelLayout", "Outputs",
        "ParamGroup", "ParameterClaim", "Rule", "RuleLabels", "Seat", "Step", "TermValues", "TextMatches",
    ],
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "ALL", "ALWAYS", "Advice", "Batch", "Bundle", "Comparison", "Data", "Event", "Explanation", "Formula",
    "GroundedRules", "Label", "LossTerm", "ModelLayout", "Outputs", "ParamGroup", "ParameterClaim", "Result", "Rule",
    "RuleLabels", "Run", "Schedule", "Seat", "SoftFormula", "Source", "Step", "Strategy", "TermValues", "TextMatches",
    "TriuneError", "advise", "compare", "evaluate", "explain", "hookimpl", "plan", "predict", "rule", "run",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'triune' has no attribute {name!r}")
    value: object = getattr(import_module(f"triune.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
