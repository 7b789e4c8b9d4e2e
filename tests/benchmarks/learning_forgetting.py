"""How much of a first task an encoder still knows after a second: what `learning_quality.py --forgetting` measures.

The encoder learns TREC end to end, and from there twelve intents of Banking77, by the method in question, with a new
head. Then

- `after`: embeddings and blocks of the second model under the first task's own head (pooler and classifier, set aside
  when the second began), on the first task's test rows; `before` is the same before the second task. Nothing is
  trained again, so it counts what a user loses who swaps heads.
- `probed`: logistic regression on what the last block says of the first token, fitted on the first task's training
  rows: what the encoder still tells apart, though the old head may no longer read it.
- `second`: accuracy on the second task, because who learns nothing forgets nothing.

Adapters are merged into the weights, prompts and prefixes taken out, as their runs export them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.benchmarks.learning_jobs import Job, configuration, score, tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.learning_jobs import Recipe, Row

FIRST, SECOND = "trec", "banking"
FIRST_ROWS = 256
FISHER_EXAMPLES = 64
BESIDE: Mapping[str, Mapping[str, object]] = {"anchor": {"head_weight": 0}, "ewc": {}}
STRENGTHS: Mapping[str, Sequence[float]] = {
    "anchor": (0.03, 0.1, 0.3, 1.0, 3.0),
    "ewc": (1e4, 1e5, 1e6, 1e7),
    "end-to-end": (0.0,),  # what is lost with neither
}
DECIDING = (10, 11)  # seeds on which strengths are tried, none of them of a table


def forgetting_side(job: Job, encoder: Path, shared: Path, folder: Path) -> Row:
    """Learn the second task, and return what is left of the first."""
    import torch
    from transformers import AutoModelForSequenceClassification as Network

    import triune

    torch.set_num_threads(1)
    first = learnt_first(job, encoder, shared)
    beside = [penalty(job, first)] if job.method in BESIDE else []
    trained = replace(job, method="end-to-end" if beside else job.method, setting=None)
    config = configuration(trained, first / "model", tables_of(SECOND, job.recipe), folder, beside)
    triune.run(config, output=folder / "run")
    told = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    network = Network.from_pretrained(first / "model")
    later = Network.from_pretrained(folder / "run" / "model").bert
    network.bert.embeddings, network.bert.encoder = later.embeddings, later.encoder
    before = json.loads((first / "before.json").read_text(encoding="utf-8"))
    found = knows(network, first, job.recipe)
    return {**before, "after": found["read"], "probed": found["probed"], "second": told["test"]["accuracy"]}


def penalty(job: Job, first: Path) -> dict[str, object]:
    """Return the settings of anchor or ewc, with a strength of its own where one is tried."""
    weight = {} if job.setting is None else {"weight": job.setting}
    fisher = {"fisher_from": str(first / "model")} if job.method == "ewc" else {}
    return {"use": job.method, **BESIDE[job.method], **weight, **fisher}


def learnt_first(job: Job, encoder: Path, shared: Path) -> Path:
    """Return a folder with the model of the first task and its Fisher information, made once a seed."""
    from transformers import AutoModelForSequenceClassification as Network

    import triune

    place = shared / f"first-{job.seed}"
    if not place.exists():
        unfinished = place.with_suffix(".part")
        unfinished.mkdir()
        task = Job("quality", FIRST, "end-to-end", "triune", job.seed, recipe=replace(job.recipe, rows=FIRST_ROWS))
        kept = {"use": "ewc", "keep": True, "weight": 0, "examples": FISHER_EXAMPLES}
        triune.run(
            configuration(task, encoder, tables_of(FIRST, task.recipe), unfinished, [kept]),
            output=unfinished / "run", overwrite=True,
        )  # fmt: skip
        (unfinished / "run" / "model").rename(unfinished / "model")
        found = knows(Network.from_pretrained(unfinished / "model"), unfinished, job.recipe)
        before = {"before": found["read"], "probed_before": found["probed"]}
        (unfinished / "before.json").write_text(json.dumps(before))
        unfinished.rename(place)
    return place


def knows(network: Any, first: Path, recipe: Recipe) -> dict[str, float]:
    """Return test accuracy of the first task: by the network's head, and by a probe of its last block."""
    from sklearn.linear_model import LogisticRegression

    rows = tables_of(FIRST, replace(recipe, rows=FIRST_ROWS))
    labels = {split: [row["label"] for row in some] for split, some in rows.items()}
    found = {split: said(network, some, first, recipe) for split, some in rows.items()}
    answers = [network.config.id2label[int(one)] for one in found["test"][0].argmax(-1)]
    probe = LogisticRegression(max_iter=300).fit(found["train"][1].numpy(), labels["train"])
    return {
        "read": score(labels["test"], answers)["accuracy"],
        "probed": float(probe.score(found["test"][1].numpy(), labels["test"])),
    }


def said(network: Any, rows: Sequence[Row], first: Path, recipe: Recipe) -> tuple[Any, Any]:
    """Return scores, (rows, labels), and the last block's states of the first token, (rows, width)."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(first / "model")
    network.eval()
    scores, states = [], []
    with torch.no_grad():
        for at in range(0, len(rows), 64):
            texts = [row["text"] for row in rows[at : at + 64]]
            batch = tokenizer(texts, truncation=True, max_length=recipe.max_length, padding=True, return_tensors="pt")
            answer = network(**batch, output_hidden_states=True)
            scores.append(answer.logits)
            states.append(answer.hidden_states[-1][:, 0])
    return torch.cat(scores), torch.cat(states)
