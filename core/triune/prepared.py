"""From a configuration to everything a run needs: the first half of the life of a run.

config → plugins → `load_data` → `prepare_data`* → `build_model` → `adapt_model`* → `rules`* → ground →
`label_examples` → `claim_parameters`* → `loss_terms`* → plan.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from triune.activations import Activations
from triune.batching import order_of
from triune.collapse import watch_of
from triune.errors import PlanError, listed, nearest
from triune.hookspecs import LossComposition, ParameterFreezing
from triune.learning_table import training_examples
from triune.machine import autocast_of, precision_of
from triune.opening import Opened, abstentions, build, encode, load, objective_of, started
from triune.planning import (
    Memory,
    Plan,
    PluginRow,
    Steps,
    checked,
    contested,
    planned_groups,
    planned_terms,
    table_of,
    unsteady,
    unwatched,
)
from triune.prefixes import prefix_of
from triune.probe import Probe, probe
from triune.processes import ALONE, World
from triune.rule_files import read_files
from triune.rule_plan import only_reported, planned_rules, unconsumed
from triune.types import RunLength
from triune.windows import plateaus_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from triune.collapse import CollapseWatch
    from triune.config import LoadedConfig, NamedPlugin
    from triune.context import Run
    from triune.data import Data, Source
    from triune.examples import Examples
    from triune.frozen import Prefix
    from triune.objective import Objective
    from triune.optimisation import Group
    from triune.planning import Owned
    from triune.types import JSON, GroundedRules, ParameterClaim


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs, and its plan."""

    opened: Opened
    data: Data
    rules: GroundedRules
    examples: Mapping[str, Examples]
    objective: Objective
    plan: Plan
    watch: CollapseWatch | None = None
    activations: Activations | None = None  # where blocks are frozen below what trains


def prepare(
    loaded: LoadedConfig,
    frames: Mapping[str, pd.DataFrame] | None = None,
    machine: Mapping[str, JSON] | None = None,
    folder: Path | None = None,
    world: World = ALONE,
) -> Prepared:
    """Do everything that comes before step 0, alike on all processes; `folder` is where the run will write.

    Raises:
        TriuneError: something is wrong; nothing was written.
    """
    run, hooks = started(loaded, frames, world=world)
    checked(contested(hooks))
    data = load(run, hooks)
    opened = build(run, hooks, data)
    rules = opened.grounded(data)
    examples = encode(opened.bundle, data)
    said = [note for one in examples.values() for note in one.notes]
    train, rules, notes = training_examples(opened, data, rules, examples)
    watch = watch_of(run, hooks, examples, train, opened.bundle.space)
    tables = {split: table_of(data, split, examples[split]) for split in data.splits}  # as they came
    examples = {**examples, "train": train}
    steps = steps_of(run, order_of(run.config.training, train).per_epoch)
    terms, claims, groups = _declared(opened, data, rules, train, steps)
    objective = objective_of(opened, rules, terms)
    seen = _probed(objective, train, opened)
    prefix, prefix_notes = prefix_of(opened, examples, groups, steps, folder)
    activations = None
    if prefix:
        activations = Activations(opened.bundle, opened.layout, examples, prefix, autocast_of(run), folder, world)
        objective = objective_of(opened, rules, terms, activations.outputs)
    plan = Plan(
        plugins=plugin_rows(loaded),
        tables=tables,
        model=type(opened.bundle.model).__name__,
        layout=opened.layout,
        groups=groups,
        terms=terms,
        composer=next(iter(hooks.implementers(LossComposition.compose_loss)), None),
        optimizer=next(iter(hooks.implementers(ParameterFreezing.build_optimizer)), None),
        rules=tuple(rule.name for rule in opened.rules),
        steps=steps,
        training=run.config.training,
        memory=memory_of(opened, groups, steps, seen, prefix),
        machine={"device": run.device, "precision": precision_of(run), "processes": world.size, **(machine or {})},
        writes=(),
        claims=tuple(claims),
        phases=plateaus_of(claims),
        notes=(
            *data.notes,
            *opened.bundle.notes,
            *said,
            *abstentions(rules),
            *only_reported(rules, hooks),
            *unsteady(tables, run.config.training),
            *notes,
            *prefix_notes,
        ),
        prefix=prefix,
        acting=planned_rules(opened.rules, hooks),
    )
    return Prepared(opened, data, rules, examples, objective, plan, watch, activations)


def _declared(
    opened: Opened, data: Data, rules: GroundedRules, train: Examples, steps: Steps
) -> tuple[dict[str, Owned], Sequence[tuple[str, ParameterClaim]], tuple[Group, ...]]:
    """Return the terms that will act, what plugins claim, and which parameters train and when.

    Raises:
        PlanError: with all that is wrong with them.
    """
    run, hooks = opened.run, opened.hooks
    owned = hooks.collect(
        LossComposition.loss_terms, run=run, rules=rules, layout=opened.layout, train=train, bundle=opened.bundle
    )
    terms, problems = planned_terms(owned)
    length = RunLength(steps.total, steps.per_epoch)
    claims = hooks.collect(ParameterFreezing.claim_parameters, run=run, layout=opened.layout, length=length)
    groups, more = planned_groups(opened.layout, claims, steps.total, steps.per_epoch)
    checked([*problems, *more, *unwatched(plateaus_of(claims), run, data), *unconsumed(rules, hooks)])
    return terms, claims, groups


def identity_of(loaded: LoadedConfig, prepared: Prepared) -> str:
    """Return a hash of all that decides the outcome: settings, plugins, data. A checkpoint carries it.

    Where files lie is no part of it, what is in them is.
    """
    return identity(loaded, prepared.data.sources)


def identity(loaded: LoadedConfig, sources: Mapping[str, Source]) -> str:
    """Return the same from where the tables came from: nothing need be prepared to know it."""
    settings = [(one.family, one.use, one.name, _settings(one)) for one in loaded.plugins]
    plugins = [(row.name, row.sha256) for row in plugin_rows(loaded)]
    tables = sorted((split, source.sha256, source.rows) for split, source in sources.items())
    training = loaded.run.training.model_dump(exclude={"report"})  # which decides nothing
    facts = [training, settings, plugins, tables, read_files(loaded)]
    return sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()


def _settings(plugin: NamedPlugin) -> dict[str, object]:
    settings = plugin.config.model_dump() if plugin.config else {}
    return {key: value for key, value in settings.items() if not isinstance(value, Path)}


EPOCHS, FEWEST, EVALUATIONS = 3.0, 100, 10
"""Passes over the examples where nothing is said, the steps that they make at the least, and then evaluations."""


def steps_of(run: Run, per_epoch: int) -> Steps:
    """Return how long the run is, `per_epoch` steps a pass over the examples.

    Three passes over a few labels are a few steps; more of them is what small tables want (Zhang et al. 2021).
    """
    training = run.config.training
    asked = ceil((training.epochs or EPOCHS) * per_epoch)
    raised = training.epochs is None and asked < FEWEST
    total = min(FEWEST if raised else asked, training.max_steps or sys.maxsize)
    return Steps(
        epochs=total / per_epoch,
        per_epoch=per_epoch,
        total=total,
        batch=training.batch_size,
        accumulate=training.accumulate,
        warmup=round(training.warmup * total),
        between=ceil(total / EVALUATIONS) if raised else per_epoch,
    )


def memory_of(
    opened: Opened, groups: Sequence[Group], steps: Steps, seen: Probe, prefix: Prefix | None = None
) -> Memory:
    """Return what the run will hold at its fullest: fp32 gradients, and AdamW's two moments."""
    starts = {window.start for group in groups for window in group.windows}
    training = max((sum(group.elements for group in groups if group.window(step)) for step in starts), default=0)
    weights = sum(parameter.nbytes for parameter in opened.bundle.model.parameters())
    part = ceil(steps.batch / steps.accumulate / opened.run.processes.size)
    cache = prefix.bytes if prefix and prefix.place == "ram" else 0
    return Memory(weights, 4 * training, 8 * training, seen.bytes_per_example * part, cache)


def plugin_rows(loaded: LoadedConfig) -> tuple[PluginRow, ...]:
    """Return the plugins of a run as the plan and `run.json` show them."""
    from triune.catalog import source_hash

    return tuple(
        PluginRow(
            plugin.name,
            plugin.family,
            plugin.entry.distribution if plugin.entry else "passed from Python",
            plugin.entry.version if plugin.entry else "",
            source_hash(plugin.entry or plugin.cls),
        )
        for plugin in loaded.plugins
    )


def _probed(objective: Objective, train: Examples, opened: Opened) -> Probe:
    seen = probe(objective, train, opened)
    problems = list(seen.problems)
    stopping = opened.run.config.training.early_stopping
    if stopping and seen.metrics and not isinstance(seen.metrics.get(stopping.metric, ""), int | float | None):
        numbers = [name for name, value in seen.metrics.items() if isinstance(value, int | float)]
        problems.append(
            f"training.early_stopping.metric: {stopping.metric!r} is not measured; metrics: {listed(numbers)}"
            f"{nearest(stopping.metric, numbers)}"
        )
    if problems:
        raise PlanError(problems)
    return seen
