"""How long grounding keyword rules takes: `python tests/benchmarks/grounding.py [TEXTS [RULES]]`."""

from __future__ import annotations

import random
import sys
import time

import pandas as pd

from triune import Label, Rule
from triune.conditions import Contains, ground_all


def main(texts: int = 100_000, rules: int = 1_000) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9))) for _ in range(20_000)]
    table = pd.DataFrame({"text": [" ".join(draw.choices(words, k=20)) for _ in range(texts)]})
    for kind, inside in (("whole words", False), ("inside words", True)):
        found = [
            Rule(f"r{number}", Label("a"), Contains(*phrases(draw, words), inside=inside)) for number in range(rules)
        ]
        start = time.perf_counter()
        fires = ground_all(found, table, {"text": "text"}).fires
        seconds = time.perf_counter() - start
        print(f"{texts:,} texts × {rules:,} rules of 4 phrases, {kind}: {seconds:.2f} s, {fires.sum():,} times fired")


def phrases(draw: random.Random, words: list[str]) -> list[str]:
    return [*draw.choices(words, k=3), " ".join(draw.choices(words, k=2))]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
