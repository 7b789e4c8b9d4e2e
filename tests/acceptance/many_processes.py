"""Runs for one process or several to do; each process leaves the weights that it ends with.

`python -m tests.acceptance.many_processes FOLDER MODEL`, or the same under `torchrun`.
"""

import atexit
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import triune
from tests.core.test_engine import Draws, Gradual
from tests.core.test_objective import confident, marginals_at
from tests.support import All, Tables, ToyTask, config, table
from triune import LossTerm, TermValues, hookimpl
from triune.events import Stepped
from triune.processes import joined
from triune.signals import Interrupted

SETTINGS = {"epochs": 3, "batch_size": 7, "validation": 0.2, "early_stopping": None, "keep_best": False}
STOPPED_AT = 5


class Whole:
    """A loss that is no sum of means: one term of means, one counted by the model, composed."""

    @hookimpl
    def loss_terms(self):
        yield LossTerm("confident", confident)
        yield marginals_at(torch.tensor([0.8, 0.2]))

    @hookimpl
    def compose_loss(self, terms, step):
        return (terms["task"] + 0.1).sqrt() * (1 + terms["confident"]) + terms["marginals"]


class Seen:
    """A state that grows by what it is told, and changes what is learnt."""

    def __init__(self):
        self.losses = 0.0

    @hookimpl
    def loss_terms(self):
        def drifting(step, batch, outputs):
            return TermValues(outputs.scores.square().mean(-1) * self.losses / 100, torch.ones(len(batch.rows)))

        yield LossTerm("drift", drifting)

    @hookimpl
    def observe(self, event):
        self.losses += event.loss if isinstance(event, Stepped) else 0.0

    def state_dict(self):
        return {"losses": self.losses}

    def load_state_dict(self, state):
        self.losses = state["losses"]


class Stops:
    """Have the last process told to stop, once."""

    @hookimpl
    def observe(self, run, event):
        if isinstance(event, Stepped) and event.step.index == STOPPED_AT and run.processes.rank:
            os.kill(os.getpid(), signal.SIGTERM)


class Idle:
    """As `Stops`, and stops nobody."""

    @hookimpl
    def observe(self):
        pass


class Fails:
    """Fail in the last process alone."""

    @hookimpl
    def loss_terms(self, run):
        def failing(step, batch, outputs):
            if step.index == 3 and run.processes.rank:
                raise ValueError("there is something about this row")
            return TermValues(outputs.scores.square().mean(-1), torch.ones(len(batch.rows)))

        yield LossTerm("failing", failing)


class Drifts:
    """Change a weight in the last process alone."""

    @hookimpl
    def adapt_model(self, model):
        self.model = model

    @hookimpl
    def observe(self, run, event):
        if isinstance(event, Stepped) and run.processes.rank:
            self.model.head.bias.data += 1e-7


class Private:
    """Keep a state that differs from process to process."""

    @hookimpl
    def adapt_model(self, run):
        self.rank = run.processes.rank

    def state_dict(self):
        return {"rank": self.rank}

    def load_state_dict(self, state):
        pass


class Keeps:
    """Keep the model to look at it."""

    @hookimpl
    def adapt_model(self, model):
        self.model = model

    def leave(self, path):
        save_file({name: one.detach().contiguous() for name, one in self.model.named_parameters()}, path)


CASES = {
    "counted": ([], {}, ToyTask(dropout=0.0)),
    "not counted, in parts": ([], {"accumulate": 3}, ToyTask(dropout=0.0, counts=False)),
    "in windows": ([Gradual()], {}, ToyTask(dropout=0.0)),
    "composed, with means": ([Whole()], {"accumulate": 2}, ToyTask(dropout=0.0)),
    "best of all": ([], {"keep_best": True, "early_stopping": {"patience": 1}}, ToyTask(dropout=0.0)),
    "many processes, few examples": ([], {"batch_size": 1, "max_steps": 4}, ToyTask(dropout=0.0)),
}


def toy(name, methods, training, task, folder, resume=None):
    """Do a run of the toy task; leave this process's weights."""
    keeps = Keeps()
    given = {f"method-{place}": one for place, one in enumerate(methods)} | {"keeps": keeps}
    if not any(isinstance(one, Gradual) for one in methods):
        given["all"] = All()
    data = ("tables", "draws") if "draws" in training else ("tables",)
    settings = {**SETTINGS, **{key: value for key, value in training.items() if key != "draws"}}
    plugins = {"toy": task, "tables": Tables(train=table(), test=table(80, seed=1)), **given}
    if "draws" in training:
        plugins["draws"] = Draws()
    triune.run(config(*given, data=data, **settings), plugins=plugins, output=folder / name, resume=resume)
    return keeps


def on_text(folder, model):
    """Go through a small BERT layer by layer, its frozen blocks kept on the disk."""
    keeps = Keeps()
    settings = {
        "task": {"use": "text-classification", "model": str(model)},
        "data": {"use": "table", "train": str(folder / "train.csv")},
        "methods": [{"use": "layer-by-layer", "phase_epochs": 1}, "keeps"],
        "training": {**SETTINGS, "epochs": 4, "learning_rate": 0.001, "threads": 1, "device": "cpu", "cache": "disk"},
    }
    triune.run(settings, plugins={"keeps": keeps}, output=folder / "text")
    return keeps


def failure(name, plugin, folder):
    """Return what a run says that goes wrong in one process."""
    try:
        toy(name, [plugin], {}, ToyTask(dropout=0.0), folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main(folder, model):
    with joined() as world:
        place = folder / f"of-{world.size}"
        if world.leads:
            place.mkdir()
            rows = "\n".join(f"{word} {n},{word}" for n in range(13) for word in ("parcel", "refund"))
            (place / "train.csv").write_text(f"text,label\n{rows}\n")
        world.exchange(None)
        for name, (methods, training, task) in CASES.items():
            toy(name, methods, training, task, place).leave(place / f"{name}-{world.rank}.safetensors")
        on_text(place, model).leave(place / f"text-{world.rank}.safetensors")
        drawing = {"draws": True, "accumulate": 2, "checkpoint_every": 1}
        several(world, place, drawing) if world.size > 1 else one(folder, drawing)


def several(world, place, drawing):
    """Stop and go on, with dropout; and fail."""
    toy("whole", [Seen(), Idle()], drawing, ToyTask(), place).leave(place / f"whole-{world.rank}.safetensors")
    stopped = ""
    try:
        toy("stopped", [Seen(), Stops()], drawing, ToyTask(), place)
    except Interrupted as stop:
        stopped = str(stop)
    if world.leads:
        shutil.copytree(place / "stopped", place / "for one")
    world.exchange(None)
    resumed = toy("stopped", [Seen(), Stops()], drawing, ToyTask(), place, resume="auto")
    resumed.leave(place / f"stopped-{world.rank}.safetensors")
    said = {name: failure(name, plugin, place) for name, plugin in FAILING.items()}
    left = sorted(path.name for path in place.iterdir() if path.name in FAILING)
    (place / f"said-{world.rank}.json").write_text(json.dumps({"stopped": stopped, **said, "left": left}))


FAILING = {"fails": Fails(), "drifts": Drifts(), "private": Private()}


def one(folder, drawing):
    """Go on with what two processes began."""
    shutil.copytree(folder / "of-2" / "for one", folder / "of-1" / "gone on")
    toy("gone on", [Seen(), Stops()], drawing, ToyTask(), folder / "of-1", resume="auto")


def leave_threads(folder):
    """Write down the threads of this process, once whatever else was registered for its end is done."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    (folder / f"threads-{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(names))


if __name__ == "__main__":
    atexit.register(leave_threads, Path(sys.argv[1]))
    main(Path(sys.argv[1]), Path(sys.argv[2]))
