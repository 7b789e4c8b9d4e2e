"""Our own plugins keep the contract that we ask of others."""

import pytest

from triune.testing import check_plugin, table
from triune_balance import Balance
from triune_end_to_end import EndToEnd
from triune_rule_regulariser import RuleRegulariser
from triune_semantic_loss import SemanticLoss
from triune_table import Table
from triune_text_classification import TextClassification
from triune_weak_labels import WeakLabels


@pytest.mark.parametrize("settings", [None, {"head_lr_scale": 5.0}])
def test_end_to_end_conforms(settings):
    check_plugin(EndToEnd, config=settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"resample": "over", "class_weights": "balanced", "focal": 2.0},
        {"resample": "under"},
        {"resample": "synthesise", "ratio": 1.0},
    ],
    ids=lambda settings: settings["resample"],
)
def test_balance_conforms(settings):
    pytest.importorskip("imblearn", reason="needs the extra 'balance'")
    check_plugin(Balance, config=settings)


def test_table_conforms(tmp_path):
    table(40).to_csv(tmp_path / "train.csv", index=False)
    table(12, seed=1).to_csv(tmp_path / "test.csv", index=False)
    check_plugin(Table, config={"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")})


def test_text_classification_conforms(tiny_model):
    check_plugin(TextClassification, config={"model": str(tiny_model)})


@pytest.mark.parametrize("settings", [None, {"model": "dawid-skene", "hard": True}, {"model": "weighted"}])
def test_weak_labels_conforms(settings):
    check_plugin(WeakLabels, config=settings)


@pytest.mark.parametrize(
    "settings",
    [None, {"guard": 0, "on": "unlabelled"}, {"kind": "product", "detach_premise": True}, {"kind": "lukasiewicz"}],
)
def test_semantic_loss_conforms(settings):
    check_plugin(SemanticLoss, config=settings)


@pytest.mark.parametrize("settings", [None, {"guard": 0, "slack": 0.1}])
def test_rule_regulariser_conforms(settings):
    check_plugin(RuleRegulariser, config=settings)


def test_methods_that_push_rules_work_together_and_with_labels_from_rules():
    others = {
        "labels": lambda: WeakLabels(WeakLabels.Config()),
        "regulariser": lambda: RuleRegulariser(RuleRegulariser.Config()),
    }
    check_plugin(SemanticLoss, company=others)
