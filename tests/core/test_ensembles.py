"""Several finished runs asked together: the mean of what they believe, and answers that still keep hard rules."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import triune
from tests.support import Tables, config, plugins, table
from triune import hookimpl
from triune.ensembles import members_of, together
from triune.errors import OutputError
from triune.spaces import Binaries, Categorical, Tags
from triune.types import Outputs


class More:
    """A method that only looks on."""

    @hookimpl
    def observe(self, event):
        pass


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    for seed in (1, 2, 3):
        triune.run(config(epochs=1, seed=seed), plugins=plugins(), output=folder / f"seed-{seed}")
    return folder


def columns(frame):
    return frame[[name for name in frame.columns if name.startswith("probability")]].astype(float)


def test_a_folder_of_runs_predicts_by_the_mean_of_their_probabilities(seeds):
    texts = table(12, seed=9)[["text"]]
    each = [columns(triune.predict(one, texts, plugins=plugins())) for one in members_of(seeds)]
    found = triune.predict(seeds, texts, plugins=plugins())
    mean = sum(each) / 3
    assert (each[0] - each[1]).abs().to_numpy().max() > 1e-3
    assert (columns(found) - mean).abs().to_numpy().max() < 1e-6
    likeliest = mean.idxmax(axis=1).str.removeprefix("probability of ")
    assert found["predicted"].astype(str).tolist() == likeliest.tolist()


def test_its_metrics_are_those_of_the_mean_and_the_spread_of_the_members_stands_beside(seeds):
    rows = table(40, seed=9)
    found = triune.evaluate(seeds, rows, plugins=plugins())
    predicted = triune.predict(seeds, rows[["text"]], plugins=plugins())["predicted"]
    assert found["accuracy"] == pytest.approx((predicted.to_numpy() == rows["label"].to_numpy()).mean())
    each = [triune.evaluate(one, rows, plugins=plugins())["accuracy"] for one in members_of(seeds)]
    assert found["members"]["count"] == 3
    assert found["members"]["accuracy"]["each"] == each


def test_runs_of_other_labels_are_not_asked_together(seeds, tmp_path):
    for name in ("one", "two"):
        frame = table(24) if name == "one" else table(24).replace({"label": {"warm": "hot"}})
        data = Tables(train=frame, test=frame)
        triune.run(config(epochs=1), plugins=plugins(data=data), output=tmp_path / name)
    with pytest.raises(OutputError, match="differ in their space"):
        triune.predict(tmp_path, table(4)[["text"]], plugins=plugins())


def test_a_folder_without_a_run_is_told_as_before(tmp_path):
    with pytest.raises(OutputError, match="holds no finished run"):
        triune.predict(tmp_path, table(4)[["text"]], plugins=plugins())


def outputs(space, scores, decided=None):
    return Outputs(torch.tensor(scores), space, decided=None if decided is None else torch.tensor(decided))


def test_where_a_structure_decides_the_answer_is_that_of_the_likeliest_member():
    space = Binaries(("a", "b", "c"))
    # each member keeps "exactly one"; the mean's own decisions would hold none of them
    members = [
        outputs(space, [[0.4, -3.0, -3.0]], [[True, False, False]]),
        outputs(space, [[-0.2, 0.1, -3.0]], [[False, True, False]]),
        outputs(space, [[-3.0, -3.0, 0.2]], [[False, False, True]]),
    ]
    found = together([lambda batch, one=one: one for one in members], space)(None)
    assert not space.decide(found.scores).any()
    p = found.scores.sigmoid()[0]
    assert found.decided.tolist() == [[place == int(p.argmax()) for place in range(3)]]


def test_of_sequences_tokens_that_do_not_count_decide_nothing():
    space = Tags(("O", "B"))
    mask = torch.tensor([[True, False]])
    first = replace(outputs(space, [[[2.0, 0.0], [9.0, 0.0]]], [[[True, False], [True, False]]]), mask=mask)
    second = replace(outputs(space, [[[0.0, 1.0], [0.0, 9.0]]], [[[False, True], [False, True]]]), mask=mask)
    found = together([lambda batch: first, lambda batch: second], space)(None)
    assert found.decided[0, 0].tolist() == [True, False]


def test_one_run_is_asked_as_it_is():
    def alone(batch):
        return batch

    assert together([alone], Categorical(("a", "b"))) is alone


def test_asking_a_finished_run_draws_none_of_the_callers_random_numbers(seeds):
    rows = table(8, seed=9)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    triune.predict(seeds / "seed-1", rows[["text"]], plugins=plugins())
    triune.evaluate(seeds, rows, plugins=plugins())
    assert torch.equal(torch.rand(3), expected)


def test_runs_of_other_methods_are_not_asked_together(tmp_path):
    for name, methods in (("one", ["all"]), ("two", ["all", "more"])):
        given = plugins(more=More()) if "more" in methods else plugins()
        triune.run(config(*methods, epochs=1), plugins=given, output=tmp_path / name)
    with pytest.raises(OutputError, match="differ in their plugins"):
        triune.predict(tmp_path, table(4)[["text"]], plugins=plugins(more=More()))


def test_rules_that_take_no_part_in_predictions_may_be_gone_from_all_of_the_runs(tiny_model, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- {name: parcels, when: {contains: parcel}, then: delivery}\n")
    rows = pd.DataFrame({"text": ["my parcel", "my money"] * 4, "label": ["delivery", "refund"] * 4})
    for seed in (1, 2):
        settings = {
            "task": {"use": "text-classification", "model": str(tiny_model)},
            "data": "table",
            "methods": ["end-to-end"],
            "rules": {"use": "rule-file", "path": str(rules)},
            "training": {"max_steps": 1, "seed": seed, "threads": 1, "report": "off", "baselines": False},
        }
        triune.run(settings, data=rows, output=tmp_path / "runs" / f"seed-{seed}")
    rules.unlink()
    assert len(triune.predict(tmp_path / "runs", rows[["text"]])) == 8
