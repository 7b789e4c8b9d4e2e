"""What tests of methods that push rules share: outputs to enumerate, rules on a toy task, and what a run predicts."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from triune import Batch, Outputs, hookimpl
from triune.events import Stepped
from triune.spaces import Binaries, Categorical, Tags
from triune.testing import Tables, ToyTask, table
from triune.testing.toy_runs import completed
from triune.testing.toy_runs import run as toy_run
from triune.types import Bundle, GroundedRules

LABELS = ("cold", "warm")
TOKENS = 3


SPACES = {"categorical": Categorical(tuple("abcd")), "binaries": Binaries(tuple("abcd")), "tags": Tags(("a", "b"))}


def outputs_of(kind, examples=3, spread=2.0, seed=0, dtype=torch.float64):
    """Return random outputs of a space; sequences are of two and more tokens."""
    space, generator = SPACES[kind], torch.Generator().manual_seed(seed)
    tokens = (TOKENS,) if kind == "tags" else ()
    scores = spread * torch.randn(examples, *tokens, len(space.labels), generator=generator, dtype=dtype)
    mask = torch.arange(TOKENS) < (2 + torch.arange(examples) % 2)[:, None] if kind == "tags" else None
    return Outputs(scores.requires_grad_(), space, mask=mask)


def worlds(outputs, example):
    """Yield (what is true, its log-probability) for every answer of one example."""
    space, scores = outputs.space, outputs.scores[example]
    if space.kind == "categorical":
        log_p = scores.log_softmax(-1)
        yield from (({label}, log_p[place]) for place, label in enumerate(space.labels))
    elif space.kind == "binaries":
        yes, no = torch.nn.functional.logsigmoid(scores), torch.nn.functional.logsigmoid(-scores)
        for bits in product((0, 1), repeat=len(space.labels)):
            true = {label for label, bit in zip(space.labels, bits, strict=True) if bit}
            yield true, torch.stack([yes[place] if bit else no[place] for place, bit in enumerate(bits)]).sum()
    else:
        log_p = scores[outputs.mask[example]].log_softmax(-1)
        for tags in product(range(len(space.labels)), repeat=len(log_p)):
            true = [space.labels[tag] for tag in tags]
            yield true, torch.stack([log_p[token, tag] for token, tag in enumerate(tags)]).sum()


def batch_of(examples, labelled=None, weights=None):
    """Return a batch of nothing but rows."""
    ones = torch.ones(examples)
    return Batch(
        torch.arange(examples),
        {},
        torch.zeros(examples, 1),
        ones if labelled is None else torch.tensor(labelled, dtype=torch.float32),
        ones if weights is None else torch.tensor(weights, dtype=torch.float32),
    )


def grounded(rules, fires, space):
    """Return rules that fire where told, (rules, examples)."""
    return GroundedRules(tuple(rules), {"train": np.asarray(fires, dtype=bool).reshape(len(rules), -1)}, space=space)


class Rules:
    """Contribute these rules."""

    def __init__(self, *given):
        self.given = given

    @hookimpl
    def rules(self):
        return self.given


class Labelled(ToyTask):
    """The toy task with labels that are stated, so that no example needs one."""

    @hookimpl
    def build_model(self, run, data):
        stated = data.with_split("train", pd.DataFrame({"text": ["", ""], "label": list(LABELS)}))
        return _as(super().build_model(run, stated), Bundle)


def _as(value, kind):
    assert isinstance(value, kind)
    return value


def learnt(folder, method, *rules, train=None, steps=60, tables=None, **training):
    """Run a method with rules on the toy task; return the result and every step's terms."""
    train = table(64, seed=5).assign(label=None) if train is None else train
    terms = []

    def observer(event):
        if isinstance(event, Stepped):
            terms.append(dict(event.terms))

    given = {
        "toy": Labelled(dropout=0.0),
        "tables": Tables(train=train, test=table(64, seed=9), **(tables or {})),
        "rules": Rules(*rules),
        "method": method,
    }
    settings = {"epochs": 200, "max_steps": steps, "batch_size": 32, "early_stopping": None, "keep_best": False}
    result = toy_run(
        completed(given), Path(folder) / "run", {**settings, "validation": 0.0, **training}, None, (observer,)
    )
    return result, terms
