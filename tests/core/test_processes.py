"""What each of several processes does by itself; `tests/acceptance` has what they do together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triune.cli import main
from triune.context import Generators
from triune.errors import EnvironmentProblem
from triune.machine import device_of
from triune.processes import ALONE, World, is_known, joined, speaks, started
from triune.replicas import of_states, of_tensors, refuse_differences
from triune.signals import Interrupted
from triune.state import random_state, seeded, split_state


@pytest.fixture
def second_of_three(monkeypatch):
    for name, value in {"WORLD_SIZE": "3", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


@given(st.integers(0, 40), st.integers(1, 9))
def test_the_shares_of_a_batch_are_the_batch(examples, size):
    rows = np.arange(examples)[::-1]
    shares = [World(rank, size).share(rows) for rank in range(size)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_alone_meets_nobody():
    given = {"term": torch.tensor(2.0)}
    assert ALONE.exchange(given) == [given]
    assert ALONE.added(given, "cpu") == given
    acted = []
    ALONE.led(lambda: acted.append(1))
    refuse_differences(ALONE, "now", lambda: acted.append(2))
    assert acted == [1]
    with joined() as world:
        assert world is ALONE
    assert isinstance(ALONE.stop(15), Interrupted) and is_known(ALONE.stop(15))


def test_draws_apart_are_the_parts_own_and_move_nothing():
    generators = Generators(3)
    generators.numpy("known").random(5)
    before = split_state(generators.state_dict(), "test")[1]
    drawn = []
    for part in ("step 1 of process 0", "step 1 of process 1", "step 1 of process 0"):
        with generators.apart(part):
            torch_draw = torch.rand(1, generator=generators.torch("new")).item()
            drawn.append((generators.numpy("known").random(), torch_draw))
    assert drawn[0] == drawn[2] != drawn[1]
    assert split_state(generators.state_dict(), "test")[1]["numpy"]["known"] == before["numpy"]["known"]
    assert torch.rand(1, generator=generators.torch("new")) == torch.rand(1, generator=Generators(3).torch("new"))


def test_seeded_draws_are_the_seeds_own_and_move_nothing():
    before = random_state()["torch"]
    drawn = []
    for seed in (7, 8, 7):
        with seeded(seed):
            drawn.append((torch.rand(1).item(), np.random.random()))
    assert drawn[0] == drawn[2] != drawn[1]
    assert torch.equal(random_state()["torch"], before)


def test_hashes_tell_apart_what_differs_in_a_bit():
    one, other = torch.ones(3), torch.ones(3)
    other[1] = torch.nextafter(other[1], torch.tensor(2.0))
    assert dict(of_tensors("weight", {"w": one})) != dict(of_tensors("weight", {"w": other}))
    states = ({"seen": [1.0, torch.ones(2)]}, {"seen": [1.0, torch.zeros(2)]}, {"seen": [2.0, torch.ones(2)]})
    assert len({dict(of_states("state", {"mine": state}))["state 'mine'"] for state in states}) == 3


def test_the_environment_says_how_many_were_started_and_who_speaks(monkeypatch, second_of_three):
    assert started() == 3 and not speaks()
    monkeypatch.setenv("RANK", "0")
    assert speaks()
    monkeypatch.delenv("MASTER_PORT")
    assert started() == 1


def test_what_is_the_work_of_one_process_is_refused_to_several(capsys, monkeypatch, second_of_three):
    assert main(["predict", "runs/run", "-"]) == 2
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("RANK", "0")
    assert main(["predict", "runs/run", "-"]) == 2
    assert "`triune predict` is the work of one process, and 3 were started" in capsys.readouterr().err


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EnvironmentProblem, match="2 processes were started here and there are 1 GPUs"):
        device_of("auto", World(0, 2, 0, 2))
    assert device_of("cpu", World(0, 2, 0, 2)) == "cpu"
