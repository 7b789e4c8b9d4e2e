"""Balancing published rules against labels: a bound that multipliers meet, weights tuned by hand, and wrong rules.

    python tests/benchmarks/balance.py [--sets trec,youtube,agnews] [--seeds 0,1] [--arms dual-0.2,fixed-1]
                                       [--trained] [--results balance.json] [--table]

Every arm gets the same representation (mean-pooled MiniLM, frozen and computed once; a layer of 128 and the head
train), the same 16 labelled rows a class, the same 150 labelled rows to validate on, and 300 steps of 32; arms with
rules the text of 600 rows more, half of each batch. With `--trained` the upper three of MiniLM's six blocks learn
instead, as in `rules_pay`, for 150 steps of 16; keep its results in a file of their own. The best model is measured on
test rows. Rows are drawn as in `rules_pay`, by the seed, and rules vote as their authors published it, at a confidence
of 0.9.

Arms: `learning` has labels alone; `fixed-W` pushes rules by the weight W; `dual-B` asks for a share B of broken rules,
or for as few as the labels break where that is more. `flipped-…`: the same where 30 % of the rules vote for a wrong
label; `flipped-believed` believes what is written. A finished job is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

for name, value in {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}.items():
    os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402

from tests.benchmarks import rules_pay  # noqa: E402
from tests.benchmarks.rules_pay import SETS, Job, Row, Tables, names_in, numbers_in, read, summary  # noqa: E402
from triune import Bundle, LossTerm, Outputs, hookimpl  # noqa: E402
from triune.examples import Examples, Ragged  # noqa: E402
from triune.spaces import Categorical, target_matrix  # noqa: E402
from triune.testing.toys import counted, cross_entropy  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from triune import Batch, Data

LABELS = 16  # a class
VALID = 150
STEPS = 300
EVERY = 15
RATE = 2e-3
TRAINED = {"max_steps": 150, "epochs": 150, "evaluate_every": 10, "keep_best": True}
WIDTH = 128
ASKED = ("0.02", "0.2")
FLIPPED = 0.3
WEIGHTS = ("0.1", "0.3", "1", "3", "10")
ARMS: dict[str, dict[str, object] | None] = {
    "learning": None,
    **{f"dual-{share}": {"balance": {"use": "dual", "at_most": float(share)}} for share in ASKED},
    **{f"fixed-{weight}": {"balance": {"use": "fixed", "weight": float(weight)}} for weight in WEIGHTS},
    "flipped-fixed-1": {},
    "flipped-dual-0.2": {"balance": {"use": "dual", "at_most": 0.2}},
    "flipped-believed": {"confidences": "fixed"},
}


def run(job: Job, directory: Path, results: Path, trained: bool = False) -> Row:
    """Train, and return what was measured on the test rows."""
    import pandas as pd

    import triune

    tables = rules_pay.tables_of(job)
    if job.arm.startswith("flipped"):
        tables = replace(tables, rules=flipped(tables, job.seed))
    train = tables.train
    if job.arm != "learning":  # half of what is learnt from has a label
        times = max(round(len(tables.unlabelled) / len(train)), 1)
        train = pd.concat([*[train] * times, tables.unlabelled.assign(label=None)], ignore_index=True)
    data = {"train": train, "valid": held_out(job), "test": tables.test}
    config = configuration(job, tables, directory)
    plugins: dict[str, object] = {"published": rules_pay.plugin_of(tables)}
    if trained:
        common = rules_pay.configuration(replace(job, arm="learning"), tables, directory)
        methods = [*rules_pay.LEARN, *pushing(job)]
        config = {**common, "methods": methods, "training": {**common["training"], **TRAINED}}
    else:
        texts = [text for table in (tables.unlabelled, *data.values()) for text in table["text"]]
        features = features_of(texts, results.with_name(f"{results.stem}-{job.set}-{job.seed}.npz"))
        plugins["frozen"] = Frozen(tables.labels, features)
    result = triune.run(config, data=data, plugins=plugins)
    test = result.metrics["test"]
    return {"metrics": rules_pay.figures(test), "projection": {}, "overall": test["rules_overall"], **bounds(test)}


def held_out(job: Job) -> pd.DataFrame:
    """Return labelled rows to validate on: the first that `rules_pay` neither learns from nor reads the text of."""
    chosen = SETS[job.set]
    written = json.loads((rules_pay.DATA / chosen.folder / "rules.json").read_text(encoding="utf-8"))
    rows = rules_pay.rows_of(chosen.folder, "train")
    order = random.Random(job.seed).sample(range(len(rows)), len(rows))
    taken = set(rules_pay.drawn(rows, order, job.labels))
    others = [place for place in order if place not in taken][rules_pay.TEXTS :][:VALID]
    return rules_pay.table_of(
        [rows[place] for place in others], written["rules"], [str(one) for one in written["labels"]]
    )


def flipped(tables: Tables, seed: int) -> list[object]:
    """Return the rules, of which some, drawn by the seed, vote for another label."""
    from triune import Label

    draw = random.Random(f"flip {seed}")
    wrong = set(draw.sample(range(len(tables.rules)), round(FLIPPED * len(tables.rules))))
    found = []
    for place, rule in enumerate(tables.rules):
        others = [label for label in tables.labels if label != rule.then.name]
        found.append(replace(rule, then=Label(draw.choice(others))) if place in wrong else rule)
    return found


def bounds(test: Mapping[str, object]) -> Row:
    """Return how often the rules that act are broken on the test rows, and the bound where one was asked for."""
    said = test.get("hybrid", {})
    if not said:
        return {}
    acting = [name for name, one in said["rules"].items() if one["confidence"] > 0.5]
    rows = [one for name in acting if (one := test["rules"][name])["violation_rate"] is not None]
    fired = sum(one["coverage"] for one in rows) * test["examples"]
    broken = sum(one["coverage"] * one["violation_rate"] for one in rows) * test["examples"] / max(fired, 1)
    gold = sum(one["coverage"] * one["violation_rate_on_gold"] for one in rows) * test["examples"] / max(fired, 1)
    return {
        "violation": broken,
        "on_gold": gold,
        "fired": fired,
        "silenced": len(said["rules"]) - len(acting),
        **{name: each["rules"] for name, each in said.items() if name in ("bounds", "multipliers")},
    }


def pushing(job: Job) -> list[object]:
    """Return the method that pushes rules, if any does."""
    settings = ARMS[job.arm]
    return [] if settings is None else [{"use": "hybrid", **settings}]


def configuration(job: Job, tables: Tables, directory: Path) -> dict[str, object]:
    """Say the job, on frozen representations, in the words of triune."""
    common = rules_pay.configuration(replace(job, arm="learning"), tables, directory)
    training = {
        **common["training"],
        "max_steps": STEPS,
        "epochs": STEPS,
        "batch_size": 32,
        "learning_rate": RATE,
        "evaluate_every": EVERY,
        "keep_best": True,
    }
    return {**common, "task": "frozen", "methods": ["end-to-end", *pushing(job)], "training": training}


# The task: a small network on representations that hold still.


class Frozen:
    """Classify texts by what a frozen encoder makes of them."""

    def __init__(self, labels: Sequence[str], features: Mapping[str, NDArray[np.float32]]) -> None:
        self.labels, self.features = tuple(labels), features

    @hookimpl
    def build_model(self) -> Bundle:
        """Decide a network of one hidden layer."""
        import torch

        numbers = {text: place for place, text in enumerate(self.features)}
        table = torch.from_numpy(np.stack(list(self.features.values())))
        space = Categorical(self.labels)
        layers = (torch.nn.Linear(table.shape[1], WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, len(self.labels)))

        def encode(data: Data, split: str) -> Examples:
            rows, cells = data.splits[split], data.labels(split)
            known = [None] * len(rows) if cells is None else cells.tolist()
            targets, labelled = target_matrix(known, space.labels, lambda row: data.place(split, row))
            ids = Ragged.of([[numbers[text]] for text in rows["text"]], 0)
            return Examples({"input_ids": ids}, targets, labelled, np.ones(len(rows), dtype=np.float32), split)

        def forward(model: torch.nn.Module, batch: Batch) -> Outputs:
            return Outputs(model(table[batch.inputs["input_ids"][:, 0]]), space)

        return Bundle(torch.nn.Sequential(*layers), space, encode, forward, lambda model, folder: None, head=("2.*",))

    @hookimpl
    def loss_terms(self) -> Iterator[LossTerm]:
        """Contribute the cross-entropy of labelled examples."""
        yield LossTerm("task", cross_entropy, counts=counted)

    @hookimpl
    def measure(self, predictions: pd.DataFrame) -> Mapping[str, float]:
        """Contribute accuracy and macro-F1."""
        gold, said = predictions["gold"].tolist(), predictions["predicted"].tolist()
        return {
            "accuracy": float(np.mean([one == other for one, other in zip(gold, said, strict=True)])),
            "macro_f1": float(f1_score(gold, said, average="macro", zero_division=0)),
        }


def features_of(texts: Sequence[str], kept: Path) -> dict[str, NDArray[np.float32]]:
    """Return what the encoder makes of each text, from a file where that was done before."""
    if kept.exists():
        found = np.load(kept, allow_pickle=False)
        return dict(zip(found["texts"].tolist(), found["features"], strict=True))
    import torch
    from transformers import AutoModel, AutoTokenizer

    from triune.models import locate

    folder = locate(rules_pay.MODEL, Path()).path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    order = sorted(set(texts), key=len)
    parts = []
    for start in range(0, len(order), 32):
        inputs = tokenizer(order[start : start + 32], padding=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        parts.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    features = np.concatenate(parts)
    np.savez(kept, texts=np.asarray(order), features=features)
    return dict(zip(order, features, strict=True))


def work(jobs: Sequence[Job], results: Path, trained: bool) -> None:
    """Do the jobs one after the other; the result of each is a line of the file."""
    for job in jobs:
        if job in read(results):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(job, Path(folder), results, trained)
        line = json.dumps({"job": asdict(job), **found, "seconds": round(time.monotonic() - began, 1)})
        with results.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
        print(f"{job}: {found['metrics']} in {time.monotonic() - began:.0f} s", flush=True)


# The tables.


def lines_of_tables(options: argparse.Namespace) -> Iterator[str]:
    """Yield the tables as Markdown: accuracy by arm, then the bounds."""
    done = read(options.results)

    def rows_of(name: str, arm: str) -> list[Row]:
        found = [done.get(Job(name, LABELS, seed, arm)) for seed in options.seeds]
        return [one for one in found if one]

    yield f"| set, metric | {' | '.join(options.arms)} |"
    yield "|---|" + "---:|" * len(options.arms)
    for name in options.sets:
        metric = SETS[name].metric
        cells = [summary([row["metrics"][metric] for row in rows_of(name, arm)]) for arm in options.arms]
        yield f"| {name}, {metric} | {' | '.join(cells)} |"
    yield ""
    yield "| set, asked | bound | broken on test | by the test's labels | multiplier | met within 2 s.e. |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, share in product(options.sets, ASKED):
        rows = rows_of(name, f"dual-{share}")
        if rows:
            figures = [summary([row[key] for row in rows]) for key in ("bounds", "violation", "on_gold")]
            met = sum(row["violation"] <= row["bounds"] + 2 * error(row["bounds"], row["fired"]) for row in rows)
            multiplier = mean(row["multipliers"] for row in rows)
            figures += [f"{multiplier:.2f}", f"{met} of {len(rows)}"]
            yield f"| {name}, {100 * float(share):g} | {' | '.join(figures)} |"


def error(share: float, examples: float) -> float:
    """Return the standard error of a share."""
    return (share * (1 - share) / max(examples, 1)) ** 0.5


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=["trec", "youtube", "agnews"], help="of those of rules_pay")
    parser.add_argument("--seeds", type=numbers_in, default=[0, 1])
    parser.add_argument("--arms", type=names_in, default=list(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--results", type=Path, default=Path("balance.json"), help="a line for each finished job")
    parser.add_argument("--trained", action="store_true", help="blocks of the encoder learn, too")
    parser.add_argument("--table", action="store_true", help="print the tables of what is done, and do nothing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parse(argv)
    jobs = [Job(name, LABELS, seed, arm) for seed in options.seeds for name in options.sets for arm in options.arms]
    if not options.table:
        work(jobs, options.results, options.trained)
    print("\n".join(lines_of_tables(options)))


if __name__ == "__main__":
    main()
