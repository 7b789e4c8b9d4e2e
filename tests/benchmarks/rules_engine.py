"""Measure exact inference with rules: one step (log Z and its gradient) of a batch of 64, on one thread.

    python tests/benchmarks/rules_engine.py [--rounds 15] [--sizes 8 16 32 64 128] [--results rules.json]

Families: exactly one of n; at most n/4 of n; random clauses of three labels, 2n of them; BIO over 128 tokens and
nine tags. Beside triune stand, where they can be imported (`pip install pysdd klaycircuits`), KLay and a plain
loop over the batch with PySDD, on decision diagrams of the same rule; all sides take turns within a round, and
ratios are taken within a round. All sides must agree on the loss. Peers are left out where their diagram takes
minutes to build.

The claims: exactly one of 128 in 2 ms; at most 32 of 128 in 15 ms with a build under 0.1 s; 64 clauses over 32
labels in 80 ms; BIO in 35 ms; at least 4 times as fast as KLay and as the PySDD loop from n = 32 on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from triune.logic import And, AtMost, Exactly, Label, Or, bio
from triune.logic.costs import RuleCostError
from triune.logic.inference import RuleSet, Weighted
from triune.logic.variables import Tags
from triune.spaces import Binaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from triune.logic import Formula

    Step = Callable[[], float]

BATCH, TOKENS = 64, 128
KINDS = ("PER", "LOC", "ORG", "MISC")
FAMILIES = ("exactly one", "at most n/4", "clauses")
PEERS_UP_TO = {"exactly one": 128, "at most n/4": 64, "clauses": 32}
MILLISECONDS = {("exactly one", 128): 2.0, ("at most n/4", 128): 15.0, ("clauses", 32): 80.0, ("BIO", 9): 35.0}
BUILD_MILLISECONDS = {("at most n/4", 128): 100.0}
TIMES_AS_FAST, FROM = 4.0, 32


@dataclass
class Row:
    """One family at one size."""

    family: str
    n: int
    edges: float | None = None
    build_ms: float | None = None
    refused: str = ""
    ms: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


def main() -> int:
    """Run all families; return 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    rows = []
    for family in FAMILIES:
        for n in arguments.sizes:
            rows.append(measured(family, n, arguments.rounds))
            print(line(rows[-1]), flush=True)
    rows.append(measured_bio(arguments.rounds))
    print(line(rows[-1]), flush=True)
    if arguments.results:
        arguments.results.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    broken = [claim for row in rows for claim in broken_claims(row)]
    print("\n".join(broken) if broken else "every claim holds")
    return int(bool(broken))


def warm_up() -> None:
    """Let torch and our modules load before anything is timed."""
    step_of(RuleSet((hard(Exactly(1, names(4))),)).compiled(Binaries(names(4))).log_z, torch.randn(BATCH, 4))()


def measured(family: str, n: int, rounds: int) -> Row:
    """Return the times of one family at one size."""
    row, formula = Row(family, n), formula_of(family, n)
    started = time.perf_counter()
    try:
        compiled = RuleSet((hard(formula),)).compiled(Binaries(names(n)))
    except RuleCostError as error:
        row.refused = str(error)
        row.build_ms = 1e3 * (time.perf_counter() - started)
        return row
    row.build_ms, row.edges = 1e3 * (time.perf_counter() - started), compiled.cost.edges
    torch.manual_seed(0)
    scores = torch.randn(BATCH, n)
    sides: dict[str, Step] = {"triune": step_of(compiled.log_z, scores)}
    if n <= PEERS_UP_TO[family]:
        sides |= peers(family, n, scores)
    timed(sides, rounds, row)
    return row


def measured_bio(rounds: int) -> Row:
    """Return the times of BIO over a long sequence."""
    tags = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))
    row = Row("BIO", len(tags))
    started = time.perf_counter()
    compiled = RuleSet((hard(bio(*KINDS)),)).compiled(Tags(tags))
    row.build_ms, row.edges = 1e3 * (time.perf_counter() - started), compiled.cost.edges
    torch.manual_seed(0)
    timed({"triune": step_of(compiled.log_z, torch.randn(BATCH, TOKENS, len(tags)))}, rounds, row)
    return row


def timed(sides: dict[str, Step], rounds: int, row: Row) -> None:
    """Fill in the best milliseconds of each side, and the median of the ratios to ours within rounds."""
    losses = {name: step() for name, step in sides.items()}
    for name, loss in losses.items():
        assert abs(loss - losses["triune"]) < 1e-3 * max(1, abs(loss)), f"{name}: {loss}, triune: {losses['triune']}"
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            sides[name]()
            times[name].append(1e3 * (time.perf_counter() - started))
    row.ms = {name: min(values) for name, values in times.items()}
    row.ratios = {
        name: median(theirs / ours for theirs, ours in zip(values, times["triune"], strict=True))
        for name, values in times.items()
        if name != "triune"
    }


def names(n: int) -> tuple[str, ...]:
    """Return n labels."""
    return tuple(f"v{place}" for place in range(n))


def hard(formula: Formula) -> Weighted:
    """Return the rule that a formula always holds."""
    return Weighted("rule", formula, hard=True, always=True)


def clauses_of(n: int) -> list[list[int]]:
    """Return 2n random clauses of three labels, a label as its number from 1, negative where negated."""
    generator = random.Random(0)
    return [[(one + 1) * generator.choice((1, -1)) for one in generator.sample(range(n), 3)] for _ in range(2 * n)]


def formula_of(family: str, n: int) -> Formula:
    """Return a family's formula."""
    if family == "exactly one":
        return Exactly(1, names(n))
    if family == "at most n/4":
        return AtMost(n // 4, names(n))
    literals = [[(f"v{abs(one) - 1}", one > 0) for one in clause] for clause in clauses_of(n)]
    return And(*(Or(*(Label(name) if yes else ~Label(name) for name, yes in clause)) for clause in literals))


def step_of(log_z: Callable[..., torch.Tensor], scores: torch.Tensor) -> Step:
    """Return one step: the mean loss and its gradient."""

    def step() -> float:
        leaf = scores.clone().requires_grad_()
        loss = -log_z(leaf).mean()
        loss.backward()
        return loss.item()

    return step


def peers(family: str, n: int, scores: torch.Tensor) -> dict[str, Step]:
    """Return the steps of the peers that are installed, on a decision diagram of the same rule."""
    try:
        from pysdd.sdd import SddManager, Vtree
    except ImportError:
        return {}
    steps: dict[str, Step] = {}
    for vtree in ("right", "balanced") if family != "clauses" else ("balanced",):
        manager = SddManager.from_vtree(Vtree(var_count=n, vtree_type=vtree))
        diagram = diagram_of(manager, family, n)
        steps[f"PySDD loop, {vtree}"] = pysdd_step(diagram, scores)
    try:
        import klay
    except ImportError:
        return steps
    circuit = klay.Circuit()
    circuit.add_sdd(diagram)
    module = torch.vmap(circuit.to_torch_module(semiring="log", compile=False))
    log_sigmoid = torch.nn.functional.logsigmoid
    return steps | {"KLay": step_of(lambda leaf: module(log_sigmoid(leaf), log_sigmoid(-leaf)), scores)}


def diagram_of(manager: object, family: str, n: int) -> object:
    """Return the decision diagram of a rule: clauses conjoined, counts by a running counter."""
    literal, conjoin, disjoin = manager.literal, manager.conjoin, manager.disjoin
    if family == "clauses":
        whole = manager.true()
        for clause in clauses_of(n):
            some = manager.false()
            for one in clause:
                some = disjoin(some, literal(one))
            whole = conjoin(whole, some)
        return whole
    most = 1 if family == "exactly one" else n // 4
    counts = [manager.true()] + [manager.false()] * most  # from the last label back: exactly c of those after
    for one in range(n, 0, -1):
        no, yes = literal(-one), literal(one)
        counts = [conjoin(no, counts[0])] + [
            disjoin(conjoin(no, counts[c]), conjoin(yes, counts[c - 1])) for c in range(1, most + 1)
        ]
    if family == "exactly one":
        return counts[1]
    whole = manager.false()
    for count in counts:
        whole = disjoin(whole, count)
    return whole


def pysdd_step(diagram: object, scores: torch.Tensor) -> Step:
    """Return one step of a loop over the batch: count, then ask for every label's marginal."""
    counter, labels = diagram.wmc(log_mode=True), range(1, scores.shape[1] + 1)
    log_sigmoid = torch.nn.functional.logsigmoid

    class Loop(torch.autograd.Function):
        @staticmethod
        def forward(ctx, leaf):
            double, values, marginals = leaf.double(), [], []
            for row in torch.cat((log_sigmoid(-double).flip(1), log_sigmoid(double)), 1).numpy():
                counter.set_literal_weights_from_array(row)
                values.append(counter.propagate())
                marginals.append([counter.literal_pr(one) for one in labels])
            ctx.save_for_backward(torch.tensor(marginals).exp() - double.sigmoid())
            return torch.tensor(values, dtype=leaf.dtype)

        @staticmethod
        def backward(ctx, gradient):
            return (ctx.saved_tensors[0] * gradient[:, None]).to(gradient.dtype)

    return step_of(Loop.apply, scores)


def broken_claims(row: Row) -> list[str]:
    """Return what a row does not hold of the claims."""
    key, what = (row.family, row.n), f"{row.family}, n = {row.n}"
    broken = []
    if key in MILLISECONDS and row.ms.get("triune", 1e9) > MILLISECONDS[key]:
        broken.append(f"{what}: {row.ms.get('triune')} ms, claimed {MILLISECONDS[key]}")
    if key in BUILD_MILLISECONDS and (row.build_ms or 0) > BUILD_MILLISECONDS[key]:
        broken.append(f"{what}: built in {row.build_ms:.0f} ms, claimed {BUILD_MILLISECONDS[key]}")
    if row.n >= FROM:
        broken.extend(
            f"{what}: {ratio:.1f} times as fast as {name}, claimed {TIMES_AS_FAST}"
            for name, ratio in row.ratios.items()
            if ratio < TIMES_AS_FAST
        )
    return broken


def line(row: Row) -> str:
    """Return a row as a reader takes it in."""
    start = f"{row.family:12} {row.n:4}"
    if row.refused:
        return f"{start}  refused after {row.build_ms:.0f} ms: {row.refused}"
    own = f"{row.edges:9.0f} edges, built in {row.build_ms:7.1f} ms, step {row.ms['triune']:7.2f} ms"
    others = [f"{name} {row.ms[name]:.1f} ms ({ratio:.1f} times)" for name, ratio in row.ratios.items()]
    return "; ".join((f"{start} {own}", *others))


if __name__ == "__main__":
    sys.exit(main())
