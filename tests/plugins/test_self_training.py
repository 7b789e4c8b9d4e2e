"""The method `self-training`: its targets are the closed form, and only text without labels learns from them."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.core.test_engine import final
from tests.plugins.policies import SPACES, STEP, batch_of, every_answer, grounded, log_p, outputs_of, rules_of
from tests.support import Tables, ToyTask, config, plugins, same, table
from triune import Label, Rule, SoftFormula, TermValues, TextMatches, hookimpl
from triune.confidences import lift
from triune.errors import PlanError
from triune.events import Checkpointed, Stepped
from triune.guard import Guard
from triune.logic import EachIs
from triune.seats import seated
from triune.testing import check_plugin, toy_run
from triune.token_rules import TokenRules
from triune.types import ALWAYS, Seat, Step
from triune_end_to_end import EndToEnd
from triune_self_training import SelfTraining
from triune_self_training.learning import SelfTaught, certainty, of_labels, sharpened, unlabelled_marginals
from triune_self_training.targets import Targets
from triune_top_layers import TopLayers
from triune_weak_labels import WeakLabels

KINDS = list(SPACES)
MARGINALS = torch.tensor([0.2, 0.7, 0.1])


def targets(kind, rules, fires, confidences=None):
    mine = seated(grounded(kind, rules, fires), Seat.POLICY)
    by_name = {rule.name: one for rule, one in zip(rules, confidences or [r.confidence for r in rules], strict=True)}
    return Targets(mine, mine.compiled(), by_name)


def chance(kind, formula):
    """Return the probability of a statement where every label is as likely as the marginals say, by enumeration."""
    if kind == "tags":
        return 0.5
    scores = MARGINALS.logit() if kind == "any of three" else MARGINALS.log()
    outputs = replace(outputs_of(kind, 1), scores=scores[None])
    answers = every_answer(outputs, 0)
    return sum(float(log_p(outputs, 0, answer).exp()) for answer, said in answers if formula.holds(said))


def closed_form(kind, outputs, rules, fires, confidences, extra=lambda example, answer: 0.0):
    """Return the marginals of q(y) ∝ p(y) exp(−the worth of the rules that y breaks), by enumeration."""
    found = []
    for example in range(len(outputs.scores)):
        q = []
        for answer, said in every_answer(outputs, example):
            cost = extra(example, answer)
            for rule, fired, confidence in zip(rules, fires[:, example], confidences, strict=True):
                if fired and not rule.then.holds(said):
                    cost += 1e30 if rule.hard else lift(confidence, chance(kind, rule.then))
            q.append((answer, log_p(outputs, example, answer).detach().double() - cost))
        shares = torch.stack([one for _, one in q]).softmax(-1)
        found.append(sum(share * answer.double() for share, (answer, _) in zip(shares, q, strict=True)))
    return torch.stack(found).float()


def counted(outputs, values):
    """Return values at the tokens that count."""
    return values if outputs.mask is None else values[outputs.mask]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 1000),
    st.sampled_from([(), (1,)]),
    st.tuples(*[st.sampled_from([0.3, 0.6, 0.95])] * 3),
)
def test_targets_are_the_closed_form(kind, seed, hard, confidences):
    rules = rules_of(kind, hard=hard)
    fires = np.random.default_rng(seed).random((3, 4)) < 0.7
    outputs = outputs_of(kind, 4, seed)
    q = targets(kind, rules, fires, confidences)(batch_of(4), outputs, MARGINALS)
    expected = closed_form(kind, outputs, rules, fires, confidences)
    torch.testing.assert_close(counted(outputs, q), counted(outputs, expected), atol=2e-5, rtol=1e-4)
    assert not q.requires_grad


def test_rules_about_tokens_are_part_of_the_closed_form():
    rules = (*rules_of("tags"), Rule("pointed", EachIs("c"), confidence=0.9), Rule("firm", EachIs("a"), hard=True))
    table = TokenRules(
        *(np.asarray(one) for one in ([0, 0, 1], [0, 1, 1], [3, 4, 3], [0, 1, 0], [0, 1, 2])),
        allowed=np.asarray([[False, False, True], [True, False, False]]),
    )
    fires = np.ones((5, 2), dtype=bool)
    mine = seated(replace(grounded("tags", rules, fires), tokens={"train": table}), Seat.POLICY)
    outputs = outputs_of("tags", 2)
    found = Targets(mine, mine.compiled(), {rule.name: rule.confidence for rule in rules})

    def pointed(example, answer):
        nats = lift(0.9, 0.1)  # of c
        broken = {0: [(0, 2, nats), (1, 0, 1e30)], 1: [(1, 2, nats)]}[example]
        return sum(cost for token, tag, cost in broken if not answer[token, tag])

    expected = closed_form("tags", outputs, rules[:3], fires[:3], (0.7, 0.9, 1.0), pointed)
    q = found(batch_of(2), outputs, MARGINALS)
    torch.testing.assert_close(counted(outputs, q), counted(outputs, expected), atol=1e-5, rtol=1e-4)


def test_where_chances_are_unknown_or_a_rule_always_fires_log_odds_alone_count():
    rules = rules_of("one of three", (0.9, 0.9, 0.9))
    found = targets("one of three", rules, np.ones((3, 1), dtype=bool))
    assert found.worth(None) == pytest.approx(dict.fromkeys(("r0", "r1", "r2"), math.log(9)))
    always = targets("one of three", [replace(rules[0], when=ALWAYS)], np.ones((1, 1), dtype=bool))
    assert always.worth(MARGINALS)["r0"] == pytest.approx(math.log(9))
    assert found.worth(MARGINALS)["r0"] == pytest.approx(math.log(9) + math.log(4))  # a has a chance of 0.2
    assert found.worth(MARGINALS)["r1"] == pytest.approx(0, abs=1e-5)  # a or b has 0.9


# What is learnt.


def taught(kind, rules, fires, **changes):
    settings = SelfTraining.Config(**changes)
    return SelfTaught(targets(kind, rules, fires) if rules else None, None, MARGINALS, settings)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_has_no_label_of_its_own_learns_and_as_much_as_its_target_is_sure(kind):
    rules, fires = rules_of(kind), np.ones((3, 6), dtype=bool)
    outputs, batch = outputs_of(kind, 6), batch_of(6)
    found = taught(kind, rules, fires, sharpness=2)(STEP, batch, outputs)
    q = closed_form(kind, outputs, rules, fires, [rule.confidence for rule in rules])
    sharp = (q**2 / (q**2 + (1 - q) ** 2)) if kind == "any of three" else q**2 / (q**2).sum(-1, keepdim=True)
    entropy = -(q * q.log() + ((1 - q) * (1 - q).log() if kind == "any of three" else 0))
    entropy, most = (entropy, math.log(2)) if kind == "any of three" else (entropy.sum(-1), math.log(3))
    expected = -outputs.space.log_likelihood(outputs.scores, sharp) * (1 - entropy / most)
    torch.testing.assert_close(counted(outputs, found.values), counted(outputs, expected), atol=1e-4, rtol=1e-3)
    free = (1 - batch.labelled) * batch.weights
    assert torch.equal(found.mask.amax(tuple(range(1, found.mask.dim()))) if found.mask.dim() > 1 else found.mask, free)
    if outputs.mask is not None:
        assert not found.mask[~outputs.mask].any()


def test_labels_that_rules_decided_are_no_labels_of_its_own():
    outputs = outputs_of("one of three", 3)
    batch = replace(batch_of(3), labelled=torch.ones(3), gold=torch.tensor([1.0, 0, 0]), weights=torch.ones(3))
    rules = rules_of("one of three")
    assert taught("one of three", rules, np.ones((3, 3), dtype=bool))(STEP, batch, outputs).mask.tolist() == [0, 1, 1]


def test_what_is_less_probable_than_asked_is_not_learnt_from():
    outputs = replace(outputs_of("one of three", 2), scores=torch.tensor([[3.0, 0, 0], [0.1, 0, 0]]))
    learning = taught("one of three", (), None, min_confidence=0.6, certainty=False)
    assert learning.counts_for(learning.believed(batch_of(2), outputs), outputs.space).tolist() == [1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_without_rules_it_is_sharpness_that_is_learnt(kind):
    for sharpness, learns in ((1, False), (2, True)):
        outputs = outputs_of(kind, 5)
        found = taught(kind, (), None, sharpness=sharpness)(STEP, batch_of(5), outputs)
        (gradient,) = torch.autograd.grad((found.values * found.mask).sum(), outputs.scores)
        assert (gradient.abs().max() > 1e-3) == learns


def test_certainty_goes_from_none_to_all():
    for kind in KINDS:
        shape = (1, 3, 3) if kind == "tags" else (1, 3)
        even = torch.full(shape, 0.5 if kind == "any of three" else 1 / 3)
        assert certainty(even, SPACES[kind]).abs().max() < 1e-5
        sure = torch.eye(3)[None] if kind == "tags" else torch.eye(3)[:1]
        assert (1 - certainty(sure, SPACES[kind])).abs().max() < 1e-4


def test_sharpening_at_one_changes_nothing_and_ends_at_a_decision():
    q = torch.tensor([[0.5, 0.3, 0.2]])
    assert sharpened(q, 1, SPACES["one of three"]) is q
    torch.testing.assert_close(sharpened(q, 100, SPACES["one of three"]), torch.eye(3)[:1])


def test_the_guard_looks_at_text_without_labels_alone():
    guard, outputs, batch = Guard(np.full(3, 1 / 3, dtype=np.float32), SPACES["one of three"]), None, batch_of(6)
    outputs = outputs_of("one of three", 6)
    found = unlabelled_marginals(guard)(STEP, batch, outputs)
    assert torch.equal(found.mask, 1 - batch.labelled)


def test_labels_that_rules_decided_count_until_their_time_is_over():
    outputs = outputs_of("one of three", 3)
    batch = replace(batch_of(3), labelled=torch.tensor([1.0, 1, 0]), gold=torch.tensor([1.0, 0, 0]))
    batch = replace(batch, targets=torch.eye(3))
    early, late = (of_labels(0.5)(Step(index, 10), batch, outputs) for index in (4, 5))
    assert isinstance(early, TermValues)
    assert (early.mask > 0).tolist() == [True, True, False]
    assert (late.mask > 0).tolist() == [True, False, False]


# In a run.


class Rules:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


def says(word, label, confidence=0.9):
    return Rule(f"{word} is {label}", Label(label), TextMatches(lambda text: word in text.split()), confidence)


WARM, COLD = says("warm", "warm"), says("cold", "cold")


def self_training(**changes):
    return SelfTraining(SelfTraining.Config(**changes))


def few(rows=64, labelled=8):
    found = table(rows)
    found.loc[labelled:, "label"] = None
    return found


def trained(folder, method, *rules, task=None, train=None, **changes):
    """Return the weights after a run on few labels, and what it found on the test table."""
    data = Tables(train=few() if train is None else train, test=table(60, seed=1))
    changes = {
        "epochs": 8,
        "labelled_share": 0.5,
        "early_stopping": None,
        "keep_best": False,
        "validation": 0.0,
        **changes,
    }
    events = []
    done = triune.run(
        config("all", "s", "r", **changes),
        plugins=plugins(task, data, s=method, r=Rules(*rules)),
        output=folder,
        observers=[events.append],
    )
    return done, [one.terms for one in events if isinstance(one, Stepped)]


def test_rules_teach_what_few_labels_do_not(tmp_path):
    alone, _ = trained(tmp_path / "alone", self_training(weight=0, guard=0), WARM, COLD)
    taught, _ = trained(tmp_path / "taught", self_training(), WARM, COLD)
    assert taught.metrics["test"]["accuracy"] > alone.metrics["test"]["accuracy"] + 0.1


def test_rules_that_labels_prove_wrong_teach_nothing_wrong(tmp_path):
    wrong = (says("warm", "cold"), says("cold", "warm"))
    believed, _ = trained(tmp_path / "believed", self_training(estimate=False), *wrong, train=few(labelled=24))
    judged, _ = trained(tmp_path / "judged", self_training(), *wrong, train=few(labelled=24))
    assert judged.metrics["test"]["accuracy"] > believed.metrics["test"]["accuracy"] + 0.1


def test_the_plan_says_which_rules_labels_correct():
    wrong = says("warm", "cold")
    data = Tables(train=few(labelled=24), test=table(8))
    plan = triune.plan(
        config("all", "s", "r", validation=0.0), plugins=plugins(None, data, s=self_training(), r=Rules(wrong, COLD))
    )
    said = " ".join(str(plan).split())
    assert "estimated from 24 labelled examples, lower for 'warm is cold' 0.90 → 0.17 (0 of 12 right)" in said


@pytest.mark.parametrize(("share", "said"), [(None, True), (0.5, False)])
def test_the_plan_says_where_labels_would_be_in_few_batches(share, said):
    data = Tables(train=few(), test=table(8))
    settings = {"validation": 0.0, "labelled_share": share}
    plan = triune.plan(
        config("all", "s", "r", **settings), plugins=plugins(None, data, s=self_training(), r=Rules(WARM, COLD))
    )
    assert ("12% of the examples have a label" in " ".join(str(plan).split())) == said


def test_a_function_of_outputs_is_left_out_and_named():
    soft = Rule("soft", SoftFormula(lambda outputs, batch: outputs.scores[:, 0].sigmoid()))
    data = Tables(train=few(), test=table(8))
    plan = triune.plan(config("all", "s", "r"), plugins=plugins(None, data, s=self_training(), r=Rules(WARM, soft)))
    assert "left out, as a SoftFormula has no exact cost: 'soft'" in " ".join(str(plan).split())


@pytest.mark.parametrize(
    ("train", "changes", "rules", "sentence"),
    [
        (table(32), {}, (WARM,), "every training example has a label: put text without labels"),
        (few(), {}, (), "no rule acts here, and at sharpness 1 the model learns only what it believes already"),
        (few(), {}, (says("zebra", "warm"),), "no rule acts here"),
        (few(labelled=0), {}, (says("zebra", "warm"),), "there is nothing to begin from"),
        (few(), {}, (replace(WARM, hard=True), replace(says("warm", "cold"), hard=True)), "contradict each other"),
    ],
    ids=["all labelled", "no rules", "silent rules", "nothing at all", "contradiction"],
)
def test_what_would_learn_nothing_is_refused(train, changes, rules, sentence):
    data = Tables(train=train, test=table(8))
    with pytest.raises(PlanError, match=sentence):
        triune.plan(
            config("all", "s", "r", early_stopping=None),
            plugins=plugins(None, data, s=self_training(**changes), r=Rules(*rules)),
        )


def test_accumulated_parts_learn_as_the_whole(tmp_path):
    task = ToyTask(dropout=0.0)
    settings = {"task": task, "max_steps": 3}
    _, whole = trained(tmp_path / "whole", self_training(guard_floor=1.0), WARM, COLD, **settings)
    _, parts = trained(tmp_path / "parts", self_training(guard_floor=1.0), WARM, COLD, **settings, accumulate=4)
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


class Stopped(BaseException):
    """A run broken off on purpose."""


@pytest.mark.parametrize("votes", [False, True], ids=["alone", "with labels from rules"])
def test_a_run_broken_off_at_every_step_and_resumed_each_time_is_the_same_to_the_bit(tmp_path, votes):
    settings = {
        "epochs": 8,
        "max_steps": 9,
        "evaluate_every": 2,
        "checkpoint_every": 1,
        "labelled_share": 0.5,
        "accumulate": 2,
        "early_stopping": {"patience": 3},
    }

    def go(name, stop=None, resume=None):
        def stopping(event):
            if isinstance(event, Checkpointed) and event.step.index == stop:
                raise Stopped

        data = Tables(train=few(), valid=table(24, seed=3), test=table(24, seed=1))
        mine = {"s": self_training(rule_labels_until=0.5, sharpness=2.0), "r": Rules(WARM, COLD)}
        mine |= {"v": WeakLabels(WeakLabels.Config())} if votes else {}
        found, given = config("all", *mine, **settings), plugins(None, data, **mine)
        return triune.run(found, plugins=given, output=tmp_path / name, observers=[stopping], resume=resume)

    whole = go("whole")
    for stop in range(1, 9):
        with pytest.raises(Stopped):
            go("run", stop, "auto")
    assert go("run", resume="auto").metrics == whole.metrics
    assert whole.facts["ended"]["step"] == 9
    assert same(final(tmp_path, "run"), final(tmp_path, "whole"))
    assert [told(tmp_path / name) for name in ("run", "whole")] == [told(tmp_path / "whole")] * 2


def told(folder):
    """Return every loss, noted value and metric of a run."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "examples_per_second"} for line in lines]


@pytest.mark.parametrize(
    ("changes", "company"),
    [
        ({}, {}),
        ({"guard": 0, "sharpness": 2.0, "min_confidence": 0.6}, {}),
        ({"estimate": False, "certainty": False}, {"toy": lambda: ToyTask(multi_label=True)}),
        ({"rule_labels_until": 0.5}, {"votes": lambda: WeakLabels(WeakLabels.Config())}),
    ],
    ids=["defaults", "strict", "several labels", "with labels from rules"],
)
def test_it_conforms(changes, company):
    check_plugin(SelfTraining, config=changes, company=company)


@pytest.mark.parametrize("others", [(TopLayers,), (EndToEnd, WeakLabels)], ids=["top layers", "votes"])
def test_it_goes_with_other_methods(tmp_path, others):
    done = toy_run(tmp_path / "run", self_training(), *(cls(cls.Config()) for cls in others), epochs=1)
    assert done.metrics["test"]["labelled"]


def test_where_every_example_has_a_label_it_is_refused_or_rests_as_asked(tmp_path):
    import triune
    from tests.support import config, plugins
    from triune_self_training import SelfTraining

    def run(**settings):
        given = plugins(mine=SelfTraining(SelfTraining.Config(**settings)))
        return triune.run(config("all", "mine", epochs=1), plugins=given, output=tmp_path / "run")

    with pytest.raises(PlanError, match="every training example has a label"):
        run()
    history = run(without_text="rest").folder / "history.jsonl"
    assert "self-training" not in history.read_text()
