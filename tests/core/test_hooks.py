"""Hooks: order, attribution, and every way to get one wrong."""

import pytest

from triune import hookimpl
from triune.errors import PluginError
from triune.hooks import HOOKS, Hooks
from triune.hookspecs import SPECIFICATIONS, LossComposition, RuleApplication, RunLifecycle


class Gives:
    def __init__(self, *items):
        self.items = items

    @hookimpl
    def rules(self, run):
        yield from self.items


class Doubles:
    @hookimpl
    def prepare_data(self, data):
        return data * 2


class AddsOne:
    @hookimpl
    def prepare_data(self, data):
        return data + 1


class LeavesIt:
    @hookimpl
    def prepare_data(self, data):
        return None


def test_contributions_come_in_config_order_with_their_owner():
    hooks = Hooks({"first": Gives(1, 2), "second": Gives(3)})
    assert hooks.collect(RuleApplication.rules, run=None) == [("first", 1), ("first", 2), ("second", 3)]


def test_transforms_are_chained_in_config_order_and_none_leaves_the_value():
    doubled_first = Hooks({"a": Doubles(), "b": LeavesIt(), "c": AddsOne()})
    added_first = Hooks({"c": AddsOne(), "a": Doubles()})
    assert doubled_first.chain(RunLifecycle.prepare_data, "data", 5, run=None) == 11
    assert added_first.chain(RunLifecycle.prepare_data, "data", 5, run=None) == 12


def test_after_moves_a_plugin_only_as_far_as_it_must():
    class Late(Gives):
        after = ("z",)

    hooks = Hooks({"x": Late(1), "y": Gives(2), "z": Gives(3)})
    assert list(hooks.plugins) == ["z", "x", "y"] or list(hooks.plugins) == ["y", "z", "x"]
    assert list(hooks.plugins).index("x") > list(hooks.plugins).index("z")


def test_a_circle_of_after_is_refused_and_named():
    class One:
        after = "two"

    class Two:
        after = "one"

    with pytest.raises(PluginError, match="one after two after one"):
        Hooks({"one": One(), "two": Two()})


def test_an_error_in_a_hook_keeps_its_type_and_names_plugin_and_hook():
    class Breaks:
        @hookimpl
        def rules(self, run):
            yield 1
            raise KeyError("lost")

    with pytest.raises(KeyError) as caught:
        Hooks({"fine": Gives(1), "broken": Breaks()}).collect(RuleApplication.rules, run=None)
    assert caught.value.__notes__ == ["raised by plugin 'broken' in hook 'rules'"]


def test_two_deciders_are_a_conflict_that_names_both():
    class Decides:
        @hookimpl
        def compose_loss(self, terms):
            return sum(terms.values())

    hooks = Hooks({"one": Decides(), "two": Decides()})
    with pytest.raises(PluginError, match="'one', 'two' all decide 'compose_loss'"):
        hooks.decide(LossComposition.compose_loss, run=None, terms={}, step=None)


def test_the_one_decider_is_named_with_its_decision():
    class Decides:
        @hookimpl
        def compose_loss(self, terms):
            return sum(terms.values())

    assert Hooks({"one": Decides()}).decide(LossComposition.compose_loss, run=None, terms={"a": 2}, step=None) == (
        "one",
        2,
    )


class Misspelt:
    @hookimpl
    def loss_term(self, run):
        return ()


class WrongArgument:
    @hookimpl
    def rules(self, runs):
        return ()


class DefaultArgument:
    @hookimpl
    def rules(self, run=None):
        return ()


class Forgotten:
    def loss_terms(self, run):
        return ()


class NotIterable:
    @hookimpl
    def rules(self):
        return 3


@pytest.mark.parametrize(
    ("plugin", "sentence"),
    [
        (Misspelt(), "'loss_term' is no hook of triune; did you mean 'loss_terms'"),
        (WrongArgument(), "hook 'rules' has no argument 'runs'; did you mean 'run'"),
        (DefaultArgument(), "argument 'run' of hook 'rules' has a default"),
        (Forgotten(), "method 'loss_terms' has the name of a hook and would never be called"),
        (Forgotten, "is the class Forgotten, and a run needs an instance"),
    ],
)
def test_a_broken_contract_is_refused_when_the_run_is_made(plugin, sentence):
    with pytest.raises(PluginError, match=sentence):
        Hooks({"mine": plugin})


def test_a_result_that_cannot_be_iterated_is_refused():
    with pytest.raises(PluginError, match="returns int, and an iterable is needed"):
        Hooks({"mine": NotIterable()}).collect(RuleApplication.rules, run=None)


def test_required_and_conflicting_company_is_checked():
    class Needs:
        requires = ("friend",)

    class Hates:
        conflicts = ("mine",)

    with pytest.raises(PluginError, match="'mine' requires 'friend'"):
        Hooks({"mine": Needs()})
    with pytest.raises(PluginError, match="'other' cannot run together with 'mine'"):
        Hooks({"mine": Gives(), "other": Hates()})


def test_plugin_states_go_out_and_come_back_by_name():
    class Counts:
        count = 0

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    one, two = Counts(), Counts()
    one.count = 7
    state = Hooks({"a": one}).states()
    Hooks({"a": two}).restore(state)
    assert two.count == 7
    with pytest.raises(PluginError, match="plugin 'a' left a state"):
        Hooks({"b": two}).restore(state)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_a_working_example(hook):
    specification = next(getattr(spec, hook) for spec in SPECIFICATIONS if hasattr(spec, hook))
    example = specification.__doc__.split("```python")[1].split("```")[0]
    lines = example.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    source = "class Example:\n" + "\n".join("    " + line[indent:] for line in lines)
    namespace = {"hookimpl": hookimpl}
    exec(compile(source, hook, "exec"), namespace)
    hooks = Hooks({"example": namespace["Example"]()})  # raises if an argument or the name is wrong
    assert hooks.implementers(specification) == ("example",)
