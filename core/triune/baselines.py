"""The two baselines beside every result of a run in which rules act, each a run of its own in a folder below.

*Projection only* learns without the rules and projects its predictions onto them. *With validation labels* learns
without the rules and from the validation table too, since whoever tunes rules has used its labels. Both have as many
steps as the run itself. Hu et al.'s gains, for one, come almost entirely from the projection (Krishna et al. 2018).
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.config import LoadedConfig, NamedPlugin
from triune.errors import listed
from triune.hooks import declared
from triune.hookspecs import RuleApplication, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.data import Data
    from triune.hooks import Hooks
    from triune.prepared import Prepared
    from triune.types import Rule

FOLDER = "baselines"
PROJECTION, VALIDATION = "projection-only", "with-validation-labels"


class ValidationLabels:
    """Learn from the validation table too: it is put below the training table before anything is prepared."""

    @hookimpl
    def prepare_data(self, data: Data) -> Data:
        """Transform the tables."""
        import pandas as pd

        splits = {name: table for name, table in data.splits.items() if name != "valid"}
        splits["train"] = pd.concat([data.train, data.splits["valid"]])
        return replace(data, splits=splits)


class RulesKept:
    """Bring the rules of plugins that are left out, so that they are reported on all the same."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.given = rules

    @hookimpl
    def rules(self) -> Iterable[Rule]:
        """Contribute them."""
        return self.given


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run to be done beside another, or the reason why there is none.

    Attributes:
        name: of its folder.
        loaded: its configuration.
        left_out: why it is not done.
    """

    name: str
    loaded: LoadedConfig | None = None
    left_out: str = ""

    @property
    def key(self) -> str:
        """Its name among the metrics."""
        return self.name.replace("-", "_")


def rule_methods(hooks: Hooks) -> frozenset[str]:
    """Return the plugins that make rules act, and those that require one of them."""
    deciding = (RuleApplication.label_examples, RuleApplication.constrain_outputs)
    found = {name for name, plugin in hooks.plugins.items() if declared(plugin, "seats")}
    found |= {name for spec in deciding for name in hooks.implementers(spec)}
    while more := {name for name, plugin in hooks.plugins.items() if found & set(declared(plugin, "requires"))} - found:
        found |= more
    return frozenset(found)


def baselines_of(loaded: LoadedConfig, prepared: Prepared) -> tuple[Baseline, ...]:
    """Return the baselines of a run, none where no rule acts in it or none are wanted."""
    dropped = rule_methods(prepared.opened.hooks)
    if not loaded.run.training.baselines or not len(prepared.rules) or not dropped:
        return ()
    bare = _without(loaded, dropped, prepared)
    learnt = _labels(prepared.data, "train")
    none = "no training example has a label, so there is nothing to learn from without the rules"
    return (
        Baseline(PROJECTION, _as_long(bare, prepared)) if learnt else Baseline(PROJECTION, left_out=none),
        _with_validation(bare, prepared),
    )


def _with_validation(bare: LoadedConfig, prepared: Prepared) -> Baseline:
    valid, test = (_labels(prepared.data, split) for split in ("valid", "test"))
    if not valid:
        return Baseline(VALIDATION, left_out="no validation example has a label")
    if not test:
        return Baseline(VALIDATION, left_out="no test example has a label, so nothing is left to measure it by")
    first = next(place for place, one in enumerate(bare.plugins) if one.family == "data") + 1
    plugins = (*bare.plugins[:first], _ours(VALIDATION, "data", ValidationLabels()), *bare.plugins[first:])
    return Baseline(VALIDATION, _as_long(replace(bare, plugins=plugins), prepared))


def _ours(name: str, family: str, plugin: object) -> NamedPlugin:
    return NamedPlugin(name, name, family, "", None, type(plugin), None, plugin)


def _without(loaded: LoadedConfig, dropped: frozenset[str], prepared: Prepared) -> LoadedConfig:
    """Return the configuration without some plugins; objects from Python are copied before the run can change them."""
    plugins = tuple(_fresh(one) for one in loaded.plugins if one.name not in dropped)
    kept = {one.name for one in plugins}
    methods = tuple(one for one in loaded.run.methods if (one.name or one.use) in kept)
    training = loaded.run.training.model_copy(update={"baselines": False, "report": "off"})
    run = loaded.run.model_copy(update={"methods": methods, "training": training, "output": None})
    if orphans := _orphans(dropped, prepared):
        plugins = (*plugins, _ours("rules of methods left out", "rule", RulesKept(orphans)))
    return LoadedConfig(run, plugins, loaded.folder)


def _orphans(dropped: frozenset[str], prepared: Prepared) -> list[Rule]:
    """Return the rules that plugins which are left out contribute themselves."""
    run, hooks = prepared.opened.run, prepared.opened.hooks
    if not dropped & set(hooks.implementers(RuleApplication.rules)):
        return []
    return [rule for owner, rule in hooks.collect(RuleApplication.rules, run=run) if owner in dropped]


def _fresh(plugin: NamedPlugin) -> NamedPlugin:
    """Return a plugin whose object a baseline may change without the caller's noticing."""
    if plugin.instance is None:
        return plugin
    copied = deepcopy if hasattr(plugin.instance, "load_state_dict") else copy
    return replace(plugin, instance=copied(plugin.instance))


def _as_long(loaded: LoadedConfig, prepared: Prepared) -> LoadedConfig:
    """Return the configuration with as many steps, evaluations and checkpoints as the run itself has."""
    steps = prepared.plan.steps
    training = loaded.run.training
    longer = training.model_copy(
        update={
            "epochs": float(steps.total),  # an epoch has a step at least
            "max_steps": steps.total,
            "evaluate_every": training.evaluate_every or steps.between,
            "checkpoint_every": training.checkpoint_every or steps.between,
        }
    )
    return replace(loaded, run=loaded.run.model_copy(update={"training": longer}))


def _labels(data: Data, split: str) -> int:
    cells = data.labels(split) if split in data.splits else None
    return 0 if cells is None else int(cells.notna().sum())


def notes_of(baselines: Sequence[Baseline], prepared: Prepared) -> tuple[str, ...]:
    """Return what the plan says of the baselines: what they cost, and which are left out."""
    left_out = [f"baseline {one.name} is left out: {one.left_out}" for one in baselines if one.left_out]
    done = [one.name for one in baselines if one.loaded is not None]
    if not done:
        return tuple(left_out)
    cost = f"each of at most {prepared.plan.steps.total:,} steps, so about {len(done) + 1} times the time in all"
    way_out = "training.baselines: false leaves them out"
    return (*left_out, f"baselines follow this run ({listed(done)}), {cost}; {way_out}")
