"""The method `rule-structure`: hard rules hold by construction, in training and in prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from triune import LossTerm, ParameterClaim, hookimpl
from triune.select import Name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from triune import Batch, GroundedRules, Outputs, Run
    from triune.examples import Examples
    from triune.spaces import OutputSpace
    from triune_rule_structure.structure import Structure


class RuleStructure:
    """Condition the outputs on hard rules, so that no prediction can break one (Ahmed et al. 2022)."""

    seats: ClassVar[tuple[str, ...]] = ("structure",)

    class Config(BaseModel, frozen=True, extra="forbid"):
        """How outputs are conditioned, and what becomes of labels that break a rule."""

        gold: Literal["refuse", "ignore"] = Field(
            "refuse",
            description="What happens to training examples whose labels break a hard rule. refuse: the run does not "
            "start, and says where they stand. ignore: their labels are not learnt from, and the plan counts them.",
        )
        coherence: Literal["auto", "exact", "max"] = Field(
            "auto",
            description="Where several labels may hold at once. exact: the model's distribution given the rules. max: "
            "a label is as probable as the likeliest below it, for hierarchies alone. auto: max for hierarchies of "
            "more than 256 labels, exact otherwise.",
        )
        transitions: Literal["none", "learned"] = Field(
            "none",
            description="For sequences of tags. learned: a score for each pair of neighbouring tags is learnt too, a "
            "conditional random field whose every sequence keeps the rules.",
        )
        transitions_lr_scale: float = Field(
            100.0,
            gt=0,
            allow_inf_nan=False,
            description="How much faster than the model learned transitions are trained.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.transitions: nn.Parameter | None = None
        self._made: tuple[GroundedRules, Structure] | None = None

    @hookimpl
    def adapt_model(self, run: Run, model: nn.Module, space: OutputSpace) -> None:
        """Add the scores of neighbouring tags, if they are to be learnt: zeros at first, so that nothing changes.

        Raises:
            PlanError: the outputs are no sequences of tags.
        """
        from triune_rule_structure.transitions import attached

        if self.config.transitions == "learned":
            self.transitions = attached(model, space, run.finished.model if run.finished else None)

    @hookimpl
    def claim_parameters(self) -> Iterable[ParameterClaim]:
        """Train the scores of neighbouring tags."""
        if self.transitions is not None:
            from triune_rule_structure.transitions import NAME

            yield ParameterClaim(Name(NAME), trainable=True, lr_scale=self.config.transitions_lr_scale)

    @hookimpl
    def loss_terms(self, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute the likelihood of labels under the rules, in place of "task", where masks alone do not give it.

        Raises:
            PlanError: no rule is hard, an example is left without an answer, or labels break rules.
        """
        from triune_rule_structure.checks import checked_examples
        from triune_rule_structure.likelihood import likelihood

        structure = self.structure(rules)
        broken = checked_examples(structure, train, ignore=self.config.gold == "ignore")
        if structure.form.joint or broken.any():
            yield likelihood(structure, broken)

    @hookimpl
    def constrain_outputs(self, rules: GroundedRules, outputs: Outputs, batch: Batch) -> Outputs:
        """Return the scores of the model given the rules and, where nothing is learnt, the likeliest allowed answer.

        Raises:
            RuleError: an example is left without an answer.
        """
        return self.structure(rules).applied(outputs, batch)

    @hookimpl
    def export(self, directory: Path) -> None:
        """Write the rules as `constraints.json`, and learned transitions as `transitions.safetensors`."""
        from triune_rule_structure.exporting import write

        if self._made is not None:
            write(self._made[1], self.transitions, directory)

    @hookimpl
    def describe_model(self) -> Iterable[str]:
        """Say how the constraints go on."""
        from triune_rule_structure.exporting import paragraph

        if self._made is not None:
            yield paragraph(self._made[1], learned=self.transitions is not None)

    def structure(self, rules: GroundedRules) -> Structure:
        """Return the hard rules of a run over its outputs, made once.

        Raises:
            PlanError: no rule is hard, or one cannot act here.
        """
        from triune_rule_structure.structure import structure_of

        if self._made is None or self._made[0] is not rules:
            self._made = (rules, structure_of(rules, self.config, self.transitions))
        return self._made[1]
