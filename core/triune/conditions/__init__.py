"""What rules say about examples: conditions, as frozen values, and how they are grounded together.

A rule author reads `texts`, `words`, `columns`, `tokens`, `functions` (the conditions) and `combining` (and, or,
not). A core developer goes on with `grounding` (how conditions meet a table), `truth` (what they give: three values),
`view` (the table, prepared once for all of them), `automaton` (thousands of phrases in one pass) and `kept` (what was
grounded before).
"""

from triune.conditions.columns import Column
from triune.conditions.combining import AllTrue, AnyTrue, NotTrue
from triune.conditions.functions import Python, TextMatches
from triune.conditions.grounding import Groundings, ground_all
from triune.conditions.texts import EndsWith, Length, Regex, Script, StartsWith
from triune.conditions.tokens import Places, Pointing, SpanRegex, Token, TokenRegex, TokensWhere
from triune.conditions.truth import Grounding
from triune.conditions.words import Contains, ContainsAll

__all__ = [
    "AllTrue", "AnyTrue", "Column", "Contains", "ContainsAll", "EndsWith", "Grounding", "Groundings", "Length",
    "NotTrue", "Places", "Pointing", "Python", "Regex", "Script", "SpanRegex", "StartsWith", "TextMatches", "Token",
    "TokenRegex", "TokensWhere", "ground_all",
]  # fmt: skip
