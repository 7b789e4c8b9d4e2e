"""The contract: every hook that a plugin may implement, in four classes.

A plugin is a class whose methods, marked with `@hookimpl`, carry the names and the argument names below;
arguments that a hook does not need may be left out. Hooks *contribute* (collected from all plugins),
*transform* (chained in config order: each sees what the one before returned, None leaves it as it is),
or one plugin *decides* (a second decider is a conflict that stops the run before step 0).

Examples assume `from triune import hookimpl` and stand inside a plugin class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from triune.context import Run
    from triune.data import Data
    from triune.events import Event
    from triune.examples import Examples
    from triune.spaces import OutputSpace
    from triune.types import (
        JSON,
        Batch,
        Bundle,
        GroundedRules,
        LossTerm,
        ModelLayout,
        Outputs,
        ParameterClaim,
        ParamGroup,
        Rule,
        RuleLabels,
        RunLength,
        Step,
    )

hookspec = pluggy.HookspecMarker("triune")
hookimpl = pluggy.HookimplMarker("triune")


class RuleApplication:
    """Rules come in, and act on labels and outputs."""

    @hookspec
    def rules(self, run: Run) -> Iterable[Rule]:
        """Contribute rules.

        ```python
        @hookimpl
        def rules(self):
            yield Rule("refunds", then=Label("refund"), when=TextMatches(lambda text: "money back" in text))
        ```
        """
        return ()

    @hookspec(firstresult=True)
    def label_examples(
        self,
        run: Run,
        rules: GroundedRules,
        examples: pd.DataFrame,
        roles: Mapping[str, str],
        space: OutputSpace,
        gold: pd.DataFrame,
    ) -> pd.DataFrame | RuleLabels | None:
        """Decide training labels from rules: one probability column a class, NaN where no rule speaks.

        `examples` is the training table with the unlabelled one below it, `roles` what its columns mean;
        `rules.fires["train"]` has a column for each of its rows. `gold` has the form of what is returned, a column
        for each label of `space`, and holds the labels that there are. Only rows without one take what is decided
        here. Where a task tags tokens, rows of `gold` and of what is returned are tokens, all laid end to end. Return
        `RuleLabels` to add notes to the plan.

        ```python
        @hookimpl
        def label_examples(self, rules, examples):
            fires = rules.fires["train"]
            votes = {rule.then.name: fires[index] for index, rule in enumerate(rules.rules)}
            labels = pd.DataFrame(votes, index=examples.index).astype(float)
            return labels.where(labels.sum(axis=1) == 1)
        ```
        """

    @hookspec
    def constrain_outputs(self, run: Run, rules: GroundedRules, outputs: Outputs, batch: Batch) -> Outputs | None:
        """Transform outputs so that they obey the rules, in training and in prediction alike.

        `rules.on(batch)` says which rules fire on which example of the batch.

        ```python
        @hookimpl
        def constrain_outputs(self, rules, outputs, batch):
            fires = rules.on(batch)                                                 # (rules, batch)
            return replace(outputs, scores=outputs.scores.masked_fill(fires[0][:, None] & self.others, -1e4))
        ```
        """


class LossComposition:
    """What is minimised."""

    @hookspec
    def loss_terms(
        self, run: Run, rules: GroundedRules, layout: ModelLayout, train: Examples, bundle: Bundle
    ) -> Iterable[LossTerm]:
        """Contribute loss terms.

        A term of parameters, such as a penalty on their size, gives every example of a batch the same value; it
        then counts once, whatever the parts of the batch. `layout` names the parameters, the head's among them;
        `train` is what is learnt from: token ids, targets, which examples have a label. `bundle` is the model as it
        starts and how a batch goes through it: `bundle.forward(bundle.model, train.batch(rows))`.

        A plugin whose terms learn from text without labels says so by the class attribute `reads_unlabelled = True`
        (one with `seats` other than the structure pushes rules, and does anyway); the unlabelled table is trained on
        only then.

        ```python
        @hookimpl
        def loss_terms(self):
            def confidence(step, batch, outputs):
                p = outputs.scores.softmax(-1)
                values = -(p * p.log()).sum(-1)                                     # (batch,) entropy
                return TermValues(values, mask=1 - batch.labelled)
            yield LossTerm("entropy", confidence, weight=Schedule.constant(0.1))
        ```
        """
        return ()

    @hookspec(firstresult=True)
    def compose_loss(self, run: Run, terms: Mapping[str, Tensor], step: Step) -> Tensor | None:
        """Decide how the weighted terms become the scalar that is back-propagated. Default: their sum.

        ```python
        @hookimpl
        def compose_loss(self, terms):
            return torch.stack(list(terms.values())).logsumexp(0)
        ```
        """


class ParameterFreezing:
    """Which parameters move, when, and by which optimiser."""

    @hookspec
    def claim_parameters(self, run: Run, layout: ModelLayout, length: RunLength) -> Iterable[ParameterClaim]:
        """Contribute claims. `length` is how many steps the run has.

        ```python
        @hookimpl
        def claim_parameters(self, layout):
            yield ParameterClaim(Head(), trainable=True)
            yield ParameterClaim(Depth(-1), trainable=True, start=Fraction(1, 2), lr_scale=0.5)
        ```
        """
        return ()

    @hookspec(firstresult=True)
    def build_optimizer(self, run: Run, groups: Sequence[ParamGroup]) -> Optimizer | None:
        """Decide the optimiser. Default: AdamW, fused where the device has it.

        Keep one `param_groups` entry a group, in order: the core sets their learning rates each step.

        ```python
        @hookimpl
        def build_optimizer(self, groups):
            return torch.optim.SGD([{"params": group.parameters, "lr": group.learning_rate} for group in groups])
        ```
        """


class RunLifecycle:
    """The life of a run around the three contracts, in the order of the hooks below."""

    @hookspec(firstresult=True)
    def load_data(self, run: Run) -> Data | None:
        """Decide the tables.

        ```python
        @hookimpl
        def load_data(self):
            table = pd.DataFrame({"text": ["good", "bad"], "label": ["+", "-"]})
            return Data({"train": table}, roles={"text": "text", "label": "label"})
        ```
        """

    @hookspec
    def prepare_data(self, run: Run, data: Data) -> Data | None:
        """Transform the tables: balancing, augmentation. Touch nothing but training data.

        ```python
        @hookimpl
        def prepare_data(self, run, data):
            order = run.generators.numpy("shuffle").permutation(len(data.train))
            return data.with_split("train", data.train.iloc[order])
        ```
        """

    @hookspec(firstresult=True)
    def build_model(self, run: Run, data: Data) -> Bundle | None:
        """Decide model, encoding and output space; a task does.

        ```python
        @hookimpl
        def build_model(self, run, data):
            space = Categorical(labels_in_order(data.labels("train")))
            return Bundle(BagOfWords(space), space, self.encode, forward, save)
        ```
        """

    @hookspec
    def adapt_model(self, run: Run, model: nn.Module, space: OutputSpace) -> None:
        """Transform the model in place: add adapters. Parameters keep their names. `space` is what it predicts.

        ```python
        @hookimpl
        def adapt_model(self, model):
            for module in list(model.modules()):
                if isinstance(module, nn.Linear):
                    attach(module, rank=8)
        ```
        """

    @hookspec
    def fold_model(self, run: Run, model: nn.Module) -> None:
        """Transform the trained model in place, back into the form in which it is saved: fold in what was added.

        Called before the model is saved, and `export` after it. Parameters that `adapt_model` added leave the model,
        so that what is saved loads without the plugin; nothing predicts with this model any more.

        ```python
        @hookimpl
        def fold_model(self, model):
            for module, adapter in detached(model):
                module.weight += adapter.delta()
        ```
        """

    @hookspec
    def before_training(self, run: Run, step: Step, forward: Callable[[Batch], Outputs], train: Examples) -> None:
        """Prepare for the first step that this process takes: step 0, or the one at which a run is resumed.

        `forward` gives the outputs of a batch under the model as it is whenever it is called, now or later from a
        loss term: without dropout, without gradient. What is worked out at step 0 alone belongs into `state_dict`; a
        resumed run has been given it back already.

        ```python
        @hookimpl
        def before_training(self, step, forward, train):
            if step.index == 0:
                self.start = torch.cat([forward(train.batch(rows)).scores for rows in self.parts(len(train))])
        ```
        """

    @hookspec
    def measure(self, run: Run, predictions: pd.DataFrame) -> Mapping[str, JSON]:
        """Contribute metrics of one split.

        `predictions` has the columns "gold" and "predicted" (a label, a list of labels, or a list of tags in which a
        gold one may be None) and "probability of LABEL" for each label; of tags "probability", a number for each token.

        ```python
        @hookimpl
        def measure(self, predictions):
            return {"accuracy": float((predictions["gold"] == predictions["predicted"]).mean())}
        ```
        """
        return {}

    @hookspec
    def observe(self, run: Run, event: Event) -> None:
        """See what happens. An error here is reported once and never fails the run.

        Of several processes each is told; what may happen once belongs behind `run.processes.leads`.

        ```python
        @hookimpl
        def observe(self, event):
            if isinstance(event, Evaluated):
                self.tracker.log(dict(event.metrics), step=event.step.index)
        ```
        """

    @hookspec
    def export(self, run: Run, model: nn.Module, directory: Path) -> None:
        """Write more files beside the exported model; of several processes the first one does.

        ```python
        @hookimpl
        def export(self, directory):
            (directory / "labels.txt").write_text("spam, ham")
        ```
        """

    @hookspec
    def describe_model(self, run: Run) -> Iterable[str]:
        """Contribute paragraphs of Markdown to the model's card: what one must know to use the exported model.

        ```python
        @hookimpl
        def describe_model(self):
            yield "Texts are cut after 64 tokens."
        ```
        """
        return ()


SPECIFICATIONS = (RuleApplication, LossComposition, ParameterFreezing, RunLifecycle)
