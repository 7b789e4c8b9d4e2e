"""Which form conditions which outputs on hard rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from triune.errors import PlanError, TriuneError
from triune_rule_structure.hierarchy import edges_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from triune.seats import Seated

MANY = 256
"""Labels of a hierarchy beyond which the maximum stands in for exact inference."""


class Form(Protocol):
    """A model's distribution over its outputs, given the hard rules that fire on each example.

    `scores` are the model's own, (batch, labels) or (batch, tokens, tags); `fires` is (rules, batch), `mask`
    (batch, tokens).
    """

    @property
    def joint(self) -> bool:
        """Whether the likelihood of an answer is more than the product of its labels'."""
        ...

    @property
    def said(self) -> str:
        """What it does, to end the sentence "the rules hold by …"."""
        ...

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return scores of which the task's own probabilities are those given the rules."""
        ...

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return the likeliest allowed answer, booleans like the scores; None where `conditioned` scores say it."""
        ...

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) -log p(targets | rules)."""
        ...

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether there is an answer; a score of -1e30 takes a tag away from a token."""
        ...

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether labels keep the rules, or can be completed so that they do."""
        ...


class Settings(Protocol):
    """What a form depends on; see the plugin's `Config`."""

    @property
    def coherence(self) -> Literal["auto", "exact", "max"]:
        """How several labels are made coherent."""
        ...


def form_of(rules: Seated, settings: Settings, transitions: nn.Parameter | None) -> Form:
    """Return the form for the outputs of a run.

    Raises:
        PlanError: the outputs are of a kind that no form is for, or the settings do not suit it.
    """
    space = rules.grounded.space
    assert space is not None
    makers = {"categorical": _choice, "binaries": _labels, "tags": _sequence}
    if space.kind not in makers:
        raise PlanError([f"rule-structure knows no outputs of kind {space.kind!r}: leave it out of this run"])
    if settings.coherence != "auto" and space.kind != "binaries":
        raise PlanError(
            [f"coherence: {settings.coherence!r} is for several labels at once, and here one is right: leave it out"]
        )
    return makers[space.kind](rules, settings, transitions)


def _choice(rules: Seated, settings: Settings, transitions: nn.Parameter | None) -> Form:
    from triune_rule_structure.choice import choice

    return choice(rules)


def _labels(rules: Seated, settings: Settings, transitions: nn.Parameter | None) -> Form:
    from triune_rule_structure.hierarchy import hierarchy
    from triune_rule_structure.joint import joint

    edges = edges_of(rules.rules)
    if settings.coherence == "max" and isinstance(edges, str):
        raise PlanError([f"coherence: max is for hierarchies alone, and {edges}: let it be exact"])
    if isinstance(edges, str) or settings.coherence == "exact":
        return joint(rules)
    assert rules.grounded.space is not None
    labels = rules.grounded.space.labels
    if settings.coherence == "max" or len(labels) > MANY:
        return hierarchy(edges, labels)
    try:
        return joint(rules)
    except TriuneError:  # a hierarchy too entangled for exact inference
        return hierarchy(edges, labels)


def _sequence(rules: Seated, settings: Settings, transitions: nn.Parameter | None) -> Form:
    from triune_rule_structure.crf import field
    from triune_rule_structure.joint import joint

    return joint(rules) if transitions is None else field(rules, transitions)
