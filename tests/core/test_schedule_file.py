"""A schedule that a plan wrote is the schedule that a run takes back; mistakes in it are told in their places."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune import ParameterClaim
from triune.errors import ConfigError
from triune.schedule_file import read, written
from triune.select import Depth, Head, Name, Outside, Owner, parsed
from triune.types import Epochs, OnPlateau

SELECTORS = st.recursive(
    st.one_of(
        st.builds(Name, st.text(min_size=1, max_size=5)),
        st.builds(Owner, st.text(min_size=1, max_size=5)),
        st.builds(Depth, st.integers(-3, 3)),
        st.just(Head()),
        st.just(Outside()),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=4,
)
TIMES = st.one_of(
    st.integers(0, 500),
    st.fractions(0, 1, max_denominator=9),
    st.builds(Epochs, st.integers(0, 5) | st.fractions(0, 5, max_denominator=4)),
    st.builds(OnPlateau, st.just("macro_f1"), st.integers(1, 4), st.integers(0, 3)),
)


def as_times(claim):
    """Whole shares and epochs are the same number, whatever their type."""
    alike = [Epochs(Fraction(one.count)) if isinstance(one, Epochs) else one for one in (claim.start, claim.stop)]
    return repr(claim.where), claim.trainable, claim.lr_scale, *alike, claim.default


@given(SELECTORS)
def test_a_selector_is_what_its_text_says(selector):
    assert repr(parsed(repr(selector))) == repr(selector)


@given(
    st.lists(
        st.builds(
            ParameterClaim,
            SELECTORS,
            st.sampled_from([True, False, None]),
            st.floats(0.001, 10),
            TIMES,
            st.none() | TIMES,
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_claims_survive_the_file(tmp_path_factory, claims):
    path = tmp_path_factory.mktemp("schedule") / "schedule.yaml"
    path.write_text(written([("method", one) for one in claims]), encoding="utf-8")
    assert [as_times(one) for one in read(path)] == [as_times(one) for one in claims]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{where: Hed(), train: true}", r"schedule.yaml:2:13: \"Hed\(\)\" is no selector|'Hed\(\)' is no selector"),
        ("{where: '__import__(1)', train: true}", "is no selector"),
        ("{where: Head(), trian: true}", "unknown key 'trian' of a claim; known: .*did you mean 'train'"),
        ("{where: Head(), train: yes please}", "found the text 'yes please', wanted true, false"),
        ("{where: Head(), train: true, from: soon}", "found the text 'soon', wanted a step, a share"),
        ("{where: Head(), train: true, lr_scale: fast}", "wanted a number"),
        ("Head()", "wanted a mapping"),
        ("{where: Head(), train: true, default: 'no'}", "found the text 'no', wanted true or false"),
        ("{where: Head(), train: true, from: {phase_ends: true, metric: m, patience: 1}}", "wanted a step, a share"),
    ],
)
def test_a_mistake_is_told_in_its_place(tmp_path, entry, sentence):
    path = tmp_path / "schedule.yaml"
    path.write_text(f"claims:\n  - {entry}\n")
    with pytest.raises(ConfigError, match=sentence) as raised:
        read(path)
    assert "schedule.yaml:2:" in str(raised.value)
