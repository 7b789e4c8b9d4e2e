"""The plugin `balance`: training tables closer to even, weights, the focal loss; and nothing else touched."""

from collections import Counter

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triune.context import Generators, Run
from triune.data import Data, Source
from triune.errors import DataError
from triune.hooks import check_methods
from triune.spaces import Binaries, Categorical
from triune.types import Batch, Outputs, Step
from triune_balance import Balance
from triune_balance.focal import focal_term
from triune_balance.synthesis import TextSynthesis, splice, vary

STEP = Step(0, 10)


def table(labels, **columns):
    texts = [f"the number {n} is written here, and some more words follow" for n in range(len(labels))]
    frame = pd.DataFrame({"text": texts, **columns})
    frame["label"] = pd.Series(labels, dtype=object)
    frame.index = pd.Index(range(2, len(labels) + 2), name="line")
    return frame


def data_of(labels, roles=None, **columns):
    splits = {name: table(labels, **columns) for name in ("train", "valid", "test")}
    sources = {name: Source(f"{name}.csv", "line", "0", len(labels)) for name in splits}
    return Data(splits, {"text": "text", "label": "label", **(roles or {})}, sources)


def prepare(data, seed=1, **config):
    run = Run(config=None, folder=None, generators=Generators(seed))
    return Balance(Balance.Config.model_validate(config)).prepare_data(run, data)


def sizes(data):
    return Counter(data.labels("train"))


FEW = ["a"] * 20 + ["b"] * 5 + ["c"] * 3 + [None] * 4


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"resample": "over"}, {"a": 20, "b": 20, "c": 20}),
        ({"resample": "over", "ratio": 0.5}, {"a": 20, "b": 10, "c": 10}),
        ({"resample": "over", "ratio": 0.2}, {"a": 20, "b": 5, "c": 4}),
        ({"resample": "over", "max_copies": 2}, {"a": 20, "b": 10, "c": 6}),
        ({"resample": "synthesise"}, {"a": 20, "b": 20, "c": 20}),
        ({"resample": "synthesise", "max_copies": 3, "ratio": 0.5}, {"a": 20, "b": 10, "c": 9}),
        ({"resample": "under"}, {"a": 3, "b": 3, "c": 3}),
        ({"resample": "under", "ratio": 0.5}, {"a": 6, "b": 5, "c": 3}),
    ],
)
def test_sizes_after_resampling_and_unlabelled_rows_stay(config, expected):
    before = data_of(FEW)
    after = prepare(before, **config)
    assert sizes(after) == {**expected, None: 4}
    unlabelled = before.train["label"].isna()
    assert after.train[after.train["label"].isna()].equals(before.train[unlabelled])


@pytest.mark.parametrize("config", [{"resample": "over"}, {"resample": "under"}, {"resample": "synthesise"}])
def test_the_same_seed_gives_the_same_table_and_another_seed_another(config):
    once, again, other = (prepare(data_of(FEW), seed, **config).train for seed in (1, 1, 2))
    assert once.equals(again)
    assert not once.equals(other)


@pytest.mark.parametrize(
    "config", [{"resample": "over"}, {"resample": "under"}, {"resample": "synthesise"}, {"class_weights": "balanced"}]
)
def test_only_training_data_is_touched_and_the_given_frames_are_not(config):
    before = data_of(FEW)
    copies = {name: frame.copy() for name, frame in before.splits.items()}
    after = prepare(before, **config)
    for name in ("valid", "test"):
        assert after.splits[name] is before.splits[name]
    for name, frame in copies.items():
        assert before.splits[name].equals(frame)


def test_copies_keep_the_line_that_they_come_from():
    before = data_of(FEW)
    after = prepare(before, resample="over").train
    assert after.index.name == "line"
    assert len(after) > len(before.train)
    for line, text, label in zip(after.index, after["text"], after["label"], strict=True):
        assert (text, label) == (before.train["text"][line], before.train["label"][line])


def test_under_sampling_keeps_the_order_of_the_table():
    after = prepare(data_of(FEW), resample="under").train
    assert after.index.is_monotonic_increasing
    assert after.index.is_unique


def test_notes_tell_the_sizes_and_what_a_limit_kept_back():
    notes = prepare(data_of(FEW), resample="over", max_copies=2).notes
    assert "'a' 20, 'b' 5 → 10, 'c' 3 → 6" in notes[0]
    assert "max_copies 2 keeps 'b' 20 → 10, 'c' 20 → 6" in notes[1]


def test_several_labels_are_resampled_by_the_rarest():
    labels = [["x"]] * 8 + [["x", "y"]] * 2 + [[]] * 4
    after = prepare(data_of(labels), resample="over")
    assert Counter(map(tuple, after.labels("train"))) == {("x",): 8, ("x", "y"): 8, (): 8}


def test_synthesised_rows_are_new_and_carry_their_source():
    before = data_of(FEW, {"weight": "w"}, w=[n / 10 for n in range(len(FEW))])
    after = prepare(before, resample="synthesise")
    new = after.train.iloc[len(before.train) :]
    assert after.train["text"].is_unique
    assert len(new) == 32
    for line, row in new.iterrows():
        source = before.train.loc[line]
        assert (row["w"], row["label"]) == (source["w"], source["label"])


def test_only_examples_with_the_same_labels_are_spliced():
    data = data_of([["x"]] * 9 + [["x", "y"]] * 2 + [["y"]] * 2)
    data.train["text"] = [f"{'u v w' if n < 9 else 'p q' if n < 11 else 'k l'}, {n} s." for n in range(13)]
    new = prepare(data, resample="synthesise", max_copies=None).train.iloc[13:]
    assert {*map(tuple, new["label"])} == {("x", "y"), ("y",)}
    for text, label in zip(new["text"], new["label"], strict=True):
        assert not {"k", "l"} & {*text} if "x" in label else not {"p", "q"} & {*text}


def test_a_class_of_which_no_further_text_can_be_made_stays_small_and_is_noted():
    data = data_of(["a"] * 8 + ["b"] * 2)
    data.train["text"] = [f"a {n}" for n in range(8)] + ["x", "y"]
    after = prepare(data, resample="synthesise")
    assert sizes(after) == {"a": 8, "b": 2}
    assert "too few different texts can be made of the small classes, 6 are missing" in after.notes[1]


def test_synthesis_is_a_step_of_an_imbalanced_learn_pipeline():
    import numpy as np
    from imblearn.pipeline import make_pipeline
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    texts = [f"common words, number {n}" for n in range(9)] + ["rare thing, one", "rare thing, two"]
    steps = TextSynthesis("auto", np.random.default_rng(0)), CountVectorizer(), MultinomialNB()
    model = make_pipeline(*steps).fit(texts, ["c"] * 9 + ["r"] * 2)
    assert model[-1].class_count_.tolist() == [9, 9]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=8, unique=True), seed=st.integers(0, 99)
)
def test_synthesis_never_repeats_a_text_nor_makes_an_empty_one(texts, seed):
    import numpy as np

    made, classes = TextSynthesis({"k": 20}, np.random.default_rng(seed)).fit_resample(texts, ["k"] * len(texts))
    assert made[: len(texts)] == texts
    assert len(set(made)) == len(made) == len(classes) <= 20
    assert all(text.strip() for text in made)


def test_splices_join_whole_clauses_and_variations_use_the_same_words():
    import numpy as np

    for seed in range(20):
        generator = np.random.default_rng(seed)
        spliced = splice("I paid twice. Please help.", "My card, the blue one, is gone.", generator)
        assert spliced in {
            "I paid twice. the blue one, is gone.",
            "I paid twice. is gone.",
        }
        assert splice("我付了两次。请帮忙。", "卡，丢了。", generator) in {"我付了两次。丢了。"}
        varied = vary("a b c d e f g h i j", generator)
        assert Counter(varied.split()) <= Counter("abcdefghij")
        assert vary("word", generator)


def weights(labels, column="weight", roles=None, columns=None, **config):
    after = prepare(data_of(labels, roles, **(columns or {})), **config)
    assert after.roles["weight"] == column
    return after.train[column].tolist()


def test_balanced_weights_give_every_class_the_same_sum():
    found = weights(["a"] * 6 + ["b"] * 2 + [None], class_weights="balanced")
    assert found == pytest.approx([8 / 12] * 6 + [2.0] * 2 + [1.0])


def test_effective_numbers_follow_the_paper():
    found = weights(["a"] * 6 + ["b"] * 2, class_weights="effective-number", beta=0.9)
    assert found[-1] / found[0] == pytest.approx((1 - 0.9**6) / (1 - 0.9**2))
    assert sum(found) == pytest.approx(8)


def test_given_weights_are_taken_as_they_are_and_numbers_match_text():
    assert weights(["0", "1", "2"], class_weights={0: 3, "1": 0.5}) == [3, 0.5, 1]
    assert weights([0, 1], class_weights={"1": 4}) == [1, 4]


def test_several_labels_weigh_their_mean_and_none_of_them_one():
    labels = [["x", "y"], ["x"], [], ["y"]]
    assert weights(labels, class_weights={"x": 1, "y": 3}) == [2, 1, 1, 3]


def test_weights_multiply_those_that_stand_in_the_table():
    found = weights(["a", "b"], "w", {"weight": "w"}, {"w": [2.0, 10.0]}, class_weights={"a": 3})
    assert found == [6, 10]


def test_a_column_that_only_happens_to_be_called_weight_stays():
    after = prepare(data_of(["a", "b"], weight=["5 kg", "7 kg"]), class_weights={"a": 2})
    assert after.train["weight"].tolist() == ["5 kg", "7 kg"]
    assert after.train["class weight"].tolist() == [2, 1]


def test_weights_come_after_resampling_and_do_not_even_twice():
    after = prepare(data_of(["a"] * 6 + ["b"] * 3), resample="over", class_weights="balanced")
    assert after.train["weight"].tolist() == pytest.approx([1.0] * 12)


def test_weights_come_from_training_data_alone():
    data = data_of(["a"] * 4 + ["b"] * 2)
    other = data.with_split("test", table(["b"] * 6))
    one, two = (prepare(each, class_weights="balanced").train["weight"].tolist() for each in (data, other))
    assert one == two


@pytest.mark.parametrize(
    ("labels", "config", "part"),
    [
        (["a"] * 3 + ["b"], {"resample": "under"}, "train.csv: class 'b' has 1 example"),
        (["a", "b"], {"class_weights": {"c": 2, "a": 1}}, "class_weights names 'c'"),
        (["spam", "ham"], {"class_weights": {"span": 2}}, "did you mean 'spam'?"),
        (["a", "a"], {"resample": "over"}, "every example counts for 'a'"),
        (["a", "a"], {"focal": 2}, "every example counts for 'a'"),
        ([None, None], {"class_weights": "balanced"}, "no example has a label"),
        ([[], []], {"class_weights": "balanced"}, "no example has a label"),
    ],
)
def test_what_cannot_be_balanced_is_refused(labels, config, part):
    with pytest.raises(DataError) as error:
        prepare(data_of(labels), **config)
    assert part in str(error.value)


def test_pairs_of_texts_are_not_synthesised():
    with pytest.raises(DataError, match="text_pair cannot be synthesised"):
        prepare(data_of(FEW, {"text_pair": "b"}, b=["x"] * len(FEW)), resample="synthesise")


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "does nothing"),
        ({"class_weights": {}}, "does nothing"),
        ({"resample": "over", "ratio": 0}, "ratio"),
        ({"resample": "over", "ratio": 1.5}, "ratio"),
        ({"resample": "over", "max_copies": 1}, "max_copies"),
        ({"focal": -1}, "focal"),
        ({"focal": 2, "ratio": 0.5}, "ratio has no effect"),
        ({"resample": "under", "max_copies": 3}, "max_copies has no effect"),
        ({"focal": 2, "beta": 0.9}, "beta has no effect"),
        ({"class_weights": {"a": 0}}, "class_weights"),
        ({"resample": "both"}, "resample"),
        ({"method": "over"}, "method"),
    ],
)
def test_settings_that_mean_nothing_are_refused(config, part):
    with pytest.raises(ValidationError) as error:
        Balance.Config.model_validate(config)
    assert part in str(error.value)


def test_data_without_a_training_table_passes():
    data = Data({"test": table(["a"])}, {"text": "text", "label": "label"})
    assert prepare(data, resample="over") is data


def batch_of(space, seed=0, gamma=2.0):
    """Return the focal values and mask of five random examples, of which the last is unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(5, 3, generator=generator, requires_grad=True)
    targets = torch.eye(3)[[0, 1, 2, 0, 1]]
    targets[4] = 0
    labelled = torch.tensor([1.0, 1, 1, 1, 0])
    weights = torch.tensor([1.0, 2, 1, 0.5, 3])
    batch = Batch(torch.arange(5), {}, targets, labelled, weights)
    term = focal_term(gamma)
    return scores, batch, term, term.compute(STEP, batch, Outputs(scores, space))


SPACES = [Categorical(("a", "b", "c")), Binaries(("a", "b", "c"))]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_focal_loss_is_the_formula(space):
    scores, batch, _, found = batch_of(space)
    p = space.probabilities(scores)
    if space.kind == "categorical":
        p_true = (p * batch.targets).sum(-1)[:4]
    else:
        p_true = torch.where(batch.targets > 0, p, 1 - p)[:4]
    assert torch.allclose(found.values[:4], (1 - p_true) ** 2 * -p_true.log(), atol=1e-6)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_focal_loss_with_gamma_zero_is_the_likelihood_and_means_over_what_is_labelled(space):
    scores, batch, term, found = batch_of(space, gamma=0.0)
    each = -space.log_likelihood(scores, batch.targets).reshape(5, -1).mean(-1)
    counted = batch.labelled * batch.weights
    reduced = (found.values * found.mask).sum() / found.mask.sum()
    assert torch.allclose(reduced, (each * counted).sum() / counted.sum())
    assert found.mask.shape == found.values.shape
    assert torch.allclose(term.counts(batch), found.mask.sum())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_focal_gradient_is_finite_however_sure_the_model_is(space, gamma):
    scores = torch.tensor([[90.0, -90, -90], [-90, 90, -90], [0, 0, 0]], requires_grad=True)
    batch = Batch(torch.arange(3), {}, torch.eye(3)[[0, 0, 0]], torch.tensor([1.0, 1, 0]), torch.ones(3))
    found = focal_term(gamma).compute(STEP, batch, Outputs(scores, space))
    (found.values * found.mask).sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[1].abs().sum() > 0.1
    assert scores.grad[2].abs().sum() == 0


def test_focal_replaces_the_term_of_the_task_only_when_asked():
    terms = tuple(Balance(Balance.Config.model_validate({"focal": 2})).loss_terms())
    assert [(term.name, term.replaces) for term in terms] == [("focal", ("task",))]
    assert tuple(Balance(Balance.Config.model_validate({"resample": "over"})).loss_terms()) == ()


def test_the_plugin_keeps_the_contract_of_hooks():
    check_methods("balance", Balance(Balance.Config.model_validate({"focal": 2})))
