"""The best model: by its metric, and where the validation table is tiny by its log loss among ties."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.support import Tables, config, plugins, table
from triune.context import Generators
from triune.data import Data
from triune.evaluation import Answers
from triune.events import Evaluated
from triune.examples import Examples, Ragged
from triune.selection import TINY, Standing, is_better, log_loss, slack_of
from triune.spaces import Binaries, Categorical


def test_a_large_table_is_judged_by_the_metric_alone():
    assert slack_of(0.8, TINY) == 0
    assert is_better(Standing(0.81, 9.0), Standing(0.80, 0.1), 0.80, TINY, 0.0)
    assert not is_better(Standing(0.80, 0.1), Standing(0.80, 9.0), 0.80, TINY, 0.0)
    assert not is_better(Standing(0.81, 0.1), Standing(0.80, 9.0), 0.80, TINY, margin=0.02)


def test_the_slack_is_a_standard_error_of_the_share_and_never_zero():
    assert slack_of(0.5, 23) == pytest.approx((0.25 / 23) ** 0.5)
    assert slack_of(1.0, 30) == pytest.approx((31 / 32 * 1 / 32 / 30) ** 0.5)
    assert slack_of(3.0, 30) == 0  # no share


def test_among_ties_of_a_tiny_table_the_surer_model_is_kept():
    assert is_better(Standing(0.78, 0.5), Standing(0.80, 0.6), 0.80, 30, 0.0)
    assert not is_better(Standing(0.82, 0.7), Standing(0.80, 0.6), 0.80, 30, 0.0)


def test_a_model_beyond_the_slack_is_better_however_unsure():
    assert is_better(Standing(0.99, 5.0), Standing(0.60, 0.6), 0.60, 30, 0.0)
    assert not is_better(Standing(0.60, 0.1), Standing(0.95, 0.6), 0.95, 30, 0.0)


def test_ties_are_with_the_highest_so_that_the_choice_cannot_drift_down():
    # 0.73 ties with 0.80, 0.66 ties with 0.73 and not with the highest
    assert is_better(Standing(0.73, 0.5), Standing(0.80, 0.6), 0.80, 30, 0.0)
    assert not is_better(Standing(0.66, 0.4), Standing(0.73, 0.5), 0.80, 30, 0.0)


def examples_of(targets, labelled):
    count = len(targets)
    ids = Ragged.of([[1]] * count, 0)
    return Examples({"input_ids": ids}, np.float32(targets), np.float32(labelled), np.ones(count, np.float32))


def test_the_log_loss_of_classes_is_that_of_the_labelled_examples():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    answers = [Answers(np.arange(3), scores, scores > 0, None)]
    found = log_loss(answers, examples_of([[1, 0], [1, 0], [0, 1]], [1, 1, 0]), Categorical(("a", "b")))
    expected = torch.nn.functional.cross_entropy(scores[:2], torch.tensor([0, 0]))
    assert found == pytest.approx(float(expected))


def test_the_log_loss_of_several_labels_is_the_sum_over_them():
    scores, targets = torch.tensor([[2.0, -1.0]]), [[1, 1]]
    answers = [Answers(np.arange(1), scores, scores > 0, None)]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.tensor([[1.0, 1.0]])) * 2
    assert log_loss(answers, examples_of(targets, [1]), Binaries(("a", "b"))) == pytest.approx(float(expected))


def test_a_run_with_a_tiny_table_ends_with_the_model_of_the_lowest_loss_among_ties(tmp_path):
    import triune

    seen = []
    result = triune.run(
        config(epochs=6, early_stopping=None),
        plugins=plugins(data=Tables(train=table(), valid=table(20, seed=3))),
        output=tmp_path / "run",
        observers=[seen.append],
    )
    evaluated = [event for event in seen if isinstance(event, Evaluated) and event.split == "valid"][:-1]
    highest = max(event.metrics["macro_f1"] for event in evaluated)
    chosen = next(event for event in evaluated if event.step.index == result.facts["ended"]["best_step"])
    assert chosen.metrics["macro_f1"] >= highest - slack_of(highest, 20)
    assert chosen.best


@pytest.mark.parametrize(("labels", "expected"), [(199, False), (200, True)])
def test_nothing_is_set_aside_where_a_tenth_is_too_few_to_choose_by(labels, expected):
    import pandas as pd

    from triune.data import set_aside_validation

    frame = pd.DataFrame({"text": ["x"] * labels, "label": ["a", "b"] * (labels // 2) + ["a"] * (labels % 2)})
    data = set_aside_validation(
        Data({"train": frame}, {"text": "text", "label": "label"}), None, Generators(0).numpy("validation")
    )
    assert ("valid" in data.splits) is expected
    assert any("too few" in note for note in data.notes) is not expected


@pytest.mark.parametrize(
    ("training", "per_epoch", "total", "between"),
    [
        ({}, 2, 100, 10),
        ({}, 40, 120, 40),
        ({"epochs": 3}, 2, 6, 2),
        ({"max_steps": 30}, 2, 30, 3),
    ],
)
def test_a_few_labels_are_gone_through_more_often_unless_epochs_are_given(training, per_epoch, total, between):
    from triune.prepared import steps_of
    from triune.settings import Training

    run = SimpleNamespace(config=SimpleNamespace(training=Training(**training)))
    steps = steps_of(run, per_epoch)
    assert (steps.total, steps.between) == (total, between)


def test_a_run_learns_from_labelled_and_unlabelled_text_in_the_share_that_is_asked_for(tmp_path):
    import triune
    from triune import LossTerm, TermValues, hookimpl

    seen = []

    class Watching:
        reads_unlabelled = True

        @hookimpl
        def loss_terms(self):
            def compute(step, batch, outputs):
                if outputs.scores.requires_grad:
                    seen.append(float(batch.gold.mean()) if batch.gold is not None else float(batch.labelled.mean()))
                return TermValues(outputs.scores.mean(-1) * 0, torch.ones(len(batch.rows)))

            yield LossTerm("watching", compute)

    tables = Tables(train=table(16), unlabelled=table(64, seed=2).assign(label=None))
    triune.run(
        config("all", "watching", epochs=1, labelled_share=0.5, validation=0.0),
        plugins=plugins(data=tables, watching=Watching()),
        output=tmp_path / "run",
    )
    assert seen[-16:] == [0.5] * 16  # 64 unlabelled texts and as many labelled ones, eight a batch
