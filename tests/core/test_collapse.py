"""The watch on collapse: one label that takes over is told once, or ends the run."""

import numpy as np
import pandas as pd
import pytest
import torch

import triune
from tests.support import Tables, config, encode, plugins, table
from triune import Label, LossTerm, Rule, TermValues, hookimpl
from triune.collapse import CollapseWatch, expectation
from triune.data import Data
from triune.evaluation import Answers
from triune.events import Finished, Warned
from triune.guard import Guarded
from triune.hooks import Hooks
from triune.signals import Interrupted
from triune.spaces import Binaries, Categorical

SPACE = Categorical(("cold", "warm"))
ROLES = {"text": "text", "label": "label"}


class Pusher:
    """Push the rule "always warm" with all might, after some steps."""

    seats = ("loss",)

    def __init__(self, patience=0):
        self.patience = patience

    @hookimpl
    def rules(self):
        yield Rule("warm", then=Label("warm"))

    @hookimpl
    def loss_terms(self):
        def push(step, batch, outputs):
            log_p = outputs.scores.log_softmax(-1)[:, outputs.space.labels.index("warm")]
            return TermValues(-50.0 * log_p * (step.index >= self.patience), torch.ones_like(batch.labelled))

        yield LossTerm("push", push)


def pushed(folder, after=0, data=None, **more):
    events = more.pop("events", [])
    arguments = {key: more.pop(key) for key in ("resume", "observers") if key in more}
    observers = [events.append, *arguments.pop("observers", [])]
    settings = {"epochs": 6, "learning_rate": 0.05, "early_stopping": None, "clip": None, **more}
    given = plugins(data=data or Tables(train=table(48), test=table(16, seed=1)), pusher=Pusher(after))
    return triune.run(
        config("all", "pusher", **settings), plugins=given, output=folder, observers=observers, **arguments
    )


def test_a_collapse_is_told_once_and_stays_on_record(tmp_path):
    events = []
    done = pushed(tmp_path / "run", events=events, keep_best=False)
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "100 % of the predictions are 'warm', where 50 % are expected" in warned[0]
    assert done.facts["ended"]["step"] == done.facts["ended"]["of"]
    assert done.facts["ended"]["collapsed"].startswith("the finished model: 100 %")
    assert done.facts["ended"]["collapsed"] in done.facts["notes"]
    assert "**Warning:** the finished model: 100 %" in (done.folder / "README.md").read_text()


def test_stop_ends_the_run_with_its_best_model(tmp_path):
    done = pushed(tmp_path / "run", after=15, collapse="stop")
    ended = done.facts["ended"]
    assert ended["because"] == "one label took over the predictions"
    assert ended["step"] < ended["of"]
    assert ended["best_step"] <= 15
    assert ended["collapsed"].endswith("(not so of the finished model)")


def test_ignore_says_nothing(tmp_path):
    events = []
    done = pushed(tmp_path / "run", events=events, collapse="ignore", keep_best=False)
    assert not [event for event in events if isinstance(event, Warned)]
    assert done.facts["ended"]["collapsed"] == ""


def test_without_a_validation_table_a_sample_of_what_is_learnt_from_is_watched(tmp_path):
    data = Tables(train=table(16), unlabelled=table(400, seed=3).drop(columns="label"))
    events = []
    done = pushed(tmp_path / "run", data=data, events=events, validation=0.0, collapse="stop", epochs=2, after=4)
    assert any(isinstance(event, Finished) and "took over" in event.reason for event in events)
    assert "(of 16 labels of train)" in done.facts["ended"]["collapsed"]


def test_an_untrained_model_that_predicts_one_label_is_given_half_of_the_run(tmp_path):
    events = []
    pushed(tmp_path / "run", after=0, events=events, keep_best=False)
    (warned,) = [event.message for event in events if isinstance(event, Warned)]
    step, total = int(warned.partition(":")[0].removeprefix("step ")), 6 * 6
    spread_before = step < total / 2
    assert spread_before or step >= total / 2


@pytest.mark.parametrize(
    ("expected", "share", "collapsed"),
    [(0.5, 0.75, False), (0.5, 0.76, True), (0.9, 0.94, False), (0.9, 0.96, True), (0.1, 0.56, True)],
)
def test_a_label_has_taken_over_beyond_the_middle_between_expected_and_all(expected, share, collapsed):
    watch = CollapseWatch(("a", "b"), np.array([expected, 1 - expected]), "of labels", np.arange(0))
    count = round(100 * share)
    decided = torch.tensor([[True, False]] * count + [[False, True]] * (100 - count))
    assert bool(watch.verdict([Answers(np.arange(100), decided.float(), decided, None)])) == collapsed


def test_only_tokens_that_count_are_watched():
    watch = CollapseWatch(("O", "X"), np.array([0.5, 0.5]), "of labels", np.arange(0))
    decided = torch.tensor([[[True, False], [False, True], [True, False], [True, False]]])
    mask = torch.tensor([[True, True, False, False]])
    assert not watch.verdict([Answers(np.arange(1), decided.float(), decided, mask)])


def test_a_stopped_run_that_goes_on_remembers_what_it_said(tmp_path):
    import os
    import signal

    events = []

    def stop(event):
        if isinstance(event, Warned):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        pushed(tmp_path / "run", observers=[stop], events=events, keep_best=False)
    again = []
    done = pushed(tmp_path / "run", resume="auto", events=again, keep_best=False)
    assert not [event for event in again if isinstance(event, Warned)]
    assert done.facts["ended"]["collapsed"].startswith("the finished model")


class Told:
    """A method whose user states how often each label holds."""

    seats = ("loss",)

    def __init__(self, **settings):
        self.config = Guarded.model_validate(settings)


def labelled_examples(*cells):
    data = Data({"train": pd.DataFrame({"text": ["red"] * len(cells), "label": pd.Series(cells, dtype=object)})}, ROLES)
    return encode(data, "train", SPACE)


@pytest.mark.parametrize(
    ("settings", "examples", "expected", "basis"),
    [
        ({"prior": {"warm": 0.9, "cold": 0.1}}, {"valid": ("cold",)}, 0.9, "the stated prior"),
        ({}, {"valid": ("cold", "cold", "cold", "warm"), "train": ("warm",)}, 0.25, "of 4 labels of valid"),
        ({}, {"valid": (None,), "train": ("warm", "cold")}, 0.5, "of 2 labels of train"),
        ({}, {"train": (None,)}, 0.5, "all labels alike"),
    ],
)
def test_expected_is_what_is_stated_else_what_labels_show_else_all_alike(settings, examples, expected, basis):
    found = expectation(
        Hooks({"told": Told(**settings)}), {name: labelled_examples(*one) for name, one in examples.items()}, SPACE
    )
    assert found[0][SPACE.labels.index("warm")] == pytest.approx(expected)
    assert found[1] == basis


def test_without_a_label_nobody_knows_how_many_of_several_hold():
    space = Binaries(("warm", "cold"))
    assert expectation(Hooks({"told": Told()}), {"train": labelled_examples(None)}, space) is None
