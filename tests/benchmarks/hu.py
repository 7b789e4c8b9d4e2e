"""Sentiment with the rule "A but B": student and teacher of Hu et al. 2016 against no rule, on SST-2.

    python tests/benchmarks/hu.py [--rows 2000] [--epochs 2] [--seeds 0,1,2,3,4] [--results hu.json] [--table]

The rule: a sentence "A but B" has the sentiment of B, as far as the model itself knows it. It says so of an answer y by
(1 + p(y | B)) / 2, where p(y | B) is what the model, as it is at that very step, says of clause B alone; so it is a
rule whose truth is a function of the outputs and not a formula over labels.

Every seed draws its training rows; both arms get the same ones, the same model and the same number of steps, and no
validation label. `none` learns from labels alone; `projection` is the same model, its predictions projected onto the
rule; `student` learnt with the rule, and `teacher` is its projection. A finished training is not repeated.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from triune import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from triune import Batch, Bundle, Data, LossTerm, Outputs, Rule, Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sst2"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LABELS = ("negative", "positive")
ODDS = 6.0  # what breaking a rule of confidence 1 costs: C in the paper
ARMS: dict[str, list[object]] = {"labels": [], "teacher": [{"use": "rule-teacher", "guard": 0}]}
COLUMNS = {"none": "labels", "projection": "labels", "student": "teacher", "teacher": "teacher"}
FIGURES = ("accuracy", "accuracy on but-sentences", "at odds with clause B")

Row = dict[str, Any]  # read from JSON


class ButSentences:
    """Text classification that knows what the model says of clause B, and the rule that says what follows."""

    def __init__(self) -> None:
        from triune_text_classification import TextClassification

        self.inner = TextClassification(TextClassification.Config(model=MODEL, labels=LABELS))
        self.forward: Callable[[Batch], Outputs] | None = None
        self.asked: tuple[Batch, Tensor] | None = None  # what was last asked for: a rule is asked once for each label

    @hookimpl
    def build_model(self, run: Run, data: Data) -> Bundle:
        """Decide the model of the inner task, and encode the clauses as it encodes sentences."""
        self.bundle = self.inner.build_model(run, data)
        self.sentences = {split: self.bundle.encode(data, split) for split in data.splits}
        self.clauses, self.places = {}, {}
        for split, table in data.splits.items():
            has = table["but_clause"].notna().to_numpy()
            clauses = table[has].assign(text=table["but_clause"][has])
            self.clauses[split] = self.bundle.encode(data.with_split(split, clauses), split)
            self.places[split] = has.cumsum() * has - 1  # (rows,) which clause; -1: none
        return self.bundle

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute the term of the inner task."""
        return self.inner.loss_terms()

    @hookimpl
    def rules(self) -> Iterable[Rule]:
        """Contribute the rule."""
        from triune import Rule, SoftFormula
        from triune.conditions import Column

        yield Rule("a-but-b", SoftFormula(self.truth), when=Column("but_clause", "missing", False))

    @hookimpl
    def before_training(self, forward: Callable[[Batch], Outputs]) -> None:
        """Keep what tells the outputs of the model as it is."""
        self.forward = forward

    @hookimpl
    def measure(self, predictions: pd.DataFrame) -> Mapping[str, Any]:
        """Contribute the metrics of the inner task."""
        return self.inner.measure(predictions)

    def truth(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return (batch,) (1 + sum_y p(y) p(y | B)) / 2."""
        if self.asked is None or self.asked[0] is not batch:
            self.asked = (batch, self.beliefs(batch))
        return (1 + (outputs.space.probabilities(outputs.scores) * self.asked[1]).sum(-1)) / 2

    def beliefs(self, batch: Batch) -> Tensor:
        """Return (batch, labels) what the model says of each clause B now; one half where there is none."""
        places = self.places[batch.split][batch.rows.cpu().numpy()]
        even = self.bundle.space.probabilities(batch.targets * 0)
        if self.forward is None or not (places >= 0).any():
            return even
        outputs = self.forward(self.clauses[batch.split].batch(places[places >= 0]))
        even[batch.rows.new_tensor((places >= 0).nonzero()[0])] = outputs.space.probabilities(outputs.scores)
        return even

    def said(self, split: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (rows, labels) what the model says of every sentence and of its clause B."""
        import numpy as np
        import torch

        found = []
        for rows in np.array_split(np.arange(len(self.sentences[split])), 40):
            batch = self.sentences[split].batch(rows)
            outputs = self.forward(batch)  # type: ignore[misc]
            found.append((outputs.space.probabilities(outputs.scores), self.beliefs(batch)))
        sentences, clauses = (torch.cat(list(each)).double().numpy() for each in zip(*found, strict=True))
        return sentences, clauses


# A training.


def rows_of(split: str) -> list[Row]:
    """Return the rows of a split."""
    with gzip.open(DATA / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def train(arm: str, seed: int, options: argparse.Namespace) -> Row:
    """Train, and return what was measured, by column of the table."""
    import numpy as np
    import pandas as pd

    import triune

    task = ButSentences()
    rows = random.Random(seed).sample(rows_of("train"), options.rows)
    tables = {
        split: pd.DataFrame(some)[["text", "label", "but_clause"]]
        for split, some in (("train", rows), ("test", rows_of("test")))
    }
    with tempfile.TemporaryDirectory() as folder:
        triune.run(configuration(arm, seed, options.epochs, Path(folder)), data=tables, plugins={"but-sentences": task})
    own, clauses = task.said("test")
    gold = (tables["test"]["label"] == LABELS[1]).to_numpy()
    but = tables["test"]["but_clause"].notna().to_numpy()
    weighed = np.exp(-ODDS * (1 - (1 + clauses) / 2))  # q(y) ∝ p(y) exp(−C (1 − truth of y))
    taught = np.where(but[:, None], own * weighed, own)
    both = {"labels": ("none", "projection"), "teacher": ("student", "teacher")}[arm]
    return {
        name: figures(p.argmax(1), gold, but, clauses.argmax(1)) for name, p in zip(both, (own, taught), strict=True)
    }


def figures(said: NDArray[np.int64], gold: NDArray[np.bool_], but: NDArray[np.bool_], clause: NDArray[np.int64]) -> Row:
    """Return the figures of predictions."""
    right = said == gold
    values = (right.mean(), right[but].mean(), (said != clause)[but].mean())
    return dict(zip(FIGURES, map(float, values), strict=True))


def configuration(arm: str, seed: int, epochs: int, directory: Path) -> dict[str, object]:
    """Say the training in the words of triune."""
    return {
        "task": "but-sentences",
        "data": {"use": "table", "text": "text", "label": "label"},
        "methods": ["end-to-end", *ARMS[arm]],
        "training": {
            "epochs": epochs,
            "batch_size": 32,
            "learning_rate": 1e-4,
            "max_length": 64,
            "seed": seed,
            "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
            "validation": 0.0,
            "early_stopping": None,
            "keep_best": False,
            "baselines": False,
            "checkpoint_every": 10_000,
        },
        "output": str(directory / "run"),
    }


# The table.


def lines_of_table(done: Mapping[str, Row]) -> Iterator[str]:
    """Yield the table as Markdown, mean and spread over seeds in points."""
    yield f"| | {' | '.join(COLUMNS)} |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for figure in FIGURES:
        values = [
            [100 * one[column][figure] for key, one in done.items() if key.startswith(arm + "/")]
            for column, arm in COLUMNS.items()
        ]
        yield f"| {figure} | {' | '.join(map(summary, values))} |"


def summary(values: Sequence[float]) -> str:
    """Return mean and spread."""
    if not values:
        return "–"
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{mean(values):.1f}"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="sentences to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--results", type=Path, default=Path("hu.json"))
    parser.add_argument("--table", action="store_true", help="train nothing, print the table of what is done")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("hu: skipped, the public data sets are not at ../shared/data beside this repository")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    done: dict[str, Row] = json.loads(options.results.read_text()) if options.results.exists() else {}
    for seed in [] if options.table else options.seeds:
        for arm in ARMS:
            key = f"{arm}/{options.rows} rows/{options.epochs} epochs/seed {seed}"
            if key not in done:
                began = time.monotonic()
                done[key] = train(arm, seed, options)
                options.results.write_text(json.dumps(done, indent=1) + "\n")
                print(f"{key}: {done[key]} in {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(lines_of_table(done)))


if __name__ == "__main__":
    main()
