"""The model asked as it is, amid a run: tables measured, examples answered, and what plugins want to know."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np  # noqa: TID253 - this module is torch
import pandas as pd  # noqa: TID253
import torch  # noqa: TID253

from triune.alignment import count
from triune.context import seed_of
from triune.evaluation import Answers, Evaluation, answers_of, evaluate_split, report_split
from triune.hookspecs import RunLifecycle
from triune.rule_report import rates_of
from triune.rule_table import NOT_MEASURED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from triune.prepared import Prepared
    from triune.types import JSON, Batch, Outputs, Step

REPORTED = 2000
"""How many training examples rules are reported on where no table was set aside: shares are known to a point."""


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
        with self.run.generators.untouched():
            return {split: rates_of(self.reported(split).metrics) for split in self.splits}

    @property
    def splits(self) -> tuple[str, ...]:
        """The tables that the run reports on: those set aside, or for its rules' sake what it learns from."""
        aside = tuple(split for split in ("valid", "test") if split in self.prepared.examples)
        return aside or (("train",) if len(self.prepared.rules) else ())

    def reported(self, split: str) -> Evaluation:
        """Return what a run reports of one of its tables."""
        return self._of_training() if split == "train" else self.evaluate(split)

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
                world=self.run.processes,
            )

    def _of_training(self) -> Evaluation:
        """Return how the rules fare on training examples: on a sample, under the labels that the table came with."""
        of = len(self.prepared.examples["train"])
        drawn = np.random.default_rng(seed_of(self.run.seed, "rule report")).permutation(of)[:REPORTED]
        found = self.answered(np.sort(drawn))
        said = (
            f"no table was set aside: rules are reported on {len(drawn):,} of {count(of, 'training example')}"
            ", and quality is not measured on what was learnt from"
        )
        return replace(found, metrics={**found.metrics, NOT_MEASURED: said})

    def answered(self, rows: NDArray[np.int64]) -> Evaluation:
        """Return what the model says of some training examples, and of rules there; the labels are the table's own."""
        examples = self.prepared.examples["train"].as_they_came()
        with self._timed():
            return report_split(
                self._outputs_of,
                examples,
                pd.RangeIndex(len(examples)),
                self.run,
                self.prepared.opened.bundle.space,
                self.prepared.rules,
                rows,
                self.run.processes,
            )

    def sampled(self) -> Sequence[Answers]:
        """Return the answers for the examples that are watched where there is no validation table."""
        watch, space = self.prepared.watch, self.prepared.opened.bundle.space
        assert watch is not None
        examples = self.prepared.examples["train"]
        with self._timed(), self.run.generators.untouched():
            return answers_of(
                self._outputs_of, examples, space, self.run.device, rows=watch.sample, world=self.run.processes
            )

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
