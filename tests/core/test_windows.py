"""Claims resolve to windows; what cannot be is told before step 0."""

from fractions import Fraction
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_select import LAYOUT
from triune.planning import idle_stretch, planned_groups
from triune.select import Depth, Head, Name, Outside, Owner
from triune.types import Epochs, ModelLayout, ParameterClaim
from triune.windows import Window, resolve

TOTAL, PER_EPOCH = 100, 20


def windows(*claims):
    found = resolve(LAYOUT, claims, TOTAL, PER_EPOCH)
    assert not found.problems, found.problems
    return found.of


def problems(*claims):
    return resolve(LAYOUT, claims, TOTAL, PER_EPOCH).problems


def test_what_nobody_claims_is_frozen():
    assert windows(("a", ParameterClaim(Head(), True)))["layer.0.weight"] == ()


def test_a_default_yields_to_any_claim():
    everything = ("a", ParameterClaim(Name("*"), True, default=True))
    found = windows(everything, ("b", ParameterClaim(Depth(0), False)))
    assert found["layer.0.weight"] == ()
    assert found["layer.1.weight"] == (Window(0, TOTAL, 1.0),)


def test_a_default_to_train_yields_to_one_to_freeze_whatever_their_order():
    one, two = ParameterClaim(Name("*"), True, default=True), ParameterClaim(~Head(), False, default=True)
    assert windows(("a", one), ("b", two)) == windows(("b", two), ("a", one))
    assert windows(("a", one), ("b", two))["layer.0.weight"] == ()
    assert windows(("a", one), ("b", two))["head.bias"] == (Window(0, TOTAL, 1.0),)


def test_a_claim_that_only_scales_decides_nothing_else():
    scale = ("scale", ParameterClaim(Name("*"), None, 0.5))
    assert windows(scale, ("a", ParameterClaim(Head(), True, 4.0)))["head.bias"] == (Window(0, TOTAL, 2.0),)
    assert windows(scale, ("a", ParameterClaim(Head(), True)))["layer.0.weight"] == ()
    assert windows(scale, ("a", ParameterClaim(Head(), False)))["head.bias"] == ()
    assert windows(scale, ("a", ParameterClaim(Name("*"), True, default=True)))["head.bias"] == (Window(0, TOTAL, 0.5),)


def test_a_run_whose_claims_only_scale_is_refused():
    groups, found = planned_groups(LAYOUT, [("a", ParameterClaim(Head(), None, 2.0))], TOTAL, PER_EPOCH)
    assert not groups
    assert found == ["no parameter ever trains: claims only scale the learning rate"]


def test_epochs_are_passes_over_the_examples():
    claim = ParameterClaim(Head(), True, start=Epochs(1), stop=Epochs(Fraction(5, 2)))
    assert windows(("a", claim))["head.bias"] == (Window(20, 50, 1.0),)


def test_scales_multiply_whatever_their_order():
    one, two = ("a", ParameterClaim(Name("*"), True, 0.5)), ("b", ParameterClaim(Head(), True, 4.0))
    assert windows(one, two) == windows(two, one)
    assert windows(one, two)["head.bias"] == (Window(0, TOTAL, 2.0),)


def test_windows_are_half_open_and_fractions_are_shares_of_the_run():
    found = windows(("a", ParameterClaim(Head(), True, start=Fraction(1, 4), stop=Fraction(3, 4))))
    assert found["head.bias"] == (Window(25, 75, 1.0),)
    assert [found["head.bias"][0].holds(step) for step in (24, 25, 74, 75)] == [False, True, True, False]


def test_adjoining_windows_of_one_scale_become_one():
    found = windows(("a", ParameterClaim(Head(), True, stop=40)), ("a", ParameterClaim(Head(), True, start=40)))
    assert found["head.bias"] == (Window(0, TOTAL, 1.0),)


def test_opposite_claims_name_both_plugins_the_parameter_and_the_steps():
    [problem] = problems(("a", ParameterClaim(Head(), True)), ("b", ParameterClaim(Name("head.*"), False, start=10)))
    assert "plugin 'a' trains Head() and plugin 'b' freezes Name('head.*')" in problem
    assert "'head.bias' at steps 10–100; leave" in problem


def test_two_plugins_that_meet_in_many_parameters_are_told_once():
    trains = [("a", ParameterClaim(where, True)) for where in (Depth(0), Depth(1), Head())]
    [problem] = problems(*trains, ("b", ParameterClaim(Name("*"), False)))
    assert "plugin 'a' trains Depth(0) and plugin 'b' freezes Name('*')" in problem
    assert "both take 'layer.0.weight' at steps 0–100, and 3 parameters more; leave" in problem


def test_claims_of_one_plugin_that_meet_are_told_pair_by_pair():
    claims = [ParameterClaim(Depth(0), True), ParameterClaim(Head(), True), ParameterClaim(Name("*"), False)]
    assert [one.split(" and ")[0] for one in problems(*(("a", claim) for claim in claims))] == [
        "plugin 'a' trains Depth(0)",
        "plugin 'a' trains Head()",
    ]


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (Depth(1) | Depth(9), "claims Depth(9), which matches none of 5 parameters; the model has 2 blocks, counted"),
        (~Depth(-3) & Name("layer.*"), "claims Depth(-3), which matches none"),
        (
            Head() | Owner("adaptor"),
            "claims Owner('adaptor'), which matches none of 5 parameters; did you mean 'adapter'",
        ),
        (
            Name("hed.*") | Depth(0),
            "claims Name('hed.*'), which matches none of 5 parameters; did you mean 'head.bias'",
        ),
    ],
)
def test_a_part_of_a_selector_that_does_not_exist_is_refused(where, sentence):
    [problem] = problems(("mine", ParameterClaim(where, True)))
    assert sentence in problem


def test_what_may_be_absent_may_be_joined_and_left_out():
    layout = ModelLayout(tuple(one for one in LAYOUT.parameters if not one.head), blocks=2)
    claim = ParameterClaim((Head() | Depth(0)) & ~Owner("lora") | Outside(), True)
    assert not resolve(layout, [("mine", claim)], TOTAL, PER_EPOCH).problems


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (ParameterClaim(Name("layers.0.*"), True), "matches none of 5 parameters; did you mean 'layer.0"),
        (ParameterClaim(Owner("lora"), True), "matches none"),
        (ParameterClaim(Head(), True, start=100), "window is empty"),
        (ParameterClaim(Head(), True, start=50, stop=50), "window is empty"),
        (ParameterClaim(Head(), True, start=-1), "window is empty"),
        (ParameterClaim(Head(), True, lr_scale=0.0), "above 0 is needed"),
        (ParameterClaim(Head(), True, lr_scale=float("nan")), "above 0 is needed"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(claim, sentence):
    assert any(sentence in problem for problem in problems(("mine", claim)))


def test_a_run_in_which_nothing_trains_for_a_while_is_refused():
    groups, found = planned_groups(LAYOUT, [("a", ParameterClaim(Head(), True, start=10))], TOTAL, PER_EPOCH)
    assert idle_stretch(groups, TOTAL) == 0
    assert any("no parameter trains at step 0" in problem for problem in found)


def test_a_run_without_a_learning_method_is_refused():
    assert "name a learning method" in planned_groups(LAYOUT, [], TOTAL, PER_EPOCH)[1][0]


claims = st.builds(
    ParameterClaim,
    st.sampled_from([Head(), Depth(0), Depth(1), Name("*"), Name("layer.*"), Owner("adapter"), ~Head()]),
    st.sampled_from([True, False, None]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(1, 10)),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(claims, max_size=5))
def test_windows_say_for_every_step_what_the_claims_say(found):
    """Brute force: at every step, a parameter trains iff a firm claim says so, or, without one, no default says no."""
    resolved = resolve(LAYOUT, [("p", claim) for claim in found], 10, 3)
    if resolved.problems:
        return
    for parameter in LAYOUT.parameters:
        for step in range(10):
            stop = {id(claim): 10 if claim.stop is None else claim.stop for claim in found}
            active = [c for c in found if c.where.takes(parameter, LAYOUT) and c.start <= step < stop[id(c)]]
            saying = [c for c in active if c.trainable is not None]
            ruling = [c for c in saying if not c.default] or saying
            scaling = [
                c for c in active if c.trainable is None and not (c.default and any(not a.default for a in active))
            ]
            window = next((w for w in resolved.of[parameter.name] if w.holds(step)), None)
            assert (window is not None) == (bool(ruling) and all(c.trainable for c in ruling))
            if window:
                assert window.lr_scale == prod(claim.lr_scale for claim in (*ruling, *scaling))
