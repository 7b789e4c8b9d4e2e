"""A comparison: who takes part, on which rows, what is not done twice, what an arm that fails costs the others."""

import json
import os
import shutil
import signal
import sys

import pandas as pd
import pytest

import triune
from tests.core.test_catalog import Site
from tests.support import All, Tables, config, plugins, table
from triune import Comparison, Label, Rule, Strategy, TextMatches, hookimpl
from triune.comparing.constraints import winners_of
from triune.comparing.page import lines_of
from triune.comparing.recording import recorded
from triune.comparing.working import Announced, Begun, Ended, Undrawn, Within
from triune.errors import ConfigError, OutputError, PluginError, TriuneError
from triune.events import Stepped
from triune.signals import Interrupted
from triune.strategies import entries

ARMS = [{"name": "all", "methods": ["all"]}, {"name": "slow", "methods": ["all"], "training": {"learning_rate": 1e-4}}]


class Words:
    """Rules that votes are made of, and what makes labels of them."""

    seats = ("labels",)

    def __init__(self):
        self.seen = []

    @hookimpl
    def rules(self):
        return [
            Rule(word, Label(word), TextMatches(lambda text, word=word: word in text), confidence=0.9)
            for word in ("warm", "cold")
        ]

    @hookimpl
    def label_examples(self, rules, examples, gold):
        self.seen.append(int(gold.notna().all(axis=1).sum()))
        fires = rules.fires["train"].astype(float)  # (rules, examples)
        votes = pd.DataFrame({"warm": fires[0], "cold": fires[1]}, index=gold.index)
        return votes.div(votes.sum(axis=1), axis=0)[list(gold.columns)]


def settings(arms=ARMS, seeds=2, **compare):
    return {**config(epochs=2, validation=0.25), "methods": [], "compare": {"arms": arms, "seeds": seeds, **compare}}


def compared(folder, config=None, observers=(), **arguments):
    given = arguments.pop("plugins", None) or plugins()
    return triune.compare(
        config or settings(), plugins=given, output=folder / "compared", observers=observers, **arguments
    )


def bare():
    """Return the plugins of a toy run without a method."""
    return {name: one for name, one in plugins().items() if name != "all"}


def noted(kind, notices):
    return [one for one in notices if isinstance(one, kind)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a finished comparison, and what was told of it."""
    notices = []
    folder = tmp_path_factory.mktemp("whole")
    return compared(folder, observers=[notices.append]), notices


def test_every_arm_is_done_with_every_seed_in_ordinary_runs(whole):
    found, notices = whole
    assert [(one.job.arm, one.job.seed) for one in noted(Begun, notices)] == [
        ("all", 42), ("slow", 42), ("all", 43), ("slow", 43),
    ]  # fmt: skip
    assert (
        sorted(path.parent.parent.name for path in found.folder.glob("runs/*/*/run.json")) == ["all"] * 2 + ["slow"] * 2
    )
    result = found.result("slow", 43)
    assert result.facts["seeds"]["seed"] == 43 and not list(result.folder.glob("checkpoints"))
    assert result.facts["config"]["training"]["learning_rate"] == 1e-4
    assert "compare" not in result.facts["config"]


def test_all_arms_of_a_seed_have_the_same_rows_to_choose_the_best_model_by_and_to_be_measured_on(whole):
    found, _ = whole
    answers = {
        (arm, seed): recorded(found.result(arm, seed).folder).answers for arm in ("all", "slow") for seed in (42, 43)
    }
    assert answers["all", 42]["valid"].rows == answers["slow", 42]["valid"].rows
    assert answers["all", 43]["valid"].rows == answers["slow", 43]["valid"].rows
    assert answers["all", 42]["valid"].rows != answers["all", 43]["valid"].rows
    assert {one["test"].rows for one in answers.values()} == {tuple(range(16))}
    assert len(answers["all", 42]["valid"].rows) == 12


def test_all_arms_have_as_many_steps(whole):
    found, _ = whole
    assert {arm["steps"] for arm in found.facts["arms"]} == {2 * 5}  # 36 examples left, 8 a step
    assert found.result("all", 42).facts["ended"]["of"] == 10


def test_memory_that_cannot_be_told_apart_is_said_to_be_shared(whole, tmp_path, monkeypatch):
    shutil.copytree(whole[0].folder, tmp_path / "compared")
    assert not [note for note in whole[0].facts["notes"] if note.startswith("memory")]
    monkeypatch.setattr("triune.comparing.recording.forget_memory", lambda: False)
    found = compared(tmp_path)
    assert [note for note in found.facts["notes"] if note.startswith("memory")]


def test_the_frames_hold_what_the_runs_wrote(whole):
    found, _ = whole
    assert list(found.runs["arm"]) == ["all", "slow", "all", "slow"]
    accuracy = found.result("all", 42).metrics["test"]["accuracy"]
    assert found.runs.iloc[0]["accuracy"] == accuracy and found.runs.iloc[0]["split"] == "test"
    of_all = found.runs[found.runs["arm"] == "all"]["accuracy"]
    summary = found.summary.set_index("arm")
    assert summary.loc["all", "accuracy"] == pytest.approx(of_all.mean())
    assert summary.loc["all", "accuracy_spread"] == pytest.approx(of_all.std())
    assert summary.loc["all", "standard_error"] == pytest.approx(of_all.std() / 2**0.5)
    assert (found.runs["trained_parameters"] == 426).all() and (found.runs["peak_memory"] > 0).all()
    assert len(found.pairs) == 1 and found.failures.empty
    assert found.pairs.iloc[0]["difference"] == pytest.approx(
        summary.loc["all", "accuracy"] - summary.loc["slow", "accuracy"]
    )
    assert "best quality" in list(found.winners["constraint"])


def test_it_is_read_back_as_it_was(whole):
    found, _ = whole
    again = Comparison.read(found.folder)
    assert again.facts == json.loads(json.dumps(found.facts)) and again.metric == "macro_f1"
    pd.testing.assert_frame_equal(again.runs, found.runs)


def test_its_page_shows_every_arm_and_one_that_cannot_be_drawn_costs_nothing(tmp_path, monkeypatch):
    settled, seen = settings(seeds=1), []
    settled["training"]["report"] = "full"
    comparison = compared(tmp_path, settled)
    page = (comparison.folder / "report.html").read_text()
    assert all(arm["name"] in page for arm in ARMS)

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr("triune.report.writing.write_comparison", fails)
    again = compared(tmp_path, settled, observers=[seen.append])
    assert again.facts["summary"] == comparison.facts["summary"]
    assert [notice.error for notice in seen if isinstance(notice, Undrawn)] == ["OSError: no space left"]


def test_it_is_printed_with_every_arm_and_what_was_tested(whole):
    text = "\n".join(lines_of(whole[0]))
    assert "all" in text and "slow" in text and "±" in text and "Holm" in text and "Who wins" in text


def test_what_is_finished_is_not_repeated_and_another_seed_adds_only_its_own_runs(tmp_path):
    compared(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("compared/runs/*/*/run.json")}
    notices = []
    again = compared(tmp_path, observers=[notices.append])
    assert not noted(Begun, notices) and noted(Announced, notices)[0].finished == 4
    assert len(again.runs) == 4
    compared(tmp_path, seeds=3, observers=[notices.append])
    assert [(one.job.arm, one.job.seed) for one in noted(Begun, notices)] == [("all", 44), ("slow", 44)]
    assert written == {path: path.stat().st_mtime_ns for path in written}


def test_interrupted_it_goes_on_where_it_was_and_ends_as_if_nothing_had_been(tmp_path, whole):
    notices = []

    def stop(notice):
        notices.append(notice)
        if isinstance(notice, Within) and isinstance(notice.event, Stepped):
            job = notice.job
            if (job.arm, job.seed, notice.event.step.index) == ("slow", 42, 4):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        compared(tmp_path, observers=[stop])
    assert not (tmp_path / "compared" / "comparison.json").exists()
    assert (tmp_path / "compared" / "runs" / "slow" / "seed-42" / "checkpoints").is_dir()
    notices.clear()
    found = compared(tmp_path, observers=[notices.append])
    assert [one.job.title for one in noted(Begun, notices)] == ["slow, seed 42", "all, seed 43", "slow, seed 43"]
    steps = [one.event.step.index for one in noted(Within, notices) if isinstance(one.event, Stepped)]
    assert steps[0] == 5
    same = ["arm", "seed", "accuracy", "steps", "best_step", "because"]
    pd.testing.assert_frame_equal(found.runs[same], whole[0].runs[same])


def test_an_arm_that_fails_is_told_with_its_error_and_the_others_go_on(tmp_path):
    bad = {"name": "bad", "methods": ["all"], "training": {"learning_rate": 1e30}}
    notices = []
    found = compared(tmp_path, settings([bad, ARMS[0]]), observers=[notices.append])
    assert list(found.failures["arm"]) == ["bad", "bad"] and "is nan" in found.failures.iloc[0]["error"]
    assert list(found.runs["arm"]) == ["all", "all"]
    assert [bool(one.error) for one in noted(Ended, notices)] == [True, False, True, False]
    assert "failed    bad, seed 42" in "\n".join(lines_of(found))


def test_where_all_fail_that_is_what_it_says(tmp_path):
    found = compared(tmp_path, settings([{"name": "bad", "methods": ["all"], "training": {"learning_rate": 1e30}}]))
    assert found.runs.empty and len(found.failures) == 2
    assert "No run was finished" in "\n".join(lines_of(found))


def test_another_configuration_is_refused_before_anything_is_trained_and_overwritten_where_asked(tmp_path):
    compared(tmp_path, seeds=1)
    other = settings(seeds=1)
    other["training"]["batch_size"] = 4
    with pytest.raises(OutputError, match=r"another configuration.*seed 42.*--overwrite"):
        compared(tmp_path, other)
    assert len(compared(tmp_path, other, overwrite=True).runs) == 2


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "compared").mkdir()
    (tmp_path / "compared" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="no comparison's"):
        compared(tmp_path)
    with pytest.raises(OutputError, match="no comparison's"):
        compared(tmp_path, overwrite=True)
    assert (tmp_path / "compared" / "thesis.txt").read_text() == "mine"


def test_from_what_learns_from_rules_alone_the_training_labels_are_hidden_and_the_splits_stay(tmp_path):
    words = Words()
    arms = [
        {"name": "rules", "methods": ["all", "words"], "family": "rules"},
        {"name": "both", "methods": ["all", "words"]},
        {"name": "labels", "methods": ["all"]},
    ]
    given = plugins(words=words)
    found = compared(tmp_path, settings(arms, seeds=1), plugins=given)
    assert words.seen == [0, 36]
    rows = [recorded(found.result(arm, 42).folder).answers["valid"].rows for arm in ("rules", "both", "labels")]
    assert rows[0] == rows[1] == rows[2]
    assert found.summary.set_index("arm").loc["rules", "family"] == "rules"


def test_what_an_arm_learns_from_is_seen_from_what_its_methods_declare(tmp_path):
    settled = settings([{"name": "both", "methods": ["all", "words"]}, ARMS[0]], seeds=1)
    settled["rules"] = ["more"]
    found = compared(
        tmp_path,
        settled,
        plugins=plugins(words=Words(), more=type("More", (), {"observe": hookimpl(lambda self: None)})()),
    )
    assert [arm["family"] for arm in found.facts["arms"]] == ["hybrid", "labels"]


def test_the_methods_of_the_configuration_are_an_arm_called_yours(tmp_path):
    found = compared(tmp_path, {**settings(seeds=1), "methods": ["all"]}, strategies=["yours", "slow"])
    assert list(found.runs["arm"]) == ["yours", "slow"]


def test_an_arm_may_be_named_among_the_strategies_of_the_configuration(tmp_path):
    found = compared(tmp_path, settings([{"name": "mine", "methods": ["all"]}], seeds=1, strategies=["mine"]))
    assert list(found.runs["arm"]) == ["mine"]


def test_the_same_under_two_names_is_done_once(tmp_path):
    found = compared(tmp_path, {**settings(seeds=1), "methods": ["all"]})
    assert found.left_out == {"all": "'yours' is the same"}


def test_plugin_objects_are_copied_for_every_run(tmp_path):
    class Counting(All):
        def __init__(self):
            self.calls = 0

        @hookimpl
        def observe(self):
            self.calls += 1

        def state_dict(self):
            return {"calls": self.calls}

        def load_state_dict(self, state):
            self.calls = state["calls"]

    mine = Counting()
    compared(
        tmp_path,
        settings([{"name": "counting", "methods": ["mine"]}], seeds=1),
        plugins={**bare(), "mine": mine},
    )
    assert mine.calls == 0


def test_frames_may_be_the_tables_and_what_is_missing_from_them_is_told(tmp_path):
    with pytest.raises(PluginError, match="take frames"):
        compared(tmp_path, data=table())


def test_seconds_become_steps_by_a_measured_pace_that_is_kept(tmp_path):
    first = compared(tmp_path, settings(seeds=1, seconds=0.05))
    steps = {arm["name"]: arm["steps"] for arm in first.facts["arms"]}
    paces = json.loads((tmp_path / "compared" / "pace.json").read_text())
    assert steps == {name: max(int(0.05 / pace), 1) for name, pace in paces.items()}
    notices = []
    again = compared(tmp_path, settings(seeds=1, seconds=0.05), observers=[notices.append])
    assert not noted(Begun, notices)
    assert {arm["name"]: arm["steps"] for arm in again.facts["arms"]} == steps


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seeds": 0}, "compare.seeds"),
        ({"seeds": [1, 1]}, "seeds name 1 twice"),
        ({"steps": 5, "seconds": 5}, "both steps and seconds"),
        ({"arms": [*ARMS, ARMS[0]]}, "arms name 'all' twice"),
        ({"arms": [{"name": "a/b", "methods": ["all"]}]}, "compare.arms"),
        ({"arms": [{"name": "yours", "methods": ["all"]}]}, "rename it"),
        (
            {"arms": [{"name": "mine", "methods": ["all"], "training": {"seed": 3}}]},
            "training.seed is the same for all",
        ),
        ({"arms": [{"name": "mine", "methods": ["al"]}]}, "arm 'mine'"),
        ({"arms": [{"name": "mine", "methods": ["all"], "training": {"epoch": 3}}]}, "unknown key 'epoch'"),
        ({"strategy": ["all"]}, "did you mean 'strategies'"),
    ],
)
def test_what_is_wrong_with_the_section_is_told_before_anything_is_written(tmp_path, wrong, said):
    arguments = {"arms": ARMS, "seeds": 1, **wrong}
    with pytest.raises(ConfigError, match=said):
        compared(tmp_path, {**config(), "methods": [], "compare": arguments})
    assert not (tmp_path / "compared").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategies": ["slo"]}, "did you mean 'slow'"),
        ({"strategies": []}, "no strategy is named"),
        ({"strategies": ["yours"]}, "it has none"),
        ({"seeds": 0}, "seeds"),
        ({"workers": 0}, "workers is 0"),
        ({"plugins": plugins(other=All())}, "no section names it"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, said):
    with pytest.raises(TriuneError, match=said):
        compared(tmp_path, **arguments)
    assert not (tmp_path / "compared").exists()


def test_an_unknown_metric_is_refused_with_the_nearest_and_the_runs_are_kept(tmp_path):
    with pytest.raises(TriuneError, match="did you mean 'accuracy'"):
        compared(tmp_path, settings(seeds=1, metric="accurcy"))
    notices = []
    assert compared(tmp_path, settings(seeds=1, metric="accuracy"), observers=[notices.append]).metric == "accuracy"
    assert not noted(Begun, notices)


STRANGER = """
from triune import ParameterClaim, Strategy, hookimpl
from triune.select import Name

class Everything:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("*"), trainable=True)

GOOD = Strategy("acme-way", "labels", ("acme-all",), training={"learning_rate": 0.02}, needs=frozenset({"labels"}))
GREEDY = Strategy("acme-more", "hybrid", ("acme-all",), needs=frozenset({"rules"}), default=True)
LOST = Strategy("acme-lost", "labels", ("acme-gone",), default=True)
LIAR = Strategy("other", "labels", ("acme-all",))
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Return a site in which somebody else's distribution brings a method and strategies."""
    monkeypatch.setattr("sys.path", [str(tmp_path / "site"), *sys.path])
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    site.add(
        "acme",
        "[triune.methods]\nacme-all = acme_ways:Everything\n"
        "[triune.strategies]\nacme-way = acme_ways:GOOD\nacme-more = acme_ways:GREEDY\nacme-lost = acme_ways:LOST\n"
        "acme-liar = acme_ways:LIAR\nacme-broken = acme_nowhere:X\nacme-class = acme_ways:Everything\n",
    )
    site.module("acme_ways", STRANGER)
    yield site
    sys.modules.pop("acme_ways", None)


def test_a_strangers_strategy_is_as_good_as_ours(tmp_path, stranger):
    found = compared(tmp_path, settings(arms=[], seeds=1), strategies=["acme-way"], plugins=bare())
    assert list(found.runs["arm"]) == ["acme-way"]
    assert found.result("acme-way", 42).facts["config"]["training"]["learning_rate"] == 0.02


def test_a_strategy_whose_needs_are_not_met_is_left_out_with_its_reason(tmp_path, stranger):
    found = compared(tmp_path, {**settings(arms=[], seeds=1), "methods": ["all"]}, without=["lora"])
    assert list(found.runs["arm"]) == ["yours", "end-to-end", "layer-by-layer"]
    assert "names none" in found.left_out["acme-more"] and "names none" in found.left_out["hybrid"]
    assert "acme-gone" in found.left_out["acme-lost"]
    assert "blocked by --without" in found.left_out["lora"]
    assert "acme_nowhere" in found.left_out["acme-broken"]  # nobody knows whether it would have been a default one
    assert "calls itself 'other'" in found.left_out["acme-liar"]
    assert "left out  hybrid" in "\n".join(lines_of(found))


def test_without_labels_what_needs_them_is_left_out_and_where_nothing_is_left_that_is_said(tmp_path):
    tables = Tables(train=table().assign(label=None), test=table(16, seed=1))
    with pytest.raises(TriuneError, match=r"nothing is left to compare: end-to-end: it needs labels"):
        compared(tmp_path, settings(arms=[], seeds=1), strategies=["end-to-end"], plugins={**bare(), "tables": tables})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme-liar", "calls itself 'other'"),
        ("acme-broken", "acme_nowhere"),
        ("acme-class", "no Strategy"),
        ("acme-wax", "did you mean 'acme-way'"),
    ],
)
def test_a_strategy_that_cannot_be_used_stops_who_names_it(tmp_path, stranger, name, said):
    with pytest.raises(TriuneError, match=said):
        compared(tmp_path, settings(arms=[], seeds=1), strategies=[name], plugins=bare())


def test_strategies_are_listed_and_not_imported(stranger):
    assert "acme-way" in [one.name for one in entries()]
    assert "acme_ways" not in sys.modules


def test_a_strategy_is_a_frozen_value():
    one = Strategy("mine", "labels", ("all",))
    with pytest.raises(AttributeError):
        one.name = "yours"


def row(arm, quality, broken=0.0, parameters=10, seconds=1.0, error=0.02):
    return {
        "arm": arm,
        "macro_f1": quality,
        "violation_rate": broken,
        "violation_rate_on_gold": 0.05,
        "trained_parameters": parameters,
        "seconds": seconds,
        "peak_memory": 100 * seconds,
        "standard_error": error,
    }


def test_who_wins_depends_on_the_constraint():
    summary = [
        row("best", 0.90, 0.2, 1000, 9.0),
        row("thin", 0.89, 0.1, 10, 8.0),
        row("quick", 0.885, 0.04, 500, 2.0),
        row("poor", 0.5, 0.0, 1, 0.1),
    ]
    pairs = [
        {"first": "best", "second": other, "p_corrected": p}
        for other, p in (("thin", 0.6), ("quick", 0.04), ("poor", 0.001))
    ]
    found = {one["constraint"]: one for one in winners_of(summary, pairs, "macro_f1", None)}
    assert found["best quality"]["arm"] == "best"
    assert found["best quality"]["note"] == "not shown to be better than thin"
    assert found["best that breaks at most 5.0% of what rules say"]["arm"] == "quick"
    assert found["fewest trained parameters, within one standard error of the best"]["arm"] == "thin"
    assert found["least time, within one standard error of the best"]["arm"] == "quick"
    assert found["least memory, within one standard error of the best"]["arm"] == "quick"


def test_where_nobody_keeps_the_rules_the_nearest_is_named():
    found = winners_of([row("one", 0.9, 0.3), row("two", 0.8, 0.2)], [], "macro_f1", 0.01)
    assert found[1]["arm"] is None and "two comes nearest, with 20.0%" in found[1]["note"]


@pytest.mark.slow
def test_by_processes_it_comes_to_the_same(tmp_path, whole):
    found = compared(tmp_path, seeds=1, workers=2)
    same = ["arm", "seed", "accuracy", "steps", "best_step"]
    alone = whole[0].runs[whole[0].runs["seed"] == found.runs["seed"].iloc[0]]
    assert len(alone) == len(ARMS)
    pd.testing.assert_frame_equal(found.runs[same], alone[same].reset_index(drop=True))


@pytest.mark.slow
def test_what_cannot_be_handed_to_a_process_is_refused(tmp_path):
    local = type("Local", (All,), {})()
    with pytest.raises(TriuneError, match="cannot be handed to another process"):
        compared(
            tmp_path,
            settings([{"name": "mine", "methods": ["mine"]}]),
            plugins={**bare(), "mine": local},
            workers=2,
        )
