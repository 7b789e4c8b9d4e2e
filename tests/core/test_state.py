"""State survives as tensors and JSON, to the bit and with its types."""

import json
import math
import random
from collections import Counter, OrderedDict
from enum import IntEnum

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import nn

from triune.errors import CheckpointError, PluginError
from triune.optimizer_state import optimizer_state, restore_optimizer
from triune.state import join_state, random_state, set_random_state, split_state
from triune.tensorfile import read_tensors, write_tensors

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)


def through_files(value, folder):
    """Take a value through a safetensors file and JSON text, as a checkpoint does."""
    tensors, facts = split_state(value, "plugin")
    write_tensors(folder / "tensors", tensors)
    return join_state(read_tensors(folder / "tensors"), json.loads(json.dumps(facts, allow_nan=False)))


def same(a, b):
    """Whether two values are equal in type, bits and order."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    raw = draw(st.binary(min_size=512, max_size=512))
    dtype = draw(st.sampled_from(DTYPES))
    flat = torch.tensor([byte & 1 for byte in raw], dtype=torch.bool) if dtype is torch.bool else None
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if flat is None else flat
    return flat[: math.prod(shape)].reshape(shape).transpose(0, -1) if shape else flat[0]


ARRAYS = npst.arrays(
    dtype=st.one_of(
        npst.boolean_dtypes(),
        npst.integer_dtypes(endianness="="),
        npst.unsigned_integer_dtypes(endianness="="),
        npst.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
    ),
    shape=npst.array_shapes(min_dims=0, min_side=0, max_side=3),
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = SCALARS | st.sampled_from(["!tensor", "!dict", "!", "größe"]) | st.tuples(st.integers(), st.text())
STATES = st.recursive(
    SCALARS | tensors() | ARRAYS | ARRAYS.map(lambda array: array.reshape(-1)[0] if array.size else 0),
    lambda parts: st.lists(parts, max_size=4) | st.lists(parts, max_size=3).map(tuple) | st.dictionaries(KEYS, parts),
    max_leaves=12,
)


@given(STATES)
@example({"!tensor": "0", "!tuple": [1]})
@example({"a": {1: {"!float": "nan"}, None: {}}})
def test_any_state_comes_back_from_disk_as_it_was(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("state")
    assert same(state, through_files(state, folder))


def test_tied_parts_stay_tied_and_overlapping_ones_come_apart(tmp_path):
    base = torch.arange(6.0)
    back = through_files({"a": base, "b": base, "part": base[2:], "turned": base.view(2, 3).t()}, tmp_path)
    assert back["a"].data_ptr() == back["b"].data_ptr()
    assert back["part"].tolist() == [2.0, 3.0, 4.0, 5.0]
    assert back["turned"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert (tmp_path / "tensors").stat().st_size < 6 * 4 * 3 + 600


def test_arrays_that_torch_does_not_take_as_they_are_come_back(tmp_path):
    fixed = np.arange(4)
    fixed.flags.writeable = False
    back = through_files(
        {"fixed": fixed, "reversed": np.arange(4)[::-1], "columns": np.ones((2, 3), order="F")}, tmp_path
    )
    assert back["fixed"].tolist() == [0, 1, 2, 3]
    assert back["reversed"].tolist() == [3, 2, 1, 0]
    assert back["columns"].shape == (2, 3)


def test_tensors_keep_their_order(tmp_path):
    write_tensors(tmp_path / "a", {name: torch.zeros(1) for name in ("z", "größe", "a")})
    assert list(read_tensors(tmp_path / "a")) == ["z", "größe", "a"]


def test_a_conjugate_view_is_stored_with_its_values(tmp_path):
    value = torch.tensor([1 + 2j], dtype=torch.complex64)
    back = through_files({"plain": value, "conjugate": value.conj()}, tmp_path)
    assert back["plain"].tolist() == [1 + 2j]
    assert back["conjugate"].tolist() == [1 - 2j]


def test_a_module_state_dict_is_taken(tmp_path):
    head = nn.Linear(2, 3)
    back = through_files({"head": head.state_dict()}, tmp_path)
    assert type(head.state_dict()) is OrderedDict
    nn.Linear(2, 3).load_state_dict(back["head"])
    assert torch.equal(back["head"]["weight"], head.weight)


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ({1, 2}, "is of type set"),
        (b"raw", "is of type bytes"),
        (object(), "is of type object"),
        (Colour.RED, "is of type Colour"),
        (Counter("aab"), "is of type Counter"),
        (torch.Size([1]), "is of type Size"),
        (1j, "is of type complex"),
        (lambda: 0, "is of type function"),
        (np.array(["text"]), "is a numpy array of <U4"),
        (np.array([object()]), "is a numpy array of object"),
        (np.arange(3, dtype=">i4"), "is a numpy array of >i4"),
        (torch.zeros(2, dtype=torch.complex128), "has the type complex128"),
        (torch.zeros(2).to_sparse(), "is torch.sparse_coo, not dense"),
        (torch.zeros(2, device="meta"), "is on the meta device"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_owner_and_key_path(part, fault):
    with pytest.raises(PluginError) as caught:
        split_state({"ema": [0, {"größe": part}]}, "my-plugin")
    assert f"'my-plugin': its state['ema'][1]['größe'] {fault}" in str(caught.value)


def test_a_key_that_cannot_be_stored_is_refused():
    with pytest.raises(PluginError, match=r"its state\['seen'\]\.keys\(\) is of type frozenset"):
        split_state({"seen": {frozenset({1}): 1}}, "my-plugin")


def test_a_state_that_contains_itself_is_refused():
    state = {}
    state["me"] = state
    with pytest.raises(PluginError, match="contains itself"):
        split_state(state, "my-plugin")


def test_a_tensor_file_names_the_tensor_it_cannot_hold(tmp_path):
    with pytest.raises(CheckpointError, match="'weight' has the type complex128"):
        write_tensors(tmp_path / "a", {"weight": torch.zeros(1, dtype=torch.complex128)})
    for name in ("__metadata__", "\ud800"):
        with pytest.raises(CheckpointError, match="rename it"):
            write_tensors(tmp_path / "a", {name: torch.zeros(1)})


# ---- random generators


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(2).tolist()


@pytest.fixture
def _own_random_state():
    before = random_state()
    yield
    set_random_state(before)


@pytest.mark.usefixtures("_own_random_state")
def test_generators_go_on_exactly_where_they_were(tmp_path):
    draw()  # leaves a second Gaussian number waiting in Python's and numpy's generator
    state = through_files(random_state(), tmp_path)
    expected = [draw() for _ in range(3)]
    assert draw() not in expected
    set_random_state(state)
    assert [draw() for _ in range(3)] == expected


@pytest.mark.usefixtures("_own_random_state")
def test_cuda_generators_are_kept_where_there_are_any(tmp_path, monkeypatch):
    given_back = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.tensor([1, 2], dtype=torch.uint8)] * 2)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given_back.extend)
    state = through_files(random_state(), tmp_path)
    set_random_state(state)
    assert [one.tolist() for one in given_back] == [[1, 2], [1, 2]]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(CheckpointError, match="of 2 CUDA devices, but 1 are here"):
        set_random_state(state)


# ---- optimisers


def model_of(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(eins=nn.Linear(5, 7), größe=nn.Linear(7, 3), frozen=nn.Linear(3, 2))).to(dtype)


def train(model, optimizer, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        inputs = torch.randn(4, 5, generator=generator).to(next(model.parameters()).dtype)
        optimizer.param_groups[0]["lr"] *= 0.9
        loss = model(inputs).square().sum()
        loss.backward()
        optimizer.step(lambda loss=loss: loss)


def names_of(model):
    return {parameter: name for name, parameter in model.named_parameters()}


def groups_of(model):
    model.frozen.requires_grad_(False)
    return [
        {"params": [*model.eins.parameters(), *model.frozen.parameters()], "lr": 0.1},
        {"params": model.größe.parameters()},
    ]


OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.9)),
    "adamw-fused": lambda groups: torch.optim.AdamW(groups, lr=0.01, fused=True),
    "adamw-amsgrad": lambda groups: torch.optim.AdamW(groups, lr=0.01, amsgrad=True),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True),
    "sgd-plain": lambda groups: torch.optim.SGD(groups, lr=0.01),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.01, centered=True),
    "nadam": lambda groups: torch.optim.NAdam(groups, lr=0.01),
}


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_optimizer_goes_on_to_the_bit(tmp_path, build, dtype):
    model, again = model_of(dtype), model_of(dtype)
    optimizer = build(groups_of(model))
    train(model, optimizer, 3, seed=1)

    tensors, facts = optimizer_state(optimizer, names_of(model))
    write_tensors(tmp_path / "optimizer", tensors)
    again.load_state_dict(model.state_dict())
    resumed = build(groups_of(again))
    restore_optimizer(resumed, names_of(again), read_tensors(tmp_path / "optimizer"), json.loads(json.dumps(facts)))

    assert not any(name.startswith("frozen") for name in tensors)
    train(model, optimizer, 3, seed=2)
    train(again, resumed, 3, seed=2)
    assert same(dict(model.state_dict()), dict(again.state_dict()))
    assert same(optimizer.state_dict(), resumed.state_dict())


def test_state_that_is_no_tensor_goes_on_too(tmp_path):
    model, again = model_of(), model_of()
    optimizer, resumed = (torch.optim.LBFGS(one.parameters(), history_size=3, max_iter=2) for one in (model, again))
    for one in range(2):
        optimizer.zero_grad()
        loss = model(torch.full((2, 5), float(one))).square().sum()
        loss.backward()
        optimizer.step(lambda loss=loss: loss)
    tensors, facts = optimizer_state(optimizer, names_of(model))
    restore_optimizer(resumed, names_of(again), tensors, facts)
    (state,), (restored,) = optimizer.state.values(), resumed.state.values()
    assert isinstance(state["old_dirs"][0], torch.Tensor)
    assert same(sorted(state.items()), sorted(restored.items()))


def test_restored_state_is_its_own():
    model, again = model_of(), model_of()
    optimizer, resumed = (torch.optim.AdamW(groups_of(one), lr=0.01) for one in (model, again))
    train(model, optimizer, 1, seed=1)
    tensors, facts = optimizer_state(optimizer, names_of(model))
    restore_optimizer(resumed, names_of(again), tensors, facts)
    before = {name: bits(tensor) for name, tensor in tensors.items()}
    train(again, resumed, 1, seed=1)
    assert {name: bits(tensor) for name, tensor in tensors.items()} == before


def test_state_of_a_parameter_that_is_not_trained_is_refused():
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters())
    train(model, optimizer, 1, seed=1)
    tensors, facts = optimizer_state(optimizer, names_of(model))
    fewer = torch.optim.AdamW(model.eins.parameters())
    with pytest.raises(
        CheckpointError, match=r"state of '\w+\.weight', which this optimizer does not train; did you mean"
    ):
        restore_optimizer(fewer, names_of(model), tensors, facts)
    assert not fewer.state


def test_other_groups_are_refused():
    model = model_of()
    two, one = torch.optim.SGD(groups_of(model)), torch.optim.SGD(model.parameters())
    tensors, facts = optimizer_state(two, names_of(model))
    with pytest.raises(CheckpointError, match="its 2 optimizer groups do not hold the same parameters as the 1"):
        restore_optimizer(one, names_of(model), tensors, facts)


def test_a_parameter_without_a_name_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2, 3))])
    with pytest.raises(CheckpointError, match=r"a parameter of shape \(2, 3\) that has no name"):
        optimizer_state(optimizer, {})
