"""The report: what it counts, whom it shows, and that nothing it meets can break a page or lose a run."""

import json
import random

import pytest

from tests.core.report_pages import STYLE, page_of, section, tables, text_of
from tests.support import config, plugins, table
from triune import Label, Rule, TextMatches, hookimpl, runs
from triune.cli import main
from triune.errors import CheckpointError, OutputError
from triune.folder import Folder
from triune.report import figures
from triune.report.comparison import comparison_page
from triune.report.disagreements import (
    LABEL,
    MODEL,
    MOST,
    MOST_OF_RULE,
    RULE,
    UNLABELLED,
    UNLEARNT,
    disagreements,
    kind_of,
    shown,
)
from triune.report.history import Series, read_history
from triune.report.records import Record, as_line, read_records
from triune.report.scoring import BINS, calibration, confusions, per_label
from triune.report.tables import MOST_LABELS, matrix
from triune.report.writing import write_report, write_report_of
from triune.testing.toys import Tables, ToyTask

EVIL = "<script>alert('x')</script>"


def record(gold, predicted, by_label=(), by_prediction=(), fired=("r", "s"), **others):
    return Record(
        "test", "t:1", gold, predicted, others.pop("probabilities", {}), fired, by_prediction, by_label, **others
    )


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (record("a", "a"), None),
        (record("a", "b", by_label=("r",)), LABEL),
        (record("a", "a", by_label=("r",), by_prediction=("r",)), RULE),
        (record("a", "b", by_label=("r",), by_prediction=("r",)), RULE),
        (record("a", "b", by_prediction=("r",)), UNLEARNT),
        (record("a", "b", by_label=("s",), by_prediction=("r",)), MODEL),
        (record("a", "b", fired=()), MODEL),
        (record(None, "b", by_prediction=("r",)), UNLABELLED),
        (record(None, "b"), None),
        (record(["a"], ["a", "b"], fired=()), MODEL),
        (record(["b", "a"], ["a", "b"], fired=()), None),
        (record(["O", None], ["O", "B-X"], probabilities=[0.9, 0.9], fired=()), None),
        (record(["O", "O"], ["O", "B-X"], probabilities=[0.9, 0.9], fired=()), MODEL),
        (record(3, "3", fired=()), None),
    ],
)
def test_who_stands_against_whom(one, kind):
    assert kind_of(one) is kind


def test_examples_are_capped_and_counted_and_the_surest_come_first():
    many = [record("a", "b", by_label=("r",), probabilities={"b": n / 100}) for n in range(60)]
    (part,) = shown(LABEL, disagreements(many)[LABEL])
    assert (part.of, len(part.records)) == (60, MOST)
    assert [one.sureness for one in part.records[:3]] == [0.59, 0.58, 0.57]


def test_rules_come_in_the_order_of_their_mistakes_each_with_its_own_cap():
    many = [record("a", "a", by_label=(name,), by_prediction=(name,)) for name in "rss" * 6]
    parts = shown(RULE, disagreements(many)[RULE])
    assert [(one.rule, len(one.records), one.of) for one in parts] == [("s", MOST_OF_RULE, 12), ("r", 6, 6)]


@pytest.mark.parametrize(
    ("one", "differences", "sureness"),
    [
        (record("a", "b", probabilities={"a": 0.2, "b": 0.7}), (("a", "b"),), 0.7),
        (record("a", "a", probabilities={"a": 0.6, "b": 0.4}), (), 0.6),
        (record(["a", "c"], ["b", "c"], probabilities={"a": 0.1, "b": 0.6, "c": 0.99}), (("a", ""), ("", "b")), 0.9),
        (record([], [], probabilities={"a": 0.3}), (), 0.7),
        (record(["O", "X"], ["Y", "X"], probabilities=[0.4, 0.9]), (("O", "Y"),), 0.4),
        (record(None, "a", probabilities={"a": 0.6}), (), 0.6),
    ],
)
def test_how_label_and_prediction_differ_and_how_sure_the_model_is(one, differences, sureness):
    assert one.differences == differences
    assert one.sureness == pytest.approx(sureness)


def test_records_come_back_from_their_lines(tmp_path):
    records = [
        record("a", "b", by_label=("r",), text="one\u2028line\x85 \ud800", probabilities={"a": 0.5}),
        record(["O"], ["X"], probabilities=[0.5], text=["tok"]),
        record(None, 3, fired=()),
    ]
    lines = "".join(f"{as_line(one)}\n" for one in records)
    (tmp_path / "p").write_bytes(lines.encode(errors="backslashreplace"))
    assert read_records(tmp_path / "p") == records


def test_calibration_is_that_of_the_formulas():
    draw = random.Random(0)
    records = []
    for _ in range(300):
        p = draw.random()
        gold, said = draw.choice("ab"), "a" if p > 0.5 else "b"
        records.append(record(gold, said, probabilities={"a": p, "b": 1 - p}))
    found = calibration(records, 2)
    brier = error = 0.0
    for one in records:
        brier += sum((p - (name == one.gold)) ** 2 for name, p in one.probabilities.items()) / len(records)
    for place in range(BINS):
        inside = [one for one in records if place / BINS <= max(one.probabilities.values()) < (place + 1) / BINS]
        error += abs(sum(max(one.probabilities.values()) - (one.gold == one.predicted) for one in inside)) / len(
            records
        )
    assert found.brier == pytest.approx(brier) and found.error == pytest.approx(error)
    assert sum(one.count for one in found.bins) == len(records)


def test_labels_that_several_leave_out_count_as_decisions():
    whole = calibration([record(["a"], ["a"], probabilities={"a": 0.9, "b": 0.0, "c": 0.0})], 3)
    brief = calibration([record(["a"], ["a"], probabilities={"a": 0.9})], 3)
    assert (brief.error, brief.brier, brief.bins) == (whole.error, whole.brier, whole.bins)


def test_confusions_count_tokens_and_figures_of_labels_follow():
    counts = confusions([record(["O", "X", None], ["X", "X", "X"], probabilities=[1, 1, 1]), record("X", "X")])
    assert counts == {("O", "X"): 1, ("X", "X"): 2}
    assert per_label(counts)["X"] == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2}
    assert not confusions([record(["a"], ["b"], probabilities={"a": 0.1})])


def test_many_labels_leave_the_commonest_confusions():
    counts = confusions(record(str(n), str(n // 2), fired=()) for n in range(MOST_LABELS + 5))
    assert not matrix(counts).rows
    assert len(matrix(counts).top) == MOST_LABELS + 4


def written_history(folder, *lines):
    (folder / "history.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder / "history.jsonl"


def test_whatever_is_noted_over_time_becomes_curves(tmp_path):
    values = [
        {"event": "values", "step": n, "plugin": "dual", "name": "multipliers", "values": {"r": n / 2}} for n in (0, 4)
    ]
    found = read_history(written_history(tmp_path, *values))
    assert found.noted == {"multipliers (dual)": {"r": Series([0, 4], [0, 2])}}


def test_the_finished_model_is_no_point_of_the_curve(tmp_path):
    rows = [{"event": "evaluation", "step": n, "split": "valid", "metrics": {"macro_f1": n / 10}} for n in (2, 4, 4)]
    assert read_history(written_history(tmp_path, *rows)).metrics["macro_f1"].steps == [2, 4]


def test_a_damaged_line_is_named(tmp_path):
    path = written_history(tmp_path, {"event": "step"})
    path.write_text(path.read_text() + '{"event": \n')
    with pytest.raises(CheckpointError, match=r"history\.jsonl:2: is no JSON"):
        read_history(path)


def test_a_figure_takes_its_colours_from_the_page_and_says_nothing_of_its_own():
    series = {f"<{n}$": Series([0, 1], [0.0, n]) for n in range(10)}
    one = figures.curves("Loss", series, "loss")
    assert "var(--s0)" in one.svg and "var(--ink-2)" in one.svg and "var(--line)" in one.svg
    assert "#0301" not in one.svg and "<9$" not in one.svg and "<metadata" not in one.svg
    assert [key.colour for key in one.keys] == [*range(8), 0, 1] and one.keys[8].dashed
    assert "<9$: from 0 at step 0 to 9 at step 1" in one.said


def test_curves_that_are_the_same_are_one_under_all_their_names():
    same = figures.curves("x", {"a": Series([0], [1]), "b": Series([0], [1]), "c": Series([0], [2])}, "y")
    assert [key.name for key in same.keys] == ["a = b", "c"]


def contrast(first, second):
    def luminance(colour):
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour, page, share):
    parts = [(int(colour[n : n + 2], 16), int(page[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in parts)


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_can_be_told_from_the_page(scheme):
    block = STYLE.read_text().split(":root {")[scheme + 1].split("}")[0]
    colours = dict(pair.split(": ") for one in block.split(";") if (pair := one.strip()).startswith("--"))
    for back in (colours["--page"], colours.get("--panel", colours["--page"])):
        assert min(contrast(colours[one], back) for one in ("--ink", "--ink-2", "--accent")) >= 4.5
        assert min(contrast(colours[f"--s{place}"], back) for place in range(figures.COLOURS)) >= 3
    assert contrast(colours["--warn"], colours["--warn-page"]) >= 4.5
    for tint in ("--tint", "--tint-wrong"):
        assert contrast(colours["--ink"], mixed(colours[tint], colours["--page"], 0.45)) >= 4.5


# runs


class Rules:
    """Rules of which one is wrong, and values noted in the history under a name that is HTML."""

    seats = ("loss",)

    @hookimpl
    def rules(self):
        yield Rule("red is warm", Label("warm"), TextMatches(lambda text: "red" in text), confidence=0.7)
        yield Rule(f"all is {EVIL}", Label(EVIL), TextMatches(lambda text: True))


def evil(rows=24, seed=0):
    found = table(rows, seed, labels=("warm", EVIL))
    found["text"] = found["text"] + f" {EVIL} & <b>"
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = Tables(train=evil(48), test=evil(seed=1), valid=evil(seed=2))
    given = plugins(data=data, knowledge=Rules())
    return runs.run(
        config("all", "knowledge", report="full"),
        plugins=given,
        output=tmp_path_factory.mktemp("r") / EVIL.replace("/", "|"),
    )


def test_nothing_that_data_labels_rules_or_folders_say_is_taken_for_html(run):
    html = run.report.read_text()
    root = page_of(html)
    assert len(list(root.iter("script"))) == 1
    assert EVIL not in html and "&lt;script&gt;" in html
    assert EVIL in section(root, "disagreements") and EVIL in section(root, "labels") and EVIL in section(root, "rules")
    assert text_of(next(root.iter("h1"))) == run.folder.name


def test_a_page_has_what_a_run_has_to_say(run):
    root = page_of(run.report.read_text())
    assert {"run", "metrics", "training", "rules", "disagreements", "labels", "made"} <= {
        one.get("id") for one in root.iter("section")
    }
    titles = [text_of(one.find("h3")) for one in root.iter("figure")]
    assert titles[:4] == ["Loss", "Metrics of the validation table", "Share of broken rules", "Learning rate"]
    rules = tables(root)["Rules, test table, those broken on most examples first"]
    assert [row[0].split("→")[-1].strip() for row in rules[1:]].count(EVIL) == 1
    assert "toy" in section(root, "run") and "of 12: all 12 steps are done" in section(root, "run")
    assert "Expected calibration error" in section(root, "labels")


def test_the_page_shows_the_figures_of_the_metrics(run):
    shown = dict(
        row[:2] for row in tables(page_of(run.report.read_text()))["Test table: this run and what stands beside it"][1:]
    )
    assert shown["accuracy"] in {f"{run.metrics[split]['accuracy']:.4f}" for split in ("valid", "test")}


def test_records_say_what_the_rule_report_counts(run):
    records = [one for one in read_records(run.folder / "predictions.jsonl") if one.split == "test"]
    for name, figures_of in run.metrics["test"]["rules"].items():
        fired = [one for one in records if name in one.fired]
        assert len(fired) / len(records) == pytest.approx(figures_of["coverage"])
        for key, broken in (("violation_rate", "broken_by_prediction"), ("violation_rate_on_gold", "broken_by_label")):
            assert sum(name in getattr(one, broken) for one in fired) / len(fired) == pytest.approx(figures_of[key])
    right = sum(not one.differs for one in records) / len(records)
    assert right == pytest.approx(run.metrics["test"]["accuracy"])


def test_texts_are_kept_of_disagreements_alone(run):
    records = [one for one in read_records(run.folder / "predictions.jsonl") if one.split != "train"]
    assert all((one.text is not None) == (kind_of(one) is not None) for one in records)
    assert any(one.text is not None for one in records)


def test_the_page_can_be_drawn_again_from_the_folder_and_is_the_same(run, tmp_path, capsys):
    before = run.report.read_bytes()
    assert main(["report", str(run.folder), "--output", str(tmp_path / "again.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "again.html")}
    assert (tmp_path / "again.html").read_bytes() == before
    assert main(["report", str(run.folder)]) == 0 and run.report.read_bytes() == before


def toy(folder, *methods, data=None, given=None, **training):
    known = {"knowledge": Rules()} if "knowledge" in methods else {}
    given = plugins(data=data, **known, **(given or {}))
    return runs.run(
        config("all", *methods, report=training.pop("report", "full"), **training), plugins=given, output=folder
    )


@pytest.mark.parametrize("valid", [0.0, 0.2])
def test_a_run_without_a_table_set_aside_has_a_page_too(tmp_path, valid):
    done = toy(tmp_path / "run", "knowledge", data=Tables(train=evil()), validation=valid)
    root = page_of(done.report.read_text())
    assert (section(root, "disagreements") is None) == (not valid)
    assert ("nothing was measured" in section(root, "metrics")) == (not valid)


def test_a_run_without_rules_has_a_page_too(tmp_path):
    root = page_of(toy(tmp_path / "run").report.read_text())
    assert section(root, "rules") is None and "no rule takes a side" in section(root, "disagreements")


def test_several_labels_at_once_have_a_page_too(tmp_path):
    several = table(32)
    several["label"] = [[one] if n % 3 else [] for n, one in enumerate(several["label"])]
    given = {"toy": ToyTask(multi_label=True)}
    done = toy(tmp_path / "run", data=Tables(train=several, test=several), given=given)
    root = page_of(done.report.read_text())
    assert "no label" in section(root, "disagreements")


def test_texts_are_left_out_of_page_and_file_where_they_are_not_to_be_shown(tmp_path):
    done = toy(tmp_path / "run", "knowledge", data=Tables(train=evil(), test=evil(seed=1)), report="without-texts")
    assert not [one for one in read_records(done.folder / "predictions.jsonl") if one.text]
    assert "& <b>" not in section(page_of(done.report.read_text()), "disagreements")


def test_no_report_leaves_no_trace(tmp_path):
    done = toy(tmp_path / "run", report="off")
    assert not done.report.exists() and not (done.folder / "predictions.jsonl").exists()


def test_what_is_shown_decides_nothing(tmp_path):
    done = toy(tmp_path / "run", report="off")
    given = plugins()
    again = runs.run(config("all", report="full"), plugins=given, output=tmp_path / "run", resume="auto")
    assert again.facts["identity"] == done.facts["identity"]


@pytest.mark.parametrize("broken", ["triune.finishing.write_report", "triune.finishing.recorded"])
def test_a_report_that_fails_costs_no_run_and_is_told(tmp_path, monkeypatch, broken):
    def fail(*arguments):
        raise RuntimeError("no ink")

    monkeypatch.setattr(broken, fail)
    told = []
    given = plugins()
    done = runs.run(config("all", report="full"), plugins=given, output=tmp_path / "run", observers=[told.append])
    assert Folder(done.folder).finished and done.metrics["test"]["accuracy"] >= 0
    warned = [one.message for one in told if type(one).__name__ == "Warned"]
    assert warned and all("RuntimeError: no ink" in one for one in warned)
    monkeypatch.undo()
    write_report(Folder(done.folder))
    assert "no report could be drawn" not in done.report.read_text()


def test_baselines_draw_none(tmp_path):
    done = toy(tmp_path / "run", "knowledge", data=Tables(train=evil(), test=evil(seed=1)), baselines=True)
    assert (done.folder / "baselines").is_dir()
    assert not list((done.folder / "baselines").rglob("report.html"))
    assert "without rules" in section(page_of(done.report.read_text()), "metrics")


def test_runs_from_before_there_were_reports_have_a_page(tmp_path):
    done = toy(tmp_path / "run")
    facts = json.loads((done.folder / "run.json").read_text())
    (done.folder / "run.json").write_text(
        json.dumps({key: one for key, one in facts.items() if key not in ("plan", "rule_set")})
    )
    for name in ("predictions.jsonl", "history.jsonl"):
        (done.folder / name).unlink()
    assert main(["report", str(done.folder)]) == 0
    assert section(page_of(done.report.read_text()), "metrics")


def test_the_command_says_what_is_wrong(tmp_path, run, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "is not there" in capsys.readouterr().err
    (tmp_path / "comparison.json").write_text("{")
    assert main(["report", str(tmp_path)]) != 0
    assert "comparison.json: cannot be read" in capsys.readouterr().err


# comparisons

RUNS = [
    {
        "arm": arm,
        "family": "labels",
        "seed": seed,
        "macro_f1": value + seed / 100,
        "seconds": 3.5,
        "violation_rate": None,
    }
    for arm, value in (("plain", 0.5), (EVIL, 0.6))
    for seed in (1, 2)
]
COMPARISON = {
    "metric": "macro_f1",
    "split": "test",
    "seeds": [1, 2],
    "winners": [{"constraint": "best quality", "arm": EVIL, "macro_f1": 0.61, "note": ""}],
    "summary": [
        {"arm": "plain", "macro_f1": 0.51, "macro_f1_spread": 0.01, "runs": 2},
        {"arm": EVIL, "macro_f1": 0.61},
    ],
    "pairs": [{"first": "plain", "second": EVIL, "difference": 0.1, "p_corrected": 0.04}],
    "runs": RUNS,
    "failures": [{"arm": "plain", "seed": 3, "error": "no room"}],
    "left_out": {"adapters": "peft is not installed"},
    "notes": ["a note"],
}


def test_a_comparison_has_a_page():
    html = comparison_page(COMPARISON, "mine")
    root = page_of(html)
    assert EVIL not in html
    assert [text_of(one) for one in root.iter("h2")] == [
        "Which wins under which constraint", "Every strategy", "What differences are worth", "Every run", "What failed",
        "Notes",
    ]  # fmt: skip
    assert tables(root)["Every run"][1][:3] == ["plain", "labels", "1"]
    assert "adapters is left out: peft is not installed" in text_of(root)
    assert "1: plain: mean 0.5150 of 2" in next(root.iter("figure")).find("div").get("aria-label")
    assert [text_of(one.find("h3")) for one in root.iter("figure")] == ["macro f1", "seconds"]


def test_a_comparison_in_a_folder_is_drawn_by_the_same_command(tmp_path, capsys):
    (tmp_path / "comparison.json").write_text(json.dumps(COMPARISON))
    assert main(["report", str(tmp_path)]) == 0
    assert page_of((tmp_path / "report.html").read_text())


def test_a_comparison_that_was_interrupted_is_told_with_how_to_go_on(tmp_path, capsys):
    for name, file in (("a/seed-1", "run.json"), ("a/seed-2", "run.json"), ("b/seed-1", "checkpoints/start.json")):
        (tmp_path / "runs" / name / file).parent.mkdir(parents=True)
        (tmp_path / "runs" / name / file).write_text("{}")
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "a comparison that has not come to its end: 2 runs finished, and 1 run begun" in said
    assert f"`triune compare CONFIG --output {tmp_path}`" in said and "report.html" in said


def test_a_comparison_of_which_nothing_is_known_has_a_page():
    assert page_of(comparison_page({}))


def test_a_folder_of_runs_is_no_run_and_one_of_them_is_named(tmp_path):
    one = tmp_path / "seeds" / "seed-1"
    one.mkdir(parents=True)
    (one / "run.json").write_text("{}")
    with pytest.raises(OutputError) as failure:
        write_report_of(tmp_path / "seeds")
    assert str(failure.value).endswith(f"there are runs in it: give the folder of one, such as {str(one)!r}")
