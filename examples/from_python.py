"""Fine-tune from Python: tables as pandas frames, the configuration as a mapping, the result as an object.

    python examples/from_python.py

It learns from a small part of the example messages, so that it ends in seconds; the full run is
`triune run examples/customer_service/config.yaml`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import triune
from triune.events import Evaluated

MESSAGES = Path(__file__).parent / "customer_service"


def main() -> None:
    """Learn two intents from 80 messages, and use what was learnt."""
    table = pd.read_csv(MESSAGES / "train.csv", keep_default_na=False)
    train = table[table["label"].isin(["refund", "compliment"])].head(80)

    config = {
        "task": {"use": "text-classification", "model": "sentence-transformers/all-MiniLM-L6-v2"},
        "data": "table",
        "methods": "end-to-end",
        "training": {"epochs": 4, "batch_size": 8, "learning_rate": 1e-4, "seed": 7},
    }

    def watch(event: triune.Event) -> None:
        if isinstance(event, Evaluated):
            print(f"step {event.step.index}: accuracy {event.metrics['accuracy']:.2f} on {event.split}")

    with TemporaryDirectory() as folder:
        result = triune.run(config, data={"train": train}, output=Path(folder) / "run", observers=[watch])
        print(f"{len(result.history)} lines of history, {result.facts['timings']['training']} s of training")

        new = pd.DataFrame({"text": ["You were wonderful, thank you!", "I want my money back for the kettle."]})
        for text, predicted in zip(new["text"], triune.predict(result.folder, new)["predicted"], strict=True):
            print(f"{predicted:10}  {text}")


if __name__ == "__main__":
    main()
