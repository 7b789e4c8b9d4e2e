"""Rules over tag sequences agree with going through every sequence, masked tokens left out."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import NEVER, as_likely
from triune.logic import (
    And,
    AtMost,
    EndsWith,
    EveryFollowedBy,
    EveryPrecededBy,
    FormulaError,
    Implies,
    Label,
    Matches,
    NeverFollows,
    Not,
    Occurs,
    Or,
    StartsWith,
    bio,
)
from triune.logic.costs import Budget
from triune.logic.inference import ContradictionError, RuleSet, Weighted
from triune.logic.recognition import recognised
from triune.logic.variables import Tags

TAGS = ("O", "B-X", "I-X", "B-Y")
TOKENS = 4
SPACE = Tags(TAGS)
LIKE = st.sampled_from(["O", "B-X", "I-X", "B-Y", "B-*", "*-X", "*", "[BI]-?"])
PATTERNS = [
    "O* (B-X I-X* O*)*",
    ". .?",
    "(O | B-X B-Y)+",
    "[B-* O]+ I-X?",
    "",
    "O | (B-X | I-X)* B-Y",
    "[O I-*]* . [B-*]",
]
SIMPLE = st.one_of(
    st.builds(NeverFollows, LIKE, LIKE),
    st.builds(StartsWith, LIKE),
    st.builds(EndsWith, LIKE),
    st.builds(EveryFollowedBy, LIKE, LIKE, LIKE),
    st.builds(EveryPrecededBy, LIKE, LIKE),
    st.builds(Occurs, LIKE, st.integers(0, 3), st.one_of(st.none(), st.integers(0, 3))),
    st.builds(Matches, st.sampled_from(PATTERNS)),
    st.builds(Label, st.sampled_from(TAGS)),
)
FORMULAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, inner, inner),
        st.builds(Or, inner, inner),
        st.builds(Implies, inner, inner),
        st.builds(AtMost, st.integers(0, 2), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=4,
)
RULES = st.lists(
    st.builds(
        Weighted,
        name=st.just("rule"),
        then=FORMULAS,
        weight=st.sampled_from([0.0, 0.4, 2.0]),
        hard=st.booleans(),
        always=st.booleans(),
    ),
    max_size=3,
).map(tuple)


def sequences(tokens):
    return list(product(range(len(TAGS)), repeat=tokens))


def named(sequence):
    return tuple(TAGS[tag] for tag in sequence)


def log_q(rules, scores, fires, strength, row, live):
    """Return (sequences of the live tokens,) unnormalised."""
    log_p = scores[row, live].log_softmax(-1)
    total = []
    for sequence in sequences(len(live)):
        value = sum((log_p[token, tag] for token, tag in enumerate(sequence)), 0 * scores.sum())
        for place, rule in enumerate(rules):
            if (rule.always or fires[place, row]) and not rule.then.holds(named(sequence)):
                cost = math.inf if rule.hard else strength * rule.weight if rule.weight else 0.0
                value = value - min(cost, -NEVER)
        total.append(value.clamp(min=NEVER))
    return torch.stack(total)


@st.composite
def problems(draw):
    rules = draw(RULES)
    torch.manual_seed(draw(st.integers(0, 999)))
    scores = torch.randn(2, TOKENS, len(TAGS), dtype=torch.float64) * 2
    fires = torch.rand(len(rules), 2) < 0.6
    mask = draw(
        st.sampled_from(
            [None, [[1, 1, 1, 1], [1, 1, 1, 0]], [[0, 1, 0, 1], [1, 0, 0, 0]], [[0, 0, 0, 0], [1, 1, 0, 1]]]
        )
    )
    return rules, scores, fires, None if mask is None else torch.tensor(mask).bool()


def live_tokens(mask, row):
    return list(range(TOKENS)) if mask is None else mask[row].nonzero()[:, 0].tolist()


def satisfiable(rules):
    always = [rule.then for rule in rules if rule.always and rule.hard]
    return any(all(one.holds(named(sequence)) for one in always) for many in range(5) for sequence in sequences(many))


@given(formula=FORMULAS, tokens=st.integers(0, TOKENS))
@settings(max_examples=200, deadline=None)
def test_an_automaton_accepts_what_satisfies_its_formula(formula, tokens):
    automaton = recognised(formula, TAGS)
    for sequence in sequences(tokens):
        assert automaton.read(sequence) == formula.holds(named(sequence))


@given(problem=problems(), strength=st.sampled_from([0.5, 1.0, math.inf]))
@settings(max_examples=60, deadline=None)
def test_log_z_gradient_marginals_and_best_sequence_are_those_of_enumeration(problem, strength):
    rules, scores, fires, mask = problem
    try:
        compiled = RuleSet(rules).compiled(SPACE, Budget(edges=10**9))
    except ContradictionError:
        assert not satisfiable(rules)
        return
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    value = compiled.log_z(ours, fires, strength, mask)
    value.sum().backward()
    marginals, best = (
        compiled.marginals(scores, fires, strength, mask),
        compiled.most_likely(scores, fires, strength, mask),
    )
    assert best.sum(-1).eq(1).all()
    for row in range(2):
        live = live_tokens(mask, row)
        weights = log_q(rules, theirs, fires, strength, row, live)
        if weights.max() <= NEVER / 2:
            assert value[row] <= NEVER / 2 and not ours.grad[row].any()
            continue
        expected = weights.logsumexp(-1)
        torch.testing.assert_close(value[row], expected, atol=1e-9, rtol=1e-9)
        (gradient,) = torch.autograd.grad(expected, theirs, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(ours.grad[row], gradient[row], atol=1e-9, rtol=1e-9)
        q = weights.detach().softmax(-1)
        for token, place in enumerate(live):
            of_tag = torch.stack(
                [q[[one[token] == tag for one in sequences(len(live))]].sum() for tag in range(len(TAGS))]
            )
            torch.testing.assert_close(marginals[row, place], of_tag, atol=1e-9, rtol=0)
        answer = tuple(best[row, live].int().argmax(-1).tolist())
        torch.testing.assert_close(weights[sequences(len(live)).index(answer)], weights.max(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_sequences_are_drawn_as_often_as_they_are_likely(seed):
    rules = (
        Weighted("bio", bio("X"), hard=True, always=True),
        Weighted("few", Occurs("B-*", 0, 1), 1.5),
        Weighted("ends", EndsWith("O"), 0.5),
    )
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, TOKENS, len(TAGS), generator=generator, dtype=torch.float64)
    fires = torch.tensor([[True, True], [True, False], [True, True]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1]]).bool()
    drawn = RuleSet(rules).compiled(SPACE).samples(20_000, scores, fires, 1.0, mask, generator)
    for row in range(2):
        live = live_tokens(mask, row)
        tags = drawn[:, row, live].int().argmax(-1)
        numbers = (tags * torch.tensor([16, 4, 1])).sum(-1)
        q = log_q(rules, scores, fires, 1.0, row, live).softmax(-1)
        assert as_likely(torch.bincount(numbers, minlength=64), 20_000 * q)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores_give_finite_values_and_gradients(dtype):
    torch.manual_seed(0)
    scores = (torch.randn(8, 30, len(TAGS)).sign() * 1e4).to(dtype).requires_grad_()
    compiled = RuleSet((Weighted("bio", bio("X"), hard=True), Weighted("soft", Occurs("B-Y", 2, 3), 3.0))).compiled(
        SPACE
    )
    value = compiled.log_z(scores, strength=2.0)
    value.sum().backward()
    assert torch.isfinite(value).all() and (value > NEVER / 2).all()
    assert torch.isfinite(scores.grad).all() and (scores.grad.abs() <= 1 + 1e-4).all()


def test_hard_rules_hold_in_every_best_sequence_and_every_draw():
    torch.manual_seed(1)
    scores, formula = torch.randn(50, 12, len(TAGS)) * 4, bio("X") & Occurs("B-Y", 0, 2)
    compiled = RuleSet((Weighted("bio", formula, hard=True, always=True),)).compiled(SPACE)
    for answers in (
        compiled.most_likely(scores)[None],
        compiled.samples(5, scores, generator=torch.Generator().manual_seed(0)),
    ):
        for sequence in answers.int().argmax(-1).flatten(0, 1).tolist():
            assert formula.holds(named(sequence))


def test_where_only_a_sequence_without_tags_is_allowed_any_tag_is_too_much():
    compiled = RuleSet((Weighted("both", StartsWith("O") & StartsWith("B-X"), hard=True, always=True),)).compiled(SPACE)
    scores, mask = torch.randn(2, 3, len(TAGS), requires_grad=True), torch.tensor([[1, 1, 1], [0, 0, 0]]).bool()
    value = compiled.log_z(scores, mask=mask)
    value.sum().backward()
    assert value[0] <= NEVER / 2 and value[1] == 0 and not scores.grad.any()
    assert compiled.most_likely(scores, mask=mask).sum(-1).eq(1).all()


def test_an_unknown_tag_is_named_with_the_nearest():
    with pytest.raises(FormulaError, match=r"'I-Z' is like no tag .* did you mean"):
        RuleSet((Weighted("r", NeverFollows("O", "I-Z")),)).compiled(SPACE)


@pytest.mark.parametrize("pattern", ["(O", "O)", "*", "[O", "O | +"])
def test_a_pattern_that_cannot_be_read_is_refused(pattern):
    with pytest.raises(FormulaError, match="pattern"):
        RuleSet((Weighted("r", Matches(pattern)),)).compiled(SPACE)


def test_a_sequence_rule_on_outputs_that_are_none_is_refused():
    from triune.spaces import Binaries

    with pytest.raises(FormulaError, match="sequence of tags"):
        RuleSet((Weighted("r", StartsWith("O")),)).compiled(Binaries(("O", "B")))
