"""Measure what the light commands cost above bare Python, in milliseconds of CPU.

    python tests/benchmarks/light.py [--rounds 20] [--results light.json]

Bare Python and the commands take turns, so that whatever else the machine does meets them alike. The claim:
`triune --help` costs at most 60 ms above bare Python, and `triune plugins` at most 200 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

BARE = "bare python"
COMMANDS = {
    BARE: ["-c", "pass"],
    "triune --help": ["-m", "triune", "--help"],
    "triune plugins": ["-m", "triune", "plugins"],
    "triune run --help": ["-m", "triune", "run", "--help"],
}
BUDGETS = {"triune --help": 60.0, "triune plugins": 200.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(arguments.rounds + 1):
        for name, words in COMMANDS.items():
            cost = cpu_milliseconds(words)
            if turn:  # the first turn writes bytecode
                times[name].append(cost)
    report = {name: summary(values, times[BARE], BUDGETS.get(name)) for name, values in times.items()}
    print(f"{'':20} {'median':>8} {'quartiles':>15} {'above bare':>11} {'ratio':>6} {'budget':>7}")
    for name, row in report.items():
        low, high = row["quartiles"]
        budget = f"{row['budget']:.0f}" if row["budget"] else ""
        print(
            f"{name:20} {row['median']:8.1f} {f'{low:.1f}–{high:.1f}':>15} "
            f"{row['above']:11.1f} {row['ratio']:6.2f} {budget:>7}"
        )
    if arguments.results:
        arguments.results.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    over = [name for name, budget in BUDGETS.items() if report[name]["above"] > budget]
    print(f"over budget: {', '.join(over)}" if over else "within budget")
    return int(bool(over))


def summary(values: list[float], bare: list[float], budget: float | None) -> dict[str, object]:
    """Return what a command costs, and what it costs above bare Python: the median of the differences in turn."""
    low, _, high = quantiles(values, n=4)
    differences = [mine - theirs for mine, theirs in zip(values, bare, strict=True)]
    return {
        "median": median(values),
        "quartiles": [low, high],
        "above": median(differences),
        "ratio": median(values) / median(bare),
        "budget": budget,
    }


def cpu_milliseconds(words: list[str]) -> float:
    """Return the user and system time of a Python process, in milliseconds."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words} left with {process.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    sys.exit(main())
