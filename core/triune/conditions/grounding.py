"""How the conditions of a rule set meet a table, all at once.

A condition abstains where a regular expression takes too long, a function raises, or a cell is empty. What
abstains does not fire, and neither does its negation: truth is Kleene's, with three values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.conditions.kept import keep, recall
from triune.conditions.view import View
from triune.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.conditions.tokens import Places
    from triune.types import Rule


class Alone:
    """Grounds a condition of ours by itself, for those who hold one: the `Condition` of `triune.types`."""

    __slots__ = ()

    @property
    def timed(self) -> bool:
        """Whether it may give up on an example because of the time that it takes."""
        return False

    def ground(self, examples: pd.DataFrame, roles: Mapping[str, str]) -> NDArray[np.bool_]:
        """Return (examples,) whether the condition holds; `roles` names the column of the text."""
        return View(examples, roles, [self]).ask(self).fires


@dataclass(frozen=True, slots=True)
class Groundings:
    """The rules of a set on a table, in their order.

    Attributes:
        fires: (rules, examples) whether a rule's condition holds.
        abstained: (rules,) on how many examples it could not be asked.
        reasons: why, for each rule that abstained anywhere, by its name.
        places: of the rules whose condition points at tokens, by their number: where.
    """

    fires: NDArray[np.bool_]
    abstained: NDArray[np.int64]
    reasons: Mapping[str, str]
    places: Mapping[int, Places] = field(default_factory=dict)


def ground_all(rules: Sequence[Rule], examples: pd.DataFrame, roles: Mapping[str, str]) -> Groundings:
    """Ground all rules at once: texts are prepared once, phrases are found in one pass, equal conditions are one.

    What is worth it is kept on disk for the next time; see `kept`.

    Raises:
        RuleError: rules ask for columns that are not there, or their functions return nonsense; a line for each.
    """
    import numpy as np

    conditions = [rule.when for rule in rules]
    view = View(examples, roles, conditions)
    unkept = recall(view, conditions)
    fires = np.zeros((len(rules), len(examples)), dtype=np.bool_)
    abstained = np.zeros(len(rules), dtype=np.int64)
    reasons: dict[str, str] = {}
    problems: list[str] = []
    for number, rule in enumerate(rules):
        try:
            grounding = view.ask(rule.when)
        except RuleError as error:
            problems.extend(f"{rule.where}: {problem}" for problem in error.problems)
        except Exception as error:
            error.add_note(f"raised by the condition of {rule.where}")
            raise
        else:
            fires[number], abstained[number] = grounding.fires, grounding.abstains.sum()
            if abstained[number]:
                reasons[rule.name] = grounding.reason
    if problems:
        raise RuleError(problems)
    if unkept:
        keep(unkept, view, conditions)
    return Groundings(fires, abstained, reasons, _places(rules, view))


def _places(rules: Sequence[Rule], view: View) -> dict[int, Places]:
    from triune.conditions.tokens import Pointing

    return {number: view.places(rule.when) for number, rule in enumerate(rules) if isinstance(rule.when, Pointing)}
