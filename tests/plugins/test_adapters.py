"""Adapters: what learns and at which rate, what is written and loads with peft, what is refused in the plan."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

import triune
from tests.plugins.tiny import TEXTS, model_folder
from tests.support import Blocks, plugins
from triune.errors import DataError, OutputError, PlanError, PluginError
from triune.events import Checkpointed
from triune.schedule_file import written
from triune.select import Brought, Depth, Head, Owner
from triune.testing import check_plugin
from triune.testing.toy_runs import completed, configuration, run
from triune.testing.witness import Witness
from triune.types import ModelLayout, ParameterInfo
from triune_end_to_end import EndToEnd
from triune_layer_by_layer import LayerByLayer
from triune_layer_by_layer.schedule import parts_of
from triune_layerwise_decay import LayerwiseDecay
from triune_schedule import Schedule
from triune_top_layers import TopLayers
from triune_weak_labels import WeakLabels

peft = pytest.importorskip("peft", reason="the extra 'peft' is not installed")
from triune_ia3 import Ia3  # noqa: E402
from triune_lora import Lora  # noqa: E402
from triune_prefix_tuning import PrefixTuning  # noqa: E402
from triune_prompt_tuning import PromptTuning  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers and peft warn of their own affairs
TEN = {"max_steps": 10, "learning_rate": 0.01}


def made(method, **found):
    return method(method.Config(**found))


def planned(training=TEN, **methods):
    given = {name: one for name, one in plugins(**methods).items() if name != "all"}
    called = {f"{name}, from Python": one for name, one in given.items()}  # so that it may have an installed one's name
    return triune.plan(configuration(given, training), plugins=called)


def windows(plan):
    """Return (start, stop, scale) of each window by the name of a parameter that trains."""
    return {
        name: [(one.start, one.stop, pytest.approx(one.lr_scale)) for one in group.windows]
        for group in plan.groups
        for name in group.names
    }


def names(plan, selector):
    return {one.name for one in plan.layout.where(selector)}


# a schedule written from their plan


@pytest.mark.parametrize("beside", [{}, {"layers": made(LayerByLayer, owner="lora", lr_divisor=2.0)}], ids=str)
def test_a_schedule_written_from_its_plan_gives_the_same_plan_beside_it(tmp_path, beside):
    first = planned(lora=made(Lora, learning_rate=0.2), **beside)
    file = tmp_path / "schedule.yaml"
    file.write_text(written(first.claims, {one.owner for one in first.layout.parameters if one.brought}))
    again = planned(lora=made(Lora, learning_rate=0.2), taken=made(Schedule, path=str(file)))
    assert windows(again) == windows(first) and windows(again)


# what they are


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (Lora, {"rank": 2}),
        (Lora, {"rank": 2, "dora": True, "rslora": True, "targets": ["0"]}),
        (Lora, {"rank": 2, "init": "pissa", "merge": False}),
        (Ia3, {"targets": ["0"], "learning_rate": 0.02}),
    ],
    ids=str,
)
def test_it_conforms(method, settings):
    check_plugin(method, config=settings)


def test_adapters_lie_in_their_blocks_and_the_model_keeps_its_names():
    plan = planned(lora=made(Lora, rank=2))
    assert names(plan, ~Brought()) == {name for name, _ in Blocks(2).named_parameters()}
    assert names(plan, Brought()) == names(plan, Owner("lora"))
    assert names(plan, Owner("lora") & Depth(1)) == {f"blocks.1.0.lora.lora_{one}.default.weight" for one in "AB"}


def test_adapters_and_head_train_at_their_own_rate_and_the_rest_rests():
    plan = planned(lora=made(Lora, learning_rate=0.2))
    assert windows(plan) == {name: [(0, 10, 20)] for name in names(plan, Owner("lora") | Head())}


@pytest.mark.parametrize("first", [True, False])
def test_lora_holds_beside_end_to_end_whatever_the_order(first):
    both = {"lora": made(Lora), "end-to-end": made(EndToEnd)}
    plan = planned(**(both if first else dict(reversed(both.items()))))
    assert windows(plan) == windows(planned(lora=made(Lora)))


def test_layer_by_layer_thaws_adapters_block_by_block_where_it_is_told_their_owner():
    plan = planned(**{"lora": made(Lora, learning_rate=0.1), "layers": made(LayerByLayer, owner="lora")})
    found = windows(plan)
    assert found.keys() == names(plan, Owner("lora") | Head())
    assert found["head.weight"] == [(0, 10, 10)]
    begins = [found[f"blocks.{block}.0.lora.lora_A.default.weight"] for block in (2, 1, 0)]
    assert begins == [[(2, 10, 5)], [(5, 10, 2.5)], [(8, 10, 1.25)]]


def test_layer_by_layer_over_what_lies_outside_of_blocks_is_refused_with_the_reason():
    parameters = (
        ParameterInfo("blocks.0.weight", "toy", 0, False, 2),
        ParameterInfo("p", "prefix", None, False, 2, brought=True),
    )
    with pytest.raises(PlanError, match=r"owner: 'prefix' .*, all that it brought lies outside of them"):
        parts_of(LayerByLayer.Config(owner="prefix"), ModelLayout(parameters, blocks=1))


def test_blocks_without_an_adapter_are_no_phase_of_layer_by_layer():
    lora = made(Lora, targets=["blocks.0.*"], learning_rate=0.01)
    found = windows(planned(lora=lora, layers=made(LayerByLayer, owner="lora")))
    assert found["blocks.0.0.lora.lora_A.default.weight"] == [(5, 10, 0.5)]


def test_layerwise_decay_reaches_adapters():
    found = windows(planned(lora=made(Lora, learning_rate=0.01), decay=made(LayerwiseDecay, decay=0.5)))
    assert [found[f"blocks.{block}.0.lora.lora_B.default.weight"][0][2] for block in range(3)] == [0.25, 0.5, 1]


def test_of_two_adapter_methods_only_the_first_sets_the_rate_of_the_head():
    one = made(Lora, targets=["blocks.0.*"], learning_rate=0.1)
    two = made(Ia3, targets=["blocks.1.0"], learning_rate=0.05, adapter_name="two")
    found = windows(planned(lora=one, ia3=two))
    assert found["head.weight"] == [(0, 10, 10)]
    assert found["blocks.0.0.lora.lora_A.default.weight"] == [(0, 10, 10)]
    assert found["blocks.1.0.ia3.ia3_l.two"] == [(0, 10, 5)]


def test_another_method_may_train_the_model_itself_where_lora_is_not_alone():
    plan = planned(lora=made(Lora, alone=False), top=made(TopLayers, blocks=1))
    assert windows(plan).keys() == names(plan, Owner("lora") | Head() | Depth(2))


# what cannot be


@pytest.mark.parametrize(
    ("methods", "sentences"),
    [
        ({"lora": made(Lora, targets=["qeury", "0"])}, ["lora: targets: 'qeury' matches none of the model's 4 linear"]),
        ({"lora": made(Lora, targets=["head"])}, ["lora: 'head.lora.*' lies in the task's head"]),
        ({"lora": made(Lora, init="pissa", rank=9)}, ["lora: rank: found 9, wanted at most 8"]),
        (
            {"a": made(Lora, targets=["blocks.0.*"]), "b": made(Lora, targets=["blocks.?.0"], adapter_name="b")},
            ["'blocks.0.0' carry an adapter of another method already.*give each method targets of its own"],
        ),
        (
            {"a": made(Lora, targets=["blocks.0.*"]), "b": made(Ia3, targets=["blocks.1.0"])},
            ["ia3: another adapter of this run is called 'default' too: give each an adapter_name"],
        ),
        ({"ia3": made(Ia3)}, ["ia3: which layers of 'Blocks' make keys and values is not known: name them as targets"]),
        ({"ia3": made(Ia3, targets=["0"], feedforward=["1"])}, ["ia3: feedforward: '1' matches none of the 3 targets"]),
        ({"prompt": made(PromptTuning)}, ["prompt-tuning: Blocks is no transformer that classifies texts"]),
        ({"prefix": made(PrefixTuning)}, ["prefix-tuning: Blocks takes no keys and values from outside"]),
        (
            {"lora": made(Lora), "top-layers": made(TopLayers)},
            [
                r"'top-layers' trains Depth\(-2\)",
                r"'lora' freezes ~Brought\(\) & ~Head\(\)",
                "leave one of the methods",
            ],
        ),
        (
            {"lora": made(Lora), "layers": made(LayerByLayer)},
            [r"'layers' trains Depth\(-1\) and plugin 'lora' freezes"],
        ),
        (
            {"lora": made(Lora), "layers": made(LayerByLayer, owner="lore")},
            ["owner: 'lore' has no parameters in the model's blocks.*did you mean 'lora'"],
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused_in_the_plan(methods, sentences):
    for sentence in sentences:
        with pytest.raises(PlanError, match=sentence):
            planned(**methods)


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (Lora, {"rank": 0}),
        (Lora, {"rank": True}),
        (Lora, {"dropout": 1.0}),
        (Lora, {"targets": []}),
        (Lora, {"dora": True, "init": "pissa"}),
        (Lora, {"adapter_name": "../up"}),
        (Ia3, {"feedforward": ["x"]}),
        (PromptTuning, {"tokens": 0}),
        (PrefixTuning, {"learning_rate": 0}),
    ],
)
def test_settings_that_mean_nothing_are_refused(method, found):
    with pytest.raises(ValidationError):
        made(method, **found)


def test_a_peft_that_lacks_an_option_is_told_from_the_plan(monkeypatch):
    @dataclass
    class Old:
        r: int = 8
        lora_alpha: float = 16
        lora_dropout: float = 0
        target_modules: object = None
        fan_in_fan_out: bool = False

    monkeypatch.setattr("peft.LoraConfig", Old)
    with pytest.raises(PlanError, match=r'the installed peft knows no .use_dora.: pip install -U "triune\[peft\]"'):
        planned(lora=made(Lora, dora=True))


def test_beside_head_only_its_rates_would_multiply(tmp_path):
    from triune_head_only import HeadOnly

    with pytest.raises(PluginError, match="'lora' cannot run together with 'head-only'"):
        run(completed({"lora": made(Lora), "head-only": made(HeadOnly)}), tmp_path / "run", TEN)


def test_without_the_library_the_run_stops_and_prints_what_to_install(monkeypatch):
    from importlib import metadata

    from triune.catalog import installed

    found = metadata.distribution

    def hidden(name):
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "distribution", hidden)
    for name in ("lora", "ia3", "prompt-tuning", "prefix-tuning"):
        with pytest.raises(PluginError, match=r'is unavailable: needs peft.*pip install "triune\[peft\]"'):
            installed().entry("method", name)


# training


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def trained(folder, methods, stop=None, resume=None):
    def stopping(event):
        if isinstance(event, Checkpointed) and event.step.index == stop:
            raise Stopped

    witness = Witness()
    settings = {"max_steps": 8, "epochs": 3, "checkpoint_every": 1, "early_stopping": None, "keep_best": False}
    with witness.watching():
        run(completed({**methods(), "witness": witness}), folder, settings, resume, (stopping,))
    return witness


def test_layer_by_layer_over_adapters_resumes_at_every_step_to_the_same_bits(tmp_path):
    def methods():
        return {"lora": made(Lora, rank=2, learning_rate=0.05), "layers": made(LayerByLayer, owner="lora")}

    for step in range(1, 8):
        with pytest.raises(Stopped):
            trained(tmp_path / "run", methods, step, "auto" if step > 1 else None)
    again, whole = trained(tmp_path / "run", methods, resume="auto"), trained(tmp_path / "whole", methods)
    first, last = whole.weights[0], whole.weights[-1]
    assert [name for name in last if not torch.equal(last[name], again.weights[-1][name])] == []
    moved = {name for name in last if not torch.equal(first[name], last[name])}
    assert moved == {name for name in last if "lora" in name or name.startswith("head.")}
    assert whole.holding[0] == {"head.weight", "head.bias"} and whole.holding[-1] == moved


def test_rules_label_what_adapters_learn_from(tmp_path):
    methods = {"lora": made(Lora, rank=2, learning_rate=0.05), "weak-labels": made(WeakLabels)}
    witness = trained(tmp_path / "run", lambda: methods)
    assert witness.holding[-1] == {name for name in witness.weights[-1] if "lora" in name or "head" in name}


# what is written


@dataclass(frozen=True)
class Finished:
    """A run of a real network, and what it says of the texts."""

    base: Path
    folder: Path
    said: torch.Tensor

    @property
    def model(self):
        return self.folder / "model"


def finished(kind, tmp_path, *methods):
    base = model_folder(kind, tmp_path / "base")
    found = {
        "task": {"use": "text-classification", "model": str(base)},
        "data": "table",
        "methods": list(methods),
        "training": {
            "epochs": 2, "batch_size": 4, "threads": 1, "device": "cpu", "learning_rate": 0.01, "validation": 0,
            "early_stopping": None,
        },
    }  # fmt: skip
    import pandas as pd

    table = pd.DataFrame({"text": TEXTS * 3, "label": ["a", "b", "a", "b"] * 3})
    result = triune.run(found, data={"train": table}, output=tmp_path / "run")
    predicted = triune.predict(result.folder, table[["text"]][:4])
    return Finished(base, result.folder, torch.tensor(predicted["probability of a"].to_numpy()))


def said_by(model, tokenizer):
    """Return the probability of the first label for each text, one by one."""
    model.eval()
    with torch.no_grad():
        each = [model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 0] for text in TEXTS]
    return torch.stack(each)


def with_adapters(found, *folders):
    """Return what the pretrained model says with adapters that peft loads."""
    import transformers

    base = transformers.AutoModelForSequenceClassification.from_pretrained(found.base, num_labels=2)
    model = peft.PeftModel.from_pretrained(base, found.model / folders[0], adapter_name="0")
    for number, folder in enumerate(folders[1:], 1):
        model.load_adapter(found.model / folder, adapter_name=str(number))
    for layer in model.modules():  # the head is the same in each folder, and peft activates one head at a time
        if isinstance(layer, peft.tuners.tuners_utils.BaseTunerLayer):
            layer.set_adapter([str(number) for number in range(len(folders))])
    return said_by(model, transformers.AutoTokenizer.from_pretrained(found.model))


def plainly(found):
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(found.model)
    return said_by(model, transformers.AutoTokenizer.from_pretrained(found.model))


def close(one, two):
    return torch.allclose(one.double(), two.double(), atol=1e-5)


LORA = {"use": "lora", "rank": 2, "learning_rate": 0.1, "dropout": 0.0}
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("Bert", LORA),
        ("GPT2", {**LORA, "init": "pissa"}),
        ("T5", {**LORA, "targets": ["q", "DenseReluDense.*"], "dora": True}),
        ("DistilBert", {"use": "ia3"}),
        pytest.param("Roberta", {**LORA, "init": "olora", "rslora": True}, marks=slow),
        pytest.param("DebertaV2", {**LORA, "init": "orthogonal"}, marks=slow),
        pytest.param("ModernBert", {**LORA, "init": "gaussian"}, marks=slow),
        pytest.param("Llama", {**LORA, "dora": True}, marks=slow),
        pytest.param("Bert", {"use": "ia3"}, marks=slow),
        pytest.param("GPT2", {"use": "ia3"}, marks=slow),
        pytest.param("T5", {"use": "ia3"}, marks=slow),
        pytest.param("Llama", {"use": "ia3"}, marks=slow),
    ],
    ids=str,
)
def test_a_merged_model_loads_with_transformers_alone_and_its_adapter_with_peft(tmp_path, kind, method):
    found = finished(kind, tmp_path, method)
    assert found.said.std() > 1e-4
    assert close(found.said, plainly(found))
    assert close(found.said, with_adapters(found, "adapter"))
    assert not [name for name in stored(found.model) if "lora" in name or "ia3" in name or "base_layer" in name]


def stored(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("kind", "method", "near"),
    [
        ("Bert", {**LORA, "init": "pissa", "merge": False}, 1e-6),
        ("GPT2", {"use": "ia3", "merge": False}, 0),
        pytest.param("Bert", {**LORA, "dora": True, "merge": False}, 0, marks=slow),
    ],
    ids=str,
)
def test_an_adapter_beside_its_model_is_what_the_run_predicts_with(tmp_path, kind, method, near):
    found = finished(kind, tmp_path, method)
    assert close(found.said, with_adapters(found, "adapter"))
    assert not close(found.said, plainly(found))
    pretrained, kept = stored(found.base), stored(found.model)
    inside = {name: next(one for one in kept if one.endswith(name)) for name in pretrained if "pooler" not in name}
    far = [name for name, one in inside.items() if (pretrained[name] - kept[one]).abs().max() > near]
    assert inside and far == []


def test_a_model_whose_adapter_is_lost_is_refused(tmp_path):
    found = finished("Bert", tmp_path, {**LORA, "merge": False})
    (found.model / "adapter" / "adapter_model.safetensors").unlink()
    import pandas as pd

    with pytest.raises(OutputError, match=r"adapter' holds no adapter, and the model needs it"):
        triune.predict(found.folder, pd.DataFrame({"text": TEXTS}))


def test_adapters_side_by_side_are_written_and_loaded_one_by_one(tmp_path):
    attention = {**LORA, "name": "attention", "targets": ["query", "value"], "adapter_name": "attention"}
    inner = {**LORA, "name": "inner", "targets": ["intermediate.dense"], "adapter_name": "inner", "rank": 3}
    found = finished("Bert", tmp_path, {**attention, "merge": False}, {**inner, "merge": False})
    assert close(found.said, with_adapters(found, "adapter/attention", "adapter/inner"))
    assert not close(found.said, with_adapters(found, "adapter/attention"))


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("Bert", {"use": "prompt-tuning", "tokens": 3}),
        ("GPT2", {"use": "prefix-tuning", "tokens": 3, "learning_rate": 0.1}),
        pytest.param("Roberta", {"use": "prompt-tuning", "tokens": 3}, marks=slow),
        pytest.param("ModernBert", {"use": "prompt-tuning", "tokens": 3}, marks=slow),
        pytest.param("DebertaV2", {"use": "prompt-tuning", "tokens": 3}, marks=slow),
        pytest.param("DistilBert", {"use": "prompt-tuning", "tokens": 3}, marks=slow),
        pytest.param("Bert", {"use": "prefix-tuning", "tokens": 3}, marks=slow),
        pytest.param("Roberta", {"use": "prefix-tuning", "tokens": 3}, marks=slow),
        pytest.param("Llama", {"use": "prefix-tuning", "tokens": 3}, marks=slow),
    ],
    ids=str,
)
def test_prompts_and_prefixes_load_with_peft_and_nothing_else_has_learnt(tmp_path, kind, method):
    found = finished(kind, tmp_path, method)
    assert close(found.said, with_adapters(found, "adapter"))
    assert not close(found.said, plainly(found))
    pretrained, kept = stored(found.base), stored(found.model)
    assert [name for name, one in pretrained.items() for it in kept if it.endswith(f".{name}") and name != it
            and "pooler" not in name and not torch.equal(one, kept[it])] == []  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "method", "sentence"),
    [
        ("GPT2", PromptTuning, "what GPT2ForSequenceClassification says with it depends on how far a text is padded"),
        ("T5", PromptTuning, "T5ForSequenceClassification does not work with it"),
        ("T5", PrefixTuning, "takes no keys and values from outside"),
        ("DistilBert", PrefixTuning, "DistilBertForSequenceClassification takes no keys and values from outside"),
    ],
)
def test_networks_that_do_not_work_with_prompts_or_prefixes_are_refused(tmp_path, kind, method, sentence):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(model_folder(kind, tmp_path), num_labels=2)
    with pytest.raises(PlanError, match=sentence):
        made(method).adapt_model(triune.Run(config=None, folder=tmp_path), model)


def test_a_text_without_a_place_left_beside_the_prompt_is_refused_with_the_length_that_fits(tmp_path):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(model_folder("Bert", tmp_path), num_labels=2)
    made(PromptTuning, tokens=20).adapt_model(triune.Run(config=None, folder=tmp_path), model)
    ids = torch.ones(1, 45, dtype=torch.long)
    with pytest.raises(DataError, match=r"45 tokens and 20 vectors .* 64 positions .* training\.max_length to 44"):
        model(input_ids=ids, attention_mask=ids)


def test_the_adapter_says_what_it_is_to_peft(tmp_path):
    found = finished("Bert", tmp_path, {**LORA, "targets": ["query"], "init": "pissa"})
    assert "BertForSequenceClassification.from_pretrained" in (found.model / "adapter" / "README.md").read_text()
    written = json.loads((found.model / "adapter" / "adapter_config.json").read_text())
    assert (written["peft_type"], written["task_type"], written["r"]) == ("LORA", "SEQ_CLS", 4)
    assert written["modules_to_save"] == ["bert.pooler", "classifier"]
    assert written["target_modules"] == [f"bert.encoder.layer.{n}.attention.self.query" for n in range(2)]
