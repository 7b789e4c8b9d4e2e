"""What rules say about outputs, and exact inference with it.

A rule author reads `formulas`, `counting` and `sequences`: the statements, as frozen values. A method author
reads `inference`: `RuleSet(…).compiled(space)` answers for log Z, marginals, the best answer and draws. Core
developers go on with `normal` (one form for all statements), `costs` and `ordering` (what it will cost),
`assembly`, `counts`, `compiler` and `circuits` (statements become a circuit), `levels` (circuits on tensors),
then `truth_table`, `networks`, `chains` (the engines of one choice, of many variables, of tag sequences).
"""

from triune.logic.counting import AnyOf, AtMost, Exactly, NoneOf, hierarchy
from triune.logic.formulas import And, AtLeast, Formula, FormulaError, Iff, Implies, Label, Not, Or, SoftFormula
from triune.logic.sequences import (
    EndsWith,
    EveryFollowedBy,
    EveryPrecededBy,
    Matches,
    NeverFollows,
    Occurs,
    StartsWith,
    bio,
)

__all__ = [
    "And", "AnyOf", "AtLeast", "AtMost", "EndsWith", "EveryFollowedBy", "EveryPrecededBy", "Exactly", "Formula",
    "FormulaError", "Iff", "Implies", "Label", "Matches", "NeverFollows", "NoneOf", "Not", "Occurs", "Or",
    "SoftFormula", "StartsWith", "bio", "hierarchy",
]  # fmt: skip
