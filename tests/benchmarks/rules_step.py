"""Measure what a hundred rules cost a training step: the same runs with and without them, in turns.

    python tests/benchmarks/rules_step.py [--rounds 3] [--steps 20]

Texts of 25 words, batches of 32, a small pretrained encoder that learns end to end on one thread; a hundred rules over
eight labels, each firing on about a tenth of the texts, in the loss. Compared are the medians of the processor's time
from step to step, the first three steps left out.

The claim: at most 3 % more than without.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pandas as pd

import triune
from triune import Label, Rule, hookimpl
from triune.conditions import Contains
from triune.events import Stepped

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LABELS = tuple(f"label {number}" for number in range(8))
WORDS = tuple(f"{first}{second}" for first in ("ba", "ke", "mi", "no", "su") for second in ("ra", "te", "lo", "pu"))
RULES, SHARE, WARM = 100, 0.03, 3


class Hundred:
    """A rule for each of a hundred pairs of words."""

    @hookimpl
    def rules(self) -> Iterator[Rule]:
        """Contribute them."""
        draw = random.Random(1)
        for number in range(RULES):
            words = draw.sample(WORDS, 2)
            yield Rule(f"r{number}", Label(draw.choice(LABELS)), Contains(" ".join(words)), confidence=0.9)


def texts(count: int) -> pd.DataFrame:
    """Return texts in which a given pair of words stands side by side now and then."""
    draw = random.Random(0)
    return pd.DataFrame(
        {
            "text": [" ".join(draw.choices(WORDS, k=25)) for _ in range(count)],
            "label": [draw.choice(LABELS) for _ in range(count)],
        }
    )


def seconds(methods: list[str], steps: int, folder: Path) -> float:
    """Return the median of the processor's seconds from step to step."""
    times: list[float] = []

    def clock(event: object) -> None:
        if isinstance(event, Stepped):
            times.append(time.process_time())

    config = {
        "task": {"use": "text-classification", "model": MODEL},
        "data": "table",
        "methods": ["end-to-end", *methods],
        "rules": ["hundred"],
        "training": {
            "max_steps": steps, "epochs": 100, "batch_size": 32, "threads": 1, "validation": 0, "early_stopping": None,
            "keep_best": False, "baselines": False,
        },
    }  # fmt: skip
    triune.run(config, data=texts(640), plugins={"hundred": Hundred()}, output=folder, observers=[clock])
    return median(after - before for before, after in zip(times[WARM:], times[WARM + 1 :], strict=False))


def main() -> int:
    """Run both in turns and say how they compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    ratios = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            plain = seconds([], options.steps, Path(folder) / "plain")
            ruled = seconds(["semantic-loss"], options.steps, Path(folder) / "ruled")
        ratios.append(ruled / plain)
        print(
            f"round {number + 1}: {1e3 * plain:.0f} ms without, {1e3 * ruled:.0f} ms with, {ratios[-1]:.3f}", flush=True
        )
    print(f"{RULES} rules cost {100 * (median(ratios) - 1):+.1f} % of a step [{min(ratios):.3f}, {max(ratios):.3f}]")
    return int(median(ratios) > 1 + SHARE)


if __name__ == "__main__":
    sys.exit(main())
