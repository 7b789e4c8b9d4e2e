"""The loop, and nothing but the loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune.accumulation import accumulated, clip, own_draws
from triune.batching import order_of, parts_of
from triune.checkpoint import Checkpoints, Snapshot
from triune.collapse import GRACE
from triune.contributed import noted_by
from triune.dropout import fast_dropout
from triune.errors import CheckpointError
from triune.evaluation import number
from triune.events import Cached, Checkpointed, Evaluated, Finished, Noted, PhaseEnded, Stepped, Warned
from triune.examiner import Examiner
from triune.hookspecs import ParameterFreezing, RunLifecycle
from triune.memory import trim_pages
from triune.optimisation import Group, adamw, begin_moments, freeze_all, move_to, moved, param_groups, rate_of
from triune.optimizer_state import optimizer_state, restore_optimizer
from triune.planning import DEFAULT_METRIC
from triune.progress import Progress, judged
from triune.replicas import of_data, of_training, refuse_differences
from triune.selection import log_loss
from triune.signals import Hurried, Interrupted, Listener
from triune.state import join_state, random_state, set_random_state, split_state
from triune.types import Step
from triune.windows import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from triune.evaluation import Answers, Evaluation
    from triune.journal import Journal
    from triune.prepared import Prepared
    from triune.replicas import Part
    from triune.types import JSON


class Engine:
    """Trains what was prepared, from wherever a checkpoint left it, to the end or until asked to stop."""

    def __init__(self, prepared: Prepared, checkpoints: Checkpoints, journal: Journal, listener: Listener) -> None:
        """Build the optimiser; every parameter starts frozen, and the plan thaws."""
        self.run, self.hooks = prepared.opened.run, prepared.opened.hooks
        self.prepared, self.checkpoints, self.journal, self.listener = prepared, checkpoints, journal, listener
        self.training, self.world = self.run.config.training, self.run.processes
        self.plan, self.objective = prepared.plan, prepared.objective
        self.model = prepared.opened.bundle.model
        self.rate = rate_of(self.training, self.plan.steps.total)
        freeze_all(self.model)
        groups = param_groups(self.model, self.plan.groups, self.training)
        decided = self.hooks.decide(ParameterFreezing.build_optimizer, run=self.run, groups=groups)
        self.optimizer = decided[1] if decided else adamw(groups)
        self.own = not decided  # whether the optimiser is the core's
        self.parameters = dict(self.model.named_parameters())
        self.names = {parameter: name for name, parameter in self.parameters.items()}
        self.order = order_of(self.training, prepared.examples["train"])
        self._epoch: tuple[int, list[NDArray[np.int64]]] | None = None  # the order in use, a pure function's value
        self.examiner = Examiner(prepared, listener.obey)
        self.progress = Progress()
        self.before: dict[str, JSON] = {}  # by split, how often the model broke each rule before it learnt
        self.best: Mapping[str, JSON] | None = None  # the validation metrics of the best model
        self.groups = self._groups()

    def train(self) -> str:
        """Go through the steps that are left; return why training ended.

        Raises:
            Interrupted: a signal asked to stop; the run was saved first, but for the sake of one in a hurry.
        """
        try:
            refuse_differences(self.world, "before the first step", self._alike_at_first)
            self.examiner.begin(self.now)
            if not self.progress.step:
                self.before = self.examiner.before()
                self._note()
            while True:
                self._evaluate_if_due()
                self._save_if_due()
                if reason := self._ended():
                    break
                self._learn(self.batch_at(self.progress.step))
                self.listener.obey()
        except Interrupted as stop:
            if not isinstance(stop, Hurried):
                self.save()
            raise
        if self.prepared.activations:
            self.prepared.activations.close()
        self._restore_best()
        self.optimizer.state.clear()  # nothing learns any more, and what comes needs room of its own
        trim_pages()
        self.journal.tell(Finished(self.now, reason))
        return reason

    @property
    def now(self) -> Step:
        """The moment that the run is at."""
        return Step(self.progress.step, self.plan.steps.total, self.progress.step // self.order.per_epoch)

    @property
    def evaluating(self) -> float:
        """The seconds spent evaluating, over all resumes."""
        return self.progress.evaluating + self.examiner.seconds

    @property
    def metric(self) -> str:
        """The metric that chooses the best model."""
        return self.training.early_stopping.metric if self.training.early_stopping else DEFAULT_METRIC

    def batch_at(self, position: int) -> NDArray[np.int64]:
        """Return the rows that a step learns from."""
        epoch, place = divmod(position, self.order.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self.order.of_epoch(epoch))
        return self._epoch[1][place]

    def _learn(self, rows: NDArray[np.int64]) -> None:
        self._keep_frozen("train", self.progress.step)
        begun = time.perf_counter()
        step = self.now
        move_to(step.index, self.parameters, self.groups, self.rate, self.optimizer)
        if self.own:
            begin_moments(self.optimizer)
        if not self.objective.training:
            self.objective.train()
        examples = self.prepared.examples["train"]
        mine = parts_of(self.world.share(rows), self.training.accumulate)
        batches = [examples.batch(part).to(self.run.device) for part in mine]
        untouched = self.run.generators.untouched
        with own_draws(self.run, step):
            loss, terms = accumulated(self.objective, batches, step, self._dropout, untouched, self.world)
        clip(self.names, self.training.clip, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - begun
        self.progress = replace(self.progress, step=step.index + 1, seconds=self.progress.seconds + seconds)
        rates = tuple(group["lr"] for group in self.optimizer.param_groups)
        self.journal.tell(Stepped(self.now, loss, terms, rates, len(rows), seconds))

    def _dropout(self) -> AbstractContextManager[object]:
        return fast_dropout() if self.training.dropout == "fast" else nullcontext()

    def _keep_frozen(self, split: str, step: int) -> None:
        """Have what is frozen at a step computed for a split once, where that is to be kept."""
        activations, prefix = self.prepared.activations, self.plan.prefix
        if activations and prefix:
            activations.move_to(prefix.floor(step, self.groups))
            seconds = activations.keep(split, self.progress.step, self.listener.obey)
            if seconds:
                self.progress = replace(self.progress, caching=self.progress.caching + seconds)
                self.journal.tell(Cached(self.now, split, activations.blocks, seconds))

    def _evaluate_if_due(self) -> None:
        every = self.training.evaluate_every or self.plan.steps.between
        step = self.progress.step
        if step == self.progress.evaluated or not (step % every == 0 or step == self.plan.steps.total):
            return
        self._keep_frozen("valid", max(step - 1, 0))  # as in the step that was just learnt from
        answers = self._validate() if "valid" in self.prepared.examples else None
        self._note()
        self._watch(answers)
        self.progress = replace(self.progress, evaluated=step)  # at last: whoever stops amid it does it over
        self._end_phase_if_due()

    def _validate(self) -> Sequence[Answers]:
        """Measure the model on the validation table, and keep it if it is the best so far."""
        found = self.examiner.evaluate("valid")
        metrics = found.metrics
        better = self._improves(found)
        if better:
            self._save_best()
        self.journal.tell(Evaluated(self.now, "valid", metrics, better))
        return found.answers

    def _improves(self, found: Evaluation) -> bool:
        """Return whether this is the best model so far, as a plugin decides or the metric; remember how it does."""
        metrics, space, stopping = found.metrics, self.prepared.opened.bundle.space, self.training.early_stopping
        decided = self.hooks.decide(RunLifecycle.prefer_model, run=self.run, metrics=metrics, best=self.best)
        value = number(metrics, self.metric)
        loss = 0.0 if value is None else log_loss(found.answers, self.prepared.examples["valid"], space)
        labelled, margin = int(number(metrics, "labelled") or 0), stopping.min_delta if stopping else 0.0
        choice = decided[1] if decided else None
        if decided and self.best is not None:  # of one model alone nothing is chosen
            self.progress = replace(self.progress, chooser=decided[0])
        self.progress, better = judged(self.progress, choice, value, loss, labelled, margin)
        self.best = metrics if better else self.best
        return better

    def _note(self) -> None:
        """Write down what plugins note of this moment."""
        for plugin, found in self.hooks.each(RunLifecycle.note_values, run=self.run):
            for name, values in noted_by(plugin, found or {}).items():
                self.journal.tell(Noted(self.now, plugin, name, values))

    def _watch(self, answers: Sequence[Answers] | None) -> None:
        """Say it, once, where one label has taken over the predictions."""
        if self.prepared.watch is None or self.progress.collapsed:
            return
        verdict = self.prepared.watch.verdict(answers or self.examiner.sampled())
        if verdict and (self.progress.spread or self.now.share >= GRACE):
            said = f"step {self.progress.step}: {verdict}"
            self.progress = replace(self.progress, collapsed=said)
            self.journal.tell(Warned(said))
        elif not verdict:
            self.progress = replace(self.progress, spread=True)

    def _groups(self) -> tuple[Group, ...]:
        """Return the groups in the windows that they have, as far as phases have ended."""
        if not self.plan.phases:
            return self.plan.groups
        steps, layout = self.plan.steps, self.plan.layout
        known = resolve(layout, self.plan.claims, steps.total, steps.per_epoch, self.progress.ended)
        return moved(self.plan.groups, known)

    def _end_phase_if_due(self) -> None:
        """Where the phase has reached its plateau, go back to its best model, and on to the next phase from there."""
        phase = len(self.progress.ended)
        if phase == len(self.plan.phases) or self.progress.disappointments < self.plan.phases[phase].patience:
            return
        self._restore_best()
        if self.prepared.activations:
            self.prepared.activations.restored(self.progress.best_step)
        self.optimizer.state.clear()  # of weights that are no longer there
        ended = (*self.progress.ended, self.progress.step)
        self.progress = replace(self.progress, ended=ended, disappointments=0)
        self.groups = self._groups()
        self.journal.tell(PhaseEnded(self.now, phase + 1, self.progress.best_step))

    def _ended(self) -> str:
        stopping = self.training.early_stopping
        if self.progress.step >= self.plan.steps.total:
            return f"all {self.plan.steps.total} steps are done"
        last = len(self.progress.ended) == len(self.plan.phases)
        if stopping and last and self.progress.disappointments >= stopping.patience:
            return f"{stopping.metric} did not improve in {stopping.patience} evaluations"
        if self.progress.collapsed and self.training.collapse == "stop":
            return "one label took over the predictions"
        return ""

    def _save_if_due(self) -> None:
        every = self.training.checkpoint_every or self.plan.steps.between
        if self.progress.step != self.progress.saved and (self.progress.step % every == 0 or self._ended()):
            refuse_differences(self.world, f"step {self.progress.step}", self._alike)
            self.save()

    def _alike(self) -> Iterator[Part]:
        optimizer = optimizer_state(self.optimizer, self.names)[0]
        return of_training(self.model.state_dict(), optimizer, self.hooks.states(), self.run.generators.state_dict())

    def _alike_at_first(self) -> Iterator[Part]:
        return chain(of_data(self.prepared.examples, self.prepared.rules), self._alike())

    def save(self) -> None:
        """Write a checkpoint of this very moment."""
        if self.progress.step == 0:
            return
        self.progress = replace(self.progress, saved=self.progress.step)
        snapshot = self.snapshot()
        self.world.led(lambda: self.checkpoints.save(snapshot))
        self.journal.tell(Checkpointed(self.now, self.checkpoints.folder))

    def snapshot(self) -> Snapshot:
        """Return everything that the rest of the run depends on."""
        optimizer, optimizer_facts = optimizer_state(self.optimizer, self.names)
        memory = {
            "random": random_state(),
            "generators": self.run.generators.state_dict(),
            "plugins": self.hooks.states(),
        }
        tensors, facts = split_state(memory, "the run")
        return Snapshot(
            self.progress.step,
            {"model": self.model.state_dict(), "optimizer": optimizer, "memory": tensors},
            {
                "progress": asdict(replace(self.progress, evaluating=self.evaluating)),
                "history": self.journal.size,
                "before": self.before,
                "best": self.best,
                "optimizer": optimizer_facts,
                "memory": facts,
                "threads": torch.get_num_threads(),
            },
            self._kept_best,
        )

    def resume(self, snapshot: Snapshot) -> None:
        """Become what the run was when the snapshot was taken, to the bit."""
        facts = snapshot.facts
        self.model.load_state_dict(dict(snapshot.tensors["model"]), strict=True)
        restore_optimizer(self.optimizer, self.names, snapshot.tensors["optimizer"], facts["optimizer"])
        memory = join_state(snapshot.tensors["memory"], facts["memory"])
        if not isinstance(memory, dict) or not isinstance(facts["progress"], Mapping):
            raise CheckpointError(f"{self.checkpoints.folder}: step {snapshot.step} is not a run's checkpoint")
        self.run.generators.load_state_dict(memory["generators"])
        self.hooks.restore(memory["plugins"])
        self.progress = Progress(**facts["progress"])  # type: ignore[arg-type]
        self.progress = replace(self.progress, ended=tuple(self.progress.ended))
        self.groups = self._groups()
        self.before = dict(facts["before"])  # type: ignore[arg-type]
        self.best = facts["best"]  # type: ignore[assignment]
        set_random_state(memory["random"])

    @property
    def _kept_best(self) -> int | None:
        """The step of the best model so far, if it is kept."""
        return (self.progress.best_step or None) if self.training.keep_best else None

    def _save_best(self) -> None:
        if self.training.keep_best:
            facts: dict[str, JSON] = {"step": self.progress.step, "value": self.progress.best}
            best = Snapshot(self.progress.step, {"model": self.model.state_dict()}, facts)
            self.world.led(lambda: self.checkpoints.save_best(best))

    def _restore_best(self) -> None:
        if self._kept_best is None:
            return
        if best := self.checkpoints.best(self._kept_best):
            self.model.load_state_dict(dict(best.tensors["model"]), strict=True)
        else:  # somebody deleted it
            said = (
                f"the best model, of step {self.progress.best_step}, is no longer in {str(self.checkpoints.folder)!r}"
            )
            self.journal.tell(Warned(f"{said}: the run goes on with that of step {self.progress.step}"))
