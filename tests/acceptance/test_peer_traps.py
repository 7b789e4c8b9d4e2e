"""Schedules of freezing that go wrong elsewhere, on the same network and tables as `peer_schedules.py`.

What other tests hold already: a resumed run of a random schedule is the same to the bit at every step
(`test_freezing.py`, `test_learning_methods.py`), data that draws random numbers is drawn again
(`test_engine.py::test_a_run_resumed_at_any_step_ends_bit_identical`), SIGTERM saves (`test_interruption.py`), a damaged
checkpoint is passed over (`test_bad_input.py`).
"""

import pytest

from tests.benchmarks.peer_schedules import (
    BLOCK,
    HEAD,
    POISONED,
    STEPS,
    STOPS,
    THAWS,
    Poison,
    Stopped,
    apart,
    begun,
    by_triune,
)
from tests.plugins.tiny import model_folder
from triune.errors import TrainingError
from triune.events import Planned, Stepped

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return model_folder("Bert", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def whole(network, tmp_path_factory):
    return by_triune(network, tmp_path_factory.mktemp("runs") / "whole")


def test_what_thaws_amid_a_run_learns_and_what_stays_frozen_is_the_same_to_the_bit(network, whole):
    start = begun(network)
    for name in whole:
        if not name.startswith(HEAD):
            assert (apart({name: start[name]}, whole) > 0) == name.startswith(BLOCK), name


def test_the_plan_says_when_it_thaws_and_the_optimiser_has_its_rate_from_then_on(network, tmp_path):
    plans, rates = [], []

    def watched(event):
        if isinstance(event, Planned):
            plans.append(event.plan)
        if isinstance(event, Stepped):
            rates.append(event.learning_rates)

    by_triune(network, tmp_path / "run", watched=watched)
    for place, group in enumerate(plans[0].groups):
        thaws = THAWS if all(name.startswith(BLOCK) for name in group.names) else 0
        assert [window.start for window in group.windows] == [thaws]
        assert [step for step in range(STEPS) if rates[step][place] > 0] == list(range(thaws, STEPS))


@pytest.mark.parametrize("stop", [THAWS - 2, THAWS, STOPS])
def test_a_run_that_is_resumed_before_at_or_past_the_thaw_ends_at_the_same_bits(network, whole, tmp_path, stop):
    with pytest.raises(Stopped):
        by_triune(network, tmp_path / "run", stops=stop)
    assert apart(whole, by_triune(network, tmp_path / "run", resume="auto")) == 0


def test_a_loss_that_is_no_number_stops_the_run_at_its_step_and_the_checkpoint_before_it_holds(network, tmp_path):
    from safetensors.torch import load_file

    sentence = f"step {POISONED + 1}: loss term 'poison' of plugin 'poison' is nan: nothing was learnt"
    with pytest.raises(TrainingError, match=sentence):
        by_triune(network, tmp_path / "run", plugins={"poison": Poison()})
    kept = [load_file(file) for file in (tmp_path / "run").rglob("model.safetensors")]
    assert kept and all(one.isfinite().all() for weights in kept for one in weights.values())
