"""Cheap dropout is dropout: the right share, the right scale, the right gradient, and nothing left behind."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from triune.dropout import LEVELS, fast_dropout

DRAWS = 200_000


def attention_by_hand(q, k, v, allowed):
    scores = (q @ k.mT) * q.shape[-1] ** -0.5
    return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v


def heads(tokens=5, width=4, dtype=torch.float32):
    return [torch.randn(2, 3, tokens, width, dtype=dtype) for _ in range(3)]


def padded(tokens=5, short=3):
    allowed = torch.ones(2, 1, tokens, tokens, dtype=torch.bool)
    allowed[1, :, :, short:] = False
    return allowed


@pytest.fixture
def bert():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    config._attn_implementation = "sdpa"
    return BertForSequenceClassification(config).train()


def tokens(rows=4, width=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, 50, (rows, width), generator=generator)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_are_those_of_dropout(p):
    torch.manual_seed(0)
    with fast_dropout():
        y = functional.dropout(torch.ones(DRAWS), p)

    spread = (p * (1 - p) / DRAWS) ** 0.5
    assert float((y == 0).float().mean()) == pytest.approx(p, abs=5 * spread)
    assert float(y.mean()) == pytest.approx(1.0, abs=5 * spread / (1 - p))
    assert y.unique().tolist() == [0.0, pytest.approx(1 / (1 - p), rel=1 / (LEVELS * (1 - p)))]


def test_masks_of_neighbours_and_of_calls_are_independent():
    torch.manual_seed(0)
    with fast_dropout():
        first, second = (functional.dropout(torch.ones(DRAWS), 0.5) - 1 for _ in range(2))

    bound = 5 * DRAWS**-0.5
    for lag in (1, 2, 3, 4, 8):
        assert abs(float((first[:-lag] * first[lag:]).mean())) < bound
    assert abs(float((first * second).mean())) < bound


def test_the_gradient_is_the_mask_times_the_factor():
    x = torch.randn(1000, requires_grad=True)
    with fast_dropout():
        y = functional.dropout(x, 0.3)
        y.sum().backward()

    torch.testing.assert_close(x.grad, (y / x).detach())


def test_dropout_can_be_differentiated_twice():
    x = torch.randn(50, requires_grad=True)
    with fast_dropout():
        y = functional.dropout(x, 0.3)
        (grad,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(grad.sum(), x)

    torch.testing.assert_close(second, (6 * y * (y / x) ** 2).detach())


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ends_of_the_scale_are_exact(p, expected):
    with fast_dropout():
        assert functional.dropout(torch.ones(100), p).unique().tolist() == [expected]


@pytest.mark.parametrize("p", [1e-9, 1 - 1e-9])
def test_probabilities_too_fine_for_the_bits_stay_inside_the_scale(p):
    with fast_dropout():
        assert torch.isfinite(functional.dropout(torch.ones(100), p)).all()


def test_evaluation_is_the_identity_and_draws_nothing():
    x, before = torch.randn(10), torch.get_rng_state()
    with fast_dropout():
        assert nn.Dropout(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5, 7)])
def test_any_shape_goes(shape):
    with fast_dropout():
        assert functional.dropout(torch.ones(shape), 0.5).shape == shape


def test_tensors_in_any_order_of_memory_go():
    x = torch.arange(1.0, 25.0).view(4, 6).T
    with fast_dropout():
        y = functional.dropout(x, 0.5)
    kept = y != 0
    assert torch.equal(y[kept], 2 * x[kept])


def test_in_place_dropout_still_works_in_place():
    x = torch.ones(100)
    with fast_dropout():
        assert functional.dropout(x, 0.5, inplace=True) is x


def test_the_same_seed_gives_the_same_masks_and_the_state_resumes_them(bert):
    def losses():
        with fast_dropout():
            return [bert(tokens(), labels=torch.tensor([0, 1, 2, 0])).loss.item() for _ in range(3)]

    torch.manual_seed(3)
    whole = losses()
    torch.manual_seed(3)
    assert losses() == whole
    state = torch.get_rng_state()
    after = losses()
    torch.set_rng_state(state)
    assert losses() == after != whole


def test_torch_answers_again_outside(bert):
    def one():
        torch.manual_seed(3)
        return bert(tokens()).logits

    before = one()
    with fast_dropout():
        assert not torch.equal(one(), before)  # otherwise the context reaches nothing, and this proves nothing
    assert torch.equal(one(), before)


def test_torch_answers_again_after_an_error():
    def draws():
        torch.manual_seed(0)
        return functional.dropout(torch.ones(100), 0.5)

    before = draws()
    with pytest.raises(RuntimeError, match="stop"), fast_dropout():
        raise RuntimeError("stop")
    assert torch.equal(draws(), before)


def test_a_model_keeps_its_names_copies_and_pickles(bert):
    names, modules = list(bert.state_dict()), [type(module) for module in bert.modules()]
    with fast_dropout():
        bert(tokens()).logits.sum().backward()
        twin = copy.deepcopy(bert)
        torch.save(bert.state_dict(), io.BytesIO())
        pickle.dumps(bert)
    assert list(twin.state_dict()) == names
    assert [type(module) for module in bert.modules()] == modules


def test_no_dropout_of_torch_is_left_in_a_step_of_bert(bert):
    with torch.profiler.profile() as profile, fast_dropout():
        bert(tokens()).logits.sum().backward()
    called = {event.key for event in profile.key_averages()}
    assert "aten::random_" in called
    assert not called & {"aten::dropout", "aten::native_dropout", "aten::bernoulli_"}


@pytest.mark.parametrize("kind", ["boolean", "additive", "none"])
def test_attention_without_drops_is_attention(kind, monkeypatch):
    q, k, v = (one.double().requires_grad_() for one in heads())
    allowed = padded() if kind != "none" else torch.ones_like(padded())
    mask = {
        "boolean": allowed,
        "additive": torch.zeros(allowed.shape).masked_fill(~allowed, -1e9).double(),
        "none": None,
    }
    monkeypatch.setattr("triune.dropout.keep_mask", lambda shape, p: (torch.ones(shape, dtype=torch.uint8), 1.0))

    with fast_dropout():
        ours = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[kind], dropout_p=0.5)
    theirs = attention_by_hand(q, k, v, allowed)

    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(theirs)
    for mine, wanted in zip(
        *(torch.autograd.grad((one * weight).sum(), (q, k, v)) for one in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, wanted)


def test_the_gradient_of_attention_agrees_with_differences():
    q, k, v = (one.double().requires_grad_() for one in heads(tokens=3, width=2))

    def attend(q, k, v):
        torch.manual_seed(7)  # the same mask at every call
        with fast_dropout():
            return functional.scaled_dot_product_attention(q, k, v, attn_mask=padded(3, 2), dropout_p=0.4, scale=0.7)

    assert torch.autograd.gradcheck(attend, (q, k, v))


def test_attention_is_right_on_average():
    torch.manual_seed(0)
    (q, k, v), allowed, times = heads(), padded(), 4000
    with fast_dropout():
        found = torch.stack(
            [functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=0.3) for _ in range(times)]
        )

    error = found.std(0) / times**0.5
    assert ((found.mean(0) - attention_by_hand(q, k, v, allowed)).abs() < 5 * error).all()
    assert (error > 0).all()


def test_keys_may_be_longer_than_queries_and_values_wider():
    q, k, v = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 5)
    inputs = [one.requires_grad_() for one in (q, k, v)]
    with fast_dropout():
        found = functional.scaled_dot_product_attention(*inputs, dropout_p=0.5)
        found.sum().backward()
    assert found.shape == (2, 3, 4, 5)
    assert [one.grad.shape for one in inputs] == [one.shape for one in inputs]


@pytest.mark.parametrize("case", ["causal", "nothing to attend to", "learnt mask", "grouped"])
def test_attention_that_is_not_ours_is_left_to_torch(case):
    q, k, v = heads()
    options = {
        "causal": {"is_causal": True},
        "nothing to attend to": {"attn_mask": torch.zeros(2, 1, 5, 5, dtype=torch.bool)},
        "learnt mask": {"attn_mask": torch.zeros(2, 1, 5, 5, requires_grad=True)},
        "grouped": {"enable_gqa": True},
    }[case]

    def attend():
        torch.manual_seed(0)
        return functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5, **options)

    expected = attend()
    with fast_dropout():
        torch.testing.assert_close(attend(), expected, rtol=0, atol=0)


def test_eager_attention_is_reached_too(bert):
    bert.set_attn_implementation("eager")
    with torch.profiler.profile() as profile, fast_dropout():
        bert(tokens()).logits.sum().backward()
    assert "aten::bernoulli_" not in {event.key for event in profile.key_averages()}


def test_autocast_trains(bert):
    with fast_dropout(), torch.autocast("cpu", dtype=torch.bfloat16):
        loss = bert(tokens(), labels=torch.tensor([0, 1, 2, 0])).loss
        loss.backward()
    assert all(torch.isfinite(one.grad).all() for one in bert.parameters() if one.grad is not None)


def test_attention_on_full_precision_inputs_follows_autocast():
    inputs = [one.requires_grad_() for one in heads()]
    with fast_dropout(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = functional.scaled_dot_product_attention(*inputs, attn_mask=padded(), dropout_p=0.5)
    found.float().sum().backward()
    assert found.dtype == torch.bfloat16
    assert {one.grad.dtype for one in inputs} == {torch.float32}


@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputed_activations_see_the_same_masks(reentrant):
    block = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    x = torch.randn(16, 8, requires_grad=True)

    def gradient(forward):
        block.zero_grad()
        torch.manual_seed(0)
        with fast_dropout():
            forward(x).sum().backward()
        return [one.grad.clone() for one in block.parameters()]

    plain = gradient(block)
    again = gradient(lambda x: checkpoint(block, x, use_reentrant=reentrant))
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


def test_backward_takes_what_torch_takes():
    x, w = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    with fast_dropout():
        y = x * w
        y.backward(torch.ones(4), retain_graph=True, inputs=x)
        assert torch.equal(x.grad, w.detach())
        assert w.grad is None
        y.backward(2 * torch.ones(4), inputs=[w])
        assert torch.equal(w.grad, 2 * x.detach())
        with pytest.raises(RuntimeError, match="scalar"):
            (x * w).backward()
