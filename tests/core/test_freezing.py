"""Schedules of freezing, at random: frozen is frozen to the bit, thawed learns, and resuming changes nothing."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from triune import ParameterClaim, hookimpl
from triune.events import Checkpointed, Stepped
from triune.layout import Ownership, layout_of
from triune.optimisation import Rate
from triune.planning import planned_groups
from triune.select import Depth, Head, Name, Outside
from triune.testing import Blocks, toy_run
from triune.testing.toy_runs import completed, run
from triune.testing.witness import Witness
from triune.types import Epochs
from triune.windows import Window

pytestmark = pytest.mark.filterwarnings("ignore:.*fused.*")
STEPS, PER_EPOCH = 8, 5
MODEL = Blocks(2)
LAYOUT = layout_of(MODEL, Ownership(MODEL, "toy").owners, ("head.*",))


class Claims:
    """Claim what one is told to."""

    def __init__(self, *claims):
        self.claims = claims

    @hookimpl
    def claim_parameters(self):
        return self.claims


spans = st.tuples(st.integers(0, STEPS - 1), st.integers(1, STEPS)).filter(lambda span: span[0] < span[1])
claims = st.builds(
    lambda where, trainable, scale, span, default: ParameterClaim(where, trainable, scale, *span, default),
    st.sampled_from([Depth(0), Depth(1), Depth(-1), Outside(), Name("*.bias"), Name("blocks.*.weight"), ~Head()]),
    st.sampled_from([True, True, False, None]),
    st.sampled_from([0.25, 1.0, 2.0]),
    spans,
    st.booleans(),
)


def witnessed(folder, *found, **training):
    witness = Witness()
    with witness.watching():
        toy_run(folder, Claims(*found), witness, max_steps=STEPS, keep_best=False, early_stopping=None, **training)
    return witness


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(claims, min_size=1, max_size=5))
def test_random_schedules_move_what_is_inside_its_windows_and_nothing_else(found):
    head = ParameterClaim(Head(), True)
    groups, problems = planned_groups(LAYOUT, [("claims", claim) for claim in (head, *found)], STEPS, PER_EPOCH)
    assume(not problems)
    windows = {name: group.windows for group in groups for name in group.names}
    with TemporaryDirectory() as folder:
        witness = witnessed(Path(folder) / "run", head, *found)
    assert len(witness.holding) == STEPS
    for step, (before, after) in enumerate(pairwise(witness.weights)):
        inside = {name for name in after if any(window.holds(step) for window in windows.get(name, ()))}
        assert {name for name in after if not torch.equal(before[name], after[name])} == inside
        assert witness.holding[step] == inside


TWICE = (ParameterClaim(Head(), True, stop=3), ParameterClaim(Head(), True, start=6), ParameterClaim(Depth(-1), True))


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def test_what_trains_twice_forgets_its_momentum_in_between_also_where_a_run_is_resumed(tmp_path):
    training = {"max_steps": STEPS, "checkpoint_every": 1, "keep_best": False, "early_stopping": None}

    def go(folder, stop=None, resume=None):
        def stopping(event):
            if isinstance(event, Checkpointed) and event.step.index == stop:
                raise Stopped

        witness = Witness()
        plugins = completed({"claims": Claims(*TWICE), "witness": witness})
        run(plugins, tmp_path / folder, training, resume, (stopping,))
        return witness.now()

    for step in range(1, STEPS):
        with pytest.raises(Stopped):
            go("run", step, "auto" if step > 1 else None)
    again, last = go("run", resume="auto"), go("whole")
    assert [name for name in last if not torch.equal(again[name], last[name])] == []


def test_warm_up_begins_again_with_each_window_and_falls_with_the_run():
    rate = Rate(base=1.0, shape="linear", warmup=3, total=23)
    late = Window(13, 23, 0.5)
    assert [rate.at(step, late) / (0.5 * (1 - (step - 3) / 20)) for step in range(13, 18)] == pytest.approx(
        [1 / 4, 2 / 4, 3 / 4, 1, 1]
    )
    assert rate.at(13, Window(0, 23, 1.0)) == 0.5


def test_a_thawed_group_learns_at_the_rate_that_its_window_says(tmp_path):
    events = []
    found = (ParameterClaim(Head(), True), ParameterClaim(Depth(-1), True, lr_scale=0.5, start=Epochs(1)))
    training = {"max_steps": 10, "warmup": 0.2, "schedule": "constant", "learning_rate": 1.0}
    run(completed({"claims": Claims(*found)}), tmp_path / "run", training, observers=(events.append,))
    rates = [event.learning_rates for event in events if isinstance(event, Stepped)]
    of_group = list(zip(*rates, strict=True))  # the head's two, decayed and not, lie behind the block's two
    assert of_group[0][:5] == (0.0,) * 5
    assert of_group[0][5:8] == pytest.approx([0.5 / 3, 1.0 / 3, 0.5])
    assert of_group[-1][:5] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
