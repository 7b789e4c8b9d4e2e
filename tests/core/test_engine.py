"""Runs of a small model: frozen means frozen, resumed means the same, stopped means stopped in good order."""

import json
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import BaseModel

import triune
from tests.support import All, Tables, ToyTask, config, plugins, same, table
from triune import LossTerm, ParameterClaim, TermValues, hookimpl
from triune.config import InputPath, LoadedConfig, NamedPlugin
from triune.errors import CheckpointError, OutputError, PlanError, TrainingError
from triune.events import Checkpointed, EndRun, Evaluated, Stepped, Warned
from triune.optimisation import adamw, begin_moments
from triune.rule_files import read_files
from triune.select import Depth, Head, Name
from triune.types import ParamGroup

pytestmark = pytest.mark.filterwarnings("ignore:.*fused.*")


class Watcher:
    """Keep a copy of the weights, their requires_grad and the optimiser's state after every step."""

    def __init__(self):
        self.weights, self.moving, self.events = [], [], []

    @hookimpl
    def adapt_model(self, model):
        self.model = model

    @hookimpl
    def build_optimizer(self, groups):
        from triune.optimisation import adamw

        self.optimizer = adamw(groups)
        self.names = {
            parameter: name for group in groups for name, parameter in zip(group.names, group.parameters, strict=True)
        }
        return self.optimizer

    @hookimpl
    def observe(self, event):
        self.events.append(event)
        if isinstance(event, Stepped):
            self.weights.append({name: p.detach().clone() for name, p in self.model.named_parameters()})
            self.moving.append({self.names[parameter] for parameter in self.optimizer.state})


class Measuring(Watcher):
    """Note how much the optimiser remembers whenever the model is measured."""

    def __init__(self):
        super().__init__()
        self.held = []

    @hookimpl
    def measure(self, predictions):
        self.held.append(len(getattr(self, "optimizer", SimpleNamespace(state=())).state))
        return {}


def trained(tmp_path, *methods, name="run", resume=None, observers=(), task=None, data=None, training=None, **others):
    return triune.run(
        config(*(["all"] if "no_all" not in others else []), *methods, **(training or {})),
        plugins={key: value for key, value in plugins(task=task, data=data, **others).items() if key != "no_all"},
        output=tmp_path / name,
        resume=resume,
        observers=observers,
    )


def test_no_tensor_of_a_run_outlives_it(tmp_path):
    import gc

    def alive():
        gc.collect()
        return sum(issubclass(type(one), torch.Tensor) and one.grad_fn is not None for one in gc.get_objects())

    before = alive()
    trained(tmp_path)
    assert alive() == before


def final(tmp_path, name="run"):
    from safetensors.torch import load_file

    last = sorted((tmp_path / name / "checkpoints").glob("step-*"))[-1]
    return load_file(last / "model.safetensors")


class Gradual:
    """Head first, the top block from a third on, a middle block only for a while."""

    @hookimpl
    def claim_parameters(self, layout):
        yield ParameterClaim(Head(), trainable=True)
        yield ParameterClaim(Depth(-1), trainable=True, lr_scale=0.5, start=Fraction(1, 3))
        yield ParameterClaim(Depth(1), trainable=True, start=4, stop=8)


def test_frozen_means_frozen_and_thawed_means_learning(tmp_path):
    watcher = Watcher()
    result = trained(
        tmp_path, "gradual", "watcher", gradual=Gradual(), watcher=watcher, no_all=True, training={"epochs": 2}
    )
    total = len(watcher.weights)
    plan = next(event.plan for event in watcher.events if hasattr(event, "plan"))
    windows = {name: group.windows for group in plan.groups for name in group.names}
    for step in range(1, total):
        before, after = watcher.weights[step - 1], watcher.weights[step]
        for name in after:
            inside = any(window.holds(step) for window in windows.get(name, ()))
            assert torch.equal(before[name], after[name]) != inside, (step, name)
            assert (name in watcher.moving[step]) == inside, (step, name)
    assert result.facts["ended"]["step"] == total


def test_weight_decay_does_not_reach_what_is_frozen_or_exempt(tmp_path):
    watcher = Watcher()
    trained(tmp_path, "watcher", watcher=watcher, training={"weight_decay": 0.5, "epochs": 1})
    decays = {group["weight_decay"]: len(group["params"]) for group in watcher.optimizer.param_groups}
    assert decays == {0.5: 5, 0.0: 10}  # embedding, three blocks, head; biases and normalisation


class Draws:
    """A data plugin that draws random numbers, before training and in every step."""

    @hookimpl
    def prepare_data(self, run, data):
        order = run.generators.numpy("draws").permutation(len(data.train))
        return data.with_split("train", data.train.iloc[order])

    @hookimpl
    def loss_terms(self, run):
        def noisy(step, batch, outputs):
            noise = torch.rand(len(batch.rows), generator=run.generators.torch("noise"))
            return TermValues(outputs.scores.square().mean(-1) * noise, (noise > 0.3).float())

        yield LossTerm("noise", noisy, weight=triune.Schedule.model_validate({"from": 0, "to": 0.1, "over": 0.5}))


class Counts:
    """A method with a state of its own that changes what is learnt."""

    def __init__(self):
        self.seen = 0

    @hookimpl
    def loss_terms(self):
        def drifting(step, batch, outputs):
            self.seen += 1
            return TermValues(outputs.scores.square().mean(-1) * (self.seen % 5) / 5, torch.ones(len(batch.rows)))

        yield LossTerm("drift", drifting, counts=lambda batch: torch.tensor(float(len(batch.rows))))

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


EVERYTHING = {"epochs": 3, "accumulate": 3, "checkpoint_every": 1, "early_stopping": {"patience": 2}}


def everything(tmp_path, name, resume=None, observers=()):
    return trained(
        tmp_path, "counts", "gradual", name=name, resume=resume, observers=observers, training=EVERYTHING,
        task=ToyTask(counts=False), counts=Counts(), gradual=Gradual(), draws=Draws(), no_all=True,
    )  # fmt: skip


class Stop(BaseException):
    """A crash in the middle of everything."""


def stopping_at(step):
    def observer(event):
        if isinstance(event, Checkpointed) and event.step.index == step:
            raise Stop

    return observer


@pytest.fixture
def draws(monkeypatch):
    import tests.core.test_engine as module

    real = module.config
    monkeypatch.setattr(
        module, "config", lambda *methods, **training: real(*methods, data=("tables", "draws"), **training)
    )


@pytest.mark.parametrize("step", [1, 2, 5, 6, 11, 14])
def test_a_run_resumed_at_any_step_ends_bit_identical(tmp_path, draws, step):
    uninterrupted = everything(tmp_path, "whole")
    with pytest.raises(Stop):
        everything(tmp_path, "broken", observers=[stopping_at(step)])
    resumed = everything(tmp_path, "broken", resume="auto")
    assert same(final(tmp_path, "broken"), final(tmp_path, "whole"))
    assert resumed.metrics == uninterrupted.metrics
    lines = [(tmp_path / name / "history.jsonl").read_text().splitlines() for name in ("broken", "whole")]
    steps = [[(row["step"], row["terms"]) for row in map(json.loads, one) if row["event"] == "step"] for one in lines]
    assert steps[0] == steps[1]


def test_forgetting_the_random_state_would_be_noticed(tmp_path, draws, monkeypatch):
    """The negative control: a resume that does not restore generators ends elsewhere."""
    everything(tmp_path, "whole")
    with pytest.raises(Stop):
        everything(tmp_path, "broken", observers=[stopping_at(5)])
    monkeypatch.setattr("triune.engine.set_random_state", lambda state: None)
    everything(tmp_path, "broken", resume="auto")
    assert not same(final(tmp_path, "broken"), final(tmp_path, "whole"))


class StopsAmidEvaluation:
    """Send a signal while the model is evaluated after a step."""

    def __init__(self, at=None):
        self.at, self.step = at, 0

    @hookimpl
    def observe(self, event):
        if isinstance(event, Stepped):
            self.step = event.step.index

    @hookimpl
    def constrain_outputs(self, outputs):
        import signal

        if self.step == self.at and not torch.is_grad_enabled():
            self.at = None
            signal.raise_signal(signal.SIGTERM)
        return outputs


def test_a_run_that_is_stopped_amid_an_evaluation_does_it_over(tmp_path, monkeypatch):
    monkeypatch.setattr("triune.evaluation.EVALUATION_BATCH", 2)
    training = {"epochs": 3, "checkpoint_every": 1, "early_stopping": {"patience": 2}}

    def run(name, at=None, resume=None):
        data = Tables(train=table(), valid=table(16, seed=2), test=table(16, seed=1))
        stops = StopsAmidEvaluation(at)
        return trained(tmp_path, "stops", name=name, resume=resume, training=training, data=data, stops=stops)

    def evaluations(name):
        rows = map(json.loads, (tmp_path / name / "history.jsonl").read_text().splitlines())
        return [(row["step"], row["best"]) for row in rows if row["event"] == "evaluation" and row["split"] == "valid"]

    whole = run("whole")
    first = evaluations("whole")[0][0]
    with pytest.raises(KeyboardInterrupt):
        run("broken", at=first)
    assert run("broken", resume="auto").metrics == whole.metrics
    assert evaluations("broken") == evaluations("whole")


class StopsTwiceAmidStep:
    """Send two signals while weights are half moved, once."""

    def __init__(self, at=None):
        self.at = at

    @hookimpl
    def build_optimizer(self, groups):
        import signal

        from triune.optimisation import adamw

        steps, optimizer = [], adamw(groups)

        def twice(*_):
            steps.append(1)
            if len(steps) == self.at:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)

        optimizer.register_step_post_hook(twice)
        return optimizer


def test_a_second_signal_leaves_at_once_and_saves_no_half_done_step(tmp_path):
    training = {"checkpoint_every": 3}
    trained(tmp_path, "stops", stops=StopsTwiceAmidStep(), training=training, name="whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "stops", stops=StopsTwiceAmidStep(5), training=training, name="broken")
    assert [one.name for one in (tmp_path / "broken" / "checkpoints").glob("step-*")] == ["step-00000003"]
    trained(tmp_path, "stops", stops=StopsTwiceAmidStep(), training=training, name="broken", resume="auto")
    assert same(final(tmp_path, "broken"), final(tmp_path, "whole"))


def test_what_a_plugin_makes_on_its_first_evaluation_can_be_learnt_with():
    from triune.evaluation import answers_of
    from triune.examples import Examples, Ragged
    from triune.spaces import Categorical
    from triune.types import Outputs

    made = []

    def outputs_of(batch):
        made.append(torch.ones(3))
        return Outputs(batch.targets + made[0], Categorical(("a", "b", "c")))

    kept = np.ones(4, dtype=np.float32)
    rows = Ragged.of([[1]] * 4, padding=0)
    examples = Examples({"ids": rows}, np.eye(4, 3, dtype=np.float32), labelled=kept, weights=kept)
    answers_of(outputs_of, examples, Categorical(("a", "b", "c")), "cpu")
    weight = torch.ones(3, requires_grad=True)
    (weight * made[0]).sum().backward()
    assert weight.grad is not None


def test_resume_returns_a_finished_run_and_refuses_another_one(tmp_path):
    first = trained(tmp_path)
    events = []
    again = trained(tmp_path, resume="auto", observers=[events.append])
    assert again.metrics == first.metrics
    assert not events
    with pytest.raises(OutputError, match="finished run of another configuration"):
        trained(tmp_path, resume="auto", training={"epochs": 1})
    with pytest.raises(OutputError, match="holds a finished run: give another output"):
        trained(tmp_path)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    with pytest.raises(Stop):
        trained(tmp_path, observers=[stopping_at(6)], training={"checkpoint_every": 1})
    with pytest.raises(CheckpointError):
        trained(tmp_path, resume="auto", training={"checkpoint_every": 1, "learning_rate": 0.5})


class Reading:
    """A method that reads one file and writes another."""

    writes = ("report",)

    class Config(BaseModel, frozen=True, extra="forbid"):
        path: InputPath
        report: InputPath

    def __init__(self, config):
        self.config = config


def test_what_a_plugin_reads_is_part_of_what_a_run_is_and_what_it_writes_is_not(tmp_path):
    read, report = tmp_path / "claims.yaml", tmp_path / "report.csv"
    config = Reading.Config(path=read, report=report)
    loaded = LoadedConfig(None, (NamedPlugin("reading", "reading", "method", "", None, Reading, config),), tmp_path)
    read.write_text("one")
    first = read_files(loaded)
    report.write_text("written when the run ended")
    assert read_files(loaded) == first
    read.write_text("another")
    assert read_files(loaded) != first


def test_the_best_model_is_what_the_run_ends_with(tmp_path):
    events = []
    data = Tables(train=table(), valid=table(120, seed=1))
    training = {"epochs": 6, "early_stopping": {"patience": 2}}
    result = trained(tmp_path, data=data, observers=[events.append], training=training)
    values = [event.metrics["macro_f1"] for event in events if isinstance(event, Evaluated)][:-1]
    assert result.facts["ended"]["best"] == max(values)
    assert result.metrics["valid"]["macro_f1"] == max(values)
    assert result.facts["ended"]["chosen_by"] == "macro_f1 on the validation table"


def test_early_stopping_ends_after_its_patience(tmp_path):
    class Never(ToyTask):
        @hookimpl
        def measure(self, predictions):
            return {"macro_f1": 0.5}

    data = Tables(train=table(48), valid=table(120, seed=1))  # too large for its log loss to decide
    result = trained(tmp_path, task=Never(), data=data, training={"epochs": 9, "early_stopping": {"patience": 2}})
    assert result.facts["ended"]["step"] == 3 * 6
    assert result.facts["ended"]["because"] == "macro_f1 did not improve in 2 evaluations"
    assert result.facts["ended"]["best_step"] == 6


class Poison:
    def __init__(self, at):
        self.at = at

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            found = outputs.scores.square().mean(-1)
            return TermValues(found * (float("nan") if step.index == self.at else 1.0), torch.ones_like(found))

        yield LossTerm("poison", values)


def test_a_term_that_is_not_a_number_stops_the_run_and_poisons_nothing(tmp_path):
    with pytest.raises(TrainingError, match="step 5: loss term 'poison' of plugin 'poison' is nan"):
        trained(tmp_path, "poison", poison=Poison(4), training={"checkpoint_every": 2})
    assert all(weight.isfinite().all() for weight in final(tmp_path).values())


def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(tmp_path):
    with pytest.raises(TrainingError):
        trained(tmp_path, "poison", poison=Poison(1))
    assert list(tmp_path.iterdir()) == []


def test_an_observer_that_fails_is_told_once_and_fails_nothing(tmp_path):
    class Fails:
        calls = 0

        @hookimpl
        def observe(self, event):
            self.calls += 1
            raise RuntimeError("no")

    events, fails = [], Fails()
    trained(tmp_path, "fails", fails=fails, observers=[events.append])
    assert fails.calls == 1
    assert [event.message for event in events if isinstance(event, Warned)] == [
        "plugin 'fails' failed to observe and is not told any more: RuntimeError: no"
    ]


def test_an_observer_of_the_caller_may_end_the_run_and_a_plugin_may_not(tmp_path):
    class Wishes:
        @hookimpl
        def observe(self, event):
            raise EndRun("enough")

    def end(event):
        if isinstance(event, Stepped) and event.step.index == 3:
            raise EndRun("enough")

    often = {"checkpoint_every": 2}
    with pytest.raises(EndRun, match="enough"):
        trained(tmp_path, name="early", training={"checkpoint_every": 9}, observers=[end])
    with pytest.raises(EndRun, match="enough"):
        trained(tmp_path, name="late", training=often, observers=[end])
    assert [one.name for one in tmp_path.iterdir()] == ["late"]  # of the other there was no checkpoint
    trained(tmp_path, name="late", training=often, resume="auto")
    trained(tmp_path, "wishes", name="wished", wishes=Wishes(), training=often)
    assert same(final(tmp_path, "late"), final(tmp_path, "wished"))


class Detached:
    @hookimpl
    def loss_terms(self):
        yield LossTerm("dead", lambda s, b, o: TermValues(o.scores.detach().mean(-1), torch.ones(len(b.rows))))


class Same:
    @hookimpl
    def loss_terms(self):
        yield LossTerm("task", lambda s, b, o: TermValues(o.scores.mean(-1), torch.ones(len(b.rows))))


class Replaces:
    def __init__(self, what):
        self.what = what

    @hookimpl
    def loss_terms(self):
        yield LossTerm(
            "other", lambda s, b, o: TermValues(o.scores.mean(-1), torch.ones(len(b.rows))), replaces=(self.what,)
        )


class Scales:
    def __init__(self, what):
        self.what = what

    @hookimpl
    def loss_terms(self):
        yield LossTerm(
            "part",
            lambda s, b, o: TermValues(o.scores.mean(-1), torch.ones(len(b.rows))),
            scales={self.what: triune.Schedule.constant(0.25)},
        )


class Freezes:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Head(), trainable=False)


class Trains:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("head.*"), trainable=True)


class Speaks:
    @hookimpl
    def rules(self):
        yield triune.Rule("warm", then=triune.Label("warm"))


class SpeaksInOneSeat:
    @hookimpl
    def rules(self):
        yield triune.Rule("warm", then=triune.Label("warm"), seats=frozenset({triune.Seat.LOSS}))


class Structures:
    @hookimpl
    def constrain_outputs(self):
        return None


class SpeaksNonsense:
    @hookimpl
    def rules(self):
        yield triune.Rule("hot", then=triune.Label("wram"))


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ({"dead": Detached()}, "loss term 'dead' of plugin 'dead' has no gradient path"),
        ({"same": Same()}, "plugins 'toy' and 'same' both contribute a loss term 'task'"),
        ({"replaces": Replaces("tsak")}, "replaces 'tsak', which nobody contributes; did you mean 'task'"),
        ({"scales": Scales("tsak")}, "scales 'tsak', which nobody contributes; did you mean 'task'"),
        ({"freezes": Freezes(), "trains": Trains()}, "plugin 'trains' trains Name"),
        ({"speaks": SpeaksInOneSeat(), "structures": Structures()}, "nothing reads rule 'warm'"),
        (
            {"speaks": SpeaksNonsense()},
            "rule 'hot': 'wram' is not a label of this task; labels: cold, warm; did you mean",
        ),
    ],
)
def test_conflicts_surface_in_the_plan(tmp_path, others, sentence):
    with pytest.raises(PlanError, match=sentence):
        trained(tmp_path, *others, **others)
    assert list(tmp_path.iterdir()) == []


class Balances:
    """A term of means: half of the examples are to be each label."""

    @hookimpl
    def loss_terms(self, train):
        def marginals(step, batch, outputs):
            return TermValues(outputs.space.probabilities(outputs.scores), batch.weights)

        yield LossTerm("balance", marginals, of_means=lambda step, m: -m.log().mean(), note=f"{len(train)} examples")


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_term_of_means_is_learnt_from_in_a_run_and_its_value_is_that_of_the_whole_batch(tmp_path, accumulate):
    done = trained(tmp_path, "balances", training={"accumulate": accumulate}, balances=Balances())
    first = json.loads((done.folder / "history.jsonl").read_text().splitlines()[0])
    assert first["terms"]["balance"] == pytest.approx(0.69, abs=0.2)


def test_rules_that_no_method_asks_for_are_reported_on_and_the_plan_says_so(tmp_path):
    done = trained(tmp_path, "speaks", speaks=Speaks())
    assert any("no active method asks for rules" in note for note in done.facts["notes"])
    assert 0 <= done.metrics["valid"]["rules"]["warm"]["violation_rate"] <= 1


def test_a_metric_that_nobody_measures_is_refused_before_training(tmp_path):
    with pytest.raises(PlanError, match="'macro_f2' is not measured; metrics: accuracy, macro_f1"):
        trained(tmp_path, training={"early_stopping": {"metric": "macro_f2"}})


def test_a_replaced_term_is_gone_from_loss_and_history(tmp_path):
    events = []
    trained(tmp_path, "replaces", replaces=Replaces("task"), observers=[events.append], training={"epochs": 1})
    assert {tuple(event.terms) for event in events if isinstance(event, Stepped)} == {("other",)}


def test_what_scales_a_term_scales_what_replaces_it():
    given = plugins(replaces=Replaces("task"), scales=Scales("task"))
    found = triune.plan(config("all", "replaces", "scales"), plugins=given)
    assert list(found.terms["part"][1].scales) == ["other"]
    assert "1 × (0.25)" in str(found)


class Prepares:
    """Notes what the model says whenever it may prepare, and amid steps."""

    def __init__(self):
        self.steps, self.said, self.amid = [], [], []

    @hookimpl
    def before_training(self, step, forward, train):
        self.steps.append(step.index)
        self.forward, self.batch = forward, train.batch(np.arange(4))
        self.said.append([forward(self.batch).scores for _ in range(2)])

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            if self.steps:
                self.amid.append((self.forward(self.batch).scores, outputs.scores.requires_grad))
            return TermValues(outputs.scores.mean(-1), torch.ones(len(batch.rows)))

        yield LossTerm("looks", values)


def test_plugins_prepare_before_the_first_step_and_when_a_run_goes_on(tmp_path):
    started, resumed = Prepares(), Prepares()
    trained(tmp_path, "p", p=started, training={"epochs": 1, "early_stopping": None})
    assert started.steps == [0]
    first, again = started.said[0]
    assert torch.equal(first, again) and not first.requires_grad  # without dropout, without gradient
    assert all(learning for _, learning in started.amid)
    assert torch.equal(started.amid[0][0], first) and not torch.equal(started.amid[-1][0], first)

    often = {"checkpoint_every": 2}
    with pytest.raises(Stop):
        trained(tmp_path, "p", name="other", p=Prepares(), observers=[stopping_at(2)], training=often)
    trained(tmp_path, "p", name="other", p=resumed, resume="auto", training=often)
    assert resumed.steps == [2]


def test_the_caller_keeps_random_state_and_threads(tmp_path):
    import random

    torch.manual_seed(1)
    random.seed(1)
    expected = torch.rand(1), random.random()
    torch.manual_seed(1)
    random.seed(1)
    threads = torch.get_num_threads()
    trained(tmp_path, training={"epochs": 1, "threads": 2})
    assert (torch.rand(1), random.random()) == expected
    assert torch.get_num_threads() == threads


def test_two_runs_of_one_seed_are_equal_and_of_another_are_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trained(tmp_path, name=name, training={"seed": seed})
    assert same(final(tmp_path, "a"), final(tmp_path, "b"))
    assert not same(final(tmp_path, "a"), final(tmp_path, "c"))


def test_accumulation_changes_memory_and_not_the_result(tmp_path):
    for name, parts in (("whole", 1), ("parts", 4)):
        trained(tmp_path, name=name, task=ToyTask(dropout=0.0), training={"accumulate": parts})
    whole, parts = final(tmp_path, "whole"), final(tmp_path, "parts")
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-4, atol=1e-5)


class Noted:
    """A term whose mask is drawn, and that notes what was drawn in each pass."""

    def __init__(self):
        self.masks = []

    @hookimpl
    def loss_terms(self, run):
        def values(step, batch, outputs):
            mask = (torch.rand(len(batch.rows), generator=run.generators.torch("mask")) > 0.5).float()
            self.masks.append((step.index, mask.sum().item()))
            return TermValues(outputs.scores.square().mean(-1), mask)

        yield LossTerm("noted", values)


def test_a_rehearsal_draws_what_the_real_pass_will_draw(tmp_path):
    noted = Noted()
    trained(tmp_path, "noted", noted=noted, training={"accumulate": 4, "epochs": 1})
    for step in range(6):
        drawn = [count for index, count in noted.masks if index == step][-8:]
        assert drawn[:4] == drawn[4:]
    assert len({count for _, count in noted.masks}) > 1


def test_unlabelled_rows_take_part_without_a_label(tmp_path):
    data = table(40)
    data.loc[::3, "label"] = None
    result = trained(tmp_path, data=Tables(train=data, test=table(8, seed=2)))
    assert any(
        "of 36 training examples have no label" in note or "have no label" in note for note in result.facts["notes"]
    )


def test_many_labels_at_once(tmp_path):
    data = table(40)
    data["label"] = [
        [label, "red"] if "red" in text else [label] for text, label in zip(data["text"], data["label"], strict=True)
    ]
    result = trained(tmp_path, task=ToyTask(multi_label=True), data=Tables(train=data))
    assert result.facts["space"] == {"kind": "binaries", "labels": ["cold", "red", "warm"]}


def test_all_is_a_default(tmp_path):
    assert next(iter(All().claim_parameters())).default


@pytest.mark.parametrize("place", ["write_model", "write_results"])
def test_a_crash_while_results_are_written_leaves_a_run_that_can_go_on(tmp_path, monkeypatch, place):
    whole = trained(tmp_path, name="whole")
    with monkeypatch.context() as patch:

        def crash(*args):
            raise Stop

        patch.setattr(f"triune.folder.Folder.{place}", crash)
        with pytest.raises(Stop):
            trained(tmp_path, name="broken")
    assert not (tmp_path / "broken" / "run.json").exists()
    assert trained(tmp_path, name="broken", resume="auto").metrics == whole.metrics


def test_max_steps_ends_a_run_sooner_and_never_later(tmp_path):
    assert trained(tmp_path, name="short", training={"max_steps": 3}).facts["ended"]["step"] == 3
    assert trained(tmp_path, name="long", training={"max_steps": 999}).facts["ended"]["step"] == 12


def test_planning_twice_and_running_leaves_the_function_in_place(tmp_path):
    for _ in range(2):
        assert triune.plan(config(), plugins=plugins()).trainable > 0
    trained(tmp_path)
    assert callable(triune.plan) and callable(triune.run)
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


def test_bf16_computes_in_half_and_keeps_weights_and_losses_in_full(tmp_path):
    seen = set()

    class Sees:
        @hookimpl
        def loss_terms(self):
            def values(step, batch, outputs):
                seen.add(outputs.scores.dtype)
                found = outputs.scores.float().square().mean(-1)
                return TermValues(found, torch.ones_like(found))

            yield LossTerm("seen", values, weight=triune.Schedule.constant(0.01))

    result = trained(tmp_path, "sees", sees=Sees(), training={"precision": "bf16"})
    assert seen == {torch.bfloat16}
    assert {tensor.dtype for tensor in final(tmp_path).values()} == {torch.float32}
    assert result.metrics["test"]["accuracy"] > 0.5


def test_a_run_outside_the_main_thread_cannot_hear_signals_and_runs_all_the_same(tmp_path):
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(trained(tmp_path, training={"epochs": 1})))
    thread.start()
    thread.join()
    assert results[0].facts["ended"]["step"] == 6


def test_overwrite_keeps_the_old_run_until_the_new_one_is_known_to_be_right(tmp_path):
    first = trained(tmp_path)
    with pytest.raises(PlanError):
        triune.run(
            config(early_stopping={"metric": "nothing"}), plugins=plugins(), output=tmp_path / "run", overwrite=True
        )
    assert trained(tmp_path, resume="auto").metrics == first.metrics
    triune.run(config(epochs=1), plugins=plugins(), output=tmp_path / "run", overwrite=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["ended"]["step"] == 6


class Focal(Replaces):
    """A term in place of the task's, which reads labelled examples only."""

    def __init__(self):
        super().__init__("task")


class Confident(Focal):
    """A term that reads every text."""

    reads_unlabelled = True


@pytest.mark.parametrize(("plugin", "steps"), [(Focal(), 6), (Confident(), 8)])
def test_unlabelled_text_is_trained_on_where_a_plugin_reads_it(plugin, steps):
    data = Tables(train=table(), test=table(16, seed=1), unlabelled=table(20, seed=3)[["text"]])
    plan = triune.plan(config("all", "other"), plugins=plugins(data=data, other=plugin))
    assert plan.steps.per_epoch == steps
    assert any("unlabelled table is not learnt from" in note for note in plan.notes) == (steps == 6)


def test_a_signal_before_the_first_step_ends_the_run_at_once_and_leaves_nothing(tmp_path):
    import signal

    class Raises(ToyTask):
        @hookimpl
        def build_model(self, run, data):
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the signal was not heard")

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, task=Raises())
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_every_evaluation_is_counted(tmp_path):
    import time

    class Slow(ToyTask):
        @hookimpl
        def measure(self, predictions):
            time.sleep(0.05)
            return {"macro_f1": 0.5}

    result = trained(tmp_path, task=Slow(), training={"epochs": 3})
    assert result.facts["timings"]["evaluating"] > 5 * 0.05  # three while training, two of the finished model


class Learns:
    """A term that needs no label."""

    reads_unlabelled = True

    @hookimpl
    def loss_terms(self):
        def sharp(step, batch, outputs):
            p = outputs.space.probabilities(outputs.scores)
            return TermValues(-(p * p.clamp(1e-6).log()).sum(-1), batch.weights)

        yield LossTerm("sharp", sharp)


def test_a_run_without_labels_learns_where_a_method_can_do_without_and_is_refused_where_none_can(tmp_path):
    data = table()
    data["label"] = None
    tables = Tables(train=data, test=table(16, seed=1))
    with pytest.raises(PlanError, match="no training example has a label, and no active method gives labels or learns"):
        trained(tmp_path / "refused", tables=tables)
    done = trained(tmp_path / "learns", "learns", learns=Learns(), tables=tables)
    assert done.metrics["test"]["labelled"] == 16


def test_the_optimiser_remembers_nothing_when_training_is_over(tmp_path):
    trained(tmp_path, "measuring", measuring=(measuring := Measuring()))
    assert any(measuring.held)
    assert measuring.held[-1] == 0


def test_moments_begin_as_adamw_itself_begins_them():
    model = torch.nn.Linear(3, 2)
    torch.nn.init.ones_(model.weight)
    model.bias.requires_grad_(False)
    optimizer = adamw([ParamGroup(("weight", "bias"), (model.weight, model.bias), 0.1, 0.01)])
    begin_moments(optimizer)
    begun = {name: value.dtype for name, value in optimizer.state[model.weight].items()}
    plain = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2, 3))], lr=0.1, weight_decay=0.01, fused=True)
    (parameter,) = plain.param_groups[0]["params"]
    for one, weight in ((optimizer, model.weight), (plain, parameter)):
        (weight * torch.arange(3)).sum().backward()
        one.step()
    (theirs,) = plain.state.values()
    assert set(optimizer.state) == {model.weight}
    assert begun == {name: value.dtype for name, value in theirs.items()}
    assert same(optimizer.state[model.weight], theirs)
    assert torch.equal(model.weight, parameter)
