"""Prove a plugin right: every check that applies to the hooks it implements, all failures in one report."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import PlanError, TriuneError
from triune.testing import form, outputs, parameters, tables, terms, training
from triune.testing.subject import Make, Subject
from triune.testing.toy_runs import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is true of a right plugin.

    Attributes:
        name: as the report shows it.
        faults: what is wrong, a sentence each; its docstring says what is right.
        of: hooks or methods; a plugin that has none of them is not checked.
    """

    name: str
    faults: Callable[[Subject], Iterable[str]]
    of: tuple[str, ...] = ()

    def applies(self, subject: Subject) -> bool:
        """Return whether the plugin has what is checked."""
        return not self.of or any(hasattr(subject.plugin, name) for name in self.of)


def plan(subject: Subject) -> Iterator[str]:
    """A run of it can be planned: nothing contradicts, every term has a gradient, rules speak of known labels."""
    try:
        assert subject.planned
    except PlanError as error:
        for problem in error.problems:
            hint = "; give tables with the labels it speaks of, as company" if "not a label" in problem else ""
            yield problem + hint


FORM = (
    Check("docstring", form.docstring),
    Check("config", form.config),
    Check("light import", form.light),
)
GATES = (
    Check("making", form.making),
    Check("hooks", form.hooks),
    Check("data", tables.prepared, ("prepare_data",)),
    Check("plan", plan),
)
BEHAVIOUR = (
    Check("claims", parameters.claims, ("claim_parameters",)),
    Check("same model", parameters.adapted, ("adapt_model", "build_model")),
    Check("term values", terms.values, ("loss_terms",)),
    Check("term counts", terms.counts, ("loss_terms",)),
    Check("composed loss", terms.composed, ("compose_loss",)),
    Check("exact reduction", terms.reduction, ("loss_terms", "compose_loss")),
    Check("rules", outputs.rules, ("rules",)),
    Check("labels", outputs.labels, ("label_examples",)),
    Check("constraints", outputs.constraints, ("constrain_outputs",)),
)
RUNS = (
    Check("run", training.running),
    Check("observing", training.observing, ("observe",)),
    Check("freezing", training.freezing),
    Check("state", training.state, ("state_dict", "load_state_dict")),
    Check("same seed", training.repeat),
    Check("exact resume", training.resume),
)


def check_plugin(
    make: Make,
    *,
    config: Mapping[str, object] | None = None,
    company: Mapping[str, Make] | None = None,
    name: str | None = None,
) -> None:
    """Prove that a plugin keeps the contract, on a task so small that it takes a second or two.

    ```python
    def test_mine_is_a_plugin_as_it_should_be():
        check_plugin(Mine, config={"rank": 2})
    ```

    Args:
        make: the plugin's class, or a function that returns a fresh object of it.
        config: settings for the class's `Config`, where the defaults do not do.
        company: the plugins that it needs beside it, by name, each its class or a function: a task of its own, tables
            with the labels that its rules speak of. What is lacking is a toy.
        name: what runs call it; by default the name of its entry point, or of its class.

    Raises:
        AssertionError: with every failure, each saying what was found and what to do.
    """
    subject = Subject(name or name_of(_class_of(make)), make, config, dict(company or {}))
    faults = list(faults_of(subject))
    if faults:
        checks = list(dict.fromkeys(fault.check for fault in faults))
        head = f"plugin {subject.name!r} fails {len(checks)} check{'s' * (len(checks) > 1)}:"
        cause = next((fault.cause for fault in faults if fault.cause), None)
        raise AssertionError("\n".join([head, *(f"  {fault.check}: {fault.sentence}" for fault in faults)])) from cause


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and the error that said so, if one did."""

    check: str
    sentence: str
    cause: Exception | None = None


def faults_of(subject: Subject) -> Iterator[Fault]:
    """Yield everything that is wrong with a plugin.

    A gate that fails ends the search, because what comes after it would only say the same again; and so does a run
    that fails.
    """
    try:
        assert subject.plugin is not None
    except Exception as error:
        yield from list(_of(FORM[1], subject)) or [Fault("making", _said(error), error)]
        return
    for gate, checks in ((False, FORM), (True, GATES), (False, BEHAVIOUR), (True, RUNS[:1]), (False, RUNS[1:])):
        for check in checks:
            faults = list(_of(check, subject)) if check.applies(subject) else []
            yield from faults
            if gate and faults:
                return


def _of(check: Check, subject: Subject) -> Iterator[Fault]:
    try:
        yield from [Fault(check.name, sentence) for sentence in check.faults(subject)]
    except Exception as error:
        yield Fault(check.name, _said(error), error)


def _said(error: Exception) -> str:
    """Return an error in a line: what it says, where it was raised, which hook it came out of."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    if isinstance(error, TriuneError):
        return f"{error}{f' ({notes})' if notes else ''}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno}{f'; {notes}' if notes else ''})"


def _class_of(make: Make) -> type:
    return make if isinstance(make, type) else type(make())
