"""Which plugins an estimator uses where it is not told: found by what they say of themselves, never by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.catalog import reader_of
from triune.errors import PluginError
from triune.hookspecs import hookimpl
from triune.types import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Given:
    """Rules handed over from Python, as a plugin of the run."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.given = tuple(rules)

    @hookimpl
    def rules(self) -> Iterable[Rule]:
        """Contribute them."""
        return self.given


def reader() -> str:
    """Return the name of a data plugin that takes frames."""
    name: str = reader_of(["label"])[0]
    return name


def methods_for(rules: bool) -> list[Any]:
    """Return the methods of the default strategy that learns from labels, and from rules where there are some.

    Raises:
        PluginError: no distribution offers one.
    """
    from triune.strategies import entries, loaded

    wanted = "hybrid" if rules else "labels"
    found = [loaded(one) for one in entries() if one.status == "available"]
    fitting = [one for one in found if one.family == wanted and one.default]
    if not fitting:
        raise PluginError(f"no installed strategy learns from {wanted}: give `methods`")
    return list(min(fitting, key=lambda one: len(one.methods)).methods)


def rules_of(given: str | Path | Iterable[object]) -> tuple[Rule, ...]:
    """Return rules: those of a file, or a list of `Rule`, as the decorator `triune.rule` makes them of functions.

    Raises:
        TriuneError: there is something else among them, or the file cannot be read.
    """
    from triune.rule_input import rules_of as rules_of_file

    if isinstance(given, str | Path):
        return rules_of_file(Path(given))
    found: tuple[object, ...] = tuple(given)
    wrong = next((one for one in found if not isinstance(one, Rule)), None)
    if wrong is not None:
        raise PluginError(f"rules: found {wrong!r}: give the path of a rule file, or a list of triune.Rule")
    return tuple(one for one in found if isinstance(one, Rule))
