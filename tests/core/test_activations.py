"""The frozen-prefix cache: with it and without it a run is the same to the bit, and nothing stale is ever read."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from triune import Bundle, LossTerm, Outputs, ParameterClaim, TermValues, hookimpl
from triune.activations import LEAST, TOKENS, Activations, in_groups
from triune.errors import PlanError
from triune.events import Checkpointed, Planned
from triune.files import sha256_of
from triune.frozen import Stretch, fills_of
from triune.layout import Ownership, layout_of
from triune.planning import planned_groups
from triune.select import Depth, Head, Name, Outside
from triune.spaces import Categorical, labels_in_order
from triune.testing import ToyTask
from triune.testing.toy_runs import completed, run
from triune.testing.toys import WORDS, encode
from triune.types import OnPlateau

pytestmark = pytest.mark.filterwarnings("ignore:.*fused.*")
STEPS, PER_EPOCH, BLOCKS = 10, 5, 3
HEAD = ("classifier.*", "bert.pooler.*")


def bert(classes=2, dropout=0.1):
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=len(WORDS) + 1,
            hidden_size=16,
            num_hidden_layers=BLOCKS,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            num_labels=classes,
            hidden_dropout_prob=dropout,
        )
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


def test_unlabelled_text_is_cached_too(tmp_path):
    reader = {"reader": Unlabelled()}
    weights = {cache: trained(tmp_path / cache, TOP_ONE, cache, others=reader)[0] for cache in ("off", "ram")}
    assert differing(weights["off"], weights["ram"]) == []


class Unlabelled:
    """Learn from all text, labelled or not."""

    reads_unlabelled = True

    @hookimpl
    def loss_terms(self):
        ones = lambda batch: torch.ones(len(batch.rows))  # noqa: E731
        yield LossTerm("size", lambda step, batch, outputs: TermValues(outputs.scores.square().mean(-1), ones(batch)))


class Adapter(Claims):
    """Put a parameter of its own into a block."""

    def __init__(self, block, *claims):
        super().__init__(*claims)
        self.block = block

    @hookimpl
    def adapt_model(self, model):
        layer = model.bert.encoder.layer[self.block]
        layer.extra = torch.nn.Parameter(torch.zeros(16))
        layer.forward = lambda *args, forward=layer.forward, **kwargs: forward(*args, **kwargs) + layer.extra


@pytest.mark.parametrize(("block", "frozen"), [(0, 0), (1, 1)])
def test_a_block_that_holds_an_adapter_which_trains_is_not_frozen(tmp_path, block, frozen):
    adapter = {"adapter": Adapter(block, ParameterClaim(Name("*.extra"), True))}
    runs = [trained(tmp_path / cache, HEAD_ONLY, cache, others=adapter) for cache in ("off", "ram")]
    assert [plan.prefix.stretches[0].blocks if plan.prefix else 0 for _, plan, _ in runs] == [frozen] * 2
    assert differing(runs[0][0], runs[1][0]) == []
    assert runs[0][0][f"bert.encoder.layer.{block}.extra"].any()


def test_what_is_kept_is_computed_once(tmp_path):
    counts = {}
    for cache in ("off", "ram"):
        seen = []

        def counting(seen=seen):
            model = bert()
            below = model.bert.encoder.layer[0].attention
            below.forward = noting(below.forward, seen)
            return model

        trained(tmp_path / cache, HEAD_ONLY, cache, task=Tiny(counting), epochs=6, max_steps=24)
        counts[cache] = len(seen)
    saved = 24 - 2  # steps, but for the two batches in which the table is gone through once
    assert counts["off"] - counts["ram"] >= saved


def test_frozen_blocks_compute_without_dropout(tmp_path):
    with_dropout, without = (
        trained(tmp_path / f"{p}", HEAD_ONLY, "off", task=Tiny(lambda p=p: quiet_head(p)))[0] for p in (0.9, 0.0)
    )
    assert differing(with_dropout, without) == []


def quiet_head(dropout):
    model = bert(dropout=dropout)
    model.dropout.p = 0.0
    return model


def test_a_phase_that_ends_on_a_plateau_moves_the_cache_along(tmp_path):
    ends = [OnPlateau("macro_f1", 1, phase) for phase in (0, 1)]
    found = (
        *(ParameterClaim(Head(), True), ParameterClaim(Depth(-1), True, start=ends[0])),
        ParameterClaim(Depth(-2), True, start=ends[1]),
    )
    options = {"keep_best": True, "epochs": 8, "max_steps": 32, "early_stopping": {"patience": 1}}
    runs = {cache: trained(tmp_path / cache, found, cache, **options) for cache in ("off", "ram", "disk")}
    assert differing(runs["off"][0], runs["ram"][0]) == differing(runs["off"][0], runs["disk"][0]) == []


spans = st.tuples(st.integers(0, STEPS - 1), st.integers(1, STEPS)).filter(lambda span: span[0] < span[1])
claims_at_random = st.builds(
    lambda where, trainable, span: ParameterClaim(where, trainable, 1.0, *span),
    st.sampled_from([Depth(0), Depth(1), Depth(-1), Depth(-1), Head(), Name("*layer.2*.bias")]),
    st.sampled_from([True, True, True, None]),
    spans,
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(claims_at_random, min_size=1, max_size=4), st.sampled_from(["ram", "disk"]))
def test_random_schedules_end_at_the_same_bits_with_the_cache(found, cache):
    with torch.device("meta"):
        model = bert()
    layout = layout_of(model, Ownership(model, "tiny").owners, HEAD)
    found = [*found, ParameterClaim(Name("classifier.bias"), True)]
    _, problems = planned_groups(layout, [("claims", one) for one in found], STEPS, PER_EPOCH)
    assume(not problems)
    with TemporaryDirectory() as folder:
        plain, cached = (trained(Path(folder) / name, found, name)[0] for name in ("off", cache))
    assert differing(plain, cached) == []


@pytest.mark.parametrize("cache", ["ram", pytest.param("disk", marks=pytest.mark.slow)])
def test_a_run_with_the_cache_resumes_at_every_step_to_the_same_bits(tmp_path, cache):
    options = {"checkpoint_every": 1, "evaluate_every": 2}
    whole = trained(tmp_path / "whole", TOP_DOWN, cache, **options)
    for step in range(1, STEPS):
        with pytest.raises(Stopped):
            trained(tmp_path / "run", TOP_DOWN, cache, stop=step, resume="auto" if step > 1 else None, **options)
    again = trained(tmp_path / "run", TOP_DOWN, cache, resume="auto", **options)
    assert differing(again[0], whole[0]) == []
    assert again[2].metrics == whole[2].metrics
    assert not (tmp_path / "run" / "cache").exists()


def spoilt_by_nothing(folder):
    """Leave all as it is."""


def cut_short(folder):
    values = folder / "values.bin"
    values.write_bytes(values.read_bytes()[:-8])


def zeroed(folder):
    values = folder / "values.bin"
    values.write_bytes(bytes(values.stat().st_size))


def of_another_key(folder):
    """Hold other values, soundly written, under another key."""
    zeroed(folder)
    told = json.loads((folder / "manifest.json").read_text())
    told |= {"key": "of other weights", "sha256": sha256_of(folder / "values.bin")}
    (folder / "manifest.json").write_text(json.dumps(told))


def without_manifest(folder):
    (folder / "manifest.json").unlink()


def killed_while_it_was_written(folder):
    folder.rename(folder.with_name(f".{folder.name}.0123abcd.triune-tmp"))


SPOILERS = [cut_short, zeroed, of_another_key, without_manifest, killed_while_it_was_written]


@pytest.mark.parametrize("spoil", [spoilt_by_nothing, *SPOILERS])
def test_what_is_left_on_the_disk_is_used_again_if_it_is_sound_and_else_computed_anew(tmp_path, spoil, monkeypatch):
    options = {"checkpoint_every": 1, "validation": 0}
    whole = trained(tmp_path / "whole", HEAD_ONLY, "disk", **options)[0]
    with pytest.raises(Stopped):
        trained(tmp_path / "run", HEAD_ONLY, "disk", stop=4, **options)
    (left,) = (tmp_path / "run" / "cache").iterdir()
    spoil(left)
    monkeypatch.setattr(Activations, "_fill", noting(Activations._fill, fills := []))
    again = trained(tmp_path / "run", HEAD_ONLY, "disk", resume="auto", **options)[0]
    assert differing(again, whole) == []
    assert len(fills) == (spoil is not spoilt_by_nothing)


def noting(method, calls):
    def noted(*args, **kwargs):
        calls.append(args)
        return method(*args, **kwargs)

    return noted


def test_a_limit_that_is_too_low_is_refused_or_leads_elsewhere(tmp_path):
    with pytest.raises(PlanError, match=r"take .* and .* are free in memory \(training.cache_limit is 100 B\)"):
        trained(tmp_path / "ram", TOP_ONE, "ram", cache_limit=100)
    with pytest.raises(PlanError, match=r"training.cache: disk: .* are free on the disk"):
        trained(tmp_path / "disk", TOP_ONE, "disk", cache_limit=100)
    assert list(tmp_path.iterdir()) == []
    _, plan, _ = trained(tmp_path / "auto", TOP_ONE, "auto", cache_limit=100)
    assert plan.prefix.place == "off"
    assert any("they are computed at every step" in note for note in plan.notes)


def test_where_memory_is_short_the_disk_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("triune.memory.available_bytes", lambda: 1000)
    _, plan, _ = trained(tmp_path / "run", TOP_ONE, "auto")
    assert plan.prefix.place == "disk"
    assert plan.memory.cache == 0
    assert "kept on the disk: " in str(plan)


def test_the_plan_says_what_is_frozen_and_how_much_is_kept(tmp_path):
    _, plan, _ = trained(tmp_path / "run", TOP_DOWN, "auto")
    page = str(plan)
    assert "Frozen below what trains, and computed without dropout; kept in memory: " in page
    assert "steps 0–3: 3 blocks (first token), once an example" in page
    assert "steps 3–6: 2 blocks, once an example" in page
    assert "steps 9–10" not in page.partition("Frozen")[2].partition("Loss")[0]
    vectors = plan.tables["train"].tokens + plan.tables["valid"].tokens + 2
    rows = plan.tables["train"].rows + plan.tables["valid"].rows + 2
    assert plan.memory.cache == plan.prefix.bytes == 4 * 16 * (2 * vectors + rows)


def test_a_network_that_cannot_be_cut_runs_as_ever_and_says_why(tmp_path):
    _, plan, _ = trained(tmp_path / "run", HEAD_ONLY, "ram", task=ToyTask())
    assert plan.prefix is None
    assert any("cannot be cut above its 3 frozen blocks" in note for note in plan.notes)


def test_one_pass_fills_what_later_phases_need_as_far_as_it_fits():
    stretches = [Stretch(0, 10, 3), Stretch(10, 20, 2), Stretch(20, 30, 1), Stretch(30, 40, 0)]
    sizes = {1: 100, 2: 100, 3: 10}
    assert fills_of(stretches, sizes, 5, 10**6) == {3: (3, 2, 1), 2: (2, 1), 1: (1,)}
    assert fills_of(stretches, sizes, 5, 120) == {3: (3, 2), 2: (2,), 1: (1,)}
    assert fills_of(stretches, sizes, 10**6, 10**6) == {}
    assert fills_of(stretches, sizes, 5, 5) == {}


def test_blocks_that_trained_in_between_are_not_filled_ahead():
    stretches = [Stretch(0, 10, 2), Stretch(10, 20, 1), Stretch(20, 30, 2)]
    assert fills_of(stretches, {1: 1, 2: 1}, 5, 100)[2] == (2, 1)
    stretches = [Stretch(0, 10, 1), Stretch(10, 20, 2)]
    assert fills_of(stretches, {1: 1, 2: 1}, 5, 100) == {1: (1,), 2: (2,)}


@given(st.lists(st.integers(1, 600), min_size=1, max_size=120))
@settings(max_examples=50, deadline=None)
def test_frozen_blocks_compute_long_examples_in_small_groups(lengths):
    lengths = np.array(lengths)
    groups = in_groups(lengths)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    for places in groups:
        # one more than an equal share, where shares are not whole
        assert (len(places) - 1) * lengths[places].max() <= TOKENS or len(places) < 2 * LEAST
        assert len(places) >= LEAST or len(groups) == 1


@pytest.mark.parametrize("cache", ["off", "ram"])
def test_what_frozen_blocks_say_does_not_depend_on_the_groups_they_compute(tmp_path, monkeypatch, cache):
    whole, _, _ = trained(tmp_path / "whole", TOP_ONE, cache, batch_size=16)
    monkeypatch.setattr("triune.activations.TOKENS", 1)
    apart, _, _ = trained(tmp_path / "apart", TOP_ONE, cache, batch_size=16)
    assert differing(whole, apart) == []
