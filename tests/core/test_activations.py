"""The frozen-prefix cache: with it and without it a run is the same to the bit, and nothing stale is ever read."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from triune import Bundle, Outputs, ParameterClaim, hookimpl
from triune.errors import PlanError
from triune.events import Checkpointed, Planned
from triune.layout import Ownership, layout_of
from triune.planning import planned_groups
from triune.select import Depth, Head, Name, Outside
from triune.spaces import Categorical, labels_in_order
from triune.testing import ToyTask
from triune.testing.toy_runs import completed, run
from triune.testing.toys import WORDS, encode

pytestmark = pytest.mark.filterwarnings("ignore:.*fused.*")
STEPS, PER_EPOCH, BLOCKS = 10, 5, 3
HEAD = ("classifier.*", "bert.pooler.*")


def bert(classes=2, dropout=0.1):
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=len(WORDS) + 1, hidden_size=16, num_hidden_layers=BLOCKS, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=32, num_labels=classes, hidden_dropout_prob=dropout,
        )  # fmt: skip
    )


def pooled(model, batch, space):
    return Outputs(model(**batch.inputs).logits, space)


class Tiny(ToyTask):
    """The toy task with a small encoder of transformers."""

    def __init__(self, build=bert, forward=pooled, **options):
        super().__init__(**options)
        self.build, self.pass_through = build, forward

    @hookimpl
    def build_model(self, run, data):
        space = run.finished.space if run.finished else Categorical(labels_in_order(data.labels("train")))
        return Bundle(
            model=self.build(),
            space=space,
            encode=lambda data, split: encode(data, split, space),
            forward=lambda model, batch: self.pass_through(model, batch, space),
            save=lambda model, folder: None,
            head=HEAD,
        )


class Claims:
    """Claim what one is told to, and remember the model."""

    def __init__(self, *claims):
        self.claims = claims

    @hookimpl
    def adapt_model(self, model):
        self.model = model

    @hookimpl
    def claim_parameters(self):
        return self.claims


HEAD_ONLY = (ParameterClaim(Head(), True),)
TOP_ONE = (*HEAD_ONLY, ParameterClaim(Depth(-1), True))
TOP_DOWN = (
    *(ParameterClaim(Head(), True), ParameterClaim(Depth(-1), True, start=3)),
    *(ParameterClaim(Depth(-2), True, start=6), ParameterClaim(Outside() | Depth(0), True, start=9)),
)
ONE_AT_A_TIME = (
    *(ParameterClaim(Head(), True, stop=3), ParameterClaim(Depth(-1), True, start=3, stop=6)),
    *(ParameterClaim(Depth(0), True, start=6, stop=7), ParameterClaim(Head(), True, start=7)),
)


def trained(folder, claims, cache, *, task=None, resume=None, stop=None, others=(), **training):
    """Train as claimed; return the weights, and the plan."""
    mine, plans = Claims(*claims), []

    def watching(event):
        if isinstance(event, Planned):
            plans.append(event.plan)
        if isinstance(event, Checkpointed) and event.step.index == stop:
            raise Stopped

    found = completed({"tiny": task or Tiny(), "claims": mine, **dict(others)})
    options = {"max_steps": STEPS, "keep_best": False, "early_stopping": None, "epochs": 3, "validation": 0.2}
    result = run(found, folder, {**options, "cache": cache, **training}, resume, (watching,))
    return {name: one.detach().clone() for name, one in mine.model.named_parameters()}, plans[0], result


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def differing(first, second):
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("claims", [HEAD_ONLY, TOP_ONE, TOP_DOWN, ONE_AT_A_TIME])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_with_and_without_the_cache_weights_are_the_same_to_the_bit(tmp_path, claims, accumulate):
    results = {}
    for cache in ("off", "ram", "disk"):
        weights, plan, result = trained(tmp_path / cache, claims, cache, accumulate=accumulate)
        results[cache] = weights, result.metrics
        assert plan.prefix.place == cache
        assert (result.facts["timings"]["caching"] > 0) == (cache != "off")
    for cache in ("ram", "disk"):
        assert differing(results["off"][0], results[cache][0]) == []
        assert results["off"][1] == results[cache][1]
