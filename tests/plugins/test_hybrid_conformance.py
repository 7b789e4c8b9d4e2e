"""`hybrid` keeps the contract that we ask of others, in every way of balancing, resumed runs included."""

import pytest

from triune.testing import Tables, check_plugin, table
from triune_hybrid import Hybrid


def tables():
    """Return tables of which some training rows have no label, to validate on too."""
    train = table(40)
    train.loc[train.index % 7 == 6, "label"] = None
    text = table(10, seed=2).drop(columns="label")
    return Tables(train=train, valid=table(16, seed=3), test=table(12, seed=1), unlabelled=text)


DUAL = {"use": "dual", "at_most": 0.05}


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"balance": {"use": "scheduled", "weight": {"from": 1, "to": 0}}, "guard": 0, "on": "unlabelled"},
        {"balance": DUAL, "confidences": "fixed"},
        {"balance": {**DUAL, "by": "rule", "after": 0.3}},
        {"balance": "uncertainty"},
    ],
)
def test_hybrid_conforms(settings):
    company = {"tables": tables} if settings and "balance" in settings else None
    check_plugin(Hybrid, config=settings, company=company)
