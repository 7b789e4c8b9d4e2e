"""Strategies: named ways of learning, each a few methods, that can be set beside one another.

A distribution declares one in the entry-point group `triune.strategies`, as a `Strategy` or as a class without
arguments that makes one. `triune compare` does the default ones unless told which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from triune.catalog import STRATEGIES, Entry, marked
from triune.distributions import declared, lack
from triune.errors import PluginError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune.settings import Family

Need = Literal["rules", "labels", "unlabelled"]
RulesAs = Literal["votes", "belief", "prediction"]
FAMILIES: tuple[Family, ...] = ("rules", "labels", "hybrid")


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way of learning as a distribution offers it.

    Attributes:
        name: what it is called; that of its entry point.
        family: what it learns from. From one of "rules" the labels of the training table are hidden.
        methods: sections of methods as a configuration has them: names, or mappings with `use`.
        training: keys of `training` that it needs otherwise than the configuration has them.
        needs: what the configuration and its tables must have.
        default: whether it is compared unless others are named.
        summary: one sentence about it.
        rules_as: what it takes rules for, by which `triune advise` finds it: "votes" (they label text), "belief" (they
            correct what the model believes of text it learns from), "prediction" (they correct what it predicts).
    """

    name: str
    family: Family
    methods: Sequence[str | Mapping[str, object]]
    training: Mapping[str, object] = field(default_factory=dict)
    needs: frozenset[Need] = frozenset()
    default: bool = False
    summary: str = ""
    rules_as: RulesAs | None = None


def entries() -> tuple[Entry, ...]:
    """Return the strategies that distributions declare, importing none of them."""
    found, _ = declared({STRATEGIES: "strategy"})
    told = [Entry(one.name, one.family, one.distribution, one.version, one.value, reason=lack(one)) for one in found]
    rated = [one if not one.reason else _unavailable(one) for one in told]
    return tuple(sorted(marked(rated), key=lambda one: (one.name, one.distribution)))


def strategy(name: str) -> Strategy:
    """Return an installed strategy.

    Raises:
        PluginError: there is none of that name, or it cannot be used.
    """
    found = [one for one in entries() if one.name == name]
    if not found:
        known = sorted({one.name for one in entries()})
        raise PluginError(f"no strategy is called {name!r}; installed: {listed(known) or 'none'}{nearest(name, known)}")
    return loaded(found[0])


def loaded(entry: Entry) -> Strategy:
    """Import a strategy.

    Raises:
        PluginError: it cannot be imported, or is none.
    """
    if entry.status != "available":
        raise PluginError(f"strategy {entry.name!r} of {entry.origin} is {entry.status}: {entry.reason}")
    found = entry.found()
    made = found() if isinstance(found, type) else found
    fault = _fault(made, entry)
    if fault or not isinstance(made, Strategy):
        raise PluginError(
            f"strategy {entry.name!r} of {entry.origin} cannot be used: {fault}; "
            f"report it to the authors of {entry.distribution!r}"
        )
    return made


def _fault(made: object, entry: Entry) -> str:
    if not isinstance(made, Strategy):
        return f"{entry.value!r} is no Strategy but a {type(made).__name__}"
    if made.name != entry.name:
        return f"it calls itself {made.name!r}"
    if made.family not in FAMILIES:
        return f"its family is {made.family!r}, not one of {listed(FAMILIES)}"
    if made.rules_as not in (None, "votes", "belief", "prediction"):
        return f"it takes rules as {made.rules_as!r}, not as votes, belief or prediction"
    unknown = sorted(set(made.needs) - {"rules", "labels", "unlabelled"})
    return f"it needs {unknown[0]!r}, which nobody has" if unknown else ""


def _unavailable(entry: Entry) -> Entry:
    return replace(entry, status="unavailable")
