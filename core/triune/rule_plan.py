"""What the plan says of rules: which methods read each, and which nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.alignment import count
from triune.errors import listed
from triune.hooks import declared
from triune.hookspecs import RuleApplication
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune.hooks import Hooks
    from triune.types import GroundedRules, Rule


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """A rule, and where it acts.

    Attributes:
        name: of the rule.
        says: its formula.
        trust: its confidence, or that it is hard.
        acts: (seat, plugin) for each method that may read it there; none where it is only reported.
    """

    name: str
    says: str
    trust: str
    acts: tuple[tuple[str, str], ...] = ()


def unconsumed(rules: GroundedRules, hooks: Hooks) -> list[str]:
    """Return a problem for each rule that is kept from the seats that active methods ask for."""
    asked = asked_seats(hooks)
    idle = [rule.name for rule in rules.rules if not rule.seats & asked]
    if not idle or not asked:
        return []
    return [
        f"nothing reads rule {listed(map(repr, idle), 5)}: no active method asks for rules in its seats; "
        "name a rule method under methods that does, or leave the rules out"
    ]


def only_reported(rules: GroundedRules, hooks: Hooks) -> list[str]:
    """Return a note where rules act nowhere, because no method asks for any."""
    if not len(rules) or asked_seats(hooks):
        return []
    return [
        f"no active method asks for rules: {count(len(rules), 'rule')} only in the report, which says how far rules "
        "are kept"
    ]


def asked_seats(hooks: Hooks) -> frozenset[Seat]:
    """Return the seats in which active methods read rules."""
    return frozenset(seat for seats in seats_of(hooks).values() for seat in seats)


def seats_of(hooks: Hooks) -> dict[str, frozenset[Seat]]:
    """Return the seats in which each active method reads rules, by its name."""
    deciding = {
        Seat.LABELS: hooks.implementers(RuleApplication.label_examples),
        Seat.STRUCTURE: hooks.implementers(RuleApplication.constrain_outputs),
    }
    found = {}
    for name, plugin in hooks.plugins.items():
        own = {Seat(seat) for seat in declared(plugin, "seats")} | {
            seat for seat, who in deciding.items() if name in who
        }
        if own:
            found[name] = frozenset(own)
    return found


def planned_rules(rules: Iterable[Rule], hooks: Hooks) -> tuple[PlannedRule, ...]:
    """Return each rule with the methods that may read it; only a hard one gives outputs their structure."""
    methods = seats_of(hooks)
    return tuple(
        PlannedRule(
            rule.name,
            str(rule.then),
            "hard" if rule.hard else f"{rule.confidence:g}",
            tuple(
                (seat.value, name)
                for name, seats in methods.items()
                for seat in sorted(seats & rule.seats, key=list(Seat).index)
                if rule.hard or seat is not Seat.STRUCTURE
            ),
        )
        for rule in rules
    )
