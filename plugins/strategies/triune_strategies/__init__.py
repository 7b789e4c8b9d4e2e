"""Ways of learning: five that `triune compare` compares unless told which, and one that has to be named."""

from __future__ import annotations

from triune.strategies import Strategy

WEAK_LABELS = Strategy(
    name="weak-labels",
    family="rules",
    methods=("end-to-end", "weak-labels"),
    needs=frozenset({"rules"}),
    default=True,
    rules_as="votes",
    summary="Rules vote on every training text, and the whole model learns from their votes; no label is seen.",
)
END_TO_END = Strategy(
    name="end-to-end",
    family="labels",
    methods=("end-to-end",),
    needs=frozenset({"labels"}),
    default=True,
    summary="The whole model learns from the labels.",
)
LAYER_BY_LAYER = Strategy(
    name="layer-by-layer",
    family="labels",
    methods=("layer-by-layer",),
    needs=frozenset({"labels"}),
    default=True,
    summary="The model thaws from its head down, block by block, and learns from the labels.",
)
LORA = Strategy(
    name="lora",
    family="labels",
    methods=({"use": "lora", "learning_rate": 1e-3},),
    needs=frozenset({"labels"}),
    default=True,
    summary="Thin adapters and the head learn from the labels; the model itself rests.",
)
HYBRID = Strategy(
    name="hybrid",
    family="hybrid",
    methods=("end-to-end", "hybrid", {"use": "self-training", "without_text": "rest"}),
    training={"labelled_share": 0.5},
    needs=frozenset({"rules", "labels"}),
    default=True,
    rules_as="belief",
    summary="The model learns from the labels, from rules as far as labels prove them, and from what both say of text.",
)
SELF_TRAINING = Strategy(
    name="self-training",
    family="hybrid",
    methods=("end-to-end", "self-training"),
    training={"labelled_share": 0.5},
    needs=frozenset({"labels", "rules"}),
    summary="The model learns from the labels, and from what it and the rules, trusted as labels show, say of text.",
)
LABELS_AND_VOTES = Strategy(
    name="labels-and-votes",
    family="hybrid",
    methods=("end-to-end", "weak-labels"),
    needs=frozenset({"labels", "rules"}),
    rules_as="votes",
    summary="The model learns from the labels, and from the votes of rules where there are none.",
)
