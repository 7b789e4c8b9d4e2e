"""The plugin under test: made afresh for every check, and planned on the toy task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from triune.testing.toy_runs import as_in_a_run, completed, configuration, implements

if TYPE_CHECKING:
    from triune.config import LoadedConfig
    from triune.context import Run
    from triune.data import Data
    from triune.hooks import Hooks
    from triune.prepared import Prepared
    from triune.testing.training import Trial
    from triune.types import Batch, LossTerm, Step

Make = Callable[[], object]
SEED = 42
TRAINING: Mapping[str, object] = {
    "max_steps": 12,
    "epochs": 12,
    "validation": 0.1,
    "accumulate": 2,
    "evaluate_every": 5,
    "checkpoint_every": 12,
    "early_stopping": None,
    "keep_best": False,
    "seed": SEED,
}


@dataclass(frozen=True)
class Subject:
    """A plugin and the company that it is tested in.

    Attributes:
        name: what runs call it.
        make: its class, or a function that returns a fresh object.
        config: settings for the class's `Config`.
        company: other plugins of every run, each its class or a function that returns a fresh object.
    """

    name: str
    make: Make
    config: Mapping[str, object] | None
    company: Mapping[str, Make]

    @cached_property
    def plugin(self) -> object:
        """One object of it, to look at and never to run."""
        return self.fresh()

    @property
    def cls(self) -> type:
        """Its class."""
        return self.make if inspect.isclass(self.make) else type(self.plugin)

    def fresh(self) -> object:
        """Return a new object of it."""
        settings = getattr(self.make, "Config", None) if inspect.isclass(self.make) else None
        return self.make() if settings is None else self.make(settings.model_validate(dict(self.config or {})))  # type: ignore[call-arg]

    def implements(self, *hooks: str) -> bool:
        """Return whether it implements one of the hooks."""
        return any(implements(self.plugin, hook) for hook in hooks)

    def plugins(self) -> dict[str, object]:
        """Return fresh plugins of a whole run."""
        named = {self.name: self.fresh(), **{name: make() for name, make in self.company.items()}}
        if not self._only_freezes:
            return completed(named)
        from triune.testing.toys import All

        return completed({**named, "all": All()})

    @cached_property
    def _only_freezes(self) -> bool:
        """Whether it claims parameters and trains none, so that a run needs a method which does."""
        from triune.hookspecs import ParameterFreezing
        from triune.opening import build, load, started
        from triune.types import RunLength

        if not self.implements("claim_parameters"):
            return False
        with as_in_a_run(SEED):
            named = {self.name: self.fresh(), **{name: make() for name, make in self.company.items()}}
            run, hooks = started(loaded(completed(named)))
            layout = build(run, hooks, load(run, hooks)).layout
            length = RunLength(int(str(TRAINING["max_steps"])), per_epoch=1)
            claims = hooks.collect(ParameterFreezing.claim_parameters, run=run, layout=layout, length=length)
        return bool(claims) and not any(claim.trainable for _, claim in claims)

    def prepared(self) -> Prepared:
        """Return a fresh run of it up to step 0."""
        from triune.prepared import prepare

        plugins = self.plugins()
        with as_in_a_run(SEED):
            return prepare(loaded(plugins))

    @cached_property
    def planned(self) -> Prepared:
        """One such run, for checks that leave it as it was."""
        return self.prepared()

    @cached_property
    def trial(self) -> Trial:
        """One whole run of it."""
        from triune.testing.training import whole

        return whole(self)

    def started(self) -> tuple[Run, Hooks, Data]:
        """Return a fresh run that has loaded its tables, set validation aside and prepared nothing."""
        from triune.data import set_aside_validation
        from triune.hookspecs import RunLifecycle
        from triune.opening import started

        run, hooks = started(loaded(self.plugins()))
        decided = hooks.decide(RunLifecycle.load_data, run=run)
        assert decided is not None
        data = decided[1]
        if "valid" not in data.splits:
            data = set_aside_validation(data, run.config.training.validation, run.generators.numpy("validation"))
        return run, hooks, data

    def terms(self) -> list[LossTerm]:
        """Return the loss terms of it that act in the planned run."""
        return [term for owner, term in self.planned.objective.terms.values() if owner == self.name]

    def batches(self) -> list[Batch]:
        """Return training examples in three parts and, last, as a whole; some of them have no label."""
        import numpy as np

        from triune.batching import parts_of

        examples = self.planned.examples["train"]
        rows = np.linspace(0, len(examples) - 1, num=min(13, len(examples)), dtype=np.int64)
        return [examples.batch(part) for part in (*parts_of(rows, 3), rows)]

    def loudest(self) -> Step:
        """Return the step at which the weights of its terms are largest, so that a ramp does not hide them."""
        from triune.types import Step

        total = self.planned.plan.steps.total
        steps = [Step(index, total) for index in range(total)]
        return max(steps, key=lambda step: sum(abs(term.weight.at(step)) for term in self.terms()))


def loaded(plugins: Mapping[str, object]) -> LoadedConfig:
    """Return the checked configuration of a run of these plugins and no installed ones."""
    from triune.catalog import Catalog
    from triune.config import load_config

    given = {f"{name}, from Python": plugin for name, plugin in plugins.items()}
    return load_config(configuration(plugins, TRAINING), catalog=Catalog(), instances=given)


def prediction(batch: Batch) -> Batch:
    """Return a batch as prediction sees it: without labels."""
    import torch

    return replace(batch, targets=torch.zeros_like(batch.targets), labelled=torch.zeros_like(batch.labelled))
