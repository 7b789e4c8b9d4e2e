"""The examples run as they stand, over a tiny encoder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_optuna_searches_over_settings_of_methods_and_ends_bad_runs(tiny_model):
    optuna = pytest.importorskip("optuna", reason='optuna is not installed: pip install "triune[optuna]"')
    spec = importlib.util.spec_from_file_location("optuna_search", EXAMPLES / "optuna_search.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    study = example.search(str(tiny_model), 1, 4, optuna.pruners.NopPruner())
    assert list(study.best_trial.intermediate_values) == [1, 2, 3, 4]
    assert study.best_value == max(study.best_trial.intermediate_values.values())
    assert study.best_params.keys() == {"blocks", "rule_weight", "learning_rate"}
    ended = example.search(str(tiny_model), 1, 4, optuna.pruners.ThresholdPruner(lower=1.1))
    assert [trial.state.name for trial in ended.trials] == ["PRUNED"]
    assert list(ended.trials[0].intermediate_values) == [1]
