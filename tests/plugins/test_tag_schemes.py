"""Schemes of tags: what they allow, what spans they mark, what is recognised, and how spans are counted."""

import itertools

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.errors import DataError
from triune.logic.inference import RuleSet, Weighted
from triune.spaces import Tags
from triune_token_classification.metrics import metrics_of
from triune_token_classification.schemes import SCHEMES, completed, follows, recognised, spans
from triune_token_classification.transitions import Follows

KINDS = ("A", "B-2")  # the second has the sign that parts letter and kind


def tags_of(scheme):
    return ("O", *(f"{letter}-{kind}" for kind in KINDS for letter in sorted(SCHEMES[scheme])))


def written(scheme, chunks):
    """Return the tags of chunks (kind or "", length), as the definition of a scheme says."""
    tags, before = [], ""
    for kind, length in chunks:
        if not kind:
            tags += ["O"] * length
        elif scheme == "iob1":
            tags += [f"{'B' if before == kind else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif scheme == "bio":
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        else:
            inside, last, single = {"bioes": "IES", "bilou": "ILU", "bmes": "MES"}[scheme]
            if length == 1:
                tags.append(f"{single}-{kind}")
            else:
                tags += [f"B-{kind}", *[f"{inside}-{kind}"] * (length - 2), f"{last}-{kind}"]
        before = kind
    return tags


def placed(chunks):
    start, found = 0, []
    for kind, length in chunks:
        if kind:
            found.append((kind, start, start + length))
        start += length
    return found


texts = st.lists(st.tuples(st.sampled_from(("", *KINDS)), st.integers(1, 4)), max_size=8)


@given(st.sampled_from(sorted(SCHEMES)), texts)
def test_spans_survive_being_written_as_tags_of_any_scheme(scheme, chunks):
    tags = written(scheme, chunks)
    assert spans(tags) == placed(chunks)
    assert follows(scheme, tags)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_a_scheme_allows_exactly_the_sequences_that_it_writes(scheme):
    every = [list(one) for one in itertools.product(tags_of(scheme), repeat=3)]
    lengths = [one for size in range(1, 4) for one in itertools.product(range(1, 4), repeat=size) if sum(one) == 3]
    right = {
        tuple(written(scheme, list(zip(kinds, one, strict=True))))
        for one in lengths
        for kinds in itertools.product(("", *KINDS), repeat=len(one))
    }
    assert {tuple(one) for one in every if follows(scheme, one)} == right
    automaton = Follows(scheme).automaton(tags_of(scheme))
    numbers = {tag: place for place, tag in enumerate(tags_of(scheme))}
    assert {tuple(one) for one in every if automaton.read([numbers[tag] for tag in one])} == right


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_the_likeliest_sequence_that_a_scheme_allows_is_found(scheme):
    torch.manual_seed(0)
    tags, scores = tags_of(scheme), torch.randn(16, 4, len(tags_of(scheme)))
    compiled = RuleSet((Weighted("order", Follows(scheme), hard=True, always=True),)).compiled(Tags(tags))
    found = compiled.most_likely(scores).int().argmax(-1).tolist()
    allowed = [one for one in itertools.product(range(len(tags)), repeat=4) if follows(scheme, [tags[t] for t in one])]
    for row, best in zip(scores, found, strict=True):
        value = {one: float(row[range(4), list(one)].sum()) for one in allowed}
        assert value[tuple(best)] == pytest.approx(max(value.values()))


def test_a_hundred_kinds_have_an_automaton():
    tags = ["O", *(f"{letter}-{number}" for letter in "BI" for number in range(95))]
    assert len(Follows("bio").automaton(tags).says) == 97


CONLLEVAL = {  # each as conlleval.pl counts it
    "begins at I after O": ("O I-X I-X O", [("X", 1, 3)]),
    "I of another kind begins": ("B-X I-Y", [("X", 0, 1), ("Y", 1, 2)]),
    "B after I of its kind begins": ("I-X B-X", [("X", 0, 1), ("X", 1, 2)]),
    "two B": ("B-X B-X", [("X", 0, 1), ("X", 1, 2)]),
    "E after O begins": ("O E-X", [("X", 1, 2)]),
    "I after E begins": ("B-X E-X I-X", [("X", 0, 2), ("X", 2, 3)]),
    "I after S begins": ("S-X I-X", [("X", 0, 1), ("X", 1, 2)]),
    "left open": ("B-X I-X O S-Y", [("X", 0, 2), ("Y", 3, 4)]),
    "kinds with a minus": ("B-creative-work I-creative-work", [("creative-work", 0, 2)]),
    "no kinds": ("B I O I", [("", 0, 2), ("", 3, 4)]),
}


@pytest.mark.parametrize(("tags", "found"), CONLLEVAL.values(), ids=CONLLEVAL)
def test_spans_of_any_tags_are_those_of_conlleval(tags, found):
    assert spans(tags.split()) == found


RECOGNISED = {
    "bio": ["O B-X I-X O", "B-X B-X"],
    "bio with single tokens only": ["B-X O B-Y"],
    "iob1": ["O I-X I-X O", "I-X B-X"],
    "iob1 without B": ["O I-X O"],
    "bioes": ["B-X E-X S-X"],
    "bioes of single tokens": ["S-X O"],
    "bilou": ["B-X L-X U-Y"],
    "bmes": ["B-X M-X E-X"],
    "none of words": ["NOUN VERB X"],
    "none of letters": ["S U E"],
    "bio without kinds": ["O B I"],
    "bio in spite of a slip": ["O B-X I-X", "B-X O", "O I-X"],
}


@pytest.mark.parametrize(("scheme", "sequences"), RECOGNISED.items(), ids=RECOGNISED)
def test_the_scheme_is_recognised_from_the_tags(scheme, sequences):
    cells = [one.split() for one in sequences]
    assert recognised({tag for cell in cells for tag in cell}, cells, str) == scheme.partition(" ")[0]


def test_tags_without_sequences_are_bio():
    assert recognised(["O", "B-X", "I-X"], [], str) == "bio"


@pytest.mark.parametrize("tags", ["O B-X Y", "B-X L-X S-X", "B-X M-X L-X"])
def test_mixed_schemes_are_refused(tags):
    with pytest.raises(DataError, match=r"task\.scheme: none"):
        recognised(tags.split(), [], str)


def test_tags_are_completed_by_kind_and_letter():
    assert set(completed("bio", ["B-X", "I-Y", "O"])) == {"O", "B-X", "I-X", "B-Y", "I-Y"}
    assert set(completed("iob1", ["I-X", "I-Y"])) == {"O", "I-X", "I-Y"}
    assert completed("none", ["NOUN", "VERB"]) == ["NOUN", "VERB"]


def measured(gold, predicted, scheme="bio"):
    cells = {"gold": [one.split() for one in gold], "predicted": [one.split() for one in predicted]}
    return metrics_of(pd.DataFrame(cells), scheme)


def test_counts_are_those_of_the_shared_tasks():
    # 5 gold spans, 4 predicted, 2 right: the end of one is wrong, and the kind of another
    gold = ["B-PER I-PER O B-LOC", "B-ORG I-ORG I-ORG O", "O B-LOC O B-PER"]
    predicted = ["B-PER I-PER O B-LOC", "B-ORG I-ORG O O", "O B-PER O O"]
    found = measured(gold, predicted)
    assert (found["micro_precision"], found["micro_recall"]) == (0.5, 0.4)
    assert found["micro_f1"] == pytest.approx(4 / 9)
    assert found["token_accuracy"] == pytest.approx(9 / 12) and found["sequence_accuracy"] == pytest.approx(1 / 3)
    assert found["per_class"] == {
        "LOC": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
        "PER": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
    }
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 0.5) / 3)


PUBLISHED = {  # kind: found, correct, wanted; precision, recall, FB1 in percent
    "ADJP": (1, 0, 6, 0.00, 0.00, 0.00),
    "ADVP": (11, 5, 8, 45.45, 62.50, 52.63),
    "NP": (317, 206, 262, 64.98, 78.63, 71.16),
    "PP": (107, 89, 90, 83.18, 98.89, 90.36),
    "SBAR": (3, 2, 6, 66.67, 33.33, 44.44),
    "VP": (100, 69, 87, 69.00, 79.31, 73.80),
}
"""What conlleval printed of its sample: clips.uantwerpen.be/conll2000/chunking/output.html."""


def chunks_like(kind, found, correct, wanted):
    """Yield (gold, predicted) with so many phrases found, correct and wanted, wrong in each way that phrases can be."""
    wrong, missed = found - correct, wanted - correct
    split = min(max(wrong - missed, 0), missed)  # one phrase taken for two
    short = min(wrong - 2 * split, missed - split)  # its end missed
    yield from [(f"B-{kind} I-{kind}",) * 2] * correct
    yield from [(f"B-{kind} I-{kind}", f"B-{kind} B-{kind}")] * split
    yield from [(f"B-{kind} I-{kind} I-{kind}", f"B-{kind} I-{kind} O")] * short
    yield from [(f"B-{kind} I-{kind}", "O O")] * (missed - split - short)
    yield from [("O", f"I-{kind}")] * (wrong - 2 * split - short)


def test_figures_are_those_that_conlleval_printed_of_its_sample():
    rows = [pair for kind, (*counts, _, _, _) in PUBLISHED.items() for pair in chunks_like(kind, *counts)]
    found = measured(*map(list, zip(*rows, strict=True)))
    for name, percent in (("precision", 68.83), ("recall", 80.83), ("f1", 74.35)):  # 459 phrases; 539 found; 371 right
        assert round(100 * found[f"micro_{name}"], 2) == percent
    for kind, (_, _, wanted, *percents) in PUBLISHED.items():
        one = found["per_class"][kind]
        assert [round(100 * one[name], 2) for name in ("precision", "recall", "f1")] == percents
        assert one["support"] == wanted
    assert sum(one["support"] for one in found["per_class"].values()) == 459


@settings(deadline=None)
@given(st.sampled_from(sorted(SCHEMES)), texts.filter(bool), texts)
def test_figures_do_not_depend_on_the_scheme(scheme, gold, predicted):
    predicted = cut(predicted, sum(length for _, length in gold))
    here, there = (
        measured([" ".join(written(of, gold))], [" ".join(written(of, predicted))], of) for of in (scheme, "bio")
    )
    assert here["per_class"] == there["per_class"] and here["micro_f1"] == there["micro_f1"]


def cut(chunks, length):
    """Return chunks of so many tokens in all."""
    found = []
    for kind, size in [*chunks, ("", length)]:
        size = min(size, length - sum(one for _, one in found))
        if size:
            found.append((kind, size))
    return found


def test_without_spans_every_tag_counts_for_itself():
    found = measured(["DET NOUN VERB", "NOUN VERB"], ["DET NOUN NOUN", "NOUN VERB"], "none")
    assert found["micro_f1"] == found["token_accuracy"] == 0.8
    assert found["per_class"]["VERB"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}


def test_tokens_whose_gold_tag_is_unknown_do_not_count():
    gold, predicted = [["B-X", None], ["B-X", "O"]], [["O", "O"], ["B-X", "O"]]
    found = metrics_of(pd.DataFrame({"gold": gold, "predicted": predicted}), "bio")
    assert found["token_accuracy"] == pytest.approx(2 / 3) and found["micro_f1"] == 1.0


def test_nothing_found_where_nothing_is_has_figures():
    assert measured(["O O"], ["O O"])["macro_f1"] == 0.0
