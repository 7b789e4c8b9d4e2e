"""The kit for plugin authors: right plugins pass, and each wrong one is told its own fault before any other."""

import json
import random
import subprocess
import sys

import pytest
import torch

from tests.core import right_plugins as right
from tests.core.heavy_plugin import Heavy
from tests.core.wrong_plugins import FAULTS, Failing, Several
from triune.testing import Tables, check_plugin, table
from triune.testing.conformance import BEHAVIOUR, FORM, GATES, RUNS, faults_of
from triune.testing.subject import Subject
from triune.testing.toy_runs import name_of

ALL_CHECKS = (*FORM, *GATES, *BEHAVIOUR, *RUNS)


@pytest.mark.parametrize(
    "plugin",
    [
        right.Adapter,
        right.Anchored,
        right.Gradual,
        right.Cautious,
        right.Shuffled,
        right.Never,
        right.Votes,
        right.Persuaded,
        right.Wisdom,
        right.Smooth,
    ],
)
def test_a_plugin_that_keeps_the_contract_passes(plugin):
    check_plugin(plugin)


@pytest.mark.parametrize("plugin", FAULTS, ids=lambda plugin: plugin.__name__)
def test_a_plugin_with_a_fault_is_told_this_fault(plugin):
    check, sentence = FAULTS[plugin]
    first = next(faults_of(Subject(name_of(plugin), plugin, None, {})), None)
    assert first is not None
    assert first.check == check
    assert sentence in first.sentence


def test_every_check_has_a_plugin_that_it_catches():
    assert {check for check, _ in FAULTS.values()} | {"light import"} == {check.name for check in ALL_CHECKS}


def test_a_heavy_import_is_found():
    first = next(faults_of(Subject("heavy", Heavy, None, {})))
    assert first.check == "light import"
    assert (
        "importing 'tests.core.heavy_plugin' imports torch, numpy, so that listing plugins gets slow" in first.sentence
    )


def test_all_faults_are_in_one_report():
    with pytest.raises(AssertionError) as caught:
        check_plugin(Several, name="several")
    assert str(caught.value).splitlines() == [
        "plugin 'several' fails 3 checks:",
        "  docstring: class 'Several' has no docstring: say in a sentence what it does, and name the source",
        "  config: Config has frozen=None: write `frozen=True`",
        "  config: Config has extra=None: write `extra='forbid'`",
        "  hooks: plugin 'several': hook 'observe' has no argument 'evnet'; did you mean 'event'?; "
        "arguments: run, event",
    ]


def test_an_error_out_of_a_hook_is_reported_with_its_place_and_kept_as_the_cause():
    with pytest.raises(
        AssertionError, match=r"run: RuntimeError: out of luck \(.*wrong_plugins.py:\d+; raised by"
    ) as caught:
        check_plugin(Failing)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_settings_and_company_come_into_the_run():
    check_plugin(right.Refunds, config={"word": "money"}, company={"shop": lambda: Tables(train=MESSAGES)})


MESSAGES = table(24, labels=("refund", "delivery"))


def test_a_function_may_make_the_plugin():
    faults = list(faults_of(Subject("adapter", lambda: right.Adapter(right.Adapter.Config(rank=3)), None, {})))
    assert faults == []


def test_a_plugin_has_the_name_of_its_entry_point():
    from triune.catalog import installed

    entry = next(one for one in installed() if one.status == "available" and one.family == "method")
    assert name_of(entry.load()) == entry.name
    assert name_of(right.Adapter) == "adapter"


def test_toy_runs_are_quick_to_write_and_lie_side_by_side(toy_run):
    first = toy_run(right.Gradual(), max_steps=4)
    second = toy_run(right.Gradual(), right.Anchored(right.Anchored.Config()), max_steps=4, seed=1)
    assert first.folder != second.folder
    assert [set(terms) for terms in second.history["terms"].dropna()] == [{"task", "anchored"}] * 4


def test_the_fixture_conforms_is_the_check(conforms):
    assert conforms is check_plugin


def test_checking_leaves_the_callers_random_numbers_alone():
    random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), torch.rand(1)
    random.seed(1)
    torch.manual_seed(1)
    list(faults_of(Subject("anchored", right.Anchored, None, {})))
    assert (random.random(), torch.rand(1)) == expected


def test_the_pytest_plugin_costs_a_run_of_others_nothing():
    code = "import json, sys, triune.testing.pytest_plugin; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "pandas", "sklearn", "numpy", "pydantic", "triune.testing.toys"}
    assert not heavy & set(json.loads(done.stdout))
