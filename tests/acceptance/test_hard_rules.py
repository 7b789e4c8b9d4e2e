"""Hard rules hold on real data: not one prediction breaks one, trained or not (invariant 8)."""

from dataclasses import replace

import pandas as pd
import pytest

from tests.benchmarks.hard_rules import DATA, PROBLEMS, results

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # transformers warns of its own affairs
    pytest.mark.skipif(not DATA.is_dir(), reason="the public data sets are not beside the repository"),
]
TRAIN, TEST = 150, 150


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_prediction_breaks_a_hard_rule_trained_or_not(name, tiny_model):
    whole = PROBLEMS[name]()
    train = whole.train.sample(frac=1, random_state=0)
    known = {label for cell in whole.train["label"] for label in cell}
    covering = train[~train["label"].map(str).duplicated()] if name == "trec" else train[:0]  # every fine label
    rare = train[[bool({*cell} & {"grief", "pride", "relief"}) for cell in train["label"]]][:20]
    chosen = pd.concat([covering, rare, train[:TRAIN]])
    assert {label for cell in chosen["label"] for label in cell} == known
    problem = replace(whole, train=chosen, test=whole.test[:TEST])
    *with_structure, (_, without, _), _ = results(problem, str(tiny_model), steps=4)
    assert [(broken, of) for _, broken, of in with_structure] == [(0, TEST)] * len(with_structure)
    assert without > TEST // 10  # the rules do not hold by themselves
