"""The model asked as it is, amid a run: tables measured, examples answered, and what plugins want to know."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune.evaluation import Answers, Evaluation, answers_of, evaluate_split
from triune.hookspecs import RunLifecycle
from triune.rule_report import rates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from triune.prepared import Prepared
    from triune.types import JSON, Batch, Outputs, Step


class Examiner:
    """Asks the model of a run; nothing is learnt, and nothing is drawn that learning would have drawn."""

    def __init__(self, prepared: Prepared, obey: Callable[[], None]) -> None:
        """Take what was prepared; `obey` raises where a signal asked to stop."""
        self.prepared, self.obey = prepared, obey
        self.run, self.hooks = prepared.opened.run, prepared.opened.hooks
        self.objective = prepared.objective
        self.seconds = 0.0  # spent evaluating

    def begin(self, step: Step) -> None:
        """Let plugins prepare for training, which begins, or goes on, at a step."""
        self.objective.eval()
        train = self.prepared.examples["train"]
        for _ in self.hooks.each(
            RunLifecycle.before_training, run=self.run, step=step, forward=self.outputs_now, train=train
        ):
            self.obey()

    def outputs_now(self, batch: Batch) -> Outputs:
        """Return the outputs of a batch under the model as it is, without dropout and without gradient."""
        learning = self.objective.training
        if not learning:  # amid a step a checkpoint would not be of one moment
            self.obey()
        self.objective.eval()
        try:
            with torch.no_grad():
                return self.objective.outputs(batch.to(self.run.device))
        finally:
            self.objective.train(learning)

    def before(self) -> dict[str, JSON]:
        """Return, by split, how far rules are kept by the model as it is."""
        if not len(self.prepared.rules):
            return {}
        splits = [split for split in ("valid", "test") if split in self.prepared.examples]
        with self.run.generators.untouched():
            return {split: rates_of(self.evaluate(split).metrics) for split in splits}

    def evaluate(self, split: str) -> Evaluation:
        """Return the predictions and metrics of a split."""
        prepared = self.prepared
        with self._timed():
            return evaluate_split(
                self._outputs_of,
                prepared.examples[split],
                prepared.data.splits[split].index,
                self.hooks,
                self.run,
                prepared.opened.bundle.space,
                prepared.rules,
                self.run.processes,
            )

    def sampled(self) -> Sequence[Answers]:
        """Return the answers for the examples that are watched where there is no validation table."""
        watch, space = self.prepared.watch, self.prepared.opened.bundle.space
        assert watch is not None
        table = torch.from_numpy(watch.sample).to(self.run.device)  # rules know examples by their place in the table

        def outputs_of(batch: Batch) -> Outputs:
            return self._outputs_of(replace(batch, rows=table[batch.rows]))

        with self._timed(), self.run.generators.untouched():
            examples = self.prepared.examples["train"].at(watch.sample)
            return answers_of(outputs_of, examples, space, self.run.device, self.run.processes)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.perf_counter()
        self.objective.eval()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begun

    def _outputs_of(self, batch: Batch) -> Outputs:
        self.obey()
        return self.objective.outputs(batch)
