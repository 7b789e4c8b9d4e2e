"""What rules say about outputs, and exact inference with it.

A rule author reads `formulas`, `counting`, `sequences` and `spans`: the statements, as frozen values. A method author
reads `inference`, then `answers`: `RuleSet(…).compiled(space)` answers for log Z, marginals, the best answer and draws,
and `coherence` for large hierarchies. Core developers go on with `queries` (what an engine is asked), `weighing` (from
rules that fire to costs), `engines` (which exact form answers for which outputs) and one engine at a time:

- `truth_table`: one choice among labels;
- `alternatives`: one rule that exactly one, or at most one, label holds;
- `networks`: many variables. `normal` is the one form of all statements, `costs` and `ordering` say what they
  will cost, `assembly` parts them into groups, `exclusions`, `counts` and `compiler` turn a group into a
  `circuits` sketch, `leaves`, `steps`, `levels` and `values` are scores, circuits and their gradient
  on tensors;
- `chains`: tag sequences. `tags`, `regular` and `recognition` turn statements into `automata`, `messages` runs
  one over tensors;
- `patterns`: rules that are too much all together, by what fires together;
- `estimates`: what is too much even so, where that is asked for; `truths` asks formulas of answers drawn.
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
from triune.logic.spans import EachIs, EachIsNot, OnTokens, Span

__all__ = [
    "And", "AnyOf", "AtLeast", "AtMost", "EachIs", "EachIsNot", "EndsWith", "EveryFollowedBy", "EveryPrecededBy",
    "Exactly", "Formula", "FormulaError", "Iff", "Implies", "Label", "Matches", "NeverFollows", "NoneOf", "Not",
    "Occurs", "OnTokens", "Or", "SoftFormula", "Span", "StartsWith", "bio", "hierarchy",
]  # fmt: skip
