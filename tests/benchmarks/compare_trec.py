"""Compare rules, labels and both on TREC: the five default strategies, three seeds, in one resumable command.

    python tests/benchmarks/compare_trec.py [--labels 8] [--seeds 3] [--steps 100] [--strategies NAMES]
                                            [--output runs/compare-trec]

The rows are those of `rules_pay.py`: a few labels a class, drawn once for all seeds, the text of 600 further training
rows, the published rules as columns of votes, 500 test rows. No validation rows are set aside: the last model counts.
It prints the table of `triune compare`, then how long the runs took in all.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests are no installed package

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tests.benchmarks.rules_pay import MODEL, Job, Tables, plugin_of, tables_of

ROWS = 0  # the seed by which the labelled rows are drawn


def configuration(tables: Tables, steps: int, seeds: int) -> dict[str, object]:
    """Return what is compared."""
    return {
        "task": {"use": "text-classification", "model": MODEL, "labels": tables.labels},
        "data": {"use": "table", "text": "text", "label": "label"},
        "rules": ["published"],
        "training": {
            "batch_size": 16,
            "learning_rate": 1e-4,
            "max_length": 48,
            "validation": 0.0,
            "early_stopping": None,
            "seed": 0,
        },
        "compare": {"steps": steps, "seeds": seeds},
    }


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=8, help="a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--strategies", type=lambda text: text.split(","), help="instead of the default ones")
    parser.add_argument("--output", type=Path, default=Path("runs/compare-trec"))
    return parser.parse_args()


def main() -> None:
    """Compare, and print."""
    import triune
    from triune.comparing.page import lines_of
    from triune.comparing.working import Begun, Notice

    def say(notice: Notice) -> None:
        if isinstance(notice, Begun):
            print(f"{notice.number}/{notice.of}  {notice.job.title}", flush=True)

    arguments = parsed()
    tables = tables_of(Job("trec", arguments.labels, ROWS, "learning"))
    begun = time.process_time()
    found = triune.compare(
        configuration(tables, arguments.steps, arguments.seeds),
        data={"train": tables.train, "unlabelled": tables.unlabelled, "test": tables.test},
        plugins={"published": plugin_of(tables)},
        strategies=arguments.strategies,
        output=arguments.output,
        observers=[say],
    )
    print("\n".join(lines_of(found)))
    print(f"processor time of this call: {time.process_time() - begun:.0f} s")


if __name__ == "__main__":
    main()
