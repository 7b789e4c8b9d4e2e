"""Rules that point at tokens vote on tags: token by token, with O where others are heard and nobody speaks."""

import numpy as np
import pandas as pd
import pytest

import triune
from tests.plugins.test_token_classification import sentences, trained
from triune import GroundedRules, Rule, hookimpl
from triune.conditions import SpanRegex, Token, TokenRegex, ground_all
from triune.errors import PlanError
from triune.logic import EachIs, Span
from triune.token_rules import token_rules
from triune_weak_labels.tokens import outside, token_votes

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
RULES = (
    Rule("places", Span("LOC"), Token("oslo", "new york")),
    Rule("names", EachIs("B-PER", "I-PER"), TokenRegex("anna|lee|bob")),
    Rule("parcels", EachIs("O"), SpanRegex("the parcel of")),
)


class Says:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


def grounded(*texts):
    frame = pd.DataFrame({"text": pd.Series([text.split() for text in texts], dtype=object)})
    found = ground_all(RULES, frame, {"text": "text"})
    return GroundedRules(RULES, {"train": found.fires}, tokens={"train": token_rules(RULES, found.places, TAGS)})


def test_a_rule_votes_for_the_tags_that_it_allows_each_token():
    votes, mute = token_votes(grounded("bob in new york", "thanks"), TAGS, np.asarray([4, 1]))
    assert votes.names == ("places", "names", "parcels") and not mute
    said = {
        (name, token): [tag for tag, allowed in zip(TAGS, votes.ballots[ballot], strict=True) if allowed]
        for name, row in zip(votes.names, votes.cast, strict=True)
        for token, ballot in enumerate(row)
        if ballot >= 0
    }
    assert said == {("places", 2): ["B-LOC"], ("places", 3): ["I-LOC"], ("names", 0): ["B-PER", "I-PER"]}


def test_silent_tokens_are_outside_where_a_rule_is_heard_and_nothing_elsewhere():
    votes, _ = token_votes(grounded("bob in oslo", "thanks a lot"), TAGS, np.asarray([3, 3]))
    found = np.full((6, 5), 0.2)
    labelled = outside(found, votes.spoken, TAGS, np.asarray([3, 3]))
    assert labelled.tolist() == [True, True, True, False, False, False]
    assert found[1].tolist() == [1, 0, 0, 0, 0]


def test_rules_alone_teach_a_tagger_to_tag(tiny_model, tmp_path):
    rules = (
        Rule("places", Span("LOC"), Token("oslo", "new york")),
        Rule("names", Span("PER"), Token("anna lee", "bob")),
    )
    text = sentences(120)[["text"]]
    config = {
        "task": {"use": "token-classification", "model": str(tiny_model), "labels": list(TAGS)},
        "data": {"use": "table"},
        "methods": ["end-to-end", "weak-labels"],
        "rules": ["says"],
        "training": {
            "epochs": 6, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "device": "cpu", "baselines": False
        },
    }  # fmt: skip
    data = {"train": text, "test": sentences(40, seed=1)}
    done = triune.run(config, data=data, plugins={"says": Says(*rules)}, output=tmp_path / "run")
    assert done.metrics["test"]["micro_f1"] > 0.8
    assert any("majority speaks of" in note for note in done.facts["notes"])


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ({"use": "weak-labels", "export_votes": "votes/train.json"}, "files of votes have one vote an example"),
        ("weak-labels", "no rule speaks of tokens"),
    ],
)
def test_what_cannot_vote_on_tokens_is_refused(tiny_model, tmp_path, method, sentence):
    with pytest.raises(PlanError, match=sentence):
        trained(tiny_model, tmp_path / "run", sentences(16), methods=("end-to-end", method))
