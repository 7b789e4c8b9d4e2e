"""One run's plugins: their order, their hooks, and who said what. The only module that knows pluggy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import pluggy

from triune.errors import PluginError, listed, nearest
from triune.hookspecs import SPECIFICATIONS, RunLifecycle
from triune.types import Seat

if TYPE_CHECKING:
    from triune.context import Run
    from triune.events import Event

P = ParamSpec("P")
T = TypeVar("T")

HOOKS = tuple(name for spec in SPECIFICATIONS for name in vars(spec) if not name.startswith("_"))


class Hooks:
    """The plugins of one run, called in config order, with every error carrying its plugin's name."""

    def __init__(self, plugins: Mapping[str, object]) -> None:
        """Register the plugins.

        Raises:
            PluginError: a plugin breaks the contract of hooks, or the plugins contradict one another.
        """
        self.plugins = {name: plugins[name] for name in in_order(plugins)}
        check_company(self.plugins)
        self._manager = pluggy.PluginManager("triune")
        for specification in SPECIFICATIONS:
            self._manager.add_hookspecs(specification)
        # pluggy calls the last registered first; registering in reverse makes config order call order
        for name, plugin in reversed(self.plugins.items()):
            check_methods(name, plugin)
            with _as_plugin_error(name):
                self._manager.register(plugin, name)
        self._callers = {hook: dict(self._each_caller(hook)) for hook in HOOKS}

    def implementers(self, spec: Callable[..., object]) -> tuple[str, ...]:
        """Return the names of the plugins that implement a hook, in call order."""
        return tuple(self._callers[spec.__name__])

    def collect(
        self, spec: Callable[Concatenate[Any, P], Iterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> list[tuple[str, T]]:
        """Return what every plugin contributes to a hook, each with its owner's name."""
        found: list[tuple[str, T]] = []
        for name, caller in self._callers[spec.__name__].items():
            with attributed(name, spec.__name__):
                for result in caller(*args, **kwargs):
                    # drained here: a generator raises while it is read, and then still has its owner's name
                    found.extend((name, item) for item in _iterable(result, name, spec.__name__))
        return found

    def each(
        self, spec: Callable[Concatenate[Any, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[tuple[str, T | None]]:
        """Call the plugins one after another; yield each one's name and result once it has returned."""
        for name, caller in self._callers[spec.__name__].items():
            with attributed(name, spec.__name__):
                answers = caller(*args, **kwargs)
            yield name, answers[0] if answers else None

    def chain(
        self,
        spec: Callable[Concatenate[Any, P], T | None],
        argument: str,
        value: T,
        **kwargs: object,
    ) -> T:
        """Return `value` as every plugin in turn transformed it; a hook takes it as `argument`."""
        for name, caller in self._callers[spec.__name__].items():
            with attributed(name, spec.__name__):
                answers = caller(**{argument: value, **kwargs})
            value = answers[0] if answers else value
        return value

    def decide(
        self, spec: Callable[Concatenate[Any, P], T | None], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[str, T] | None:
        """Return the decider of a hook and its decision, or None where nobody decides.

        Raises:
            PluginError: more than one plugin decides.
        """
        deciders = self._callers[spec.__name__]
        if len(deciders) > 1:
            raise PluginError(self.contested(spec))
        for name, caller in deciders.items():
            with attributed(name, spec.__name__):
                result = caller(*args, **kwargs)
            if result is not None:
                return name, cast("T", result)
        return None

    def contested(self, spec: Callable[..., object]) -> str:
        """Return the sentence about two plugins that both decide one thing, or an empty string."""
        deciders = self.implementers(spec)
        if len(deciders) < 2:
            return ""
        return f"plugins {listed(map(repr, deciders))} all decide {spec.__name__!r}, and one may: leave out all but one"

    def tell(self, name: str, run: Run, event: Event) -> None:
        """Tell one plugin an event."""
        self._callers[RunLifecycle.observe.__name__][name](run=run, event=event)

    def read_unlabelled(self) -> bool:
        """Return whether a plugin learns from text without labels: one that pushes rules, or that says so.

        A structure pushes nothing: it learns from labels, and rules hold of themselves.
        """
        return any(
            {Seat(seat) for seat in declared(plugin, "seats")} - {Seat.STRUCTURE}
            or getattr(plugin, "reads_unlabelled", False)
            for plugin in self.plugins.values()
        )

    def states(self) -> dict[str, object]:
        """Return the state of every plugin that keeps one."""
        return {name: _state(name, plugin) for name, plugin in self.plugins.items() if hasattr(plugin, "state_dict")}

    def restore(self, states: Mapping[str, object]) -> None:
        """Give every plugin its state back."""
        for name, state in states.items():
            plugin = self.plugins.get(name)
            if plugin is None or not hasattr(plugin, "load_state_dict"):
                raise PluginError(
                    f"plugin {name!r} left a state in the checkpoint and has no load_state_dict to take it"
                )
            with attributed(name, "load_state_dict"):
                plugin.load_state_dict(state)

    def _each_caller(self, hook: str) -> Iterator[tuple[str, Callable[..., list[Any]]]]:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        owners = {one.plugin_name for one in implementations}
        for name in self.plugins:
            if name in owners:
                others = [plugin for other, plugin in self.plugins.items() if other != name]
                yield name, self._manager.subset_hook_caller(hook, others)


@contextmanager
def attributed(plugin: str, hook: str) -> Iterator[None]:
    """Name the plugin and the hook on any error that leaves the block, keeping its type."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by plugin {plugin!r} in hook {hook!r}")
        raise


def given(owner: str, value: object, kind: type[T], hook: str) -> T:
    """Return what a plugin gave in a hook if it is of the kind that the hook is for.

    Raises:
        PluginError: it is something else.
    """
    if isinstance(value, kind):
        return value
    raise PluginError(
        f"plugin {owner!r}: hook {hook!r} gives a value of type {type(value).__name__!r}, and {kind.__name__} is "
        "needed: mend the plugin, or leave it out"
    )


def in_order(plugins: Mapping[str, object]) -> list[str]:
    """Return the names in config order, moved only as far as `after` forces."""
    order: list[str] = []
    visiting: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in visiting:
            raise PluginError(f"plugins wait for one another: {' after '.join([*visiting, name])}; drop one `after`")
        visiting.append(name)
        for earlier in declared(plugins[name], "after"):
            if earlier in plugins:
                visit(earlier)
        visiting.pop()
        order.append(name)

    for name in plugins:
        visit(name)
    return order


def declared(plugin: object, attribute: str) -> tuple[str, ...]:
    """Return a plugin's `requires`, `conflicts`, `after`, `seats` or `writes`, empty where it has none."""
    value = getattr(plugin, attribute, ())
    return (value,) if isinstance(value, str) else tuple(value)


def check_company(plugins: Mapping[str, object]) -> None:
    """Raise unless every plugin has the company it requires and none that it conflicts with."""
    for name, plugin in plugins.items():
        for needed in declared(plugin, "requires"):
            if needed not in plugins:
                raise PluginError(f"plugin {name!r} requires {needed!r}, which this run does not name: add {needed!r}")
        for enemy in declared(plugin, "conflicts"):
            if enemy in plugins:
                raise PluginError(f"plugin {name!r} cannot run together with {enemy!r}: leave one of them out")


def check_methods(name: str, plugin: object) -> None:
    """Raise if a method looks like a hook and is none, or is a hook that pluggy would quietly mistreat."""
    if inspect.isclass(plugin):
        raise PluginError(f"plugin {name!r} is the class {plugin.__name__}, and a run needs an instance: call it")
    for attribute in dir(type(plugin)):
        method = inspect.getattr_static(plugin, attribute)
        if attribute.startswith("_") or not inspect.isfunction(method):
            continue
        marked = hasattr(method, "triune_impl")
        if marked and attribute not in HOOKS:
            raise PluginError(
                f"plugin {name!r}: {attribute!r} is no hook of triune{nearest(attribute, HOOKS)}; "
                f"hooks: {listed(HOOKS, 20)}"
            )
        if not marked and attribute in HOOKS:
            raise PluginError(
                f"plugin {name!r}: method {attribute!r} has the name of a hook and would never be called: "
                "mark it with @hookimpl, or rename it"
            )
        if marked:
            _check_arguments(name, attribute, method)


def _check_arguments(name: str, hook: str, method: Callable[..., object]) -> None:
    specification = next(getattr(spec, hook) for spec in SPECIFICATIONS if hasattr(spec, hook))
    known = list(inspect.signature(specification).parameters)[1:]
    for argument in list(inspect.signature(method).parameters.values())[1:]:
        if argument.name not in known:
            raise PluginError(
                f"plugin {name!r}: hook {hook!r} has no argument {argument.name!r}{nearest(argument.name, known)}; "
                f"arguments: {listed(known)}"
            )
        if argument.default is not argument.empty:
            raise PluginError(
                f"plugin {name!r}: argument {argument.name!r} of hook {hook!r} has a default, so it would never be "
                "filled: remove the default"
            )


def _iterable(result: Iterable[T], name: str, hook: str) -> Iterable[T]:
    if not isinstance(result, Iterable) or isinstance(result, str | bytes | Mapping):
        raise PluginError(f"plugin {name!r}: hook {hook!r} returns {type(result).__name__}, and an iterable is needed")
    return result


def _state(name: str, plugin: Any) -> object:  # noqa: ANN401 - any object may be a plugin
    with attributed(name, "state_dict"):
        return plugin.state_dict()


@contextmanager
def _as_plugin_error(name: str) -> Iterator[None]:
    try:
        yield
    except pluggy.PluginValidationError as error:
        raise PluginError(f"plugin {name!r} breaks the contract of a hook: {error}") from error
