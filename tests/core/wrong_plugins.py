"""Plugins with one fault each; a line above each says which check must find it, and what it must say."""

import itertools
from dataclasses import replace

from pydantic import BaseModel, Field

from tests.core.right_plugins import Adapter, Anchored, Gradual, Never, Shuffled, Votes
from triune import Label, LossTerm, ParameterClaim, Rule, Schedule, TermValues, TextMatches, hookimpl
from triune.events import Stepped
from triune.select import Depth, Head, Name

FAULTS = {}
COUNT = itertools.count()


def wrong(check, sentence):
    def note(cls):
        FAULTS[cls] = (check, sentence)
        cls.__doc__ = cls.__doc__ if check == "docstring" else "What it does."
        return cls

    return note


def term(compute, **more):
    return LossTerm("mine", compute, **more)


@wrong("docstring", "class 'Silent' has no docstring")
class Silent:
    @hookimpl
    def measure(self):
        return {}


@wrong("config", "Config has frozen=None: write `frozen=True`")
class Loose(Adapter):
    class Config(BaseModel, extra="forbid"):
        rank: int = Field(2, description="…")


@wrong("config", "Config has extra='ignore': write `extra='forbid'`")
class Open(Adapter):
    class Config(BaseModel, frozen=True, extra="ignore"):
        rank: int = Field(2, description="…")


@wrong("config", "Config.rank has no description")
class Undescribed(Adapter):
    class Config(BaseModel, frozen=True, extra="forbid"):
        rank: int = 2


@wrong("config", "settings {} are refused: rank: Field required; give valid ones as config={…}")
class Demanding(Adapter):
    class Config(BaseModel, frozen=True, extra="forbid"):
        rank: int = Field(description="…")


@wrong("config", "the default of Config.weight is 1.0, and a user who writes the same gets Schedule(")
class Untyped(Adapter):
    class Config(BaseModel, frozen=True, extra="forbid"):
        rank: int = Field(2, description="…")
        weight: Schedule = Field(1.0, description="…")


@wrong("hooks", "'loss_term' is no hook of triune; did you mean 'loss_terms'?")
class Misspelt:
    @hookimpl
    def loss_term(self):
        return ()


@wrong("hooks", "argument 'layout' of hook 'claim_parameters' has a default")
class Defaulting:
    @hookimpl
    def claim_parameters(self, layout=None):
        return ()


@wrong("hooks", "method 'observe' has the name of a hook and would never be called: mark it with @hookimpl")
class Unmarked:
    def observe(self, event):
        pass


@wrong("hooks", "it implements no hook")
class Idle:
    pass


@wrong("making", "make() returns the same object twice")
class Single(Adapter):
    class Config(BaseModel, frozen=True, extra="forbid"):
        rank: int = Field(2, description="…")

    only = None

    def __new__(cls, config):
        cls.only = cls.only or super().__new__(cls)
        return cls.only


@wrong("plan", "loss term 'mine' of plugin 'detached' has no gradient path to the model")
class Detached:
    @hookimpl
    def loss_terms(self):
        yield term(lambda s, b, o: TermValues(o.scores.detach().mean(-1), b.weights))


@wrong("plan", "values (2,) and mask (2, 1) differ in shape")
class Misshapen:
    @hookimpl
    def loss_terms(self):
        yield term(lambda s, b, o: TermValues(o.scores.mean(-1), b.weights[:, None]))


@wrong("term values", "loss term 'mine': values () of 13 examples: keep a first dimension of examples")
class Averaged:
    @hookimpl
    def loss_terms(self):
        yield term(lambda s, b, o: TermValues(o.scores.mean(), b.weights.mean()))


@wrong("term values", "loss term 'mine': values are not finite where the mask is above 0")
class Infinite:
    @hookimpl
    def loss_terms(self):
        # the probe before step 0 sees two examples only
        yield term(lambda s, b, o: TermValues(o.scores.mean(-1) + (len(b.rows) == 13) * 1e39, b.weights))


@wrong("term counts", "loss term 'mine': counts says 5 and the mask sums up to 4 for 5 examples")
class Miscounting:
    @hookimpl
    def loss_terms(self):
        yield term(lambda s, b, o: TermValues(o.scores.mean(-1), b.labelled), counts=lambda b: b.weights.sum())


@wrong("exact reduction", "the gradient of 13 examples and that of the same in 3 parts differ by")
class Coupled:
    @hookimpl
    def loss_terms(self):
        yield term(lambda s, b, o: TermValues((o.scores - o.scores.mean(0)).square().mean(-1), b.weights))


@wrong("exact reduction", "the loss of the same batch at the same step differs when it is computed again")
class Counting:
    def __init__(self):
        self.seen = 0

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            self.seen += 1
            return TermValues(outputs.scores.square().mean(-1) * (self.seen % 5), batch.weights)

        yield term(values)


@wrong("plan", "plugin 'nowhere' claims Name('encoder.*'), which matches none of")
class Nowhere:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("encoder.*"), trainable=True)


@wrong("plan", "plugin 'torn' trains Name('*') and plugin 'torn' freezes Head()")
class Torn:
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("*"), trainable=True)
        yield ParameterClaim(Head(), trainable=False)


@wrong("claims", "the claim of Depth(1) ends at step 500, and the run has 12")
class Late(Gradual):
    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("*"), trainable=True, default=True)
        yield ParameterClaim(Depth(1), trainable=True, stop=500)


@wrong("plan", "plugin 'renaming' removed or renamed parameters of the model: head.bias, head.weight")
class Renaming:
    @hookimpl
    def adapt_model(self, model):
        from torch import nn

        model.head = nn.Sequential(model.head)


@wrong("same model", "two models of one seed differ in 'blocks.0.0.down' and 2 more")
class Entropic(Adapter):
    @hookimpl
    def adapt_model(self, model):
        import torch

        super().adapt_model(model)
        generator = torch.Generator()
        generator.seed()
        for block in model.blocks:
            block[0].down.data = torch.randn(block[0].down.shape, generator=generator)

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("*"), trainable=True)


@wrong("freezing", "changed outside its windows: leave weights to the optimiser, and claim what trains")
class Meddling:
    @hookimpl
    def adapt_model(self, model):
        self.model = model

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Head(), trainable=True)

    @hookimpl
    def observe(self, event):
        if isinstance(event, Stepped):
            self.model.embeddings.weight.data *= 0.99


@wrong("freezing", "held by the optimiser outside its windows: use the groups given to build_optimizer")
class Hoarding(Gradual):
    @hookimpl
    def build_optimizer(self, groups):
        import torch

        class Hoarder(torch.optim.SGD):
            def step(self, closure=None):
                for group in self.param_groups:
                    for parameter in group["params"]:
                        self.state[parameter]["seen"] = torch.ones(1)
                return super().step(closure)

        return Hoarder([{"params": list(group.parameters), "lr": group.learning_rate} for group in groups])


@wrong("freezing", "claimed to train and never changed: let the loss depend on it")
class Unused:
    @hookimpl
    def adapt_model(self, model):
        import torch

        model.spare = torch.nn.Parameter(torch.ones(3))


@wrong("exact resume", "a run stopped after steps 3, 6, 9 and resumed, and one that was not, end with other weights")
class Forgetful(Anchored):
    state_dict = load_state_dict = None

    def __getattribute__(self, name):
        if name in ("state_dict", "load_state_dict"):
            raise AttributeError(name)
        return super().__getattribute__(name)


@wrong("state", "it has state_dict and no load_state_dict: write both, or neither")
class OneWay:
    @hookimpl
    def observe(self):
        pass

    def state_dict(self):
        return {}


@wrong("state", "after load_state_dict, state_dict returns something else")
class Lossy(Anchored):
    def load_state_dict(self, state):
        self.level = round(state["level"], 1)


@wrong("run", "['level'] is of type Fraction, which a checkpoint cannot hold")
class Unstorable(Anchored):
    def state_dict(self):
        from fractions import Fraction

        return {"level": Fraction(1, 3)}


@wrong("same seed", "two runs of one seed end with other weights")
class Sharing:
    seen = 0

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            return TermValues(outputs.scores.square().mean(-1) * (Sharing.seen % 7), batch.weights)

        yield term(values)

    @hookimpl
    def observe(self, event):
        Sharing.seen += isinstance(event, Stepped)


@wrong("same seed", "it draws from, or seeds, the caller's random generators when it is made")
class Seeding:
    def __init__(self):
        import torch

        torch.manual_seed(0)
        torch.rand(next(COUNT) + 1)

    @hookimpl
    def measure(self):
        return {}


@wrong("observing", "plugin 'clumsy' failed to observe and is not told any more: KeyError")
class Clumsy:
    @hookimpl
    def observe(self, event):
        raise KeyError("no")


@wrong("data", "prepare_data changes the test table, and scores on it would flatter")
class Cheating:
    @hookimpl
    def prepare_data(self, data):
        return data.with_split("test", data.splits["test"].iloc[:4])


@wrong("data", "prepare_data changes the train table in place")
class InPlace:
    @hookimpl
    def prepare_data(self, data):
        data.train["text"] = data.train["text"].str.upper()


@wrong("data", "prepare_data gives rows of the train table an index that no row of the source has")
class Renumbering:
    @hookimpl
    def prepare_data(self, data):
        return data.with_split("train", data.train.set_index(data.train.index + 1000))


@wrong("data", "prepare_data makes another table of the same seed")
class Unseeded:
    @hookimpl
    def prepare_data(self, data):
        return data.with_split("train", data.train.iloc[next(COUNT) % 20 :])


@wrong("constraints", "constrain_outputs answers differently when training and when predicting")
class Peeking(Never):
    @hookimpl
    def constrain_outputs(self, rules, outputs, batch):
        return replace(outputs, scores=outputs.scores + batch.targets)


@wrong("constraints", "constrain_outputs answers differently for the same scores")
class Fickle:
    @hookimpl
    def constrain_outputs(self, outputs):
        return replace(outputs, scores=outputs.scores + next(COUNT))


@wrong("constraints", "constrain_outputs answers differently for an example in another batch")
class Centred:
    @hookimpl
    def constrain_outputs(self, outputs):
        return replace(outputs, scores=outputs.scores - outputs.scores.mean(0))


@wrong("labels", "label_examples returns rows that do not add up to 1")
class Unnormalised(Votes):
    @hookimpl
    def label_examples(self, rules, examples):
        return super().label_examples(rules, examples) / 2


@wrong("labels", "label_examples leaves NaN in a part of a row")
class Partial(Votes):
    @hookimpl
    def label_examples(self, rules, examples):
        found = super().label_examples(rules, examples)
        return found.where(found > 0)


@wrong("plan", "rule 'hot': 'wram' is not a label of this task; labels: cold, warm; did you mean 'warm'?")
class Elsewhere:
    @hookimpl
    def rules(self):
        yield Rule("hot", then=Label("wram"))


@wrong("plan", "two rules are called 'hot': rename one")
class Twins:
    @hookimpl
    def rules(self):
        yield Rule("hot", then=Label("warm"))
        yield Rule("hot", then=Label("cold"))


@wrong("rules", "rule 'first': its condition fails (IndexError: list index out of range) for texts that are empty")
class Fragile:
    @hookimpl
    def rules(self):
        yield Rule("first", then=Label("warm"), when=TextMatches(lambda text: text.split()[0] == "red"))


@wrong("run", "RuntimeError: out of luck")
class Failing(Shuffled):
    @hookimpl
    def export(self):
        raise RuntimeError("out of luck")


@wrong("composed loss", "compose_loss returns (2,)")
class Uncomposed:
    @hookimpl
    def compose_loss(self, terms):
        import torch

        return torch.stack([*terms.values(), *terms.values()])


class Several:
    class Config(BaseModel):
        pass

    def __init__(self, config):
        pass

    @hookimpl
    def observe(self, evnet):
        pass
