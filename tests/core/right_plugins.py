"""A plugin of each kind that keeps the contract; imports nothing heavy, as a plugin's module should."""

from fractions import Fraction

from pydantic import BaseModel, Field

from triune import (
    Label,
    LossTerm,
    ParameterClaim,
    Rule,
    Schedule,
    Seat,
    TermValues,
    TextMatches,
    hookimpl,
)
from triune.events import Stepped
from triune.select import Depth, Head, Name, Owner


class Adapter:
    """Add a trainable low-rank update beside every linear layer of the blocks (Hu et al. 2022)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        rank: int = Field(2, ge=1, description="Rank of the update.")

    def __init__(self, config):
        self.config = config

    @hookimpl
    def adapt_model(self, model):
        import torch
        from torch import nn

        for block in model.blocks:
            linear = block[0]
            linear.down = nn.Parameter(torch.randn(self.config.rank, linear.in_features) / 10)
            linear.up = nn.Parameter(torch.zeros(linear.out_features, self.config.rank))
            linear.register_forward_hook(lambda module, args, out: out + args[0] @ module.down.T @ module.up.T)

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Owner("adapter") | Head(), trainable=True)


class Anchored:
    """Pull confidence towards a level that follows the loss; a term with a state."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        weight: Schedule = Field(
            Schedule.model_validate({"from": 0, "to": 0.5, "over": 0.5}), description="Weight of the term."
        )

    def __init__(self, config):
        self.config, self.level = config, 0.5

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            p = outputs.space.probabilities(outputs.scores).max(-1).values
            return TermValues((p - self.level).square(), batch.weights * (1 - batch.labelled / 2))

        yield LossTerm("anchored", values, self.config.weight, lambda b: (b.weights * (1 - b.labelled / 2)).sum())

    @hookimpl
    def observe(self, event):
        if isinstance(event, Stepped):
            self.level = 0.9 * self.level + 0.1 * event.loss

    def state_dict(self):
        return {"level": self.level}

    def load_state_dict(self, state):
        self.level = state["level"]


class Gradual:
    """Head first, then block after block (Howard & Ruder 2018)."""

    @hookimpl
    def claim_parameters(self, layout):
        yield ParameterClaim(Head(), trainable=True)
        for place in range(layout.blocks):
            start = Fraction(place + 1, layout.blocks + 1)
            yield ParameterClaim(Depth(-1 - place), trainable=True, lr_scale=0.5, start=start)


class Cautious:
    """Freeze the embeddings and leave the rest to another method."""

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("embeddings.*"), trainable=False)


class Shuffled:
    """Copy some training examples, at random, and give them weights."""

    @hookimpl
    def prepare_data(self, run, data):
        import pandas as pd

        order = run.generators.numpy("shuffled").permutation(len(data.train))
        twice = pd.concat([data.train, data.train.iloc[order[:9]]])
        return data.with_split("train", twice, "9 examples copied")


class Never:
    """Make the label that no rule proposes impossible where a hard rule fires."""

    @hookimpl
    def constrain_outputs(self, rules, outputs, batch):
        from dataclasses import replace

        import torch

        scores, fires = outputs.scores, rules.on(batch)
        for rule, fired in zip(rules.rules, fires, strict=True):
            if rule.hard:
                others = torch.tensor([label not in rule.then.labels for label in outputs.space.labels])
                scores = scores.masked_fill(fired[:, None] & others, -1e4)
        return replace(outputs, scores=scores)


class Votes:
    """Label an example as most of its rules say."""

    @hookimpl
    def label_examples(self, rules, examples):
        import pandas as pd

        labels = ["warm", "cold"]
        found = dict.fromkeys(labels, 0.0)
        for rule, fires in zip(rules.rules, rules.fires["train"], strict=True):
            (label,) = rule.then.labels
            found[label] = found[label] + fires
        votes = pd.DataFrame(found, index=examples.index).astype(float)
        return votes.div(votes.sum(axis=1).where(votes.sum(axis=1) > 0), axis=0)


class Persuaded:
    """Penalise what a rule finds wrong (a term that reads rules)."""

    seats = (Seat.LOSS,)

    @hookimpl
    def loss_terms(self, rules):
        def values(step, batch, outputs):
            import torch

            p = outputs.space.probabilities(outputs.scores)
            spoken = [[label in rule.then.labels for label in outputs.space.labels] for rule in rules.rules]
            obeyed = torch.tensor(spoken).float() @ p.T  # (rules, batch)
            return TermValues(-obeyed.clamp_min(1e-6).log().T, rules.on(batch).T.float())

        yield LossTerm("persuaded", values, counts=lambda batch: rules.on(batch).float().sum())


class Wisdom:
    """A rule of the trade."""

    @hookimpl
    def rules(self):
        yield Rule("sweet is warm", then=Label("warm"), when=TextMatches(lambda text: "sweet" in text))


class Smooth:
    """Compose the terms by a smooth maximum, and optimise by SGD."""

    @hookimpl
    def compose_loss(self, terms):
        import torch

        return torch.stack(list(terms.values())).logsumexp(0)

    @hookimpl
    def build_optimizer(self, groups):
        import torch

        return torch.optim.SGD([{"params": list(g.parameters), "lr": g.learning_rate} for g in groups], momentum=0.9)


class Refunds:
    """A rule about labels of its own."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the rule."""

        word: str = Field(description="What a refund is asked for with.")

    def __init__(self, config):
        self.config = config

    @hookimpl
    def rules(self):
        yield Rule("refund", then=Label("refund"), when=TextMatches(lambda text: self.config.word in text))
