"""Fixtures for the tests of plugins: `toy_run` and `conforms`. Loaded in every pytest run, so it imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from triune.result import Result


@pytest.fixture
def toy_run(tmp_path: Path) -> Callable[..., Result]:
    """Return a function that runs plugins on the toy task: `toy_run(Mine(...), epochs=1)`."""
    from triune.testing.toy_runs import toy_run

    def run(*methods: object, **training: object) -> Result:
        count = len(list(tmp_path.glob("toy-run-*")))
        return toy_run(tmp_path / f"toy-run-{count + 1}", *methods, **training)

    return run


@pytest.fixture
def conforms() -> Callable[..., None]:
    """Return `check_plugin`: `conforms(Mine, config={"rank": 4})`."""
    from triune.testing.conformance import check_plugin

    return check_plugin
