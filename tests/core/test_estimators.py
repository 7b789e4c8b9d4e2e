"""A run as an estimator: everything that scikit-learn builds on one works, over a tiny encoder."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MultiLabelBinarizer
from sklearn.utils import estimator_checks

import triune
from triune import Label, Rule
from triune.conditions import Column
from triune.errors import ConfigError, DataError, PlanError, PluginError
from triune.estimators.columns import answers_of
from triune.estimators.naming import naming_of
from triune.sklearn import TextClassifier

TEXTS = ["refund my money", "give the money back", "where is my parcel", "the parcel is late"] * 6
LABELS = np.array(["refund", "refund", "delivery", "delivery"] * 6)
QUICK = {"max_steps": 24, "batch_size": 8, "learning_rate": 1e-2, "threads": 1, "report": "off"}
NEW = ["money back please", "late parcel"]


@triune.rule(then="refund", confidence=0.9)
def says_money(text):
    return "money" in text


def estimator(tiny_model, **settings):
    settings = {"methods": ["end-to-end"], "training": QUICK, **settings}
    return TextClassifier(model=str(tiny_model), **settings)


@pytest.fixture(scope="module")
def fitted(tiny_model):
    return estimator(tiny_model).fit(TEXTS, LABELS)


def test_it_learns_and_its_probabilities_belong_to_its_classes(fitted):
    assert fitted.classes_.tolist() == ["delivery", "refund"]
    p = fitted.predict_proba(TEXTS)
    assert p.shape == (24, 2)
    assert np.allclose(p.sum(axis=1), 1)
    assert (fitted.classes_[p.argmax(axis=1)] == fitted.predict(TEXTS)).all()
    assert fitted.score(TEXTS, LABELS) > 0.9
    assert fitted.n_iter_ == 24


@pytest.mark.parametrize("texts", [NEW, np.array(NEW), pd.Series(NEW, index=[7, 9]), pd.DataFrame({"body": NEW})])
def test_texts_come_as_lists_arrays_series_and_frames(fitted, texts):
    assert fitted.predict(texts).tolist() == fitted.predict(NEW).tolist()


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["no", "yes"]])
def test_classes_come_back_as_they_were(tiny_model, labels):
    y = np.array(labels)[(LABELS == "refund").astype(int)]
    model = estimator(tiny_model).fit(TEXTS, y)
    assert model.classes_.dtype == y.dtype
    assert model.predict(NEW).dtype.kind == y.dtype.kind
    assert set(model.predict(TEXTS).tolist()) <= set(labels)


def test_several_labels_an_example_come_and_go_as_zeros_and_ones(tiny_model):
    y = np.stack([LABELS == "refund", LABELS == "delivery", np.ones(24)], axis=1).astype(int)
    model = estimator(tiny_model, labels=["refund", "delivery", "message"]).fit(TEXTS, y)
    assert model.predict(NEW).shape == model.predict_proba(NEW).shape == (2, 3)
    assert set(np.unique(model.predict(TEXTS))) <= {0, 1}
    assert model.score(TEXTS, y) > 0.5


def test_it_stands_in_pipelines_searches_and_cross_validation(tiny_model):
    pipeline = Pipeline(
        [("lower", FunctionTransformer(lambda texts: [one.lower() for one in texts])), ("model", estimator(tiny_model))]
    )
    assert len(cross_val_score(pipeline, TEXTS, LABELS, cv=2)) == 2
    search = GridSearchCV(estimator(tiny_model), {"training__learning_rate": [1e-7, 1e-2]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_params_ == {"training__learning_rate": 1e-2}
    assert search.best_estimator_.training["max_steps"] == 24  # what was not searched stays


def test_it_is_calibrated_and_votes(tiny_model):
    calibrated = CalibratedClassifierCV(estimator(tiny_model), cv=2, ensemble=False).fit(TEXTS, LABELS)
    assert calibrated.predict_proba(NEW).shape == (2, 2)
    seeds = [(str(seed), estimator(tiny_model, random_state=seed)) for seed in (0, 1)]
    voting = VotingClassifier(seeds, voting="soft").fit(TEXTS, LABELS)
    assert voting.predict(TEXTS).tolist() == LABELS.tolist()


def test_a_clone_has_the_parameters_and_nothing_that_was_learnt(fitted):
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        again.predict(NEW)


def test_it_predicts_the_same_in_another_process_from_its_pickle(fitted, tmp_path):
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps(fitted))
    code = f"import pickle; print(pickle.load(open({str(file)!r}, 'rb')).predict_proba({NEW!r}).tolist())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert np.allclose(eval(done.stdout), fitted.predict_proba(NEW), atol=1e-6)


def test_the_model_is_loaded_once_and_neither_pickled_nor_kept_over_a_refit(tiny_model, monkeypatch):
    from triune import reopened

    loads, build = [], reopened.build_model
    monkeypatch.setattr(reopened, "build_model", lambda *given: loads.append(1) or build(*given))
    model = estimator(tiny_model, training={**QUICK, "max_steps": 2}).fit(TEXTS, LABELS)
    first, size = model.predict_proba(NEW), len(pickle.dumps(model))
    with ThreadPoolExecutor(4) as threads:
        assert all((one == first).all() for one in threads.map(model.predict_proba, [NEW] * 8))
    assert model.predict_proba(TEXTS).shape == (24, 2) and len(loads) == 1
    assert len(pickle.dumps(model)) == size
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(NEW) == first).all() and len(loads) == 2
    model.set_params(training__learning_rate=1e-1).fit(TEXTS, LABELS)
    assert (model.predict_proba(NEW) != first).any() and len(loads) == 3


def test_the_same_seed_gives_the_same_model_and_another_one_another(tiny_model, fitted):
    same = estimator(tiny_model, random_state=42).fit(TEXTS, LABELS)
    other = estimator(tiny_model, random_state=1).fit(TEXTS, LABELS)
    assert (same.predict_proba(NEW) == fitted.predict_proba(NEW)).all()
    assert (other.predict_proba(NEW) != fitted.predict_proba(NEW)).any()


def test_rules_and_text_without_labels_are_learnt_from(tiny_model):
    few = [label if row < 4 else None for row, label in enumerate(LABELS)]
    methods = ["end-to-end", "weak-labels"]
    model = estimator(tiny_model, methods=methods, rules=[says_money]).fit(TEXTS, few, unlabelled=NEW)
    assert model.predict(["money"]).tolist() == ["refund"]
    assert any("rule" in note for note in model.notes_)


def test_rules_come_from_a_file_and_may_ask_for_other_columns(tiny_model, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - {name: money, when: {contains: money}, then: refund}\n")
    assert estimator(tiny_model, rules=path, methods=["end-to-end", "semantic-loss"]).fit(TEXTS, LABELS).n_iter_ == 24
    frame = pd.DataFrame({"text": TEXTS, "channel": ["shop", "post"] * 12})
    rules = [Rule("post", Label("delivery"), Column("channel", "equals", "post"), confidence=0.7)]
    model = estimator(tiny_model, rules=rules, methods=["end-to-end", "semantic-loss"]).fit(frame, LABELS)
    assert len(model.predict(frame.head(3))) == 3


def test_rules_name_classes_that_are_numbers_by_the_labels_given(tiny_model):
    model = estimator(tiny_model, labels=["delivery", "refund"], rules=[says_money])
    assert model.fit(TEXTS, (LABELS == "refund").astype(int)).classes_.tolist() == [0, 1]


def test_it_is_saved_as_a_run(fitted, tmp_path):
    folder = fitted.save(tmp_path / "saved")
    assert triune.predict(folder, pd.DataFrame({"text": NEW}))["predicted"].tolist() == fitted.predict(NEW).tolist()
    with pytest.raises(DataError, match="not empty"):
        fitted.save(folder)


API = [
    "no_attributes_set_in_init",
    "parameters_default_constructible",
    "get_params_invariance",
    "set_params",
    "mixin_order",
]
API += ["valid_tag_types", "estimator_repr", "estimator_tags_renamed", "estimator_cloneable"]
API += ["do_not_raise_errors_in_init_or_set_params"]


@pytest.mark.parametrize("name", API)
def test_it_passes_the_checks_of_scikit_learn_that_need_no_table_of_numbers(tiny_model, name):
    check = getattr(estimator_checks, f"check_{name}", None)
    if check is None:
        pytest.skip("this version of scikit-learn has no such check")
    check("TextClassifier", estimator(tiny_model))


def test_a_pickle_holds_rules_that_the_decorator_made(tiny_model):
    rules = [says_money, Rule("late", Label("delivery"), triune.TextMatches(is_late))]
    model = estimator(tiny_model, rules=rules, methods=["end-to-end", "weak-labels"])
    again = pickle.loads(pickle.dumps(model))
    assert again.rules[0].when.fn is says_money.when.fn
    assert again.rules[1].when.fn is is_late


def is_late(text):
    return "late" in text


def test_ensembles_number_the_classes_and_rules_are_told_their_names(tiny_model):
    settings = {"rules": [says_money], "methods": ["end-to-end", "weak-labels"]}
    named = estimator(tiny_model, labels=["delivery", "refund"], **settings)
    stacked = StackingClassifier([("rules", named)], cv=2).fit(TEXTS, LABELS)
    assert stacked.predict(TEXTS).tolist() == LABELS.tolist()
    with pytest.raises(PlanError, match="not a label of this task") as raised:
        VotingClassifier([("rules", estimator(tiny_model, **settings))]).fit(TEXTS, LABELS)
    assert "as `labels`" in raised.value.__notes__[-1]


def test_weights_and_texts_without_labels_reach_it_through_a_pipeline(tiny_model):
    texts, flipped = pd.DataFrame({"text": TEXTS * 2}), np.concatenate([LABELS, LABELS[::-1]])
    weights = np.concatenate([np.ones(24), np.zeros(24)])
    with sklearn.config_context(enable_metadata_routing=True):
        model = estimator(tiny_model).set_fit_request(sample_weight=True, unlabelled=True)
        pipeline = Pipeline([("as-it-is", FunctionTransformer()), ("model", model)]).set_output(transform="pandas")
        pipeline.fit(texts, flipped, sample_weight=weights, unlabelled=NEW)
    assert pipeline.score(texts.head(24), LABELS) > 0.9


@pytest.mark.slow
def test_two_processes_search_over_numbers_of_numpy(tiny_model):
    grid = {"training__max_steps": np.array([1, 24]), "random_state": [np.int64(3)]}
    model = estimator(tiny_model, rules=[says_money], methods=["end-to-end", "weak-labels"])
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, error_score="raise").fit(TEXTS, LABELS)
    assert search.best_estimator_.n_iter_ == search.best_params_["training__max_steps"]


def test_a_seed_may_be_drawn(tiny_model):
    first, second = (estimator(tiny_model, random_state=np.random.RandomState(5)).fit(TEXTS, LABELS) for _ in range(2))
    assert (first.predict_proba(NEW) == second.predict_proba(NEW)).all()


def test_several_labels_come_from_a_binarizer_a_frame_or_a_sparse_matrix():
    lists = [["a", "b"], ["a"], [], ["b"]]
    binarizer = MultiLabelBinarizer()
    dense = binarizer.fit_transform(lists)
    frame = pd.DataFrame(dense, columns=binarizer.classes_)
    for y in (dense, frame, MultiLabelBinarizer(sparse_output=True).fit_transform(lists), dense.astype(bool)):
        cells, names = answers_of(y, 4)
        assert names == (["a", "b"] if y is frame else None)
        assert naming_of(cells, ["a", "b"]).cells(cells) == lists
    cells, _ = answers_of(np.array([[1, 0], [np.nan, np.nan]]), 2)
    assert naming_of(cells, ["a", "b"]).cells(cells) == [["a"], None]


@pytest.mark.parametrize(
    ("y", "cells"),
    [
        (pd.Series(["b", "a", pd.NA], dtype="string"), ["b", "a", None]),
        (pd.Series(["b", "a", "a"]).astype("category"), ["b", "a", "a"]),
        (pd.DataFrame({"label": ["b", "a", None]}), ["b", "a", None]),
        ([[1], [0], [1]], ["1", "0", "1"]),
        ([1, 0, float("nan")], ["1", "0", None]),
        (pd.Series([1, 0, pd.NA], dtype="Int64"), ["1", "0", None]),
    ],
)
def test_classes_come_in_whatever_pandas_keeps_them_in(y, cells):
    found, names = answers_of(y, 3)
    assert naming_of(found, names).cells(found) == cells


def test_a_class_without_an_example_is_known_by_its_name():
    assert naming_of(np.array([2, 0]), ["a", "b", "c"]).classes.tolist() == [0, 1, 2]
    assert naming_of(np.array(["c", "a"]), ["c", "b", "a"]).labels == ("a", "b", "c")
    assert naming_of(np.array([2, 1]), ["a", "b"]).classes.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([["a", "b"], ["a", "c"]], "MultiLabelBinarizer"),
        ([["a"], ["b", "c"]], "MultiLabelBinarizer"),
        (np.array([[0, 2], [1, 0]]), "holds '2'"),
        (np.array([["a", "b"], ["a", "c"]]), "holds 'a'"),
        (np.array([[0, np.nan], [1, 0]]), "row 0: some labels are NaN"),
        ([0.5, 1.0], "a class is a text or a whole number"),
        (np.array([1, "a"], dtype=object), "texts, such as 'a', and numbers, such as 1"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
        (None, "y is None"),
    ],
)
def test_what_are_no_classes_is_refused(y, said):
    with pytest.raises(DataError) as raised:
        naming_of(answers_of(y, 2)[0], None)
    assert said in str(raised.value)


def test_the_weights_of_examples_count(tiny_model):
    flipped = LABELS[::-1]
    weights = np.concatenate([np.ones(24), np.zeros(24)])
    model = estimator(tiny_model).fit(TEXTS * 2, np.concatenate([LABELS, flipped]), sample_weight=weights)
    assert model.score(TEXTS, LABELS) > 0.9
    with pytest.raises(DataError, match="one number an example"):
        estimator(tiny_model).fit(TEXTS, LABELS, sample_weight=[1.0])


@pytest.mark.parametrize(
    ("X", "y", "settings", "error", "said"),
    [
        ([], [], {}, DataError, "holds no example"),
        (TEXTS, LABELS[:3], {}, DataError, "24 examples and y 3"),
        (TEXTS, ["one"] * 24, {}, DataError, "one class, 'one'"),
        (TEXTS, [None] * 24, {}, DataError, "holds no label"),
        ([1, 2], ["a", "b"], {}, DataError, "row 0: found 1, wanted a text"),
        (np.array([["a", "b"]]), ["a"], {}, DataError, "shape (1, 2)"),
        ("text", ["a"], {}, DataError, "a list of texts"),
        (pd.DataFrame({"tex": TEXTS, "b": TEXTS}), LABELS, {}, DataError, "did you mean 'tex'"),
        (TEXTS, [1, "1"] * 12, {}, DataError, "written alike"),
        (TEXTS, LABELS, {"labels": ["x", "y", "z"]}, DataError, "3 names"),
        (TEXTS, LABELS, {"rules": [lambda text: True]}, PluginError, "a list of triune.Rule"),
        (TEXTS, LABELS, {"training": {"epoch": 1}}, ConfigError, "did you mean 'epochs'"),
        (TEXTS, LABELS, {"methods": ["end-to-and"]}, ConfigError, "did you mean 'end-to-end'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_when_it_is_fitted(tiny_model, X, y, settings, error, said):  # noqa: N803
    with pytest.raises(error) as raised:
        estimator(tiny_model, **settings).fit(X, np.asarray(y, dtype=object) if None in list(y) or 1 in list(y) else y)
    assert said in str(raised.value)
