"""A run for others to kill: accumulation, early stopping, plugin state, schedules, a data plugin that draws.

`python -m tests.acceptance.long_run FOLDER` trains into FOLDER, from wherever it was left.
"""

import sys
import time
from pathlib import Path

import triune
from tests.core.test_engine import Counts, Draws, Gradual
from tests.support import Tables, ToyTask, config, table
from triune import hookimpl

TRAINING = {"epochs": 6, "accumulate": 3, "checkpoint_every": 1, "early_stopping": {"patience": 4}}


class Slow:
    """Take a little time a step, so that there is a moment to be killed in."""

    @hookimpl
    def observe(self, event):
        time.sleep(0.01)


def main(folder):
    settings = config("counts", "gradual", "slow", data=("tables", "draws"), **TRAINING)
    plugins = {
        "toy": ToyTask(counts=False),
        "tables": Tables(train=table(), test=table(16, seed=1)),
        "draws": Draws(),
        "counts": Counts(),
        "gradual": Gradual(),
        "slow": Slow(),
    }
    print("started", flush=True)
    triune.run(settings, plugins=plugins, output=Path(folder), resume="auto")


if __name__ == "__main__":
    main(sys.argv[1])
