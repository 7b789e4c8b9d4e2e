"""Coherent outputs are what the dense maximum over descendants gives, and log Z of a hierarchy is exact."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import brute_log_z
from triune.logic import FormulaError
from triune.logic.coherence import Coherence
from triune.logic.inference import Weighted
from triune.spaces import Binaries


@st.composite
def hierarchies(draw, most=7):
    n = draw(st.integers(1, most))
    names = tuple(f"v{place}" for place in draw(st.permutations(range(n))))
    above = {
        names[place]: draw(st.lists(st.sampled_from(names[:place]), max_size=2, unique=True)) for place in range(1, n)
    }
    return Coherence.of(tuple(sorted(names)), above), above


def dense(coherence, above, scores):
    """Return the maximum over labels × labels, as published."""
    n, names = len(coherence.labels), list(coherence.labels)
    reach = torch.eye(n, dtype=torch.bool)  # [ancestor, descendant]
    for _ in names:
        for child, of in above.items():
            for parent in of:
                reach[names.index(parent)] |= reach[names.index(child)]
    return torch.where(reach, scores[:, None], -torch.inf).amax(-1)


@given(case=hierarchies(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_coherent_scores_and_their_gradient_are_those_of_the_dense_maximum(case, seed):
    coherence, above = case
    torch.manual_seed(seed)
    scores, weights = torch.randn(3, len(coherence.labels)), torch.randn(3, len(coherence.labels))
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    value, expected = coherence.coherent(ours), dense(coherence, above, theirs)
    assert torch.equal(value, expected)
    (value * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for answer in (value > 0.3).tolist():
        true = {label for label, one in zip(coherence.labels, answer, strict=True) if one}
        assert coherence.formula.holds(true)


@given(case=hierarchies(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_loss_credits_true_labels_through_true_descendants_alone(case, seed):
    coherence, above = case
    torch.manual_seed(seed)
    scores = torch.randn(3, len(coherence.labels))
    targets = (dense(coherence, above, torch.randn(3, len(coherence.labels))) > 0.8).float()
    lowest = torch.finfo(scores.dtype).min
    through_true = dense(coherence, above, torch.where(targets > 0, scores, lowest))
    expected = torch.where(targets > 0, through_true, dense(coherence, above, scores))
    assert torch.equal(coherence.fitted(scores, targets), expected)


@given(case=hierarchies(most=6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_log_z_of_a_hierarchy_is_that_of_enumeration(case, seed):
    coherence, _ = case
    space = Binaries(coherence.labels)
    torch.manual_seed(seed)
    scores = torch.randn(2, len(coherence.labels), dtype=torch.float64)
    rule = Weighted("hierarchy", coherence.formula, hard=True, always=True)
    expected = brute_log_z(space, (rule,), scores, torch.ones(1, 2, dtype=torch.bool), 1.0)
    torch.testing.assert_close(coherence.compiled(space).log_z(scores), expected)


def test_unknown_labels_and_circles_are_refused():
    with pytest.raises(FormulaError, match=r"'dgo' is not a label .* did you mean 'dog'"):
        Coherence.of(("dog", "animal"), {"dgo": ["animal"]})
    with pytest.raises(FormulaError, match="in a circle: a, b"):
        Coherence.of(("a", "b", "c"), {"a": ["b"], "b": ["a"], "c": ["a"]})
