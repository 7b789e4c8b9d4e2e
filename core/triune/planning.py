"""Everything the plugins declared, merged and checked before step 0; the plan can be printed, a run executes it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.alignment import count
from triune.data import label_set
from triune.errors import PlanError, listed, nearest
from triune.hooks import given
from triune.hookspecs import LossComposition, ParameterFreezing, RuleApplication, RunLifecycle
from triune.optimisation import Group, groups_of
from triune.types import LossTerm, OnPlateau, ParameterClaim
from triune.windows import plateaus_of, resolve, unclear_phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from triune.config import Training
    from triune.context import Run
    from triune.data import Data
    from triune.examples import Examples
    from triune.frozen import Prefix
    from triune.hooks import Hooks
    from triune.rule_plan import PlannedRule
    from triune.types import JSON, ModelLayout

Owned = tuple[str, LossTerm]
DEFAULT_METRIC = "macro_f1"


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A plugin of the run."""

    name: str
    family: str
    distribution: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Table:
    """A split as the run will use it."""

    source: str
    rows: int
    labelled: int
    tokens: int
    longest: int
    distribution: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Steps:
    """How long the run is."""

    epochs: float
    per_epoch: int
    total: int
    batch: int
    accumulate: int
    warmup: int
    between: int  # evaluations, and checkpoints, where the configuration says nothing of them


@dataclass(frozen=True, slots=True)
class Memory:
    """What the run will hold, in bytes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int  # of the largest part of a batch, measured on its longest example
    cache: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do."""

    plugins: tuple[PluginRow, ...]
    tables: Mapping[str, Table]
    model: str
    layout: ModelLayout
    groups: tuple[Group, ...]
    terms: Mapping[str, Owned]
    composer: str | None
    optimizer: str | None
    rules: tuple[str, ...]
    steps: Steps
    training: Training
    memory: Memory
    machine: Mapping[str, JSON]
    writes: tuple[Path, ...]
    notes: tuple[str, ...]
    claims: tuple[tuple[str, ParameterClaim], ...] = ()
    phases: tuple[OnPlateau, ...] = ()  # the ends of phases that only training tells
    prefix: Prefix | None = None  # what is frozen below what trains, where there is something
    acting: tuple[PlannedRule, ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(one.elements for one in self.layout.parameters)

    @property
    def trainable(self) -> int:
        """How many of them ever train."""
        return sum(group.elements for group in self.groups)

    def __str__(self) -> str:
        """Return the plan as a page to read."""
        from triune.plan_page import page

        return page(self)


def planned_terms(terms: Sequence[Owned]) -> tuple[dict[str, Owned], list[str]]:
    """Return the terms that will act, by name, and what is wrong with them."""
    problems: list[str] = []
    by_name: dict[str, Owned] = {}
    for owner, term in terms:
        given(owner, term, LossTerm, "loss_terms")
        if term.name in by_name:
            problems.append(
                f"plugins {by_name[term.name][0]!r} and {owner!r} both contribute a loss term {term.name!r}: rename one"
            )
        by_name[term.name] = (owner, term)
    replacers: dict[str, str] = {}
    for owner, term in terms:
        for name in term.replaces:
            if name not in by_name:
                problems.append(
                    f"loss term {term.name!r} of plugin {owner!r} replaces {name!r}, which nobody contributes"
                    f"{nearest(name, by_name)}; terms: {listed(by_name)}"
                )
            elif name in replacers:
                problems.append(
                    f"loss terms {replacers[name]!r} and {term.name!r} both replace {name!r}: leave one out"
                )
            replacers[name] = term.name
    for owner, term in terms:
        problems.extend(
            f"loss term {term.name!r} of plugin {owner!r} scales {name!r}, which nobody contributes"
            f"{nearest(name, by_name)}; terms: {listed(by_name)}"
            for name in term.scales
            if name not in by_name
        )
    acting = {
        name: (owner, replace(term, scales={_acting(one, replacers): by for one, by in term.scales.items()}))
        for name, (owner, term) in by_name.items()
        if name not in replacers
    }
    if not acting:
        problems.append(
            "no loss term: nothing would be learnt; give labels, or rules and a method that learns from them"
        )
    return acting, problems


def _acting(name: str, replacers: Mapping[str, str]) -> str:
    """Return the term that acts where one of this name would."""
    seen = {name}
    while name in replacers and replacers[name] not in seen:  # terms that replace each other are no terms to scale
        name = replacers[name]
        seen.add(name)
    return name


def planned_groups(
    layout: ModelLayout, claims: Sequence[tuple[str, ParameterClaim]], total: int, per_epoch: int
) -> tuple[tuple[Group, ...], list[str]]:
    """Return which parameters train and when, and what is wrong with the claims."""
    if not claims:
        return (), [
            "no method says which parameters train: name a learning method under methods (`triune plugins` lists them)"
        ]
    for owner, claim in claims:
        given(owner, claim, ParameterClaim, "claim_parameters")
    windows = resolve(layout, claims, total, per_epoch)
    groups = groups_of(windows, layout)
    problems = [*unclear_phases(plateaus_of(claims)), *windows.problems]
    if not groups and not problems:
        freezing = {owner for owner, claim in claims if claim.trainable is False}
        cause = f"all stay frozen by the claims of {listed(map(repr, sorted(freezing)))}; let some of them train"
        problems.append(f"no parameter ever trains: {cause if freezing else 'claims only scale the learning rate'}")
    idle = idle_stretch(groups, total)
    if groups and idle is not None:
        problems.append(f"no parameter trains at step {idle}: let one window begin there, or make the run shorter")
    return groups, problems


def idle_stretch(groups: Iterable[Group], total: int) -> int | None:
    """Return the first step at which nothing trains, or None."""
    step = 0
    windows = sorted((window.start, window.stop) for group in groups for window in group.windows)
    for start, stop in windows:
        if start > step:
            return step
        step = max(step, stop)
    return step if step < total else None


def unwatched(phases: Sequence[OnPlateau], run: Run, data: Data) -> list[str]:
    """Return why phases that end on a plateau could not: nothing is measured, kept, or chosen by their metric."""
    if not phases:
        return []
    training = run.config.training
    chosen = training.early_stopping.metric if training.early_stopping else DEFAULT_METRIC
    problems = []
    cells = data.labels("valid") if "valid" in data.splits else None
    if cells is None or all(cell is None for cell in cells):
        lacking = "no validation example has a label" if "valid" in data.splits else "there is no validation table"
        problems.append(f"phases end when a validation metric no longer rises, and {lacking}")
    if not training.keep_best:
        problems.append("a phase that ends restores its best model, and training.keep_best is false")
    problems.extend(
        f"{one} is told by {one.metric!r}, and the best model is chosen by {chosen!r}: "
        f"set training.early_stopping.metric to {one.metric!r}, or name {chosen!r} in the method"
        for one in phases[:1]
        if one.metric != chosen
    )
    return problems


FEW, COARSE = 50, 0.05
"""Examples with a label, and the step of a metric, from which on a validation table can choose a model."""


def unsteady(tables: Mapping[str, Table], training: Training) -> list[str]:
    """Return a note where a validation table is too small to choose a model by."""
    valid = tables.get("valid")
    if valid is None or not valid.labelled or not (training.keep_best or training.early_stopping):
        return []
    metric = training.early_stopping.metric if training.early_stopping else DEFAULT_METRIC
    step, which = 1 / valid.labelled, ""
    if metric.startswith("macro") and sum(valid.distribution.values()) == valid.labelled:  # one label an example
        rarest, number = min(valid.distribution.items(), key=lambda item: item[1])
        step, which = 1 / (number * len(valid.distribution)), f", {number} of the rarest label {rarest!r}"
    if valid.labelled >= FEW and step < COARSE:
        return []
    return [
        f"the model is chosen by {metric} on {count(valid.labelled, 'validation example')}{which}: it moves in "
        f"steps of about {count(round(100 * step), 'point')}, so the choice is mostly chance; give more, or set "
        "training.keep_best: false"
    ]


def contested(hooks: Hooks) -> list[str]:
    """Return a problem for each decision that two plugins would take."""
    specs = (
        RuleApplication.label_examples,
        LossComposition.compose_loss,
        ParameterFreezing.build_optimizer,
        RunLifecycle.prefer_model,
    )
    return [sentence for spec in specs if (sentence := hooks.contested(spec))]


def table_of(data: Data, split: str, examples: Examples) -> Table:
    """Return what the plan says of a split."""
    cells = data.labels(split)
    found = (label for cell in (() if cells is None else cells) for label in label_set(cell) or ())
    counts = Counter(str(label) for label in found if label is not None)
    return Table(
        source=data.place(split),
        rows=len(data.splits[split]),
        labelled=int(examples.labelled.sum()),
        tokens=int(examples.lengths.sum()),
        longest=int(examples.lengths.max(initial=0)),
        distribution=dict(sorted(counts.items(), key=lambda item: -item[1])),
    )


def checked(problems: Iterable[str]) -> None:
    """Raise if there are problems.

    Raises:
        PlanError: with all of them.
    """
    found = tuple(dict.fromkeys(problems))
    if found:
        raise PlanError(found)
