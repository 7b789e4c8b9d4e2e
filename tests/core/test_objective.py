"""The reduction is exact: a batch gives one gradient, whole or in parts, whatever its terms are."""

import numpy as np
import pytest
import torch

from tests.support import Blocks, ToyTask, encode, table
from triune import Data, LossTerm, Outputs, TermValues
from triune.batching import parts_of
from triune.errors import PluginError, TrainingError
from triune.objective import Objective, check_finite, share_of
from triune.schedules import Schedule
from triune.spaces import Categorical
from triune.types import Step

SPACE = Categorical(("cold", "warm"))
STEP = Step(0, 10)


def batch_of(rows=13, unlabelled=5):
    data = table(rows)
    data.loc[: unlabelled - 1, "label"] = None
    data["weight"] = [1.0 + row % 3 for row in range(rows)]
    return encode(Data({"train": data}, {"text": "text", "label": "label", "weight": "weight"}), "train", SPACE)


def confident(step, batch, outputs):
    """A term whose mask depends on what the model says, so that only the model can count it."""
    p = outputs.space.probabilities(outputs.scores)
    return TermValues(-(p * p.log()).sum(-1), (p.max(-1).values > 0.6).float())


def task(counts):
    return next(iter(ToyTask(counts=counts).loss_terms()))


def objective(terms, compose=None, dropout=0.0):
    torch.manual_seed(3)
    model = Blocks(2, dropout=dropout)
    return Objective(
        model,
        lambda model, batch: Outputs(
            4 * model(batch.inputs["input_ids"], batch.inputs["attention_mask"].float()), SPACE
        ),
        lambda outputs, batch: outputs,
        {term.name: ("mine", term) for term in terms},
        compose,
    )


def gradient(made, examples, parts):
    """Return the gradient of one step in `parts` parts, and the values that would be logged."""
    made.zero_grad()
    batches = [examples.batch(rows) for rows in parts_of(np.arange(len(examples)), parts)]
    share = share_of(made, batches, STEP) if parts > 1 else None
    totals = {}
    for batch in batches:
        loss, terms = made(batch, STEP, share)
        loss.backward()
        totals = {name: totals.get(name, 0) + value for name, value in terms.items()}
    totals = {**totals, **((share and share.terms) or {})}
    return torch.cat([p.grad.flatten() for p in made.parameters() if p.grad is not None]), totals


def product(terms, step):
    """A composition that is no sum of its terms."""
    return (terms["task"] * terms["confident"]).sqrt() + terms["task"]


def marginals_at(prior):
    """A term of means: the divergence of label marginals from a prior."""

    def compute(step, batch, outputs):
        return TermValues(outputs.space.probabilities(outputs.scores), batch.weights)

    return LossTerm("marginals", compute, of_means=lambda step, m: (prior * (prior / m).log()).sum())


MARGINALS = marginals_at(torch.tensor([0.8, 0.2]))
SCALING = LossTerm("confident", confident, Schedule.constant(0.3), scales={"task": Schedule.constant(0.25)})
CASES = {
    "counted": ([task(True)], None),
    "not counted": ([task(False)], None),
    "mask from the model": ([task(True), LossTerm("confident", confident, Schedule.constant(0.3))], None),
    "scaled": ([task(True), SCALING], None),
    "scaled and composed": ([task(True), SCALING], product),
    "composed": ([task(True), LossTerm("confident", confident)], product),
    "of means": ([task(True), MARGINALS], None),
    "composed with one of means": ([task(True), LossTerm("confident", confident), MARGINALS], product),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("parts", [2, 3, 13])
def test_parts_add_up_to_the_whole_batch(case, parts):
    made, examples = objective(*CASES[case]), batch_of()
    whole, whole_terms = gradient(made, examples, 1)
    split, split_terms = gradient(made, examples, parts)
    torch.testing.assert_close(split, whole, rtol=1e-4, atol=1e-6)
    for name, value in whole_terms.items():
        torch.testing.assert_close(split_terms[name], value, rtol=1e-5, atol=1e-7)


def test_a_scaled_term_is_multiplied_by_all_that_scale_it():
    examples = batch_of()
    other = LossTerm("other", confident, scales={"task": Schedule.constant(2.0)})
    _, plain = gradient(objective([task(True)]), examples, 1)
    flat, found = gradient(objective([task(True), SCALING, other]), examples, 1)
    torch.testing.assert_close(found["task"], 0.5 * plain["task"])
    assert flat.any()


def test_dividing_each_part_by_its_own_count_would_be_wrong():
    """The negative control: unequal numbers of labels a part make the mean of means another gradient."""
    made, examples = objective([task(True)]), batch_of()
    whole, _ = gradient(made, examples, 1)
    made.zero_grad()
    for rows in parts_of(np.arange(len(examples)), 2):
        (made(examples.batch(rows), STEP)[0] / 2).backward()
    naive = torch.cat([p.grad.flatten() for p in made.parameters()])
    assert (naive - whole).abs().max() > 1e-3


def test_rehearsing_draws_nothing_from_the_random_state():
    examples = batch_of()
    drawn = []
    for made in (objective(*CASES["mask from the model"], dropout=0.5), objective([task(True)], dropout=0.5)):
        made.train()
        torch.manual_seed(5)
        gradient(made, examples, 3)
        drawn.append(torch.rand(1))
    assert torch.equal(*drawn)


def test_a_masked_value_does_not_matter_even_if_it_is_infinite():
    def values(step, batch, outputs):
        scores = outputs.scores.sum(-1)
        return TermValues(torch.where(batch.labelled > 0, scores, torch.inf), batch.labelled)

    loss, _ = objective([LossTerm("odd", values)])(batch_of().batch(np.arange(13)), STEP)
    assert torch.isfinite(loss)


def test_a_term_without_a_single_example_is_zero():
    made, examples = objective([task(True)]), batch_of(5, unlabelled=5)
    flat, terms = gradient(made, examples, 1)
    assert terms["task"] == 0
    assert not flat.any()


def test_values_and_mask_of_different_shape_are_refused():
    def reduced(step, batch, outputs):
        return TermValues(outputs.scores.mean(), batch.labelled)

    with pytest.raises(PluginError, match="values \\(\\) and mask \\(13,\\) differ in shape"):
        gradient(objective([LossTerm("odd", reduced)]), batch_of(), 1)


def test_an_error_in_a_term_names_plugin_and_term():
    def breaks(step, batch, outputs):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError) as caught:
        gradient(objective([LossTerm("odd", breaks)]), batch_of(), 1)
    assert caught.value.__notes__ == ["raised by plugin 'mine' in the loss term 'odd'"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_term_that_is_not_finite_is_named_with_its_step(value):
    with pytest.raises(TrainingError, match="step 5: loss term 'rules' of plugin 'mine' is"):
        check_finite({"task": 1.0, "rules": value}, {"task": "toy", "rules": "mine"}, Step(4, 10))


def test_schedules_weigh_terms_by_the_step():
    ramp = Schedule.model_validate({"from": 0, "to": 1, "over": 1.0})
    base = next(iter(ToyTask().loss_terms()))
    made = objective([LossTerm("task", base.compute, ramp, base.counts)])
    batch = batch_of().batch(np.arange(13))
    late = made(batch, Step(10, 10))[1]["task"]
    assert made(batch, Step(0, 10))[1]["task"] == 0
    torch.testing.assert_close(made(batch, Step(5, 10))[1]["task"], late / 2)


def test_a_term_of_means_needs_a_mask_without_the_features():
    wrong = LossTerm("wrong", lambda step, batch, outputs: TermValues(outputs.scores, outputs.scores), of_means=sum)
    with pytest.raises(PluginError, match=r"differ in shape.*but for the last dimension, the features"):
        objective([wrong])(batch_of().batch(np.arange(4)), STEP)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_term_of_means_is_shown_the_whole_batch_and_nothing_else(parts):
    shown = []

    def of_means(step, means):
        shown.append(means.detach().clone())
        return means.square().sum()

    examples = batch_of()
    made = objective([task(True), LossTerm("of means", MARGINALS.compute, of_means=of_means)])
    gradient(made, examples, parts)
    p = made.outputs(examples.batch(np.arange(len(examples)))).scores.softmax(-1)
    weights = torch.from_numpy(examples.weights)
    (means,) = shown
    torch.testing.assert_close(means, (p * weights[:, None]).sum(0) / weights.sum())
