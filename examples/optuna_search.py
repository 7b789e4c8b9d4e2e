"""Search the settings of methods with Optuna: learning rate, blocks that learn, weight of the rules.

    pip install "triune[optuna]"
    python examples/optuna_search.py

Each trial is a run over a part of the example messages. An observer tells Optuna every validation result, and ends
the run that is worse than the others were at that step.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import pandas as pd

import triune
from triune.events import EndRun, Evaluated

MESSAGES = Path(__file__).parent / "customer_service"
METRIC = "macro_f1"


def configuration(trial: optuna.Trial, model: str, steps: int) -> dict[str, object]:
    """Return the configuration of a trial."""
    return {
        "task": {"use": "text-classification", "model": model},
        "data": "table",
        "methods": [
            {"use": "top-layers", "blocks": trial.suggest_int("blocks", 1, 2)},
            {"use": "semantic-loss", "weight": trial.suggest_float("rule_weight", 0.05, 2.0, log=True)},
        ],
        "rules": {"use": "rule-file", "path": str(MESSAGES / "rules.yaml")},
        "training": {
            "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
            "max_steps": steps,
            "epochs": float(steps),  # never the sooner end
            "batch_size": 16,
            "labelled_share": 0.5,
            "max_length": 48,
            "evaluate_every": max(steps // 4, 1),
            "early_stopping": None,
            "baselines": False,
            "report": "off",
            "threads": 1,  # short texts in small batches gain little from more
        },
    }


def tables() -> dict[str, pd.DataFrame]:
    """Return the messages with labels, those that decide, and those without a label."""
    read = {name: pd.read_csv(MESSAGES / f"{name}.csv", keep_default_na=False) for name in ("few", "train", "pool")}
    return {"train": read["few"], "valid": read["train"].tail(90), "unlabelled": read["pool"].head(100)}


def search(model: str, trials: int, steps: int, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """Return the study of so many trials."""
    data = tables()

    def objective(trial: optuna.Trial) -> float:
        def watch(event: triune.Event) -> None:
            if isinstance(event, Evaluated) and event.predictions is None and event.step.index:
                trial.report(float(event.metrics[METRIC]), event.step.index)
                if trial.should_prune():
                    raise EndRun(f"step {event.step.index}: worse than the trials before")

        config = configuration(trial, model, steps)
        with TemporaryDirectory() as folder:
            try:
                result = triune.run(config, data=data, output=Path(folder) / "run", observers=[watch])
            except EndRun as end:
                raise optuna.TrialPruned(str(end)) from end
        return float(result.metrics["valid"][METRIC])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1), pruner=pruner)
    study.optimize(objective, n_trials=trials)
    return study


def main() -> None:
    """Do six trials and say which settings were best."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=8)
    study = search("sentence-transformers/all-MiniLM-L6-v2", trials=6, steps=32, pruner=pruner)
    for trial in study.trials:
        seen = ", ".join(f"step {step}: {value:.3f}" for step, value in trial.intermediate_values.items())
        print(f"trial {trial.number} {trial.state.name.lower():9} {seen}")
    print(f"best {METRIC} {study.best_value:.3f} with {study.best_params}")


if __name__ == "__main__":
    main()
