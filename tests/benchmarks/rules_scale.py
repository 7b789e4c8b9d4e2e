"""Measure what grows: circuits with their size, hierarchies of 4,000 labels, and a hundred rules in a training step.

    python tests/benchmarks/rules_scale.py [--rounds 10] [--step-ms 330]

1. Growth: forward and backward, batch 64, one thread, of random clauses of three labels (as many as labels) and of
   at most n/4 of n; microseconds a step for each edge.
2. Coherence: outputs of 4,122 labels in a hierarchy of the depth and fan of the Gene Ontology's, batch 4, against
   the maximum over labels × labels as it was published with C-HMCNN; log Z of a tree of as many labels.
3. A hundred rules over eight labels, batch 32: log Z and its gradient, as a share of the training step of a small
   encoder, `--step-ms`.

The claims: at least 50 times the dense form; at most 3 % of a step.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import TYPE_CHECKING

import torch
from rules_peers import clauses_of, step_of

from triune.logic import And, AnyOf, AtMost, Label, NoneOf, Or
from triune.logic.coherence import Coherence
from triune.logic.inference import RuleSet, Weighted
from triune.spaces import Binaries, Categorical

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS, FEW, BATCH = 4_122, 4, 64
TIMES_DENSE, SHARE = 50.0, 0.03


def main() -> int:
    """Measure all; return 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--step-ms", type=float, default=330.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    growth(arguments.rounds)
    faster = coherence(arguments.rounds)
    share = hundred_rules(arguments.rounds) / arguments.step_ms
    print(f"100 rules are {100 * share:.2f} % of a step of {arguments.step_ms:g} ms")
    return int(faster < TIMES_DENSE or share > SHARE)


def growth(rounds: int) -> None:
    """Print the time of a step over circuits of growing size."""
    for n in (16, 32, 64, 128, 256):
        line(f"at most {n // 4:3} of {n:3}", AtMost(n // 4, names(n)), n, rounds)
    for n in (16, 24, 32, 40, 48, 56):
        clauses = clauses_of(n)[:n]
        parts = (
            Or(*(Label(f"v{abs(one) - 1}") if one > 0 else ~Label(f"v{-one - 1}") for one in of)) for of in clauses
        )
        line(f"{n} clauses over {n} labels", And(*parts), n, rounds)


def line(what: str, formula: object, n: int, rounds: int) -> None:
    """Print one formula's edges, build and step."""
    started = time.perf_counter()
    compiled = RuleSet((Weighted("rule", formula, hard=True, always=True),)).compiled(Binaries(names(n)))
    build = 1e3 * (time.perf_counter() - started)
    ms, edges = best(step_of(compiled.log_z, torch.randn(BATCH, n)), rounds), compiled.cost.edges
    print(
        f"{what:26} {edges:8.0f} edges, built in {build:8.1f} ms, step {ms:7.2f} ms, {1e3 * ms / edges:6.3f} µs an edge"
    )


def coherence(rounds: int) -> float:
    """Print the times of coherent outputs; return how many times the dense form takes."""
    above = ancestry(LABELS)
    started = time.perf_counter()
    hierarchy = Coherence.of(names(LABELS), above)
    pairs, build = sum(map(len, hierarchy.closure)), 1e3 * (time.perf_counter() - started)
    scores = torch.randn(FEW, LABELS)
    reach = torch.zeros(LABELS, LABELS)
    for ancestor, below in enumerate(hierarchy.closure):
        reach[ancestor, list(below)] = 1

    def dense(leaf: torch.Tensor) -> torch.Tensor:
        here = leaf.unsqueeze(1).expand(-1, LABELS, -1)
        return (here * reach).max(2).values

    positive = scores.sigmoid()  # the dense form multiplies by zero, so needs probabilities
    assert torch.equal(hierarchy.coherent(positive), dense(positive))
    sparse = best(summed(hierarchy.coherent, positive), rounds)
    published = best(summed(dense, positive), 2)
    print(
        f"{LABELS} labels, {pairs} pairs (built in {build:.0f} ms): {sparse:.2f} ms, "
        f"dense {published:.0f} ms, {published / sparse:.0f} times"
    )
    tree = Coherence.of(names(LABELS), {f"v{one}": [f"v{(one - 1) // 6}"] for one in range(1, LABELS)})
    started = time.perf_counter()
    compiled = tree.compiled(Binaries(names(LABELS)))
    build = time.perf_counter() - started
    ms = best(step_of(compiled.log_z, scores), rounds)
    print(f"log Z of a tree of {LABELS} labels: {compiled.cost}, built in {build:.1f} s, step {ms:.2f} ms")
    return published / sparse


def hundred_rules(rounds: int) -> float:
    """Return the milliseconds of a hundred rules over eight labels, batch 32."""
    generator, labels = random.Random(0), names(8)
    kinds = (lambda of: AnyOf(*of), lambda of: NoneOf(*of), lambda of: Label(of[0]))
    formulas = [kinds[one % 3](generator.sample(labels, 1 + one % 4)) for one in range(100)]
    rules = tuple(Weighted(f"r{one}", formula, 0.5 + one / 100) for one, formula in enumerate(formulas))
    compiled = RuleSet(rules).compiled(Categorical(labels))
    scores, fires = torch.randn(32, 8), torch.rand(100, 32) < 0.1
    ms = best(step_of(lambda leaf: compiled.log_z(leaf, fires), scores), rounds)
    print(f"100 rules over 8 labels, batch 32: {ms:.2f} ms")
    return ms


def ancestry(n: int) -> dict[str, list[str]]:
    """Return parents, one or two a label, in a hierarchy about ten levels deep."""
    generator, above = random.Random(0), {}
    for one in range(3, n):
        first, last = max(0, one // 4 - 1), max(1, one // 2)
        above[f"v{one}"] = sorted(
            {f"v{generator.randrange(first, last)}" for _ in range(generator.choice((1, 1, 1, 2)))}
        )
    return above


def summed(function: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor) -> Callable[[], None]:
    """Return one step forward and backward."""

    def step() -> None:
        leaf = scores.clone().requires_grad_()
        function(leaf).square().sum().backward()

    return step


def names(n: int) -> tuple[str, ...]:
    """Return n labels."""
    return tuple(f"v{place}" for place in range(n))


def best(step: Callable[[], object], rounds: int) -> float:
    """Return the milliseconds of the best round, after one that warms up."""
    step()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - started))
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
