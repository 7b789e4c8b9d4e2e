"""The other sides of `rules_engine.py`: PySDD, KLay and Pylon, on the same rules and the same scores."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import random
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Step = Callable[[], float]

INEXACT = ("sampling", "t-norm")
WRITTEN = 5_000  # clauses up to which a rule is written out as Python for Pylon's solvers that read code


def clauses_of(n: int) -> list[list[int]]:
    """Return 2n random clauses of three labels, a label as its number from 1, negative where negated."""
    generator = random.Random(0)
    return [[(one + 1) * generator.choice((1, -1)) for one in generator.sample(range(n), 3)] for _ in range(2 * n)]


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


class Loop(torch.autograd.Function):
    """A batch, one example after the other. No closure: PySDD's objects must go in order, so be in no cycle."""

    @staticmethod
    def forward(ctx, scores, counter):
        double, values, marginals = scores.double(), [], []
        log_sigmoid = torch.nn.functional.logsigmoid
        for row in torch.cat((log_sigmoid(-double).flip(1), log_sigmoid(double)), 1).numpy():
            counter.set_literal_weights_from_array(row)
            values.append(counter.propagate())
            marginals.append([counter.literal_pr(one) for one in range(1, scores.shape[1] + 1)])
        ctx.save_for_backward(torch.tensor(marginals).exp() - double.sigmoid())
        return torch.tensor(values, dtype=scores.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return (ctx.saved_tensors[0] * gradient[:, None]).to(gradient.dtype), None


def pysdd_step(diagram: object, scores: torch.Tensor) -> Step:
    """Return one step of a loop over the batch: count, then ask for every label's marginal."""
    counter = diagram.wmc(log_mode=True)
    return step_of(lambda leaf: Loop.apply(leaf, counter), scores)


def pylon_sides(folder: Path, family: str, n: int, scores: torch.Tensor) -> dict[str, Step]:
    """Return the steps of Pylon's solvers where they answer within minutes.

    Brute force and sampling take the batch; the circuit and the t-norm solver read the rule's code and take one
    example, so one is timed and counted once for each example of the batch.
    """
    sys.path.insert(0, str(folder))
    sys.setrecursionlimit(100_000)  # it reads `a and b and …` one call deeper a clause
    from pylon.brute_force_solver import SatisfactionBruteForceSolver
    from pylon.circuit_solver import SemanticLossCircuitSolver
    from pylon.sampling_solver import WeightedSamplingSolver
    from pylon.tnorm_solver import ProductTNormLogicSolver

    logits, holds = torch.stack((torch.zeros_like(scores), scores), -1), holding(family, n)
    sides: dict[str, Step] = {}
    if n <= 16:
        sides["Pylon brute force"] = pylon_step(SatisfactionBruteForceSolver(), holds, logits)
    sides["Pylon sampling (100)"] = pylon_step(WeightedSamplingSolver(100), holds, logits)
    most = {"exactly one": 1, "at most n/4": n // 4}.get(family, 0)
    if n <= 16 and math.comb(n, most + 1) <= WRITTEN:
        written = written_out(family, n)
        sides["Pylon SDD"] = each_step(SemanticLossCircuitSolver(), written.rule, logits)
        sides["Pylon product t-norm"] = each_step(ProductTNormLogicSolver(), written.rule, logits)
    return sides


def holding(family: str, n: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the rule over answers (batch, labels)."""
    if family == "exactly one":
        return lambda y: y.sum(-1) == 1
    if family == "at most n/4":
        return lambda y: y.sum(-1) <= n // 4
    clauses = clauses_of(n)
    return lambda y: torch.stack(
        [torch.stack([y[:, abs(one) - 1] == int(one > 0) for one in clause]).any(0) for clause in clauses]
    ).all(0)


def written_out(family: str, n: int) -> ModuleType:
    """Return a module whose `rule` says the same in the logic that Pylon reads: `and`, `or`, `not`, `y[i]`."""
    if family == "clauses":
        groups = [" or ".join(f"{'' if one > 0 else 'not '}y[{abs(one) - 1}]" for one in of) for of in clauses_of(n)]
    else:
        most = 1 if family == "exactly one" else n // 4
        groups = [" or ".join(f"not y[{one}]" for one in of) for of in combinations(range(n), most + 1)]
        if family == "exactly one":
            groups.append(" or ".join(f"y[{one}]" for one in range(n)))
    text = "def rule(y):\n    return " + " and ".join(f"({group})" for group in groups) + "\n"
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(text)
    spec = importlib.util.spec_from_file_location(f"written_{Path(file.name).stem}", file.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pylon_step(solver: object, holds: Callable[[torch.Tensor], torch.Tensor], logits: torch.Tensor) -> Step:
    """Return one step of a solver that takes the batch, whose loss is the sum over it."""
    solver.set_cond(holds)

    def step() -> float:
        leaf = logits.clone().requires_grad_()
        loss = solver.loss(leaf) / len(logits)
        loss.backward()
        return loss.item()

    return step


def each_step(solver: object, rule: Callable[..., object], logits: torch.Tensor) -> Step:
    """Return one step of a solver that takes one example, done for each of the batch."""
    solver.set_cond(rule)

    def step() -> float:
        total = 0.0
        for one in logits:
            leaf = one.clone().requires_grad_()
            with contextlib.redirect_stdout(io.StringIO()):  # it prints the tree each time
                loss = torch.as_tensor(solver.loss(leaf)).mean()
            loss.backward()
            total += loss.item()
        return total / len(logits)

    return step
