"""Hard rules hold by construction, and a model learns the likelihood of its labels under them."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.core.logic.enumeration import as_booleans, formulas, worlds
from triune.logic import (
    AtMost,
    EndsWith,
    EveryFollowedBy,
    Exactly,
    Label,
    Matches,
    NeverFollows,
    Occurs,
    StartsWith,
    hierarchy,
)
from triune.logic.inference import ContradictionError
from triune.logic.variables import Tags
from triune.spaces import Binaries, Categorical
from triune.types import Batch, GroundedRules, Outputs, Rule, Step, TextMatches
from triune_rule_structure import RuleStructure

SPACES = {"categorical": Categorical(tuple("abcd")), "binaries": Binaries(tuple("abcde")), "tags": Tags(tuple("OBI"))}
ONCE = TextMatches(lambda text: True)  # any condition that is not "always"
LENGTHS = (4, 3, 1)
SEQUENCE_RULES = (
    NeverFollows("O", "I"),
    StartsWith("[OB]"),
    EndsWith("O"),
    EveryFollowedBy("B", "I"),
    Occurs("B", at_most=1),
    Label("B"),
    ~Label("I"),
    Matches("(O | B I*)*"),
    Label("B") >> Label("I"),
)


def structure(space, rules, transitions=None, **config):
    """Return (plugin, grounded rules) of rules as (formula, whether it always fires, which of three it fires on)."""
    plugin = RuleStructure(RuleStructure.Config(**config))
    plugin.transitions = transitions
    found, fires = [], []
    for number, (then, always, on) in enumerate(rules):
        found.append(Rule(f"r{number}", then, hard=True, **({} if always else {"when": ONCE})))
        fires.append([True] * len(on) if always else list(on))
    return plugin, GroundedRules(tuple(found), {"train": np.asarray(fires)}, space=space)


def scores_of(space, seed, dtype=torch.float64):
    shape = (3, max(LENGTHS), 3) if space.kind == "tags" else (3, len(space.labels))
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 3


def mask_of(space):
    return torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None] if space.kind == "tags" else None


def batch_of(targets):
    ones = torch.ones(len(targets))
    return Batch(torch.arange(len(targets)), {}, targets, ones, ones)


def answers(space, row):
    """Return every answer of an example: what formulas read, and booleans like its scores."""
    if space.kind != "tags":
        return [(world, as_booleans(space, [world])[0]) for world in worlds(space)]
    found = []
    for tags in product(range(3), repeat=LENGTHS[row]):
        booleans = torch.zeros(max(LENGTHS), 3, dtype=torch.bool)
        booleans[torch.arange(len(tags)), list(tags)] = True
        found.append(([space.labels[tag] for tag in tags], booleans))
    return found


def allowed(space, rules, row):
    acting = [then for then, always, on in rules if always or on[row]]
    return [booleans for said, booleans in answers(space, row) if all(then.holds(said) for then in acting)]


def log_p(space, scores, answer, transitions=None):
    """Return the log-probability of an answer, up to a constant of the example where there are transitions."""
    if space.kind == "binaries":
        return torch.where(answer, scores.sigmoid().log(), (-scores).sigmoid().log()).sum()
    if transitions is None:
        return scores.log_softmax(-1)[answer].sum()
    tags = answer[answer.any(-1)].int().argmax(-1)
    return scores[answer].sum() + transitions.double()[tags[:-1], tags[1:]].sum()


@st.composite
def problems(draw, kind):
    space = SPACES[kind]
    kinds = st.sampled_from(SEQUENCE_RULES) if kind == "tags" else formulas(space.labels)
    rule = st.tuples(kinds, st.booleans(), st.tuples(*[st.booleans()] * 3))
    rules = draw(st.lists(rule, min_size=1, max_size=3))
    assume(all(allowed(space, rules, row) for row in range(3)))
    assume(kind != "categorical" or allowed(space, [(then, True, on) for then, always, on in rules if always], 0))
    transitions = draw(st.sampled_from([None, 0, 1])) if kind == "tags" else None
    if transitions is not None:
        transitions = nn.Parameter(torch.randn(3, 3, generator=torch.Generator().manual_seed(transitions)))
    return space, rules, scores_of(space, draw(st.integers(0, 999))), transitions


def counting(space, booleans, row):
    return booleans[: LENGTHS[row]] if space.kind == "tags" else booleans


@pytest.mark.parametrize("kind", sorted(SPACES))
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_the_answer_is_the_likeliest_that_keeps_the_rules(kind, data):
    space, rules, scores, transitions = data.draw(problems(kind))
    plugin, grounded = structure(space, rules, transitions)
    with torch.inference_mode():
        outputs = plugin.constrain_outputs(
            grounded, Outputs(scores, space, mask=mask_of(space)), batch_of(torch.zeros_like(scores))
        )
    for row, decided in enumerate(outputs.decided):
        keep = allowed(space, rules, row)
        mine = [one for one in keep if torch.equal(counting(space, one, row), counting(space, decided, row))]
        assert len(mine) == 1
        with torch.no_grad():
            best = torch.stack([log_p(space, scores[row], one, transitions) for one in keep]).max()
            torch.testing.assert_close(log_p(space, scores[row], mine[0], transitions), best, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", sorted(SPACES))
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_the_scores_are_those_of_the_marginals_given_the_rules(kind, data):
    space, rules, scores, transitions = data.draw(problems(kind))
    plugin, grounded = structure(space, rules, transitions)
    outputs = plugin.constrain_outputs(
        grounded, Outputs(scores, space, mask=mask_of(space)), batch_of(torch.zeros_like(scores))
    )
    assert outputs.decided is None  # nobody reads the answer while a model learns
    assert outputs.scores.isfinite().all()
    found = outputs.scores.sigmoid() if kind == "binaries" else outputs.scores.softmax(-1)
    for row in range(3):
        keep = torch.stack(allowed(space, rules, row))
        q = torch.stack([log_p(space, scores[row], one, transitions) for one in keep]).softmax(0)
        expected = (q.view(-1, *[1] * (keep.dim() - 1)) * keep).sum(0)
        ours, theirs = counting(space, found[row], row), counting(space, expected.detach(), row)
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", sorted(SPACES))
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_the_loss_and_its_gradient_are_those_of_the_conditioned_likelihood(kind, data):
    space, rules, scores, transitions = data.draw(problems(kind))
    plugin, grounded = structure(space, rules, transitions)
    gold = [data.draw(st.sampled_from(allowed(space, rules, row))) for row in range(3)]
    targets = torch.stack(gold).to(scores.dtype)
    form = plugin.structure(grounded).form
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss = form.loss(ours, targets, torch.from_numpy(grounded.fires["train"]), mask_of(space))
    expected = [
        torch.stack([log_p(space, theirs[row], one, transitions) for one in allowed(space, rules, row)]).logsumexp(0)
        - log_p(space, theirs[row], gold[row], transitions)
        for row in range(3)
    ]
    torch.testing.assert_close(loss, torch.stack(expected), atol=1e-6, rtol=1e-6)
    wanted = [theirs] if transitions is None else [theirs, transitions]
    had = [ours] if transitions is None else [ours, transitions]
    for one, other in zip(
        torch.autograd.grad(loss.sum(), had, allow_unused=True),
        torch.autograd.grad(sum(expected), wanted, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(0.0 if one is None else one, 0.0 if other is None else other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["binaries", "tags"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_cross_entropy_of_conditioned_scores_has_the_gradient_of_the_conditioned_likelihood(kind, data):
    space, rules, scores, transitions = data.draw(problems(kind))
    plugin, grounded = structure(space, rules, transitions)
    targets = torch.stack([data.draw(st.sampled_from(allowed(space, rules, row))) for row in range(3)]).double()
    one, other = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    form, fires = plugin.structure(grounded).form, torch.from_numpy(grounded.fires["train"])
    form.loss(one, targets, fires, mask_of(space)).sum().backward()
    outputs = plugin.constrain_outputs(grounded, Outputs(other, space, mask=mask_of(space)), batch_of(targets))
    if kind == "binaries":
        nn.functional.binary_cross_entropy_with_logits(outputs.scores, targets, reduction="sum").backward()
    else:
        (-(targets * outputs.scores.log_softmax(-1))).sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-6)


def test_other_losses_of_conditioned_scores_are_passed_straight_through_and_not_as_labels_depend():
    space, rules = SPACES["binaries"], [(Label("a") >> Label("b"), True, (True,) * 3)]
    scores = scores_of(space, 3).double().requires_grad_()
    plugin, grounded = structure(space, rules, None)
    given_rules = plugin.constrain_outputs(grounded, Outputs(scores, space), batch_of(torch.zeros_like(scores))).scores
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (through,) = torch.autograd.grad((weights * given_rules).sum(), scores)
    torch.testing.assert_close(through, weights)  # the identity in place of D · Cov, which enumeration has:
    keep = torch.stack(allowed(space, rules, 0)).double()  # (answers, labels)
    q = (scores @ keep.t()).softmax(-1) @ keep
    (exact,) = torch.autograd.grad((weights * q.logit()).sum(), scores)
    torch.testing.assert_close(given_rules, q.logit())
    assert (through - exact).abs().max() > 0.1
    lone = [place for place, label in enumerate(space.labels) if label not in ("a", "b")]
    torch.testing.assert_close(through[:, lone], exact[:, lone])  # alike where rules tie a label to no other


def test_tokens_that_were_not_read_do_not_count():
    from triune_rule_structure.likelihood import likelihood

    space, rules = SPACES["tags"], [(SEQUENCE_RULES[0], True, (True,) * 3)]
    plugin, grounded = structure(space, rules, None)
    scores, keep = scores_of(space, 3), [allowed(space, rules, row) for row in range(3)]
    batch = batch_of(torch.stack([one[-1] for one in keep]).to(scores.dtype))
    mask = mask_of(space)
    whole = mask if mask is not None else torch.ones(scores.shape[:2], dtype=torch.bool)
    read = whole & (torch.arange(scores.shape[1]) < 2)
    made = plugin.structure(grounded)
    term = likelihood(made, np.zeros(3, dtype=bool))
    assert term.counts is None  # only outputs know what was read
    outputs = Outputs(scores, space, mask=mask, free=scores, read=read)
    found = term.compute(Step(0, 1), batch, outputs)
    learnt = read & batch.targets.any(-1)
    assert found.mask.tolist() == learnt.sum(1).tolist()
    seen = read[..., None]
    nats = made.form.loss(scores * seen, batch.targets * seen, made.seated.fires(batch), mask)
    torch.testing.assert_close(found.values * found.mask, nats)


@given(seed=st.integers(0, 99), which=st.sampled_from(SEQUENCE_RULES), learned=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_token_without_a_label_may_have_any_tag_that_the_rules_allow(seed, which, learned):
    space, rules = SPACES["tags"], [(which, True, (True,) * 3)]
    assume(all(allowed(space, rules, row) for row in range(3)))
    transitions = nn.Parameter(torch.randn(3, 3)) if learned else None
    plugin, grounded = structure(space, rules, transitions)
    scores, keep = scores_of(space, seed), [allowed(space, rules, row) for row in range(3)]
    targets = torch.stack([one[seed % len(one)] for one in keep])
    targets[:, 0] = False
    form = plugin.structure(grounded).form
    found = form.loss(scores, targets.double(), torch.ones(1, 3, dtype=torch.bool), mask_of(space))
    for row in range(3):
        values = [log_p(space, scores[row], one, transitions) for one in keep[row]]
        fit = [torch.equal(one[1:], targets[row][1:]) for one in keep[row]]
        rest = torch.stack([value for value, fits in zip(values, fit, strict=True) if fits]).logsumexp(0)
        torch.testing.assert_close(found[row], torch.stack(values).logsumexp(0) - rest, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", sorted(SPACES))
@pytest.mark.parametrize("sign", [1e4, 1e8])
def test_extreme_scores_keep_the_rules_and_stay_finite(kind, sign):
    space = SPACES[kind]
    then = {"categorical": ~Label("a"), "binaries": Exactly(1, list("abcde")), "tags": NeverFollows("O", "I")}[kind]
    rules = [(then, True, (True,) * 3)]
    scores = (scores_of(space, 1, torch.float32).sign() * sign).requires_grad_()
    plugin, grounded = structure(space, rules)
    outputs = plugin.constrain_outputs(grounded, Outputs(scores, space, mask=mask_of(space)), batch_of(scores * 0))
    outputs.scores.sum().backward()
    assert outputs.scores.isfinite().all() and scores.grad.isfinite().all()
    with torch.inference_mode():
        decided = plugin.constrain_outputs(
            grounded, Outputs(scores.detach(), space, mask=mask_of(space)), batch_of(scores.detach() * 0)
        ).decided
    for row in range(3):
        assert any(
            torch.equal(counting(space, one, row), counting(space, decided[row], row))
            for one in allowed(space, rules, row)
        )


TREE = {"a": {"b": ["c", "d"]}, "e": None}


@given(seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_the_maximum_is_coherent_and_its_loss_that_of_the_paper(seed):
    space = SPACES["binaries"]
    plugin, grounded = structure(space, [(hierarchy(TREE), True, (True,) * 3)], coherence="max")
    form = plugin.structure(grounded).form
    scores = scores_of(space, seed).requires_grad_()
    fires = torch.ones(1, 3, dtype=torch.bool)
    coherent = form.conditioned(scores, fires, None)
    below = {"a": "abcd", "b": "bcd", "c": "c", "d": "d", "e": "e"}
    matrix = torch.tensor([[label in below[name] for label in "abcde"] for name in "abcde"])

    def most(h):  # the dense form: max over descendants
        return (h[:, None] * matrix).amax(-1)

    h = scores.sigmoid()
    torch.testing.assert_close(coherent.sigmoid(), most(h))
    answers_ = coherent > 0
    assert ((answers_[:, [1, 2, 3]]).long() <= answers_[:, [0, 1, 1]].long()).all()
    y = torch.stack([allowed(space, [(hierarchy(TREE), True, (True,) * 3)], 0)[seed % 9]] * 3).double()
    expected = nn.functional.binary_cross_entropy((1 - y) * most(h) + y * most(y * h), y, reduction="none").sum(-1)
    found = form.loss(scores, y, fires, None)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.sum(), scores), torch.autograd.grad(expected.sum(), scores), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_rules_that_are_no_hierarchy_have_no_maximum():
    plugin, grounded = structure(SPACES["binaries"], [(AtMost(1, ["a", "b"]), True, (True,) * 3)], coherence="max")
    with pytest.raises(Exception, match="coherence: max is for hierarchies alone, and rule 'r0' says more than"):
        plugin.structure(grounded)


def test_a_contradiction_is_refused_with_the_rules_that_make_it():
    rules = [(Label("a"), True, (True,) * 3), (~Label("a"), True, (True,) * 3), (~Label("b"), True, (True,) * 3)]
    for kind in ("categorical", "binaries"):
        plugin, grounded = structure(SPACES[kind], rules)
        with pytest.raises(ContradictionError, match="'r0', 'r1' contradict each other"):
            plugin.structure(grounded)


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_an_example_without_an_answer_is_refused_by_place_and_rule_when_it_is_predicted(kind):
    space = SPACES[kind]
    label = "B" if kind == "tags" else "a"
    rules = [(Label(label), False, (False, True, True)), (~Label(label), False, (False, False, True))]
    plugin, grounded = structure(space, rules)
    scores = scores_of(space, 0)
    with pytest.raises(Exception, match=r"train: row 2: the hard rules that fire there leave no answer \('r0', 'r1'"):
        plugin.constrain_outputs(grounded, Outputs(scores, space, mask=mask_of(space)), batch_of(scores * 0))
