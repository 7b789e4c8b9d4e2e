"""Checks of whole runs: frozen stays frozen, resumed ends the same, a seed decides everything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from triune.errors import listed
from triune.events import Checkpointed
from triune.testing.subject import TRAINING
from triune.testing.toy_runs import run
from triune.testing.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from triune.events import Event
    from triune.testing.subject import Subject
    from triune.types import JSON

STOPS = (3, 6, 9)


class Stopped(BaseException):
    """A run broken off on purpose."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished run, and who saw it."""

    plugin: object
    witness: Witness
    metrics: Mapping[str, JSON]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The model at the end."""
        return self.witness.now()


def trial(
    subject: Subject, folder: Path, training: Mapping[str, object], resume: str | None = None, stop: int | None = None
) -> Trial:
    """Run the subject with these settings of its training; break off when the checkpoint of step `stop` is written.

    Raises:
        Stopped: it was broken off.
    """
    witness = Witness()
    plugins = {**subject.plugins(), "witness": witness}
    with witness.watching():
        result = run(plugins, folder, {**TRAINING, **training}, resume, (_stopping(stop),))
    return Trial(plugins[subject.name], witness, result.metrics)


def _stopping(stop: int | None) -> Callable[[Event], None]:
    def observer(event: Event) -> None:
        if isinstance(event, Checkpointed) and event.step.index == stop:
            raise Stopped

    return observer


def whole(subject: Subject) -> Trial:
    """Return a run from beginning to end."""
    with TemporaryDirectory() as folder:
        return trial(subject, Path(folder) / "run", {})


def in_pieces(subject: Subject) -> Trial:
    """Return a run that is broken off three times and resumed by fresh objects each time."""
    often = {"checkpoint_every": STOPS[0]}
    with TemporaryDirectory() as folder:
        for place, stop in enumerate(STOPS):
            try:
                trial(subject, Path(folder) / "run", often, "auto" if place else None, stop)
            except Stopped:
                continue
        return trial(subject, Path(folder) / "run", often, "auto")


def running(subject: Subject) -> Iterator[str]:
    """A whole run of it comes to its end."""
    if len(subject.trial.witness.weights) != subject.planned.plan.steps.total + 1:
        yield "a run of it ends before its last step"


def observing(subject: Subject) -> Iterator[str]:
    """`observe` raises nothing."""
    for message in subject.trial.witness.warnings:
        if message.startswith(f"plugin {subject.name!r} "):
            yield message


def freezing(subject: Subject) -> Iterator[str]:
    """Outside its windows a parameter stays as it is and holds no optimiser state; inside them it changes."""
    import torch

    witness = subject.trial.witness
    windows = {name: group.windows for group in witness.plan.groups for name in group.names}
    moved, held, still = list[str](), list[str](), list[str]()
    for name, _ in witness.model.named_parameters():
        inside = [any(window.holds(step) for window in windows.get(name, ())) for step in range(len(witness.holding))]
        changed = [not torch.equal(one[name], two[name]) for one, two in pairwise(witness.weights)]
        holds = [name in names for names in witness.holding]
        moved += [f"{name} at step {n}" for n, one in enumerate(changed) if one and not inside[n]][:1]
        held += [f"{name} at step {n}" for n, one in enumerate(holds) if one and not inside[n]][:1]
        # one step may leave a parameter alone that has no gradient yet, such as an adapter that starts at zero
        if sum(inside) > 1 and not any(changed):
            still.append(name)
    if moved:
        yield f"{listed(moved, 2)}: changed outside its windows: leave weights to the optimiser, and claim what trains"
    if held:
        yield f"{listed(held, 2)}: held by the optimiser outside its windows: use the groups given to build_optimizer"
    if still:
        yield f"{listed(still, 2)}: claimed to train and never changed: let the loss depend on it, or do not claim it"


def repeat(subject: Subject) -> Iterator[str]:
    """Two runs of one seed end the same to the bit, and the caller's random numbers go on as if none had run."""
    from triune.state import random_state

    before = _bits(random_state())
    second = whole(subject)
    if _bits(random_state()) != before:
        yield "it draws from, or seeds, the caller's random generators when it is made: draw from run.generators"
    yield from _differences(subject.trial, second, "two runs of one seed", "draw from run.generators, share no state")


def resume(subject: Subject) -> Iterator[str]:
    """A run that is broken off three times and resumed ends as if it had not been."""
    sentence = f"a run stopped after steps {listed(STOPS)} and resumed, and one that was not,"
    remedy = "return from state_dict all that changes while training, and draw from run.generators"
    yield from _differences(subject.trial, in_pieces(subject), sentence, remedy)


def _differences(one: Trial, two: Trial, which: str, remedy: str) -> Iterator[str]:
    import torch

    first, second = one.weights, two.weights
    if first.keys() != second.keys():
        yield f"{which} have other parameters: {listed(sorted(first.keys() ^ second.keys()), 4)}; {remedy}"
        return
    moved = [name for name in first if not torch.equal(first[name], second[name])]
    if moved:
        yield f"{which} end with other weights, in {len(moved)} of {len(first)} tensors: {remedy}"
    if json.dumps(one.metrics, sort_keys=True) != json.dumps(two.metrics, sort_keys=True):
        yield f"{which} end with other metrics: {remedy}"


def state(subject: Subject) -> Iterator[str]:
    """What `state_dict` returns goes through a checkpoint, and `load_state_dict` takes it back whole."""
    from triune.state import join_state, split_state

    used = subject.trial.plugin
    for one, other in (("state_dict", "load_state_dict"), ("load_state_dict", "state_dict")):
        if hasattr(used, one) and not hasattr(used, other):
            yield f"it has {one} and no {other}: write both, or neither"
            return
    kept = used.state_dict()  # type: ignore[attr-defined]
    tensors, facts = split_state(kept, f"plugin {subject.name!r}")
    fresh = subject.prepared().opened.hooks.plugins[subject.name]
    fresh.load_state_dict(join_state(tensors, json.loads(json.dumps(facts))))  # type: ignore[attr-defined]
    if _bits(fresh.state_dict()) != _bits(kept):  # type: ignore[attr-defined]
        yield "after load_state_dict, state_dict returns something else: take every key back, with its type"


def _bits(state: object) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a state in a form that can be compared to the bit."""
    from triune.state import split_state

    tensors, facts = split_state(state, "the state")
    stored = [(str(one.dtype), one.cpu().contiguous().flatten().numpy().tobytes()) for one in tensors.values()]
    return json.dumps(facts), stored
