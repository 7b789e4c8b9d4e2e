"""What rules say about outputs.

`formulas` holds the statements as frozen values; a rule author needs no other module.
"""

from triune.logic.formulas import And, Formula, Label, Not, Or, SoftFormula

__all__ = ["And", "Formula", "Label", "Not", "Or", "SoftFormula"]
