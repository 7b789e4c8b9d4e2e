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
from triune.events import Finished, Stepped
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
    """Keep the weights that training ends with, before the first process folds adapters into what it writes."""

    @hookimpl
    def adapt_model(self, model):
        self.model = model

    @hookimpl
    def observe(self, event):
        if isinstance(event, Finished):
            self.weights = {name: one.detach().clone() for name, one in self.model.named_parameters()}

    def leave(self, path):
        save_file(self.weights, path)


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


LAYERS = {"use": "layer-by-layer", "phase_epochs": 1}
PLATEAUS = {"use": "layer-by-layer", "phase_patience": 1}
BEST = {"keep_best": True, "evaluate_every": 1, "validation": 0.3, "epochs": 8}
DUAL = {"use": "hybrid", "balance": {"use": "dual", "at_most": 0.05, "rate": 20}}

TEXTS = {
    "text": ([LAYERS], {"cache": "disk"}),
    "text, kept in memory": ([LAYERS], {"cache": "ram"}),
    "phases by plateaus": ([PLATEAUS], {**BEST, "cache": "ram"}),
    "adapters": ([{"use": "lora", "dropout": 0}], {"accumulate": 2}),
    "rules, balanced, beside baselines": (["end-to-end", DUAL], {**BEST, "epochs": 2, "baselines": True}),
    "rules on text without labels": (["end-to-end", "self-training"], {"labelled_share": 0.5, "epochs": 2}),
}
"""What a small BERT does."""


def write_text(place):
    """Write down what the small BERT learns from."""
    for name, count in (("train", 13), ("test", 6), ("unlabelled", 8)):
        rows = [f"{word} {n} {count},{word}" for n in range(count) for word in ("parcel", "refund")]
        head, rows = ("text", [row.split(",")[0] for row in rows]) if name == "unlabelled" else ("text,label", rows)
        (place / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n")
    (place / "rules.yaml").write_text(
        "rules:\n"
        "- {name: parcels, when: {contains: parcel}, then: parcel, confidence: 0.9}\n"
        "- {name: even, when: {regex: '[02468] '}, then: refund, confidence: 0.7}\n"
    )


def on_text(name, methods, training, folder, model):
    """Do a run of a small BERT; leave this process's weights."""
    keeps = Keeps()
    data = {"use": "table", "train": str(folder / "train.csv"), "test": str(folder / "test.csv")}
    if "self-training" in methods:
        data["unlabelled"] = str(folder / "unlabelled.csv")
    still = {"learning_rate": 0.001, "threads": 1, "device": "cpu", "report": "off", "baselines": False}
    settings = {
        "task": {"use": "text-classification", "model": str(model)},
        "data": data,
        "methods": [*methods, "keeps"],
        "training": {**SETTINGS, **still, "epochs": 4, **training},
    }
    if name.startswith("rules"):
        settings["rules"] = [{"use": "rule-file", "path": str(folder / "rules.yaml")}]
    triune.run(settings, plugins={"keeps": keeps}, output=folder / name)
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
            write_text(place)
        world.exchange(None)
        for name, (methods, training, task) in CASES.items():
            toy(name, methods, training, task, place).leave(place / f"{name}-{world.rank}.safetensors")
        for name, (methods, training) in TEXTS.items():
            on_text(name, methods, training, place, model).leave(place / f"{name}-{world.rank}.safetensors")
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
