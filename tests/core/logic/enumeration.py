"""Every answer that outputs can give, one by one: what exact inference must agree with."""

from itertools import product

import torch
from hypothesis import strategies as st

from triune.logic import And, AnyOf, AtLeast, AtMost, Exactly, Iff, Implies, Label, NoneOf, Not, Or
from triune.logic.inference import RuleSet, Weighted
from triune.logic.variables import Heads
from triune.spaces import Binaries, Categorical

NEVER = -1e30
SPACES = {
    "one choice": Categorical(tuple("abcd")),
    "yes or no": Binaries(tuple("abcde")),
    "mixed": Heads((("a", "b", "c"), ("d",), ("e", "f"), ("g",))),
}


def groups_of(space):
    """Return (labels, whether they are a choice) of every variable."""
    if space.kind == "categorical":
        return [(space.labels, True)]
    if space.kind == "binaries":
        return [((label,), False) for label in space.labels]
    return [(group, len(group) > 1) for group in space.groups]


def worlds(space):
    """Return the sets of true labels."""
    options = [[{label} for label in labels] + ([] if choice else [set()]) for labels, choice in groups_of(space)]
    return [frozenset().union(*world) for world in product(*options)]


def as_booleans(space, answers):
    """Return (worlds, labels)."""
    return torch.tensor([[label in world for label in space.labels] for world in answers])


def log_p(space, scores):
    """Return (batch, worlds) the log-probability of every world."""
    true, at, total = as_booleans(space, worlds(space)), 0, 0.0
    for labels, choice in groups_of(space):
        piece, here = scores[:, at : at + len(labels)], true[:, at : at + len(labels)]
        if choice:
            total = total + piece.log_softmax(-1) @ here.T.to(scores.dtype)
        else:
            yes, no = torch.nn.functional.logsigmoid(piece), torch.nn.functional.logsigmoid(-piece)
            total = total + torch.where(here.T, yes, no)
        at += len(labels)
    return total


def penalties(space, rules, fires, strength):
    """Return (batch, worlds) what each world costs; infinite where a hard rule that fires is broken."""
    total = torch.zeros(fires.shape[1], len(worlds(space)), dtype=torch.float64)
    for rule, row in zip(rules, fires, strict=True):
        broken = torch.tensor([not rule.then.holds(world) for world in worlds(space)])
        acts = row if not rule.always else torch.ones_like(row)
        weight = float("inf") if rule.hard else strength * rule.weight if rule.weight else 0.0
        if weight < 0:  # what is gained by breaking is lost by keeping
            broken, weight = ~broken, -weight
        if weight:
            total = total + torch.where(acts[:, None] & broken[None], torch.tensor(weight, dtype=torch.float64), 0.0)
    return total


def log_q(space, rules, scores, fires, strength):
    """Return (batch, worlds) unnormalised; -1e30 where it cannot be."""
    return (log_p(space, scores) - penalties(space, rules, fires, strength)).clamp(min=NEVER)


def brute_log_z(space, rules, scores, fires, strength):
    """Return (batch,)."""
    return log_q(space, rules, scores, fires, strength).logsumexp(-1)


def formulas(labels):
    """Generate formulas over labels."""
    names = st.sampled_from(list(labels))
    leaves = st.one_of(
        names.map(Label),
        st.lists(names, min_size=1, max_size=4).map(lambda of: AnyOf(*of)),
        st.lists(names, min_size=1, max_size=4).map(lambda of: NoneOf(*of)),
        *(
            st.tuples(st.integers(0, 4), st.lists(names, min_size=1, max_size=5)).map(lambda it, kind=kind: kind(*it))
            for kind in (AtLeast, AtMost, Exactly)
        ),
    )
    return st.recursive(leaves, _compound, max_leaves=6)


def _compound(inner):
    several = st.lists(inner, min_size=0, max_size=3)
    return st.one_of(
        inner.map(Not),
        several.map(lambda of: And(*of)),
        several.map(lambda of: Or(*of)),
        *(st.tuples(inner, inner).map(lambda it, kind=kind: kind(*it)) for kind in (Implies, Iff)),
        *(
            st.tuples(st.integers(0, 3), st.lists(inner, min_size=1, max_size=3)).map(lambda it, kind=kind: kind(*it))
            for kind in (AtLeast, AtMost, Exactly)
        ),
    )


def rule_lists(labels, most=3):
    """Generate rules: soft and hard, on every example or some."""
    rule = st.builds(
        Weighted,
        name=st.just("rule"),
        then=formulas(labels),
        weight=st.sampled_from([0.0, 0.3, 1.0, 2.5, -0.7]),
        hard=st.booleans(),
        always=st.booleans(),
    )
    return st.lists(rule, min_size=0, max_size=most).map(tuple)


@st.composite
def problems(draw, kind, most=3, spread=2.0):
    """Generate (space, rules, scores, fires): three examples."""
    space = SPACES[kind]
    rules = draw(rule_lists(space.labels, most))
    torch.manual_seed(draw(st.integers(0, 999)))
    scores = torch.randn(3, len(space.labels), dtype=torch.float64) * spread
    return space, rules, scores, torch.rand(len(rules), 3) < 0.6


def satisfiable(space, rules):
    """Return whether the rules that always hold leave a world."""
    always = [rule.then for rule in rules if rule.always and rule.hard]
    return any(all(one.holds(world) for one in always) for world in worlds(space))


def compiled(space, rules):
    """Return the rules, compiled."""
    return RuleSet(rules).compiled(space)


def as_likely(counts, expected):
    """Return whether counts pass a chi-square test at one in ten thousand; rare answers are put together."""
    from scipy.stats import chi2

    assert not counts[expected == 0].any()
    rare = expected < 10
    counts = torch.cat((counts[~rare], counts[rare].sum()[None])).double()
    expected = torch.cat((expected[~rare], expected[rare].sum()[None]))
    kept = expected > 0
    statistic = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    return statistic < chi2.ppf(1 - 1e-4, int(kept.sum()) - 1)
