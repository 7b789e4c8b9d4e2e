"""The life of a run: every hook is called, in the order of the design, and what it returns has an effect."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

import triune
from tests.support import Tables, ToyTask, config, plugins, table
from triune import Label, LossTerm, ParameterClaim, Rule, TermValues, TextMatches, hookimpl
from triune.events import Evaluated
from triune.optimisation import adamw
from triune.select import Name, Owner

ORDER = [
    "prepare_data", "adapt_model", "rules", "label_examples", "loss_terms", "claim_parameters", "constrain_outputs",
    "measure", "build_optimizer", "observe", "compose_loss", "export",
]  # fmt: skip


class Everything:
    """Implement every hook that a method may implement, and note the first call of each."""

    seats = ("loss",)

    def __init__(self):
        self.calls = []

    def note(self, hook):
        if hook not in self.calls:
            self.calls.append(hook)

    @hookimpl
    def prepare_data(self, data):
        self.note("prepare_data")
        return data.with_split("train", data.train.iloc[:-2], "two rows dropped")

    @hookimpl
    def adapt_model(self, model):
        self.note("adapt_model")
        model.head.register_parameter("extra", nn.Parameter(torch.zeros(2)))

    @hookimpl
    def rules(self):
        self.note("rules")
        yield Rule("warm", then=Label("warm"), when=TextMatches(lambda text: "warm" in text), hard=True)
        yield Rule("cold", then=Label("cold"), when=TextMatches(lambda text: "cold" in text))

    @hookimpl
    def label_examples(self, rules, examples):
        self.note("label_examples")
        votes = {rule.then.name: rules.fires["train"][place] for place, rule in enumerate(rules.rules)}
        found = pd.DataFrame(votes, index=examples.index).astype(float)
        return found.where(found.sum(axis=1) == 1)

    @hookimpl
    def loss_terms(self, rules):
        self.note("loss_terms")

        def satisfied(step, batch, outputs):
            fires = rules.on(batch)[0].float()  # (batch,) of the first rule
            place = outputs.space.labels.index("warm")
            return TermValues(-outputs.space.probabilities(outputs.scores)[:, place].log(), fires)

        yield LossTerm("warm", satisfied)

    @hookimpl
    def claim_parameters(self, layout):
        self.note("claim_parameters")
        assert [one.name for one in layout.where(Owner("everything"))] == ["head.extra"]
        yield ParameterClaim(Name("embeddings.*"), trainable=False)

    @hookimpl
    def build_optimizer(self, groups):
        self.note("build_optimizer")
        return adamw(groups)

    @hookimpl
    def constrain_outputs(self, rules, outputs, batch):
        self.note("constrain_outputs")
        place = outputs.space.labels.index("cold")
        forbidden = torch.zeros_like(outputs.scores, dtype=torch.bool)
        forbidden[:, place] = rules.on(batch)[0]
        return replace(outputs, scores=outputs.scores.masked_fill(forbidden, -1e4))

    @hookimpl
    def compose_loss(self, terms, step):
        self.note("compose_loss")
        return torch.stack(list(terms.values())).sum() * 2

    @hookimpl
    def measure(self, predictions):
        self.note("measure")
        return {"largest": float(predictions["predicted"].value_counts(normalize=True).max())}

    @hookimpl
    def observe(self, event):
        self.note("observe")

    @hookimpl
    def export(self, directory):
        self.note("export")
        (directory / "note.txt").write_text("exported")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = table(40)
    data.loc[::4, "label"] = None
    unlabelled = table(12, seed=5)[["text"]]
    everything, events = Everything(), []
    result = triune.run(
        config("all", "everything", accumulate=2),
        plugins=plugins(
            task=ToyTask(dropout=0.0),
            data=Tables(train=data, test=table(16, seed=1), unlabelled=unlabelled),
            everything=everything,
        ),
        output=tmp_path_factory.mktemp("life") / "run",
        observers=[events.append],
    )
    return everything, events, result


def test_every_hook_is_called_in_the_order_of_the_design(run):
    assert run[0].calls == ORDER


def test_a_hard_rule_in_the_structure_holds_in_every_prediction(run):
    assert run[2].metrics["test"]["rules"]["warm"] == {
        "coverage": 0.5,
        "violation_rate": 0.0,
        "violation_rate_before": 0.0,
        "violation_rate_on_gold": 0.0,
        "agreement_with_gold": 1.0,
        "satisfaction_probability": 1.0,
    }
    assert run[2].metrics["test"]["rules_overall"]["hard_violations"] == 0


def test_unlabelled_text_and_labels_of_rules_are_learnt_from(run):
    plan = next(event.plan for event in run[1] if hasattr(event, "plan"))
    train, learnt = plan.tables["train"], plan.tables["train"].rows + 12
    assert train.labelled < train.rows  # the plan counts the table's own
    assert plan.steps.per_epoch == -(-learnt // plan.steps.batch) > -(-train.rows // plan.steps.batch)
    assert not any("have no label" in note for note in run[2].facts["notes"])


def test_what_hooks_return_has_an_effect(run):
    _, events, result = run
    assert "two rows dropped" in result.facts["notes"]
    assert (result.model / "note.txt").read_text() == "exported"
    assert 0.5 <= result.metrics["test"]["largest"] <= 1
    steps = [event for event in events if hasattr(event, "terms")]
    assert {tuple(event.terms) for event in steps} == {("task", "warm")}
    for event in steps:
        assert event.loss == pytest.approx(2 * sum(event.terms.values()), rel=1e-5)
    assert steps[-1].loss < steps[0].loss


def test_the_finished_run_predicts_under_its_rules(run):
    _, _, result = run
    held = {"toy": ToyTask(dropout=0.0), "tables": Reads(), "all": plugins()["all"], "everything": Everything()}
    found = triune.predict(result.folder, pd.DataFrame({"text": ["warm red", "blue warm"]}), plugins=held)
    assert found["predicted"].tolist() == ["warm", "warm"]
    assert (found["probability of cold"] < 1e-6).all()


class Reads(Tables):
    """Bring one table that is handed over, as a data plugin that reads files does."""

    def reading(self, source):
        return One(source)


class One:
    def __init__(self, source):
        self.source = source

    @hookimpl
    def load_data(self):
        return triune.Data({"test": self.source}, {"text": "text"})


def test_evaluations_are_told_with_the_best_marked(run):
    seen = [event for event in run[1] if isinstance(event, Evaluated) and event.split == "valid"]
    assert seen[0].best


class Labeller:
    """Label every example alike, and keep what the hook was told."""

    def __init__(self, decide):
        self.decide = decide

    @hookimpl
    def label_examples(self, examples, roles, space, gold):
        self.told = examples, roles, space, gold
        return self.decide(gold)


def labelled_by(decide):
    data = table(12)
    data.loc[::3, "label"] = None
    tables = Tables(train=data, valid=table(4), unlabelled=table(6, seed=5)[["text"]])
    labeller = Labeller(decide)
    held = plugins(task=ToyTask(), data=tables, labeller=labeller, everything=Rules())
    return triune.plan(config("all", "everything", "labeller"), plugins=held), labeller


class Rules:
    @hookimpl
    def rules(self):
        yield Rule("warm", then=Label("warm"), when=TextMatches(lambda text: "warm" in text))


def test_a_plugin_that_labels_is_told_the_labels_that_there_are():
    _, labeller = labelled_by(lambda gold: None)
    examples, roles, space, gold = labeller.told
    assert gold.columns.tolist() == list(space.labels) == ["cold", "warm"]
    assert gold.index.equals(examples.index)
    assert len(gold) == 18
    known = gold.dropna()
    assert known.idxmax(axis=1).tolist() == examples[roles["label"]].dropna().tolist()
    assert len(known) == 8


def test_notes_of_a_plugin_that_labels_reach_the_plan_and_a_bare_table_does_as_well():
    said, _ = labelled_by(lambda gold: triune.RuleLabels(gold.fillna(0.5), ("half and half",)))
    bare, _ = labelled_by(lambda gold: gold.fillna(0.5))
    assert "half and half" in said.notes
    for plan in (said, bare):
        assert plan.tables["train"].labelled == 8  # the table's own
        assert not any("training examples have no label" in note for note in plan.notes)  # all 18 are learnt from


def test_labels_that_are_no_table_are_refused_with_the_plugins_name():
    with pytest.raises(triune.TriuneError, match="plugin 'labeller': hook 'label_examples'"):
        labelled_by(lambda gold: [0.5])
