"""Conditions that are Python functions of the text. One that raises abstains on that text, and is counted."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

from triune.conditions.grounding import Alone
from triune.conditions.truth import Grounding, attempted
from triune.errors import RuleError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from triune.conditions.view import View


@dataclass(frozen=True, slots=True)
class TextMatches(Alone):
    """A function of the text says so: `TextMatches(lambda text: "!" in text)`.

    It returns true or false, None for false, or what `re.search` returns.
    """

    fn: Callable[[str], object]

    def on(self, view: View) -> Grounding:
        """Return where it does.

        Raises:
            RuleError: it returned something that is no answer.
        """
        return attempted(view.texts(None), lambda text: _answer(self.fn, text))

    def __reduce__(self) -> tuple[Callable[..., TextMatches], tuple[object, ...]]:
        """Return how a pickle makes it again: where the function's name is now a rule's, out of that rule."""
        module, name = getattr(self.fn, "__module__", ""), getattr(self.fn, "__qualname__", "")
        taken = getattr(sys.modules.get(module), name, None)
        if module != "__main__" and getattr(taken, "when", None) is self:
            return _of_rule, (module, name)
        return TextMatches, (self.fn,)

    def __str__(self) -> str:
        return f"{getattr(self.fn, '__name__', 'a function')}(text)"


def _of_rule(module: str, name: str) -> TextMatches:
    found: TextMatches = getattr(import_module(module), name).when
    return found


@dataclass(frozen=True, slots=True)
class Python(Alone):
    """A function named by its module says so: `Python("my_checks:has_link")`.

    Attributes:
        target: `module:function`.
        folder: where the module may lie as a file, if Python does not find it by itself.
        column: whose text; None is the example's.
    """

    target: str
    folder: str = ""
    column: str | None = None

    def on(self, view: View) -> Grounding:
        """Return where it does.

        Raises:
            RuleError: there is no such function, or it returned something that is no answer.
        """
        fn = self.function()
        return attempted(view.texts(self.column), lambda text: _answer(fn, text))

    def function(self) -> Callable[[str], object]:
        """Return the function.

        Raises:
            RuleError: there is none of that name, or its module fails.
        """
        module_name, _, name = self.target.partition(":")
        if not module_name or not name:
            raise RuleError([f"{self.target!r} names no function; write 'module:function'"])
        module = _module(module_name, self.folder)
        found: object = getattr(module, name, None)
        if not callable(found):
            what = "is no function" if hasattr(module, name) else "is not there"
            known = [one for one, value in vars(module).items() if callable(value)]
            raise RuleError([f"{name!r} of module {module_name!r} {what}{nearest(name, known)}"])
        return found

    def __str__(self) -> str:
        return f"{self.target}({self.column or 'text'})"


def _module(name: str, folder: str) -> ModuleType:
    file = Path(folder, *name.split(".")).with_suffix(".py")
    try:
        return loaded_file(file) if folder and file.is_file() else import_module(name)
    except RuleError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RuleError([f"module {name!r} cannot be imported: {what}"]) from error


def loaded_file(path: Path) -> ModuleType:
    """Return a Python file as a module, run once however often it is asked for.

    Raises:
        RuleError: it fails; the line of the file is named.
    """
    name = f"triune_rules_in_{path.resolve()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RuleError([f"{path}{_line(error, path)}: the file fails: {what}"]) from error
    return module


def _line(error: BaseException, path: Path) -> str:
    """Return ":LINE" of the last place in the file that an error came through."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines, trace = [0], error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).absolute() == path.absolute():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines[-1] else ""


def _answer(fn: Callable[[str], object], text: str) -> bool:
    answer = fn(text)
    if answer is None or isinstance(answer, bool):
        return bool(answer)
    if hasattr(answer, "span") or type(answer).__name__ in ("bool_", "bool"):  # a match; a truth of numpy's
        return bool(answer)
    raise RuleError(
        [
            f"{place_of(fn)}function {getattr(fn, '__name__', 'of the rule')!r} returned {answer!r}, "
            "wanted true or false; say in `then` what follows, not in what it returns"
        ]
    )


def place_of(fn: object) -> str:
    """Return "FILE:LINE: " of a function, as far as Python knows it."""
    code = getattr(fn, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}: " if code is not None else ""
