"""The prior guard: marginals are held at a prior, whatever the batch, and what it remembers is resumed."""

import numpy as np
import pytest
import torch

from tests.support import encode, table
from triune import Data, Outputs, Step
from triune.errors import PlanError
from triune.events import Evaluated, Stepped
from triune.guard import SHARE, Guard, Guarded, MethodGuard, guard_of
from triune.spaces import Binaries, Categorical, Tags

SPACE = Categorical(("cold", "warm"))
STEP = Step(0, 10)


def examples(labelled=10):
    data = table(12)
    data.loc[labelled:, "label"] = None
    return encode(Data({"train": data}, {"text": "text", "label": "label"}), "train", SPACE)


def test_the_prior_is_that_of_the_labels_with_one_added_to_each():
    train = examples()
    guard, said = guard_of(Guarded(), SPACE, train)
    counts = train.targets[train.labelled > 0].sum(0)
    np.testing.assert_allclose(guard.prior, (counts + 1) / 12, rtol=1e-6)
    assert "of 10 labels" in said


def test_without_labels_it_is_uniform_for_a_choice_and_none_for_separate_labels():
    guard, said = guard_of(Guarded(), SPACE, examples(0))
    assert (guard.prior.tolist(), guard.floor) == ([0.5, 0.5], 0.1) and "a guess" not in said
    for space in (Binaries(("cold", "warm")), Tags(("cold", "warm"))):
        guard, said = guard_of(Guarded(), space, examples(0))
        assert guard is None and "state how often each label holds" in said


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ({"cold": 0.5, "wram": 0.5}, "'wram' is not a label of this task; labels: cold, warm; did you mean 'warm'"),
        ({"cold": 0.5}, "no share for 'warm'"),
        ({"cold": 0.5, "warm": 0.0}, "'warm' has 0, wanted above 0"),
        ({"cold": 0.5, "warm": 0.9}, "the shares add up to 1.400, wanted 1"),
    ],
)
def test_a_prior_that_is_none_is_refused(prior, sentence):
    with pytest.raises(PlanError, match=sentence):
        guard_of(Guarded(prior=prior), SPACE, examples())


@pytest.mark.parametrize("space", [SPACE, Binaries(("cold", "warm"))])
def test_the_gradient_leads_marginals_back_to_the_prior(space):
    guard = Guard(np.asarray([0.8, 0.2], dtype=np.float32), space)
    scores = torch.zeros(16, 2, requires_grad=True)
    optimizer = torch.optim.SGD([scores], lr=4.0)
    for _ in range(400):
        p = guard.marginals(STEP, None, Outputs(scores, space)).values
        optimizer.zero_grad()
        guard.divergence(STEP, p.mean(0)).backward()
        optimizer.step()
        guard.commit()
    torch.testing.assert_close(space.probabilities(scores).mean(0), guard.prior, atol=0.01, rtol=0)


def test_below_the_floor_alone_a_label_is_pushed_up():
    guard = Guard(np.asarray([0.5, 0.5], dtype=np.float32), SPACE, floor=0.3)
    guard.running = torch.tensor([0.87, 0.13])
    assert float(guard.divergence(STEP, torch.tensor([0.83, 0.17]))) > 0
    guard.running = torch.tensor([0.8, 0.2])
    means = torch.tensor([0.8, 0.2], requires_grad=True)
    value = guard.divergence(STEP, means)
    value.backward()
    assert value.item() == 0 and not means.grad.any()


@pytest.mark.parametrize(
    ("settings", "floor"), [({}, 0.1), ({"prior": {"cold": 0.9, "warm": 0.1}}, 1.0), ({"guard_floor": 0.5}, 0.5)]
)
def test_a_stated_prior_is_held_and_one_from_even_labels_is_a_guess(settings, floor):
    assert guard_of(Guarded(**settings), SPACE, examples())[0].floor == floor


def test_a_prior_from_labels_in_uneven_numbers_is_held():
    train = examples(12)
    uneven = train.at(np.concatenate([np.flatnonzero(train.targets[:, 0])[:2], np.flatnonzero(train.targets[:, 1])]))
    guard, said = guard_of(Guarded(), SPACE, uneven)
    assert guard.floor == 1 and "held" in said


def test_it_is_least_at_the_prior_and_remembers_only_steps_that_were_done():
    guard = Guard(np.asarray([0.8, 0.2], dtype=np.float32), SPACE)
    at_prior = guard.divergence(STEP, torch.tensor([0.8, 0.2]))
    away = guard.divergence(STEP, torch.tensor([0.2, 0.8]))
    assert abs(float(at_prior)) < 1e-6 < float(away)
    assert torch.equal(guard.running, guard.prior)
    guard.commit()
    torch.testing.assert_close(guard.running, (1 - SHARE) * guard.prior + SHARE * torch.tensor([0.2, 0.8]))
    other = Guard(np.asarray([0.8, 0.2], dtype=np.float32), SPACE)
    other.load_state_dict(guard.state_dict())
    assert torch.equal(other.running, guard.running)


def test_a_method_has_its_guard_remember_the_steps_that_it_observes_and_keep_them():
    first, second = MethodGuard(), MethodGuard()
    for one in (first, second):
        assert [term.name for term in one.terms("prior", Guarded(), SPACE, examples())] == ["prior"]
    first.found.divergence(STEP, torch.tensor([0.9, 0.1]))
    first.observe(Evaluated(STEP, "valid", {}, True))
    assert torch.equal(first.state_dict()["running"], first.found.prior)
    first.observe(Stepped(STEP, 0.0, {}, (), 2, 0.0))
    assert not torch.equal(first.state_dict()["running"], first.found.prior)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.found.running, first.found.running)


def test_a_method_without_a_guard_contributes_and_keeps_nothing():
    none = MethodGuard()
    assert not list(none.terms("prior", Guarded(guard=0), SPACE, examples()))
    none.observe(Stepped(STEP, 0.0, {}, (), 2, 0.0))
    none.load_state_dict(none.state_dict())
    assert none.state_dict() == {}
