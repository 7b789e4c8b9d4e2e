"""What the tests of methods that weigh answers stand on: tiny outputs, their rules, and every answer there is."""

from itertools import product

import numpy as np
import torch

from triune import Batch, Label, Outputs, Rule, TextMatches
from triune.logic import AtLeast, NeverFollows, Occurs, StartsWith
from triune.logic.inference import log_odds
from triune.spaces import Binaries, Categorical, Tags
from triune.types import GroundedRules, Step

STEP = Step(0, 10)
LABELS = ("a", "b", "c")
TOKENS = 3
A, B, C = map(Label, LABELS)
SOMETIMES = TextMatches(lambda text: True)


SPACES = {"one of three": Categorical(LABELS), "any of three": Binaries(LABELS), "tags": Tags(LABELS)}
FORMULAS = {
    "one of three": (A, A | B, ~C),
    "any of three": (A >> B, AtLeast(2, (A, B, C)), ~(A & C)),
    "tags": (NeverFollows("a", "b"), StartsWith("c"), Occurs("b", at_most=1)),
}


def rules_of(kind, confidences=(0.7, 0.9, 1.0), hard=()):
    """Return a rule for each formula of a kind."""
    says = zip(FORMULAS[kind], confidences, strict=True)
    return tuple(Rule(f"r{n}", then, SOMETIMES, confidence=p, hard=n in hard) for n, (then, p) in enumerate(says))


def grounded(kind, rules, fires):
    """Return the rules with the examples on which they fire, (rules, examples)."""
    return GroundedRules(tuple(rules), {"train": np.asarray(fires, dtype=bool)}, space=SPACES[kind])


def batch_of(examples, rows=None):
    """Return a batch without inputs, a third of its examples labelled, of different weight."""
    rows = torch.arange(examples) if rows is None else torch.as_tensor(rows)
    return Batch(
        rows, {}, torch.zeros(len(rows), len(LABELS)), (rows % 3 == 0).float(), 1 + (rows % 2).float(), "train"
    )


def outputs_of(kind, examples, seed=0, size=1.5):
    """Return random outputs; of sequences, the last token of every second one does not count."""
    generator = torch.Generator().manual_seed(seed)
    shape = (examples, TOKENS, len(LABELS)) if kind == "tags" else (examples, len(LABELS))
    scores = (size * torch.randn(shape, generator=generator)).requires_grad_()
    mask = torch.ones(examples, TOKENS, dtype=torch.bool) if kind == "tags" else None
    if mask is not None:
        mask[::2, -1] = False
    return Outputs(scores, SPACES[kind], mask=mask)


def every_answer(outputs, example):
    """Return every answer of an example as booleans like its scores, with what it says in words."""
    scores = outputs.scores[example]
    k = scores.shape[-1]
    if outputs.space.kind == "binaries":
        chosen = [torch.tensor(one, dtype=torch.bool) for one in product((False, True), repeat=k)]
        return [
            (one, [label for label, is_true in zip(LABELS, one.tolist(), strict=True) if is_true]) for one in chosen
        ]
    if outputs.space.kind == "categorical":
        return [(torch.eye(k, dtype=torch.bool)[n], [LABELS[n]]) for n in range(k)]
    counted = int(outputs.mask[example].sum())
    found = []
    for tags in product(range(k), repeat=counted):
        answer = torch.nn.functional.one_hot(torch.tensor([*tags, *[0] * (len(scores) - counted)]), k).bool()
        found.append((answer, [LABELS[n] for n in tags]))
    return found


def log_p(outputs, example, answer):
    """Return log p of an answer, differentiable."""
    each = outputs.space.log_likelihood(outputs.scores[example], answer.float())
    return (each * outputs.mask[example]).sum() if outputs.mask is not None else each.sum()


def cost(rules, fires, said):
    """Return what the rules that an answer breaks cost."""
    broken = [rule for rule, fired in zip(rules, fires, strict=True) if fired and not rule.then.holds(said)]
    return sum(1e30 if rule.hard else log_odds(rule.confidence) for rule in broken)
