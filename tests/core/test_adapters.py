"""A module beside another one: names stay, calls are answered, and what was there comes back."""

import copy

import pytest
import torch
from torch import nn

from tests.support import Blocks, plugins
from triune.adapters import carried, original_of, put_beside, take_away
from triune.hookspecs import hookimpl
from triune.select import Brought
from triune.testing.toy_runs import completed, run
from triune_end_to_end import EndToEnd


class Doubling(nn.Module):
    """Add a learnt multiple of what the module beside it says."""

    def __init__(self, gain=0.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x):
        return original_of(self)(x) * (1 + self.gain)


def test_the_adapter_answers_and_the_weights_keep_their_names():
    module, x = nn.Linear(3, 2), torch.randn(4, 3)
    before, names = module(x), [name for name, _ in module.named_parameters()]
    put_beside(module, "extra", Doubling(1.0))
    torch.testing.assert_close(module(x), 2 * before)
    assert [name for name, _ in module.named_parameters()] == [*names, "extra.gain"]
    assert list(module.state_dict()) == [*names, "extra.gain"]
    take_away(module)
    torch.testing.assert_close(module(x), before)
    assert list(module.state_dict()) == names and carried(module) is None


def test_the_original_follows_the_weights_wherever_they_go():
    module, x = nn.Linear(3, 2), torch.randn(4, 3, dtype=torch.float64)
    put_beside(module, "extra", Doubling())
    module.double()
    with torch.no_grad():
        module.weight.zero_()
    torch.testing.assert_close(module(x), module.bias.expand(4, 2))


def test_hooks_of_a_module_are_called_once():
    module, calls = nn.Linear(3, 2), []
    module.register_forward_hook(lambda *_: calls.append(1))
    put_beside(module, "extra", Doubling())
    module(torch.zeros(1, 3))
    assert calls == [1]


def test_a_copy_has_weights_of_its_own():
    module, x = nn.Linear(3, 2), torch.ones(1, 3)
    put_beside(module, "extra", Doubling())
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.weight.zero_()
        twin.bias.zero_()
    assert not twin(x).any() and module(x).any()


def test_one_module_takes_one_adapter():
    module = nn.Linear(3, 2)
    put_beside(module, "extra", Doubling())
    with pytest.raises(ValueError, match="carries an adapter already"):
        put_beside(module, "more", Doubling())


class Brings:
    """Bring an adapter, and note what the model is when it is folded, saved and exported."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def adapt_model(self, model):
        put_beside(model.head, "extra", Doubling())

    @hookimpl
    def fold_model(self, model):
        take_away(model.head)
        self.seen.append("folded")

    @hookimpl
    def export(self, model):
        self.seen.append(sorted(model.state_dict()) == sorted(Blocks(2).state_dict()))


def test_a_model_is_folded_before_it_is_saved_and_exported(tmp_path):
    brings = Brings()
    run(completed({"brings": brings, "all": EndToEnd(EndToEnd.Config())}), tmp_path / "run", {"max_steps": 2})
    assert brings.seen == ["folded", True]


def test_what_a_method_brought_is_told_from_the_models_own():
    import triune
    from triune.testing.toy_runs import configuration

    given = plugins(brings=Brings())
    called = {f"{name}, from Python": one for name, one in given.items()}
    plan = triune.plan(configuration(given, {"max_steps": 2}), plugins=called)
    assert [one.name for one in plan.layout.where(Brought())] == ["head.extra.gain"]
