"""LISA draws which blocks learn; EWC holds what matters by the Fisher information."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

import triune
from tests.support import Blocks, plugins
from triune.context import Generators
from triune.errors import DataError, PlanError
from triune.events import Checkpointed
from triune.examples import Examples, Ragged
from triune.layout import Ownership, layout_of
from triune.select import Depth, Head, Outside
from triune.spaces import Categorical
from triune.testing import check_plugin
from triune.testing.toy_runs import completed, configuration, run
from triune.testing.witness import Witness
from triune.types import Bundle, Outputs, RunLength
from triune_end_to_end import EndToEnd
from triune_ewc import FILE, Ewc
from triune_ewc.fisher import Fisher
from triune_ewc.penalty import Held, penalty
from triune_head_only import HeadOnly
from triune_lisa import Lisa
from triune_lisa.drawing import drawn


def made(method, **found):
    return method(method.Config(**found))


def planned(seed=42, steps=24, **methods):
    given = {name: one for name, one in plugins(**methods).items() if name != "all"}
    called = {f"{name}, from Python": one for name, one in given.items()}
    training = {"max_steps": steps, "epochs": 50, "seed": seed}
    return triune.plan(configuration(given, training), plugins=called)


def trains_at(plan, step):
    return {name for group in plan.groups if group.window(step) for name in group.names}


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (Lisa, {"blocks": 1, "period": 2}),
        (Ewc, {"examples": 20, "keep": True}),
        (Ewc, {"weight": {"from": 10, "to": 0, "over": 0.5}, "examples": 5}),
    ],
    ids=str,
)
def test_it_conforms(method, settings):
    check_plugin(method, config=settings)


def test_lisa_trains_head_embeddings_and_as_many_blocks_as_it_is_told_in_every_period():
    plan = planned(lisa=made(Lisa, blocks=2, period=5), steps=33)
    always = {one.name for one in plan.layout.where(Head() | Outside())}
    blocks = {place: {one.name for one in plan.layout.where(Depth(place))} for place in range(3)}
    drawn = []
    for step in range(33):
        found = trains_at(plan, step)
        inside = {place for place, names in blocks.items() if names <= found}
        assert len(inside) == 2 and found == always.union(*(blocks[place] for place in inside))
        drawn.append(frozenset(inside))
    assert all(len(set(drawn[start : start + 5])) == 1 for start in range(0, 33, 5))
    assert len(set(drawn)) > 1


def test_lisa_draws_by_the_seed_alone():
    plans = [planned(seed, lisa=made(Lisa, blocks=1, period=1)) for seed in (1, 1, 2)]
    one, again, other = ([trains_at(plan, step) for step in range(24)] for plan in plans)
    assert one == again != other


def test_lisa_may_leave_the_embeddings_alone():
    plan = planned(lisa=made(Lisa, embeddings=False, period=5))
    assert "embeddings.weight" not in {name for group in plan.groups for name in group.names}


def test_more_blocks_than_there_are_cannot_be_drawn():
    with pytest.raises(PlanError, match="lisa: blocks: found 4, wanted at most 3"):
        planned(lisa=made(Lisa, blocks=4))


def test_a_model_without_blocks_is_refused_with_what_to_use():
    with pytest.raises(PlanError, match=r"lisa: no blocks are found in this model .*ALBERT's do\): use head-only"):
        drawn(Lisa.Config(), blocks=0, total=10, run=None)


def test_more_periods_than_a_plan_holds_are_refused_with_the_period_that_fits():
    model = Blocks(2)
    layout = layout_of(model, Ownership(model, "toy").owners, ("head.*",), "toy")
    asked = (triune.Run(config=None, folder=Path()), layout, RunLength(2500, per_epoch=3))
    with pytest.raises(PlanError, match=r"lisa: period: found 1, which makes 2500 periods.*wanted at least 2"):
        list(made(Lisa, period=1).claim_parameters(*asked))


def test_settings_that_mean_nothing_are_refused():
    for method, found in ((Lisa, {"blocks": 0}), (Lisa, {"period": 0}), (Ewc, {"examples": 0})):
        with pytest.raises(ValidationError):
            made(method, **found)


class Linear(nn.Module):
    """Scores that are linear in features."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3))


def linear_bundle(model, features):
    space = Categorical(("a", "b"))
    return Bundle(
        model=model,
        space=space,
        encode=lambda data, split: None,
        forward=lambda model, batch: Outputs(features[batch.rows] @ model.weight.T, space),
        save=lambda model, folder: None,
    )


def examples_of(count):
    import numpy as np

    ids = {"input_ids": Ragged.of([[1]] * count, 0)}
    return Examples(ids, np.zeros((count, 2), "float32"), np.zeros(count, "float32"), np.ones(count, "float32"))


def test_the_fisher_information_of_a_logistic_regression_is_what_its_formula_says():
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    model, run = Linear(), triune.Run(config=None, folder=Path(), generators=Generators(1))
    fisher = Fisher(linear_bundle(model, features), examples_of(40), ["weight"], 40, run)
    # at w = 0 both classes have p = 1/2, so whatever is drawn (1{y = k} − p)² is 1/4
    torch.testing.assert_close(fisher.diagonal()["weight"], (features.square() / 4).mean(0).expand(2, 3))
    assert model.weight.grad is None and model.weight.requires_grad
    before = run.generators.torch("ewc").get_state()
    fisher.diagonal()
    assert torch.equal(before, run.generators.torch("ewc").get_state())


def test_away_from_even_odds_the_estimate_comes_near_the_formula():
    features = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    model = Linear()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -0.5, 0.2], [-1.0, 0.5, 0.3]]))
    p = (features @ model.weight.T).softmax(-1)  # (examples, classes)
    wanted = torch.einsum("nk,nd->kd", p * (1 - p), features.square()) / len(features)
    run = triune.Run(config=None, folder=Path())
    found = Fisher(linear_bundle(model, features), examples_of(2000), ["weight"], 2000, run).diagonal()["weight"]
    torch.testing.assert_close(found, wanted, rtol=0.2, atol=0.01)


def test_the_penalty_is_half_the_weighted_square_of_what_may_move():
    model = Blocks(2)
    fisher = {"head.bias": torch.tensor([1.0, 2.0]), "embeddings.weight": torch.ones_like(model.embeddings.weight)}
    start = {name: model.get_parameter(name).detach().clone() for name in fisher}
    with torch.no_grad():
        model.head.bias += torch.tensor([3.0, 4.0])
        model.embeddings.weight += 1
    model.embeddings.weight.requires_grad_(False)
    cost = penalty(model, fisher, start)
    assert cost.item() == pytest.approx((9 + 2 * 16) / 2)
    cost.backward()
    torch.testing.assert_close(model.head.bias.grad, torch.tensor([3.0, 8.0]))


def moved(folder, *methods):
    """Return how far the blocks and the head moved in a run."""
    witness = Witness()
    named = {f"method {number}": one for number, one in enumerate(methods)}
    with witness.watching():
        run(completed({**named, "witness": witness}), folder, {"epochs": 3, "keep_best": False})
    first, last = witness.weights[0], witness.weights[-1]
    return [sum(float((last[n] - first[n]).norm()) for n in first if n.startswith(part)) for part in ("b", "h")]


def test_a_heavy_penalty_holds_the_encoder_and_not_the_head(tmp_path):
    free = moved(tmp_path / "free", made(EndToEnd))
    held = moved(tmp_path / "held", made(EndToEnd), made(Ewc, weight=1e6, examples=20))
    assert held[0] < free[0] / 2 and held[1] > free[1] / 2


def test_frozen_parameters_are_no_part_of_the_penalty(tmp_path):
    assert moved(tmp_path / "one", made(HeadOnly)) == moved(tmp_path / "two", made(HeadOnly), made(Ewc, examples=5))


def test_a_later_run_reads_what_an_earlier_one_kept(tmp_path):
    run(completed({"ewc": made(Ewc, keep=True, examples=10)}), tmp_path / "first", {"epochs": 1})
    kept = tmp_path / "first" / "model" / FILE
    assert kept.is_file()
    for source in (kept, kept.parent):
        assert "ewc" in planned(end=made(EndToEnd), ewc=made(Ewc, fisher_from=str(source))).terms


def test_a_file_that_is_not_there_or_of_another_model_is_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(DataError, match=r"ewc: fisher_from: .*none.safetensors' cannot be read"):
        planned(ewc=made(Ewc, fisher_from=str(tmp_path / "none.safetensors")))
    save_file({"other": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(PlanError, match="is of another model: it lacks 13 of 13 parameters"):
        planned(ewc=made(Ewc, fisher_from=str(tmp_path)))


def test_a_plan_estimates_nothing_and_a_run_does(tmp_path, monkeypatch):
    def refused(self):
        raise AssertionError("estimated amid a plan")

    monkeypatch.setattr(Fisher, "diagonal", refused)
    assert "ewc" in planned(end=made(EndToEnd), ewc=made(Ewc)).terms
    with pytest.raises(AssertionError, match="amid a plan"):
        run(completed({"ewc": made(Ewc, examples=5)}), tmp_path / "run", {"epochs": 1})


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def test_a_resumed_run_is_held_by_what_mattered_where_it_began(tmp_path):
    def go(folder, stop=None, resume=None):
        def stopping(event):
            if isinstance(event, Checkpointed) and event.step.index == stop:
                raise Stopped

        witness = Witness()
        found = completed({"ewc": made(Ewc, weight=1e4, examples=10), "witness": witness})
        training = {"max_steps": 8, "checkpoint_every": 1, "keep_best": False, "early_stopping": None}
        run(found, tmp_path / folder, training, resume, (stopping,))
        return witness.now()

    with pytest.raises(Stopped):
        go("run", 4)
    again, whole = go("run", resume="auto"), go("whole")
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_the_model_is_as_it_started_inside_and_what_it_was_afterwards():
    model = Blocks(2)
    held = Held(model, [])
    with torch.no_grad():
        model.head.bias += 1
    moved = {name: one.detach().clone() for name, one in model.named_parameters()}
    with held.at_start():
        assert all(torch.equal(one, held.start[name]) for name, one in model.named_parameters())
    assert all(torch.equal(one, moved[name]) for name, one in model.named_parameters())


def test_of_a_folder_the_file_in_it_is_part_of_the_run(tmp_path):
    assert Ewc.Config(fisher_from=tmp_path).fisher_from == tmp_path / FILE


def test_without_a_weight_it_costs_nothing_and_can_be_kept_for_a_later_run(tmp_path):
    result = run(completed({"ewc": made(Ewc, weight=0, keep=True, examples=5)}), tmp_path / "run", {"epochs": 1})
    assert (result.folder / "model" / FILE).is_file()
    assert set(result.history["terms"].dropna().iloc[0]) == {"task"}
