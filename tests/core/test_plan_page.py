"""The plan as a page: everything is on it, aligned, and it fits a terminal whatever the names are."""

import json
from pathlib import Path

import pytest

import triune
from tests import support
from tests.support import Tables, config, plugins, table
from triune import Label, ParameterClaim, Rule, Seat, hookimpl, plan
from triune.alignment import aligned, bar, duration, shortened, size
from triune.files import json_bytes
from triune.plan_page import as_json, brief, page
from triune.select import Depth, Head


@pytest.fixture(scope="module")
def toy():
    return plan(support.config(warmup=0.25, accumulate=2), plugins=support.plugins(), output="runs/toy")


def test_the_page_names_all_that_a_run_does(toy):
    said = page(toy)
    for part in (
        "toy", "tables", "all",  # plugins
        "warm", "cold", "50.0 %",  # labels
        "Blocks", f"{toy.parameters:,}", f"steps 0–{toy.steps.total}",  # model and windows
        "task", "composed by: their sum",
        "AdamW", "warm-up", "in 2 parts",
        "gradients", "activations", "cpu", "fp32", "metrics.json", "runs/toy",
    ):  # fmt: skip
        assert part in said, part
    assert str(toy) == said


class Thaws:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Head(), True)
        yield ParameterClaim(Depth(0), True, start=3)


@pytest.mark.parametrize(("method", "stopping", "said"), [
    (Thaws(), {}, True), (Thaws(), None, False), (support.All(), {}, False),
])  # fmt: skip
def test_that_a_run_may_stop_before_the_last_part_thaws_is_on_the_page(method, stopping, said):
    given = {**plugins(all=method), "mine": method}
    del given["all"]
    found = plan(config("mine", early_stopping=stopping), plugins=given)
    assert ("before step 3, at which the last part thaws: training.early_stopping: null" in page(found)) is said


def test_the_page_shows_every_note(toy):
    assert toy.notes
    squeezed = " ".join(page(toy).split())
    assert all(" ".join(note.split()) in squeezed for note in toy.notes)


def test_the_page_fits_however_long_names_are():
    labels = tuple(f"{'a label with a name that never ends ' * 4}{n}" for n in range(15))
    table = support.table(60, labels=("warm", "cold"))
    table["label"] = [labels[row % 15] for row in range(60)]
    long = plan(
        support.config(), plugins=support.plugins(data=support.Tables(train=table)), output="folder/" * 40 + "run"
    )
    said = page(long)
    assert "3 more labels" in said
    assert max(map(len, said.splitlines())) <= 100 + len("folder/" * 40)
    assert max(len(line) for line in said.splitlines() if "folder/" not in line) <= 100


def test_there_are_no_colour_codes(toy):
    assert "\x1b" not in page(toy) + brief(toy)


def test_the_json_of_a_plan_is_json_and_complete(toy):
    found = json.loads(json_bytes(as_json(toy), "plan"))
    assert found["steps"]["total"] == toy.steps.total
    assert sum(group["elements"] for group in found["groups"]) == found["model"]["trainable"]
    assert found["loss"]["terms"]["task"] == {"owner": "toy", "weight": 1.0, "replaces": [], "scales": {}, "note": ""}
    assert found["memory"]["total"] == sum(value for key, value in found["memory"].items() if key != "total")
    assert Path(found["writes"][0]).parent == Path("runs/toy")


def test_the_brief_form_is_a_few_lines(toy):
    assert len(brief(toy).splitlines()) <= 10
    assert "train" in brief(toy) and "2 labels" in brief(toy)


def test_columns_stand_below_one_another():
    assert aligned([("a", "1"), ("long", "100")], right=(1,)) == ["a       1", "long  100"]


@pytest.mark.parametrize(("count", "said"), [(512, "512 B"), (2048, "2.0 KiB"), (3 * 2**30, "3.0 GiB")])
def test_sizes_are_in_units_that_fit(count, said):
    assert size(count) == said


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")])
def test_times_are_in_units_that_fit(seconds, said):
    assert duration(seconds) == said


def test_a_bar_is_as_long_as_its_share_and_never_vanishes():
    assert bar(1.0, 10) == "█" * 10
    assert bar(0.5, 10) == "█" * 5
    assert bar(0.0001, 10) == "▏"
    assert bar(0.0, 10) == ""


def test_a_long_text_keeps_both_ends():
    text = shortened("/a/very/long/path/to/train.csv", 16)
    assert len(text) == 16 and text.startswith("/a/") and text.endswith("train.csv")


class Methods:
    """A method that reads rules in two seats, and rules of which one may act in neither."""

    seats = ("loss", "policy")

    @hookimpl
    def rules(self):
        yield Rule("firm", Label("warm"), hard=True)
        yield Rule("mild", Label("cold"), confidence=0.7, seats=frozenset({Seat.LOSS}))


class Structure:
    @hookimpl
    def constrain_outputs(self, outputs):
        return outputs


def test_the_plan_says_which_rules_act_where_and_by_which_plugin():
    given = plugins(pushing=Methods(), firm=Structure())
    found = triune.plan(config("all", "pushing", "firm"), plugins=given)
    first, second = found.acting
    assert first.acts == (("loss", "pushing"), ("policy", "pushing"), ("structure", "firm"))
    assert second.acts == (("loss", "pushing"),)
    said = str(found)
    assert "Rules: 2 in the loss (pushing), 1 in the policy (pushing), 1 in the structure (firm)" in said
    assert "hard" in said and "0.7" in said
    assert "rules    2 in the loss (pushing)" in brief(found)
    assert as_json(found)["acting"][1]["acts"] == [{"seat": "loss", "plugin": "pushing"}]


def test_rules_that_no_method_reads_act_in_the_report_alone():
    class Known:
        @hookimpl
        def rules(self):
            yield Rule("mild", Label("cold"))

    assert "Rules: 1 in the report alone" in str(triune.plan(config("all", "known"), plugins=plugins(known=Known())))


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (12, {}, "on 12 validation examples, 6 of the rarest label"),
        (12, {"early_stopping": {"metric": "accuracy"}}, "by accuracy on 12 validation examples: it moves in steps of"),
        (60, {}, None),
        (12, {"keep_best": False, "early_stopping": None}, None),
    ],
)
def test_a_validation_table_that_is_too_small_to_choose_by_is_told(rows, settings, said):
    data = Tables(train=table(40), valid=table(rows, seed=2), test=table(16, seed=1))
    notes = " ".join(triune.plan(config("all", **settings), plugins=plugins(data=data)).notes)
    assert (said in notes) if said else ("moves in steps" not in notes)
    if said:
        assert "about 8 points" in notes
