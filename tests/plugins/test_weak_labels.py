"""The plugin `weak-labels`: votes of rules become labels, and a label model is believed only for a reason."""

import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.support import Tables, config, plugins, table
from triune import Label, Rule, Seat, SoftFormula, TextMatches, hookimpl
from triune.context import Generators, Run
from triune.errors import DataError, PlanError
from triune.spaces import Binaries, Categorical
from triune.types import GroundedRules
from triune_weak_labels import WeakLabels
from triune_weak_labels.choosing import better, chosen, doubted, right
from triune_weak_labels.exchange import from_matrix, read_wrench, to_matrix, write_wrench
from triune_weak_labels.generative import dawid_skene, one_coin
from triune_weak_labels.votes import ABSTAIN, patterns, together, votes_of
from triune_weak_labels.voting import Majority, Weighted, by_confidence, decided

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LABELS = ("a", "b", "c")


def votes(rows, labels=LABELS):
    """Return votes from rows (examples, rules) of places, -1 where a rule abstains."""
    return from_matrix(np.asarray(rows, dtype=np.int64).reshape(len(rows), -1), labels)


def planted(examples, accuracies, seed=0, classes=3, silence=0.4, balance=None):
    """Return votes of rules that are right as often as planted, and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(classes, size=examples, p=balance)
    rows = np.empty((examples, len(accuracies)), dtype=np.int64)
    for rule, accuracy in enumerate(accuracies):
        wrong = (truth + generator.integers(1, classes, size=examples)) % classes
        rows[:, rule] = np.where(generator.random(examples) < accuracy, truth, wrong)
        rows[generator.random(examples) < silence, rule] = ABSTAIN
    return votes(rows, tuple("abcdefgh"[:classes])), truth


matrices = st.integers(1, 5).flatmap(
    lambda rules: st.lists(st.lists(st.integers(-1, 2), min_size=rules, max_size=rules), min_size=1, max_size=20)
)


# votes


def grounded(*rules, examples=4):
    fires = np.ones((len(rules), examples), dtype=bool)
    return GroundedRules(rules, {"train": fires})


def test_a_rule_votes_for_the_labels_that_satisfy_its_formula():
    rules = grounded(
        Rule("one", Label("b")),
        Rule("all but one", ~Label("a")),
        Rule("two", Label("a") | Label("b")),
        Rule("never", Label("a") & Label("b")),
        Rule("always", Label("a") | ~Label("a")),
        Rule("soft", SoftFormula(lambda outputs, batch: outputs.scores[:, 0])),
        Rule("other seat", Label("c"), seats=frozenset({Seat.LOSS})),
    )
    found, mute = votes_of(rules, LABELS)
    assert found.names == ("one", "all but one", "two")
    assert [found.ballots[ballot].tolist() for ballot in found.cast[:, 0]] == [
        [False, True, False],
        [False, True, True],
        [True, True, False],
    ]
    assert [rule.name for rule in mute] == ["never", "always", "soft"]


def test_a_vote_for_a_set_counts_once_in_equal_parts():
    found, _ = votes_of(grounded(Rule("one", Label("b")), Rule("two", Label("a") | Label("b"))), LABELS)
    assert Majority().posterior(found)[0].tolist() == pytest.approx([0.25, 0.75, 0])


def test_rules_vote_where_they_fire_and_abstain_elsewhere():
    rules = GroundedRules((Rule("one", Label("b")),), {"train": np.array([[True, False]])})
    assert votes_of(rules, LABELS)[0].cast.tolist() == [[1, ABSTAIN]]


# counting


def test_majority_counts_and_is_uniform_where_all_abstain():
    found = Majority().posterior(votes([[0, 0, 1], [-1, 2, -1], [-1, -1, -1]]))
    assert found == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]]))


def test_ties_are_broken_at_random_and_alike_for_the_same_seed():
    tied = Majority().posterior(votes([[0, 1]] * 400))
    once, again, other = (decided(tied, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once.tolist() == again.tolist() != other.tolist()
    assert set(once.tolist()) == {0, 1}
    assert 150 < (once == 0).sum() < 250


def test_a_clear_majority_is_never_drawn():
    clear = Majority().posterior(votes([[2, 2, 1]] * 50))
    assert set(decided(clear, np.random.default_rng(0)).tolist()) == {2}


def test_confident_rules_outvote_unsure_ones_as_bayes_says():
    two = replace(votes([[0, 1, 1]], ("a", "b")), confidences=np.array([0.9, 0.6, 0.6]))
    odds = (0.9 / 0.1) / (0.6 / 0.4) ** 2
    assert by_confidence(two).posterior(two)[0, 0] == pytest.approx(odds / (1 + odds))


def test_a_certain_rule_can_be_outvoted():
    three = replace(votes([[0, 1, 1, 1]], ("a", "b")), confidences=np.array([1.0, 0.9, 0.9, 0.9]))
    assert by_confidence(three).posterior(three)[0, 1] > 0.5


def test_weighted_votes_for_sets_agree_with_enumeration():
    found, _ = votes_of(
        grounded(Rule("one", Label("b"), confidence=0.7), Rule("s", ~Label("a"), confidence=0.8)), LABELS
    )
    by_hand = np.array([0.15 * 0.2, 0.7 * 0.4, 0.15 * 0.4])
    assert by_confidence(found).posterior(found)[0] == pytest.approx(by_hand / by_hand.sum())


# models that learn from agreement


def test_dawid_skene_recovers_planted_accuracies_and_beats_majority_vote():
    accuracies = [0.95, 0.9, 0.6, 0.55, 0.5]
    found, truth = planted(3000, accuracies, balance=[0.5, 0.3, 0.2])
    model = dawid_skene(found)
    confusion = np.exp(model.log_confusion)  # (rules, classes, answers)
    learnt = [np.mean([one[k, k] / one[k, :3].sum() for k in range(3)]) for one in confusion]
    assert learnt == pytest.approx(accuracies, abs=0.06)
    assert np.exp(model.log_prior) == pytest.approx([0.5, 0.3, 0.2], abs=0.05)
    assert right(model.posterior(found), truth).mean() > right(Majority().posterior(found), truth).mean() + 0.02


def test_one_coin_recovers_planted_accuracies():
    accuracies = [0.95, 0.85, 0.75, 0.65]
    found, _ = planted(4000, accuracies, silence=0.3)
    assert one_coin(found).accuracies == pytest.approx(accuracies, abs=0.05)


def test_one_coin_takes_no_rule_for_worse_than_chance_of_two():
    found, _ = planted(500, [0.9, 0.9, 0.1], classes=2, silence=0)
    assert one_coin(found).accuracies.min() == 0.5


def likelihood(model, found, smoothing):
    """Return the log-posterior that EM ascends, every class enumerated for every example."""
    total = 0.0
    for column in found.cast.T:
        joint = [
            np.exp(
                model.log_prior[k] + sum(one[k, vote] for one, vote in zip(model.log_confusion, column, strict=True))
            )
            for k in range(len(found.labels))
        ]
        total += np.log(sum(joint))
    return total + smoothing * model.log_confusion.sum()


@settings(max_examples=25, deadline=None)
@given(rows=matrices)
def test_every_round_of_dawid_skene_raises_the_enumerated_likelihood(rows):
    found = votes(rows)
    rounds = [likelihood(dawid_skene(found, 0.1, rounds=n), found, 0.1) for n in range(1, 8)]
    assert all(later >= earlier - 1e-8 for earlier, later in itertools.pairwise(rounds))


def test_dawid_skene_ends_where_no_nearby_model_is_likelier():
    found, _ = planted(60, [0.9, 0.8, 0.7], classes=2)
    model = dawid_skene(found, smoothing=0.5)
    best = likelihood(model, found, 0.5)
    generator = np.random.default_rng(0)
    for _ in range(60):
        moved = model.log_confusion + generator.normal(0, 0.02, model.log_confusion.shape)
        moved -= np.log(np.exp(moved).sum(axis=2, keepdims=True))
        assert likelihood(replace(model, log_confusion=moved), found, 0.5) <= best + 1e-4


@settings(max_examples=40, deadline=None)
@given(rows=matrices)
def test_models_return_probabilities_for_any_votes(rows):
    found = votes(rows)
    for model in (Majority(), by_confidence(found), dawid_skene(found), dawid_skene(found, 0.0), one_coin(found)):
        p = model.posterior(found)
        assert p.shape == (len(rows), 3)
        assert np.isfinite(p).all()
        assert (p >= 0).all()
        assert p.sum(axis=1) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(rows=matrices, seed=st.integers(0, 99))
def test_the_order_of_examples_rules_and_classes_does_not_matter(rows, seed):
    generator = np.random.default_rng(seed)
    found = votes(rows)
    examples, rules, classes = (generator.permutation(size) for size in (len(rows), len(found.names), 3))
    renamed = np.append(np.argsort(classes), ABSTAIN)  # the new place of each class; -1 stays -1
    other = replace(found, cast=renamed[found.cast][rules][:, examples])
    for fit in (lambda one: Majority(), by_confidence, one_coin, lambda one: dawid_skene(one, rounds=5)):
        expected = fit(found).posterior(found)[examples][:, classes]
        assert fit(other).posterior(other) == pytest.approx(expected, abs=1e-6)


def test_that_a_rule_is_silent_says_something_of_the_class():
    # "a" speaks on nearly every example of class a, so its silence speaks for b
    rows = [[0, 0, -1]] * 45 + [[0, -1, -1]] * 4 + [[-1, -1, 1]] * 40 + [[-1, -1, -1]] * 11
    found = votes(rows, ("a", "b"))
    model = dawid_skene(found)
    assert model.posterior(found)[-1, 1] > 0.9
    assert one_coin(found).posterior(found)[-1] == pytest.approx([0.5, 0.5])


def test_patterns_stand_for_the_examples_that_have_them():
    found, _ = planted(50, [0.9, 0.8], classes=2)
    distinct, counts, places = patterns(found)
    assert (distinct.cast[:, places] == found.cast).all()
    assert counts.sum() == 50


# what is believed


def test_without_labels_majority_vote_is_believed():
    found, _ = planted(100, [0.9, 0.9, 0.6])
    one = chosen(found, "best", np.full(100, ABSTAIN), 0.01)
    assert one.name == "majority"
    assert "no labelled example" in one.notes[0]


def test_another_model_is_believed_when_labels_show_it_better():
    found, truth = planted(2000, [0.97, 0.55, 0.52, 0.5, 0.5], classes=2, silence=0.0)
    one = chosen(found, "best", truth, 0.01)
    assert one.name in ("dawid-skene", "one-coin")
    assert right(one.probabilities, truth).mean() > right(Majority().posterior(found), truth).mean()


def test_a_model_that_is_worse_is_not_believed():
    # two rules that are copies agree with one another, and a model that learns from agreement follows them
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 600)
    copied, *others = (np.where(generator.random(600) < accuracy, truth, 1 - truth) for accuracy in (0.6, *[0.75] * 5))
    found = votes(np.stack([copied, copied, *others], axis=1), ("a", "b"))
    reference = right(Majority().posterior(found), truth).mean()
    assert right(dawid_skene(found).posterior(found), truth).mean() < reference - 0.2
    one = chosen(found, "best", truth, 0.01)
    assert one.name == "majority"
    assert "no other is better by more than chance" in one.notes[0]


def test_better_means_by_more_than_a_standard_error():
    assert not better(np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    assert better(np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0]))
    assert not better(np.array([1.0, 1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0, 1.0]))


def test_a_tie_is_right_with_the_chance_of_its_drawing():
    assert right(np.array([[0.5, 0.5, 0], [0.2, 0.2, 0.6]]), np.array([0, 0])).tolist() == [0.5, 0]


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [([[0, 1]] * 5, "2 rules vote"), ([[0, -1, -1], [-1, 1, -1], [-1, -1, 0]], "no two rules"), ([[0, 0, 1]], "")],
)
def test_too_few_rules_and_no_overlap_are_doubted(rows, doubt):
    assert doubt in "".join(doubted(votes(rows)))
    assert bool(doubted(votes(rows))) == bool(doubt)


def test_one_coin_of_two_rules_is_refused_and_dawid_skene_is_doubted():
    with pytest.raises(PlanError, match="2 rules vote, and 3 are needed"):
        chosen(votes([[0, 1]]), "one-coin", np.array([ABSTAIN]), 0.01)
    assert "can say anything" in chosen(votes([[0, 1]]), "dawid-skene", np.array([ABSTAIN]), 0.01).notes[0]


# the hook


SPACE = Categorical(("cold", "warm"))


def says(word, label, **more):
    return Rule(f"{word} is {label}", Label(label), TextMatches(lambda text: word in text), **more)


def label(rules, frame, space=SPACE, seed=1, gold=None, **settings):
    """Return what the plugin decides of a frame."""
    roles = {"text": "text"}
    fires = np.stack([rule.when.ground(frame, roles) for rule in rules]) if rules else np.zeros((0, len(frame)), bool)
    known = pd.DataFrame(np.nan, index=frame.index, columns=list(space.labels))
    for row, name in (gold or {}).items():
        known.iloc[row] = [float(name == one) for one in space.labels]
    run = Run(config=None, folder=None, generators=Generators(seed))
    plugin = WeakLabels(WeakLabels.Config.model_validate(settings))
    return plugin.label_examples(run, GroundedRules(tuple(rules), {"train": fires}), frame, roles, space, known), plugin


FRAME = pd.DataFrame({"text": ["red", "blue", "red blue", "green", "red red"]}, index=[2, 3, 4, 5, 5])
RULES = (says("red", "warm"), says("blue", "cold"))


def test_labels_are_probabilities_where_rules_speak_and_silence_elsewhere():
    found, _ = label(RULES, FRAME)
    assert found.probabilities.columns.tolist() == ["cold", "warm"]
    assert found.probabilities.index.tolist() == FRAME.index.tolist()
    assert found.probabilities.iloc[[0, 1, 2, 4]].to_numpy().tolist() == [[0, 1], [1, 0], [0.5, 0.5], [0, 1]]
    assert found.probabilities.iloc[3].isna().all()


def test_hard_labels_break_ties_by_the_seed():
    frame = pd.DataFrame({"text": ["red blue"] * 40})
    one, same, other = (label(RULES, frame, seed=seed, hard=True)[0].probabilities for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)
    assert sorted(one["warm"].unique()) == [0, 1]


def test_unsure_examples_stay_unlabelled():
    found, _ = label(RULES, FRAME, min_confidence=0.6)
    assert found.probabilities.isna().all(axis=1).tolist() == [False, False, True, True, False]
    assert any("1 example stays unlabelled" in note for note in found.notes)


def test_one_rule_labels_what_it_fires_on():
    found, _ = label(RULES[:1], FRAME)
    assert found.probabilities["warm"].tolist()[:1] == [1.0]
    assert any("'cold'" in note and "no example is labelled" in note for note in found.notes)


def test_rules_that_never_fire_label_nothing():
    found, _ = label(RULES, pd.DataFrame({"text": ["green", "grey"]}))
    assert found.probabilities.isna().all(axis=None)
    assert any("no rule speaks of any" in note for note in found.notes)


@pytest.mark.parametrize("model", ["majority", "weighted", "dawid-skene", "one-coin"])
def test_every_model_goes_through_the_hook(model):
    more = Rule("more", Label("warm"), TextMatches(lambda text: "e" in text), confidence=0.6)
    found, _ = label((*RULES, more), FRAME, model=model)
    spoken = found.probabilities.dropna()
    assert spoken.sum(axis=1).tolist() == pytest.approx([1] * len(spoken))


def test_the_spread_over_tie_seeds_is_reported_on_labelled_examples():
    frame = pd.DataFrame({"text": ["red blue", "red", "blue"] * 10})
    found, _ = label(RULES, frame, gold=dict.fromkeys(range(0, 30, 3), "warm"))
    (note,) = [note for note in found.notes if "ties broken by 10 seeds" in note]
    assert "± 0.0" not in note


def test_a_collapse_to_one_class_is_told():
    rules = (says("e", "warm"), says("blue", "cold"))
    frame = pd.DataFrame({"text": ["red", "green"] * 20 + ["grey"]})
    found, _ = label(rules, frame, gold={row: ("cold", "warm")[row % 2] for row in range(20)})
    assert any("warning: 100 % of the labels are 'warm', which is 50 %" in note for note in found.notes)


def test_exchanged_classes_are_told():
    from triune_weak_labels.choosing import Chosen
    from triune_weak_labels.reporting import summary

    found, _ = planted(100, [0.95, 0.9, 0.9], classes=2)
    flipped = Chosen("one-coin", 1 - Majority().posterior(found), ())
    notes = list(summary(found, flipped, np.full(100, ABSTAIN), np.random.default_rng(0)))
    assert any("exchanged the classes" in note for note in notes)
    assert not any("warning" in note for note in notes if "exchanged" not in note)


def test_several_labels_at_once_are_refused():
    with pytest.raises(PlanError, match="several may hold at once"):
        label(RULES, FRAME, space=Binaries(("cold", "warm")))


def test_nothing_that_votes_is_refused():
    with pytest.raises(PlanError, match="no rule votes"):
        label((), FRAME)


def test_rules_that_cannot_vote_are_named():
    found, _ = label((*RULES, Rule("soft", SoftFormula(lambda outputs, batch: outputs.scores[:, 0]))), FRAME)
    assert any("left out" in note and "'soft'" in note for note in found.notes)


# exchange


@settings(max_examples=30, deadline=None)
@given(rows=matrices)
def test_a_matrix_comes_back_as_it_went(rows):
    assert to_matrix(votes(rows)).tolist() == rows


def test_a_matrix_abstains_where_a_set_was_voted_for():
    found, _ = votes_of(grounded(Rule("one", Label("b")), Rule("two", Label("a") | Label("b"))), LABELS)
    assert to_matrix(found)[0].tolist() == [1, ABSTAIN]


@pytest.mark.parametrize("wrong", [np.array([[3]]), np.array([[-2]]), np.array([0.5]), np.array([[0.0]])])
def test_what_is_no_matrix_of_votes_is_refused(wrong):
    with pytest.raises(DataError, match="votes: "):
        from_matrix(wrong, LABELS)


def test_a_wrench_file_comes_back_whatever_the_order_of_rows_and_labels(tmp_path):
    path = tmp_path / "votes.json"
    write_wrench(path, votes([[0, -1], [2, 1]]), ["first", "second"], np.array([0, ABSTAIN]))
    assert json.loads(path.read_text())["0"] == {"label": 0, "weak_labels": [0, -1], "data": {"text": "first"}}
    found, matched = read_wrench(path, ("c", "b", "a"), ["second", "unknown", "first", "first"])
    assert found.cast.T.tolist() == [[0, 1], [-1, -1], [2, -1], [2, -1]]
    assert matched == 3


@pytest.mark.parametrize(
    ("content", "names", "part"),
    [
        ({"0": {"weak_labels": [0], "data": {"text": "x"}}}, {"0": "d"}, "'d' is not a label"),
        ({"0": {"weak_labels": [4], "data": {"text": "x"}}}, {"0": "a"}, "votes for 4"),
        ({"0": {"weak_labels": [0], "data": {"text": "y"}}}, {"0": "a"}, "none of the 1 training texts"),
        ({"0": {"weak_labels": ["a"], "data": {"text": "x"}}}, {"0": "a"}, "entry '0' is not"),
        ({"0": {"weak_labels": [0]}}, {"0": "a"}, "entry '0' is not"),
        ({"0": [1]}, {"0": "a"}, "entry '0' is not"),
        ([], {"0": "a"}, "found list"),
        (None, {"0": "a"}, "votes.json: no such file of votes"),
        ({"0": {"weak_labels": [0], "data": {"text": "x"}}}, None, "label.json: no such file of votes"),
        (
            {str(n): {"weak_labels": [0] * (n + 1), "data": {"text": "x"}} for n in range(2)},
            {"0": "a"},
            "entry '1' has votes of 2 rules and earlier ones of 1",
        ),
    ],
)
def test_a_file_of_votes_that_cannot_be_used_is_refused(tmp_path, content, names, part):
    for name, value in (("votes.json", content), ("label.json", names)):
        if value is not None:
            (tmp_path / name).write_text(json.dumps(value))
    with pytest.raises(DataError) as error:
        read_wrench(tmp_path / "votes.json", LABELS, ["x"])
    assert part in str(error.value)


def test_entries_of_one_text_go_to_its_examples_in_order(tmp_path):
    write_wrench(tmp_path / "votes.json", votes([[0], [1]]), ["same", "same"], np.array([-1, -1]))
    found, _ = read_wrench(tmp_path / "votes.json", LABELS, ["same", "other", "same", "same"])
    assert found.cast.tolist() == [[0, -1, 1, 1]]


def test_imported_votes_join_those_of_the_rules(tmp_path):
    path = tmp_path / "votes.json"
    write_wrench(path, votes([[1, 1], [1, 1]], SPACE.labels), ["red blue", "green"], np.array([-1, -1]))
    found, _ = label(RULES, FRAME, import_votes=path)
    assert found.probabilities["warm"].tolist() == pytest.approx([1, 0, 0.75, 1, 1])
    alone, _ = label((), FRAME, import_votes=path)
    assert alone.probabilities["warm"].dropna().tolist() == [1, 1]


def test_votes_of_two_sources_keep_their_names():
    both = together(votes([[0]]), votes([[1, 2]]))
    assert both.cast.T.tolist() == [[0, 1, 2]]


# runs


class Words:
    """Rules about the words of the toy tables."""

    @hookimpl
    def rules(self):
        yield says("warm", "warm")
        yield says("cold", "cold")
        yield Rule("red", Label("warm") | Label("cold"), TextMatches(lambda text: "red" in text))


def weak(**settings):
    return WeakLabels(WeakLabels.Config.model_validate(settings))


def test_a_run_of_the_toy_learns_unlabelled_text_and_writes_the_votes(tmp_path):
    train = table(40)
    train.loc[train.index >= 4, "label"] = None
    result = triune.run(
        config("words", "weak", "all", epochs=8, learning_rate=0.05, validation=0),
        plugins=plugins(
            data=Tables(train=train, test=table(24, seed=1), unlabelled=table(24, seed=2)[["text"]]),
            words=Words(),
            weak=weak(export_votes=tmp_path / "votes.json"),
        ),
        output=tmp_path / "run",
    )
    assert result.metrics["test"]["accuracy"] > 0.9
    assert any("majority speaks of 64 of 64 training examples" in note for note in result.facts["notes"])
    written = json.loads((tmp_path / "votes.json").read_text())
    assert len(written) == 64
    assert [one["label"] for one in written.values()][:5] == [1, 0, 1, 0, -1]


def test_votes_are_written_into_a_folder_that_is_not_there_yet(tmp_path):
    path = tmp_path / "votes" / "train.json"
    write_wrench(path, votes([[0], [1]]), ["first", "second"], np.array([-1, -1]))
    assert path.exists() and path.with_name("label.json").exists()


def test_a_file_of_votes_that_is_missing_is_named_itself(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: no such file of votes"):
        read_wrench(tmp_path / "none.json", LABELS, ["first"])


def test_the_plan_counts_the_labels_that_the_tables_have_and_not_those_that_rules_gave():
    train = table(40)
    train.loc[train.index >= 4, "label"] = None
    tables = Tables(train=train, test=table(24, seed=1), unlabelled=table(24, seed=2)[["text"]])
    plan = triune.plan(
        config("words", "weak", "all", validation=0), plugins=plugins(data=tables, words=Words(), weak=weak())
    )
    counted = {split: (one.rows, one.labelled) for split, one in plan.tables.items()}
    assert counted == {"train": (40, 4), "test": (24, 24), "unlabelled": (24, 0)}


def test_a_plan_writes_no_votes(tmp_path):
    triune.plan(
        config("words", "weak", "all"),
        plugins=plugins(words=Words(), weak=weak(export_votes=tmp_path / "votes.json")),
    )
    assert not list(tmp_path.iterdir())


def test_text_classification_learns_from_rules_alone(tmp_path, tiny_model):
    refund = ("money", "refund", "charged", "paid")
    texts = [
        f"{word} number {n} please" for n in range(12) for word in (*refund, "login", "password", "account", "sign")
    ]
    train = pd.DataFrame({"text": texts})
    test = train.assign(label=["billing" if text.split()[0] in refund else "access" for text in texts])

    class Service:
        @hookimpl
        def rules(self):
            for word in ("money", "refund", "charged", "paid"):
                yield says(word, "billing")
            for word in ("login", "password", "account", "sign"):
                yield says(word, "access")

    settings = {
        "task": {"use": "text-classification", "model": str(tiny_model), "labels": ["billing", "access"], "dropout": 0},
        "data": ["tables"],
        "methods": ["service", "weak", "end-to-end"],
        "training": {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "threads": 1, "device": "cpu"},
    }
    result = triune.run(
        settings,
        plugins={"tables": Tables(train=train.assign(label=None), test=test), "service": Service(), "weak": weak()},
        output=tmp_path / "run",
    )
    assert result.metrics["test"]["accuracy"] > 0.9
    assert any("no training example has a label, so none is set aside" in note for note in result.facts["notes"])


# published figures


def published(name, split):
    """Return the votes that come with a data set, and the truth."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no data set {name} beside the repository")
    labels = json.loads((folder / "meta.json").read_text())["labels"]
    with gzip.open(folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    matrix = np.array([row["weak_labels"] for row in rows])
    return from_matrix(matrix, labels), np.array([labels.index(row["label"]) for row in rows])


@pytest.mark.parametrize(("name", "accuracy", "spread"), [("youtube_spam", 81.7, 1.3), ("trec_question", 61.0, 0.7)])
def test_majority_vote_is_as_accurate_as_published(name, accuracy, spread):
    found, truth = published(name, "test")
    shares = Majority().posterior(found)
    rates = [100 * (decided(shares, np.random.default_rng(seed)) == truth).mean() for seed in range(30)]
    assert np.mean(rates) == pytest.approx(accuracy, abs=0.6)
    assert np.std(rates) == pytest.approx(spread, abs=0.4)


def test_dawid_skene_is_as_accurate_on_questions_as_published():
    model = dawid_skene(published("trec_question", "train")[0])
    found, truth = published("trec_question", "test")
    assert 100 * right(model.posterior(found), truth).mean() == pytest.approx(50.2, abs=0.1)


def test_dawid_skene_on_comments_is_near_the_published_figure_only_when_fitted_to_the_test_votes():
    # 83.2 is reported; these training rows lack those that repeat a test text, which may be why EM goes elsewhere
    found, truth = published("youtube_spam", "test")
    itself = right(dawid_skene(found).posterior(found), truth).mean()
    trained = right(dawid_skene(published("youtube_spam", "train")[0]).posterior(found), truth).mean()
    assert 100 * itself == pytest.approx(83.2, abs=1.0)
    assert 100 * trained == pytest.approx(67.6, abs=1.0)


def test_best_falls_back_to_majority_vote_on_questions():
    found, truth = published("trec_question", "valid")
    assert chosen(found, "best", truth, 0.01).name == "majority"


def test_weighted_alone_is_usable_by_hand():
    assert Weighted(np.array([0.8])).posterior(votes([[0]], ("a", "b")))[0].tolist() == pytest.approx([0.8, 0.2])
