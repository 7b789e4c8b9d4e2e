"""Networks cut above their lower blocks: every usual architecture, at every block, to the bit; or a reason."""

import pytest
import torch

from tests.core.test_layout import ARCHITECTURES
from triune.cuts import computing_alone, streams_below
from triune.cutting import cuts_of, used_outside
from triune.errors import TrainingError
from triune.layout import stacks_of
from triune.testing import Blocks
from triune.types import Outputs

END, VOCABULARY = 3, 60
MORE = {
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 16},
    "T5": {"decoder_start_token_id": 0},
    "Bart": {"pad_token_id": 1},
    "Roberta": {"pad_token_id": 1},
}
SPECIAL = {"pad_token_id": 0, "eos_token_id": END, "bos_token_id": 2, "cls_token_id": 2, "sep_token_id": END}
READS_FIRST = {"Bert", "Roberta", "DistilBert", "DebertaV2", "ModernBert"}


def network(kind, **options):
    import transformers

    settings = {**ARCHITECTURES[kind][0], "vocab_size": VOCABULARY, **SPECIAL, **MORE.get(kind, {}), **options}
    config = getattr(transformers, f"{kind}Config")(**settings)
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(config).eval()


def examples(lengths=(16, 7, 3), padding=0):
    ids = torch.randint(5, VOCABULARY, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    for row, length in enumerate(lengths):
        ids[row, length - 1], ids[row, length:] = END, padding
    return {"input_ids": ids, "attention_mask": (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()}


def passing(model, inputs):
    return lambda: Outputs(model(**inputs).logits, None)


def found(model, inputs):
    stacks = stacks_of(model)
    boundaries = range(1, sum(map(len, stacks)) + 1)
    return cuts_of(model, stacks, boundaries, passing(model, inputs), inputs["attention_mask"].bool())


@pytest.mark.parametrize("kind", [kind for kind, (_, blocks, _) in ARCHITECTURES.items() if blocks])
def test_every_usual_architecture_can_be_cut_at_every_block(kind):
    model, padding = network(kind), MORE.get(kind, {}).get("pad_token_id", 0)
    cuts = found(model, examples(padding=padding))
    assert list(cuts.of) == list(range(1, ARCHITECTURES[kind][1] + 1))
    inputs = examples((5, 11, 9, 2), padding)  # others than those that the cuts were found with
    with computing_alone(model):
        whole = passing(model, inputs)().scores
    for boundary, cut in cuts.of.items():
        with computing_alone(model):
            (streams,) = streams_below([cut], passing(model, inputs))
            kept = streams[:, :1].expand_as(streams) if cut.per == "first token" else streams
            with cut.held(kept):
                assert torch.equal(passing(model, inputs)().scores, whole), boundary
    assert (cuts.of[max(cuts.of)].per == "first token") == (kind in READS_FIRST)


def test_blocks_that_share_their_weights_are_not_cut():
    assert stacks_of(network("Albert")) == []


def test_no_gradient_goes_below_the_cut_and_no_block_below_computes():
    model, inputs = network("Bert"), examples()
    cut = found(model, inputs).of[2]
    with computing_alone(model):
        (streams,) = streams_below([cut], passing(model, inputs))
    with cut.held(streams):
        passing(model, inputs)().scores.sum().backward()
    moved = {name for name, one in model.named_parameters() if one.grad is not None}
    assert moved == {
        name
        for name, _ in model.named_parameters()
        if ".layer.2." in name or not (".embeddings." in name or ".layer." in name)
    }


def test_the_network_is_as_before_after_a_pass_and_after_an_error():
    model, inputs = network("Bert"), examples()
    cut, before = found(model, inputs).of[2], passing(model, inputs)().scores
    with computing_alone(model):
        (streams,) = streams_below([cut], passing(model, inputs))
    with pytest.raises(ZeroDivisionError), cut.held(streams):
        raise ZeroDivisionError
    assert torch.equal(passing(model, inputs)().scores, before)
    assert not any("forward" in vars(module) or module._forward_hooks for module in model.modules())


def test_several_cuts_are_computed_in_one_pass():
    model, inputs = network("Bert"), examples()
    cuts = found(model, inputs).of
    with computing_alone(model):
        together = streams_below([cuts[1], cuts[3]], passing(model, inputs))
        alone = [streams_below([cuts[depth]], passing(model, inputs))[0] for depth in (1, 3)]
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


def test_what_lies_outside_of_blocks_and_is_used_below_is_known():
    model, inputs = network("Llama"), examples()
    names = ["model.embed_tokens.weight", "model.norm.weight", "score.weight"]
    cut = found(model, inputs).of[2]
    assert used_outside(model, cut, names, passing(model, inputs)) == {"model.embed_tokens.weight"}
    model.model.norm.weight.requires_grad_(False)  # nobody can tell any more
    assert "model.norm.weight" in used_outside(model, cut, names, passing(model, inputs))


def test_what_is_used_below_is_known_without_computing_a_gradient():
    model, inputs = network("Llama"), examples()
    cut, asked = found(model, inputs).of[2], []
    model.model.embed_tokens.weight.register_hook(asked.append)
    assert used_outside(model, cut, ["model.embed_tokens.weight"], passing(model, inputs))
    assert not asked


def test_a_network_that_adds_around_its_blocks_is_not_cut():
    model, inputs = Blocks(2).eval(), {**examples((4, 2)), "input_ids": torch.ones(2, 4, dtype=torch.long)}
    forward = lambda: Outputs(model(inputs["input_ids"], inputs["attention_mask"].float()), None)  # noqa: E731
    cuts = cuts_of(model, stacks_of(model), [2, 3], forward, inputs["attention_mask"].bool())
    assert not cuts.of
    assert set(cuts.reasons.values()) == {"what comes above the frozen blocks reads more than their output"}


def test_a_network_that_leaves_out_blocks_at_random_is_not_cut():
    model = network("Bart", encoder_layerdrop=0.5)
    assert "layerdrop" in found(model, examples(padding=1)).reasons[1]


def test_frozen_blocks_that_somebody_listens_to_are_not_cut_off():
    model = network("Bert")
    model.bert.encoder.layer[1].output.register_forward_hook(lambda *_: None)
    cuts = found(model, examples())
    assert list(cuts.of) == [1]
    assert cuts.reasons[2] == "a plugin listens to a frozen block, which would have nothing to say"


def test_a_held_block_that_is_never_asked_is_an_error():
    model, inputs = network("Bert"), examples()
    cut = found(model, inputs).of[2]
    with computing_alone(model):
        (streams,) = streams_below([cut], passing(model, inputs))
    with pytest.raises(TrainingError, match="left out frozen block 1"), cut.held(streams):
        pass
