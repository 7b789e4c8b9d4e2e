"""A run that was killed at any point ends with the best models that it would have had, of every phase and of all."""

import contextlib
import functools
import itertools
import json
import os
import shutil
import signal

import pytest

import triune
import triune.runs
from tests.core.test_checkpoint import Died, die, fill_the_disk_once, in_a_child, sabotage, snapshot
from tests.core.test_engine import final
from tests.support import Tables, ToyTask, config, plugins, same, table
from triune import ParameterClaim, hookimpl
from triune.checkpoint import Checkpoints, Snapshot
from triune.errors import EnvironmentProblem
from triune.events import Checkpointed, Evaluated, Finished, PhaseEnded, Stepped
from triune.select import Depth, Head
from triune.types import OnPlateau

BETTER = {1, 2, 5, 8}
"""The steps at which the model is the best so far: phases end at 4 and 7, two evaluations later, the run at 10."""


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Leave out what only a power cut would tell, and look once at what is installed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        patched.setattr("triune.runs.installed", functools.cache(triune.runs.installed))
        yield


class Thawing:
    """The head first; the blocks follow when their time has come."""

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Head(), trainable=True)
        for phase, depth in enumerate((-1, 1)):
            yield ParameterClaim(Depth(depth), trainable=True, start=OnPlateau("macro_f1", 2, phase))


class Chooses:
    """Say at which steps the model is the best."""

    def __init__(self):
        self.step = 0

    @hookimpl
    def observe(self, event):
        if isinstance(event, Stepped):
            self.step = event.step.index

    @hookimpl
    def prefer_model(self):
        return self.step in BETTER

    def state_dict(self):
        return {"step": self.step}

    def load_state_dict(self, state):
        self.step = state["step"]


def trained(folder, observers=(), **training):
    settings = {
        "epochs": 4,
        "evaluate_every": 1,
        "checkpoint_every": 3,
        "early_stopping": {"patience": 2},
        "validation": 0.0,
        **training,
    }
    data = Tables(train=table(24), valid=table(8, seed=2), test=table(8, seed=1))
    given = plugins(ToyTask(), data, thawing=Thawing(), chooses=Chooses(), no_all=True)
    given.pop("no_all")
    settings = config("thawing", "chooses", **settings)
    return triune.run(settings, plugins=given, output=folder, resume="auto", observers=observers)


def outcome(folder):
    """Return what a run left: its last weights, its best ones, its metrics, what happened in it, how it ended."""
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    happened = [
        {key: value for key, value in row.items() if key != "examples_per_second"}
        for row in rows
        if row["event"] != "cache"  # computed once more where a run goes on
    ]
    facts, metrics = (json.loads((folder / name).read_text()) for name in ("run.json", "metrics.json"))
    best = Checkpoints(folder / "checkpoints", facts["identity"]).best(facts["ended"]["best_step"])
    last = final(folder.parent, folder.name)
    return last, best.tensors["model"], metrics, happened, facts["ended"]


def alike(one, other):
    return same(one[0], other[0]) and same(one[1], other[1]) and one[2:] == other[2:]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    trained(folder)
    return outcome(folder)


def test_the_run_has_what_is_to_be_shown(whole):
    last, best, _, happened, ended = whole
    phases = [(row["step"], row["best_step"]) for row in happened if row["event"] == "phase"]
    assert phases == [(4, 2), (7, 5)]
    assert (ended["step"], ended["best_step"]) == (10, 8)
    assert not same(last, best)


def stopping_after(count):
    """Return an observer that kills its process at an event."""
    seen = itertools.count(1)

    def kill(event):
        if isinstance(event, Evaluated | Checkpointed | PhaseEnded | Finished) and next(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def killed(folder, count):
    """Go on with a run in a process that is killed at an event; return whether it came to that."""
    child = in_a_child(lambda: trained(folder, [stopping_after(count)]))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.slow
def test_a_run_killed_at_any_event_ends_bit_identical(tmp_path, whole):
    for count in itertools.count(1):
        folder = tmp_path / f"at-{count}"
        if not killed(folder, count):
            break
        trained(folder)
        assert alike(outcome(folder), whole), f"event {count}"
    assert count > 18


def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path, whole):
    times = sum(killed(tmp_path / "run", 6) for _ in range(10))
    assert times >= 3
    assert alike(outcome(tmp_path / "run"), whole)


class Failing:
    """Let a call that changes the disk fail, counted from the first one of a best model that is written."""

    def __init__(self, monkeypatch, step, at, stop):
        self.calls, save = 0, Checkpoints.save_best

        def save_best(checkpoints, best):
            if best.step != step:
                return save(checkpoints, best)
            with monkeypatch.context() as patched:
                count = sabotage(patched, at, stop)
                try:
                    return save(checkpoints, best)
                finally:
                    self.calls = count[0]

        monkeypatch.setattr(Checkpoints, "save_best", save_best)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "error"), [(die, Died), (fill_the_disk_once, EnvironmentProblem)], ids=["dies", "disk full"]
)
def test_whatever_call_fails_while_a_best_model_is_written_the_run_ends_bit_identical(
    tmp_path, monkeypatch, whole, stop, error
):
    """The best of step 5 is written while the checkpoint of step 3, whose next step ends a phase, needs that of 2."""
    for at in itertools.count(0, 3):
        with monkeypatch.context() as patched, contextlib.suppress(error):
            failing = Failing(patched, 5, at, stop)
            trained(tmp_path / str(at))
        if at >= failing.calls:
            break
        trained(tmp_path / str(at))
        assert alike(outcome(tmp_path / str(at)), whole), f"call {at}"
    assert at > 20


# ---- what is kept on the disk


def bests(checkpoints):
    return sorted(int(one.name.removeprefix("step-")) for one in (checkpoints.folder / "best").glob("step-*"))


def naming(step, best):
    found = snapshot(step)
    return Snapshot(found.step, found.tensors, found.facts, best)


def test_a_best_model_stays_while_a_checkpoint_names_it_and_no_longer(tmp_path):
    checkpoints = Checkpoints(tmp_path, "one")
    seen = []
    for step in range(1, 7):
        checkpoints.save_best(snapshot(10 * step))
        seen.append(bests(checkpoints))
        checkpoints.save(naming(10 * step, 10 * step))
        seen.append(bests(checkpoints))
    assert max(map(len, seen)) == 3
    assert seen[-2:] == [[40, 50, 60], [50, 60]]
    checkpoints.save_best(snapshot(61))
    checkpoints.save_best(snapshot(62))
    assert bests(checkpoints) == [50, 60, 62]
    checkpoints.save(naming(70, 50))  # what was written after a checkpoint is no part of what goes on from it
    assert bests(checkpoints) == [50, 60]


def test_a_run_falls_back_on_an_older_checkpoint_with_its_own_best_model(tmp_path):
    told = []
    checkpoints = Checkpoints(tmp_path, "one", on_damage=told.append)
    for step in (10, 20):
        checkpoints.save_best(snapshot(step - 1))
        checkpoints.save(naming(step, step - 1))
    (tmp_path / "step-00000020" / "MANIFEST.json").write_text("{}")
    last = checkpoints.latest()
    assert told and (last.step, last.best) == (10, 9)
    assert same(checkpoints.best(9).tensors["model"], snapshot(9).tensors["model"])


SEQUENCE = [("best", 1), ("save", 2, 1), ("best", 3), ("save", 4, 3), ("best", 5), ("best", 6), ("save", 7, 6)]


def act(checkpoints, what, step, *named):
    if what == "best":
        checkpoints.save_best(snapshot(step))
    else:
        checkpoints.save(naming(step, *named))


@pytest.mark.parametrize("place", range(len(SEQUENCE)))
@pytest.mark.parametrize(
    ("stop", "error"), [(die, Died), (fill_the_disk_once, EnvironmentProblem)], ids=["dies", "disk full"]
)
def test_whatever_call_fails_the_last_checkpoint_has_the_best_model_that_it_names(
    tmp_path, monkeypatch, place, stop, error
):
    before = Checkpoints(tmp_path / "before", "one")
    before.folder.mkdir()
    for one in SEQUENCE[:place]:
        act(before, *one)
    for at in itertools.count():
        folder = shutil.copytree(before.folder, tmp_path / str(at))
        checkpoints = Checkpoints(folder, "one", on_damage=pytest.fail)
        with monkeypatch.context() as patched, contextlib.suppress(error):
            count = sabotage(patched, at, stop)
            act(checkpoints, *SEQUENCE[place])
        last = checkpoints.latest()
        if last:
            assert same(checkpoints.best(last.best).tensors["model"], snapshot(last.best).tensors["model"])
        for one in SEQUENCE[place:]:
            act(checkpoints, *one)
        assert bests(checkpoints) == [3, 6] and checkpoints.steps() == [4, 7]
        assert not [one for one in folder.rglob("*") if one.name.startswith(".")]
        if count[0] <= at:
            break
