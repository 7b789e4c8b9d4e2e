"""Plugins, data, model and rules, from a configuration: what training, evaluating and predicting all begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from triune.conditions import Groundings, ground_all
from triune.context import FinishedRun, Generators, Run
from triune.data import Data, set_aside_validation
from triune.errors import DataError, PluginError, RuleError, listed, nearest
from triune.hooks import Hooks, given
from triune.hookspecs import LossComposition, RuleApplication, RunLifecycle
from triune.layout import Ownership, layout_of
from triune.machine import autocast_of, device_of
from triune.planning import checked
from triune.processes import ALONE, World
from triune.types import Bundle, GroundedRules, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from torch import Tensor, nn

    from triune.conditions import Places
    from triune.config import LoadedConfig, NamedPlugin
    from triune.examples import Examples
    from triune.objective import Objective
    from triune.spaces import OutputSpace
    from triune.token_rules import TokenRules
    from triune.types import Batch, LossTerm, ModelLayout, Outputs, Step


@dataclass(frozen=True, slots=True)
class Opened:
    """Plugins, model and rules: what is needed to predict."""

    run: Run
    hooks: Hooks
    bundle: Bundle
    layout: ModelLayout
    rules: tuple[Rule, ...]

    def grounded(self, data: Data) -> GroundedRules:
        """Return the rules with the examples that each fires on."""
        found = {split: _grounded(self.rules, data, split) for split in data.splits}
        return GroundedRules(
            self.rules,
            {split: one.fires for split, one in found.items()},
            {split: one.abstained for split, one in found.items()},
            {name: reason for one in found.values() for name, reason in one.reasons.items()},
            self.bundle.space,
            self._on_tokens({split: one.places for split, one in found.items()}),
            data,
        )

    def _on_tokens(self, places: Mapping[str, Mapping[int, Places]]) -> dict[str, TokenRules]:
        """Return the tokens that rules speak of, for every table that rules about tokens were grounded on."""
        from triune.token_rules import token_rules

        tags = [str(tag) for tag in self.bundle.space.labels]
        return {split: token_rules(self.rules, one, tags) for split, one in places.items() if one}

    def constraining(self, rules: GroundedRules) -> Callable[[Outputs, Batch], Outputs]:
        """Return what the plugins make of outputs."""
        if not self.hooks.implementers(RuleApplication.constrain_outputs):
            return lambda outputs, batch: outputs
        return lambda outputs, batch: self.hooks.chain(
            RuleApplication.constrain_outputs, "outputs", outputs, run=self.run, rules=rules, batch=batch
        )


def started(
    loaded: LoadedConfig,
    frames: Mapping[str, pd.DataFrame] | None = None,
    finished: FinishedRun | None = None,
    world: World = ALONE,
) -> tuple[Run, Hooks]:
    """Return the run and its plugins, made from their configurations."""
    plugins = {plugin.name: _made(plugin) for plugin in loaded.plugins}
    if frames:
        _hand_over(frames, plugins)
    training = loaded.run.training
    device = device_of(training.device, world)
    run = Run(loaded.run, loaded.folder, device, Generators(training.seed), finished, world)
    return run, Hooks(plugins)


def _made(plugin: NamedPlugin) -> object:
    try:
        return plugin.build()
    except Exception as error:
        error.add_note(f"raised by plugin {plugin.name!r} while it was made")
        raise


def as_frames(data: object) -> dict[str, pd.DataFrame]:
    """Return tables by split from what a caller has: frames or data sets by split, or one of either to train on."""
    tables: Mapping[str, Any] = data if isinstance(data, Mapping) else {"train": data}
    return {
        "valid" if split == "validation" else split: table.to_pandas() if hasattr(table, "to_pandas") else table
        for split, table in tables.items()
    }


def _hand_over(frames: Mapping[str, pd.DataFrame], plugins: Mapping[str, object]) -> None:
    takers = [plugin for plugin in plugins.values() if hasattr(plugin, "use_frames")]
    if len(takers) != 1:
        raise PluginError(
            f"frames were given as data and {len(takers)} plugins take frames: name exactly one data plugin that does"
        )
    takers[0].use_frames(frames)


def load(run: Run, hooks: Hooks) -> Data:
    """Return the tables, with a validation table, as the data plugins prepared them."""
    decided = hooks.decide(RunLifecycle.load_data, run=run)
    if decided is None:
        raise PluginError("no plugin brings data: name one under data (`triune plugins` lists them)")
    data = given(decided[0], decided[1], Data, RunLifecycle.load_data.__name__)
    for split in ("train", *data.splits):
        if split not in data.splits or not len(data.splits[split]):
            raise DataError(f"{data.place(split)}: the {split} table has no examples: give it some")
    if "valid" not in data.splits:
        data = set_aside_validation(data, run.config.training.validation, run.generators.numpy("validation"))
    prepared = hooks.chain(RunLifecycle.prepare_data, "data", data, run=run)
    owners = hooks.implementers(RunLifecycle.prepare_data)
    return given(owners[-1] if owners else decided[0], prepared, Data, RunLifecycle.prepare_data.__name__)


def build(run: Run, hooks: Hooks, data: Data) -> Opened:
    """Return the model with its adapters, seeded by the run, and the rules."""
    opened = build_model(run, hooks, data)
    owned = hooks.collect(RuleApplication.rules, run=run)
    rules = tuple(given(name, rule, Rule, RuleApplication.rules.__name__) for name, rule in owned)
    checked(_rule_problems(rules, opened.bundle))
    return replace(opened, rules=rules)


def build_model(run: Run, hooks: Hooks, data: Data) -> Opened:
    """Return the model with its adapters, seeded by the run, and no rules."""
    import torch

    torch.manual_seed(run.seed)
    decided = hooks.decide(RunLifecycle.build_model, run=run, data=data)
    if decided is None:
        raise PluginError("no plugin builds a model: name a task plugin under task (`triune plugins` lists them)")
    owner, bundle = decided
    given(owner, bundle, Bundle, RunLifecycle.build_model.__name__)
    ownership = Ownership(bundle.model, owner)
    for plugin, _ in hooks.each(RunLifecycle.adapt_model, run=run, model=bundle.model, space=bundle.space):
        ownership.note(bundle.model, plugin)
    bundle.model.to(run.device)
    return Opened(run, hooks, bundle, layout_of(bundle.model, ownership.owners, bundle.head, owner), ())


def _rule_problems(rules: tuple[Rule, ...], bundle: Bundle) -> list[str]:
    from triune.logic import Formula

    first: dict[str, Rule] = {}
    problems: list[str] = []
    for rule in rules:
        if rule.name in first:
            other = f" (the other is at {first[rule.name].place})" if first[rule.name].place else ""
            place = f"{rule.place}: " if rule.place else ""
            problems.append(f"{place}two rules are called {rule.name!r}{other}: rename one")
        first.setdefault(rule.name, rule)
    known = {str(label) for label in bundle.space.labels}
    for rule in rules:
        spoken = rule.then.labels if isinstance(rule.then, Formula) else frozenset[str | int]()
        problems.extend(
            f"{rule.where}: {label!r} is not a label of this task; labels: {listed(bundle.space.labels)}"
            f"{nearest(label, known)}"
            for label in sorted(map(str, spoken))
            if label not in known
        )
        if not 0 < rule.confidence <= 1:
            problems.append(f"{rule.where}: confidence {rule.confidence} is not in (0, 1]")
        problems.extend(f"{rule.where}: {said}" for said in _token_problems(rule, bundle.space))
    return problems


def _token_problems(rule: Rule, space: OutputSpace) -> list[str]:
    """Return what is wrong with a rule about tokens: both its sides must be, and the task tag them."""
    from triune.conditions import Pointing
    from triune.logic import FormulaError, OnTokens

    points, then = isinstance(rule.when, Pointing), rule.then
    if not points and not isinstance(then, OnTokens):
        return []
    if not points:
        return [f"{then} needs a condition that points at tokens, such as Token or SpanRegex, and it has {rule.when}"]
    if not isinstance(then, OnTokens):
        return [f"its condition points at tokens, and {then} says nothing of tokens: use EachIs, EachIsNot or Span"]
    if space.kind != "tags":
        return ["its condition points at tokens, and this task tags none: ask of the text with Contains or Regex"]
    try:
        then.allowed([str(tag) for tag in space.labels], 1)
    except FormulaError as error:
        return [str(error)]
    return []


def _grounded(rules: tuple[Rule, ...], data: Data, split: str) -> Groundings:
    try:
        return ground_all(rules, data.splits[split], data.roles)
    except RuleError as error:
        raise RuleError(f"{problem}; grounded on {data.place(split)}" for problem in error.problems) from error


def abstentions(rules: GroundedRules) -> list[str]:
    """Return a sentence for each rule that could not be asked of some examples."""
    notes = []
    for number, rule in enumerate(rules.rules):
        counts = {split: int(each[number]) for split, each in rules.abstained.items() if each[number]}
        if counts:
            where = ", ".join(f"{count} of {split}" for split, count in counts.items())
            notes.append(f"{rule.where} abstains on examples ({where}): {rules.reasons[rule.name]}")
    return notes


def encode(bundle: Bundle, data: Data) -> dict[str, Examples]:
    """Return the tokenised examples of every split."""
    return {split: replace(bundle.encode(data, split), split=split) for split in data.splits}


def objective_of(
    opened: Opened,
    rules: GroundedRules,
    terms: Mapping[str, tuple[str, LossTerm]],
    forward: Callable[[nn.Module, Batch], Outputs] | None = None,
) -> Objective:
    """Return the model and its composed losses in one module; `forward` is a pass of the model, otherwise its own."""
    from triune.objective import Objective

    composed = bool(opened.hooks.implementers(LossComposition.compose_loss))
    return Objective(
        opened.bundle.model,
        forward or opened.bundle.forward,
        opened.constraining(rules),
        terms,
        compose=_composing(opened) if composed else None,
        autocast=autocast_of(opened.run),
    )


def _composing(opened: Opened) -> Callable[[Mapping[str, Tensor], Step], Tensor]:
    def compose(terms: Mapping[str, Tensor], step: Step) -> Tensor:
        decided = opened.hooks.decide(LossComposition.compose_loss, run=opened.run, terms=terms, step=step)
        return sum(terms.values()) if decided is None else decided[1]  # type: ignore[return-value]

    return compose
