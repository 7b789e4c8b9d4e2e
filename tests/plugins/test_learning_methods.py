"""Learning methods: what each trains, at which rate, beside which others; what cannot be is refused in the plan."""

import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import triune
from tests.core.test_engine import final
from tests.support import config, plugins, same
from triune.errors import PlanError, PluginError
from triune.events import Checkpointed, PhaseEnded
from triune.schedule_file import written
from triune.testing import Blocks, ToyTask
from triune.testing.toy_runs import completed, run
from triune.testing.witness import Witness
from triune.types import Batch, Step
from triune_anchor import Anchor
from triune_anchor.penalty import distance, on_every_example, size, start_of
from triune_bitfit import BitFit
from triune_end_to_end import EndToEnd
from triune_head_only import HeadOnly
from triune_layer_by_layer import LayerByLayer
from triune_layerwise_decay import LayerwiseDecay
from triune_schedule import Schedule
from triune_top_layers import TopLayers

pytestmark = pytest.mark.filterwarnings("ignore:.*fused.*")
TEN = {"max_steps": 10}
ORDER = ["head.weight", "blocks.2.0.weight", "blocks.1.0.weight", "blocks.0.0.weight", "embeddings.weight"]


def made(method, **found):
    return method(method.Config(**found))


def planned(*methods, task=None, **training):
    named = {f"{type(one).__name__}, mine": one for one in methods}
    given = {name: one for name, one in plugins(task=task, **named).items() if name != "all"}
    return triune.plan(config(*named, **training), plugins=given)


def windows(*methods, **training):
    """Return (start, stop, scale) of each window by the place of a parameter."""
    plan = planned(*methods, **training)
    found = {name: group.windows for group in plan.groups for name in group.names}
    return {
        name: [(one.start, one.stop, one.lr_scale) for one in found.get(name, ())]
        for name in (one.name for one in plan.layout.parameters)
    }


def training(found):
    return {name for name, windows in found.items() if windows}


def whole(scale=1.0):
    return [(0, 10, pytest.approx(scale))]


def test_head_only_trains_the_head_at_its_own_rate():
    found = windows(made(HeadOnly), learning_rate=2e-5, **TEN)
    assert training(found) == {"head.weight", "head.bias"}
    assert found["head.weight"] == whole(50)


def test_top_layers_train_the_head_and_so_many_blocks():
    found = windows(made(TopLayers, blocks=2), **TEN)
    assert training(found) == {name for name in found if name.startswith(("head.", "blocks.1.", "blocks.2."))}
    assert found["blocks.1.0.weight"] == found["head.bias"] == whole()


def test_bitfit_trains_biases_and_the_head_at_its_own_rate():
    found = windows(made(BitFit, learning_rate=0.02), learning_rate=0.01, **TEN)
    assert training(found) == {name for name in found if name.endswith(".bias") or name.startswith("head.")}
    assert found["blocks.0.1.bias"] == found["head.weight"] == whole(2)


def test_layerwise_decay_lowers_the_rate_from_the_top_block_to_the_embeddings():
    found = windows(made(LayerwiseDecay, decay=0.5), **TEN)
    scales = [found[name] for name in ("head.weight", "blocks.2.0.weight", "blocks.0.0.weight", "embeddings.weight")]
    assert scales == [whole(), whole(), whole(0.25), whole(0.125)]


def test_layerwise_decay_trains_nothing_that_another_method_leaves_frozen():
    for methods in ([LayerwiseDecay, TopLayers], [TopLayers, LayerwiseDecay]):
        found = windows(*(made(one, **({"decay": 0.5} if one is LayerwiseDecay else {})) for one in methods), **TEN)
        assert training(found) == training(windows(made(TopLayers), **TEN))
        assert found["blocks.1.0.weight"] == whole(0.5)


@pytest.mark.parametrize("method", [HeadOnly, TopLayers, BitFit, LayerByLayer])
def test_a_method_that_trains_less_holds_beside_end_to_end_whatever_the_order(method):
    alone = windows(made(method), epochs=4)
    assert windows(made(method), made(EndToEnd, head_lr_scale=3.0), epochs=4) == alone
    assert windows(made(EndToEnd, head_lr_scale=3.0), made(method), epochs=4) == alone


def test_methods_join_what_they_train():
    found = windows(made(TopLayers, blocks=1), made(BitFit, learning_rate=0.02), learning_rate=0.01, **TEN)
    assert found["blocks.2.0.weight"] == whole()
    assert found["blocks.2.0.bias"] == found["blocks.0.0.bias"] == whole(2)
    assert found["blocks.0.0.weight"] == []


def test_bitfit_beside_head_only_is_refused_because_their_rates_would_multiply(tmp_path):
    both = completed({"bitfit": made(BitFit), "head-only": made(HeadOnly)})
    with pytest.raises(PluginError, match="'bitfit' cannot run together with 'head-only'"):
        run(both, tmp_path / "run", TEN)


def test_layers_thaw_from_the_head_down_in_equal_shares_and_at_falling_rates():
    found = windows(made(LayerByLayer), **TEN)
    assert [found[name] for name in ORDER] == [[(2 * phase, 10, 0.5**phase)] for phase in range(5)]


def test_several_blocks_thaw_together_and_the_last_phase_takes_what_is_left():
    found = windows(made(LayerByLayer, blocks_per_phase=2, phase_steps=2, lr_divisor=2.6), **TEN)
    starts = [found[name][0][0] for name in ORDER]
    assert starts == [0, 2, 2, 4, 6]
    assert [found[name][0][2] for name in ORDER] == pytest.approx([1, 1 / 2.6, 1 / 2.6, 2.6**-2, 2.6**-3])


def test_phases_may_be_epochs_whether_or_not_max_steps_cuts_the_run_short():
    for length in ({"epochs": 6}, {"epochs": 60, "max_steps": 33}):
        per_epoch = planned(made(LayerByLayer), **length).steps.per_epoch
        found = windows(made(LayerByLayer, phase_epochs=1), **length)
        assert [found[name][0][0] for name in ORDER] == [phase * per_epoch for phase in range(5)]


def test_phases_may_be_fractions_which_are_taken_as_written():
    found = windows(made(LayerByLayer, phase_fractions=[0.1, 0.1, 0.1, 0.2, 0.5]), **TEN)
    assert [found[name][0][0] for name in ORDER] == [0, 1, 2, 3, 5]


def test_one_at_a_time_each_part_trains_alone_and_then_all_do():
    found = windows(made(LayerByLayer, thaw="one-at-a-time", phase_steps=1, lr_divisor=1.0), **TEN)
    alone = [[(phase, phase + 1, 1.0), (5, 10, 1.0)] for phase in range(4)]
    assert [found[name] for name in ORDER] == [*alone, [(4, 10, 1.0)]]


def test_embeddings_may_stay_frozen():
    assert windows(made(LayerByLayer, embeddings=False), **TEN)["embeddings.weight"] == []


def test_no_rate_falls_below_the_lowest():
    found = windows(made(LayerByLayer, lr_divisor=10.0, lowest_lr_scale=0.05), **TEN)
    assert [found[name][0][2] for name in ORDER] == pytest.approx([1, 0.1, 0.05, 0.05, 0.05])


class Shallow(ToyTask):
    """A task whose model has no blocks."""

    @triune.hookimpl
    def build_model(self, run, data):
        bundle = super().build_model(run, data)
        bundle.model.blocks = torch.nn.ModuleList()
        return bundle


class Unbiased(ToyTask):
    """A task whose encoder has no biases."""

    @triune.hookimpl
    def build_model(self, run, data):
        bundle = super().build_model(run, data)
        for block in bundle.model.blocks:
            block[0].bias = block[1].bias = None
        return bundle


class Headless(ToyTask):
    """A task that names no head."""

    @triune.hookimpl
    def build_model(self, run, data):
        import dataclasses

        return dataclasses.replace(super().build_model(run, data), head=())


@pytest.mark.parametrize(
    ("method", "task", "sentence"),
    [
        (made(TopLayers, blocks=4), None, "top-layers: blocks: found 4, wanted at most 3"),
        (made(TopLayers), Shallow(), "top-layers: no blocks are found in this model"),
        (made(LayerwiseDecay), Shallow(), "layerwise-decay: no blocks are found"),
        (made(LayerByLayer), Shallow(), "layer-by-layer: no blocks are found"),
        (made(LayerByLayer, blocks_per_phase=4), None, "blocks_per_phase: found 4, wanted at most 3"),
        (made(LayerByLayer, phase_fractions=[0.5, 0.5]), None, "phase_fractions: found 2, wanted 5"),
        (made(LayerByLayer, phase_fractions=[0.2] * 4 + [0.1]), None, "phase_fractions: they sum up to 0.9, wanted 1"),
        (made(LayerByLayer, phase_steps=9), None, r"claims Depth\(-2\) from step 18 to 10.*the window is empty"),
        (made(LayerByLayer, phase_epochs=5), None, r"claims Depth\(-1\) from step 30 to 10.*the window is empty"),
        (made(BitFit), Unbiased(), "bitfit: the encoder has no biases"),
        (made(HeadOnly), Headless(), r"claims Head\(\), which matches none"),
        (made(Anchor), None, "no method says which parameters train"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_in_the_plan(method, task, sentence):
    with pytest.raises(PlanError, match=sentence):
        planned(method, task=task, **TEN)


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (HeadOnly, {"learning_rate": 0}),
        (HeadOnly, {"learning_rate": float("inf")}),
        (TopLayers, {"blocks": 0}),
        (TopLayers, {"blocks": True}),
        (LayerwiseDecay, {"decay": 1.0}),
        (LayerwiseDecay, {"decay": float("nan")}),
        (LayerByLayer, {"phase_steps": 5, "phase_epochs": 1.0}),
        (LayerByLayer, {"phase_fractions": [0.0, 1.0]}),
        (LayerByLayer, {"lr_divisor": 0.5}),
        (LayerByLayer, {"thaw": "upwards"}),
        (Anchor, {"weight": float("nan")}),
    ],
)
def test_settings_that_mean_nothing_are_refused(method, found):
    with pytest.raises(ValidationError):
        made(method, **found)


schedules = st.fixed_dictionaries(
    {
        "blocks_per_phase": st.integers(1, 3),
        "phase_steps": st.integers(1, 2),
        "thaw": st.sampled_from(["cumulative", "one-at-a-time"]),
        "embeddings": st.booleans(),
        "lr_divisor": st.sampled_from([1.0, 2.0, 2.6]),
    }
)


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def witnessed(folder, method, stop=None, resume=None, **others):
    def stopping(event):
        if isinstance(event, Checkpointed) and event.step.index == stop:
            raise Stopped

    witness = Witness()
    found = {
        "epochs": 3,
        "max_steps": 14,
        "checkpoint_every": 1,
        "early_stopping": None,
        "keep_best": False,
        "accumulate": 2,
    }
    with witness.watching():
        run(completed({"method": method, "witness": witness, **others}), folder, found, resume, (stopping,))
    return witness


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(schedules)
def test_random_schedules_move_what_their_windows_say_and_nothing_else(found):
    with TemporaryDirectory() as folder:
        witness = witnessed(Path(folder) / "run", made(LayerByLayer, **found))
    windows = {name: group.windows for group in witness.plan.groups for name in group.names}
    for step, (before, after) in enumerate(pairwise(witness.weights)):
        inside = {name for name in after if any(window.holds(step) for window in windows.get(name, ()))}
        assert {name for name in after if not torch.equal(before[name], after[name])} == inside
        assert witness.holding[step] == inside


@pytest.mark.parametrize("thaw", ["cumulative", "one-at-a-time"])
def test_layer_by_layer_with_an_anchor_resumes_at_every_step_to_the_same_bits(tmp_path, thaw):
    def go(folder, stop=None, resume=None):
        method = made(LayerByLayer, phase_steps=2, thaw=thaw)
        return witnessed(tmp_path / folder, method, stop, resume, anchor=made(Anchor, weight=0.5)).now()

    for step in range(1, 14):
        with pytest.raises(Stopped):
            go("run", step, "auto" if step > 1 else None)
    again, last = go("run", resume="auto"), go("whole")
    assert [name for name in last if not torch.equal(again[name], last[name])] == []


def test_the_anchor_is_half_the_squared_distance_of_what_may_move():
    model = Blocks(2)
    start = start_of(model, {name for name, _ in model.named_parameters()})
    with torch.no_grad():
        model.head.bias += torch.tensor([3.0, 4.0])
        model.embeddings.weight += 1
    model.embeddings.weight.requires_grad_(False)
    assert distance(model, start).item() == pytest.approx(12.5)
    assert size(model, {"embeddings.weight"}).item() == 0
    distance(model, start).backward()
    torch.testing.assert_close(model.head.bias.grad, torch.tensor([3.0, 4.0]))


def test_where_nothing_moves_the_cost_is_zero_on_the_device_of_the_batch():
    batch = Batch(torch.arange(3, device="meta"), {}, *(torch.zeros(3, device="meta") for _ in range(3)))
    found = on_every_example(lambda: torch.zeros(()))(Step(0, 1), batch, None)
    assert found.values.device == found.mask.device == batch.rows.device


def test_a_heavy_anchor_holds_the_encoder_and_not_the_head(tmp_path):
    free = witnessed(tmp_path / "free", made(EndToEnd)).weights
    held = witnessed(tmp_path / "held", made(EndToEnd), anchor=made(Anchor, weight=100.0, head_weight=0.0)).weights
    moved = [
        {part: sum(float((run[-1][n] - run[0][n]).norm()) for n in run[0] if n.startswith(part)) for part in ("b", "h")}
        for run in (free, held)
    ]
    assert moved[1]["b"] < moved[0]["b"] / 3
    assert moved[1]["h"] > moved[0]["h"] / 2


def test_terms_of_the_anchor_are_those_that_cost_something():
    assert set(planned(made(EndToEnd), made(Anchor), **TEN).terms) == {"task", "anchor", "anchor of the head"}
    assert set(planned(made(EndToEnd), made(Anchor, head_weight=0), **TEN).terms) == {"task", "anchor"}


@pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs
def test_a_finished_run_of_a_real_encoder_predicts_again_without_its_anchor(tiny_model, tmp_path):
    import pandas as pd

    messages = pd.DataFrame({"text": ["where is my parcel", "give me my money back"] * 10, "label": ["a", "b"] * 10})
    found = {
        "task": {"use": "text-classification", "model": str(tiny_model)},
        "data": "table",
        "methods": ["layer-by-layer", {"use": "anchor", "weight": 0.1}],
        "training": {"epochs": 3, "batch_size": 4, "threads": 1, "device": "cpu"},
    }
    result = triune.run(found, data={"train": messages}, output=tmp_path / "run")
    assert {"task", "anchor", "anchor of the head"} == set(result.history["terms"].dropna().iloc[0])
    assert len(triune.predict(result.folder, messages[["text"]])) == 20


def run_with(folder, method, training, *observers, resume=None):
    return run(completed({"mine": method}), folder / "run", training, resume, observers)


def test_phases_on_plateaus_are_in_the_plan_at_equal_shares_and_marked():
    plan = planned(made(LayerByLayer, phase_patience=2), validation=0.2, **TEN)
    assert [one.phase for one in plan.phases] == [0, 1, 2, 3]
    found = {name: group.windows[0] for group in plan.groups for name in group.names}
    assert [found[name].start for name in ORDER] == [0, 2, 4, 6, 8]
    assert "the end of phase 1 (about 2)" in str(found["blocks.2.0.weight"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"validation": 0.0}, "there is no validation table"),
        ({"validation": 0.2, "keep_best": False}, "training.keep_best is false"),
        ({"validation": 0.2, "early_stopping": {"metric": "accuracy"}}, "the best model is chosen by 'accuracy'"),
    ],
)
def test_phases_that_could_not_end_are_refused(settings, sentence):
    with pytest.raises(PlanError, match=sentence):
        planned(made(LayerByLayer, phase_patience=2), **TEN, **settings)


def test_a_phase_ends_on_its_plateau_with_its_best_model_and_the_next_part_thaws(tmp_path):
    seen = []
    training = {"epochs": 20, "evaluate_every": 2, "validation": 0.25, "early_stopping": None}
    result = run_with(tmp_path, made(LayerByLayer, phase_patience=1), training, seen.append)
    ended = [one for one in seen if isinstance(one, PhaseEnded)]
    assert [one.phase for one in ended] == list(range(1, len(ended) + 1)) and ended
    begun = [one.step.index for one in ended]
    assert begun == sorted(begun)
    lines = [json.loads(line) for line in (result.folder / "history.jsonl").read_text().splitlines()]
    rates = {line["step"]: line["learning_rates"] for line in lines if line["event"] == "step"}
    thawed = [sum(rate > 0 for rate in rates[step]) for step in sorted(rates)]
    assert thawed == sorted(thawed)  # cumulative: what thawed stays
    changes = [step for step in sorted(rates)[1:] if sum(map(bool, rates[step])) > sum(map(bool, rates[step - 1]))]
    assert changes == [step + 1 for step in begun[: len(changes)]]


def test_phases_on_plateaus_resume_at_every_step_to_the_bit(tmp_path):
    training = {"epochs": 5, "evaluate_every": 2, "validation": 0.25, "early_stopping": None, "checkpoint_every": 1}

    def go(name, stop=None):
        def stopping(event):
            if isinstance(event, Checkpointed) and event.step.index == stop:
                raise Stopped

        return run_with(tmp_path / name, made(LayerByLayer, phase_patience=1), training, stopping, resume="auto")

    def told(name):
        lines = [json.loads(line) for line in (tmp_path / name / "run/history.jsonl").read_text().splitlines()]
        rows = [{key: value for key, value in one.items() if key != "examples_per_second"} for one in lines]
        return [one for one in rows if one["event"] != "cache"]  # what is frozen is computed again where a run goes on

    steps = go("whole").facts["ended"]["step"]
    for stop in range(1, steps):
        with pytest.raises(Stopped):
            go("parts", stop)
    go("parts")
    assert len([one for one in told("whole") if one["event"] == "phase"]) > 1
    assert told("parts") == told("whole")
    assert same(final(tmp_path / "parts"), final(tmp_path / "whole"))


def test_a_schedule_that_was_written_trains_as_the_method_that_wrote_it(tmp_path):
    plan = planned(made(LayerByLayer, blocks_per_phase=2), **TEN)
    path = tmp_path / "schedule.yaml"
    path.write_text(written(plan.claims), encoding="utf-8")
    method = Schedule(Schedule.Config(path=path))
    assert windows(method, **TEN) == windows(made(LayerByLayer, blocks_per_phase=2), **TEN)
