"""Selectors take what they say, and print as they are written."""

import pytest

from triune.select import Depth, Head, Name, Outside, Owner
from triune.types import ModelLayout, ParameterInfo

LAYOUT = ModelLayout(
    (
        ParameterInfo("embed.weight", "task", None, False, 10),
        ParameterInfo("layer.0.weight", "task", 0, False, 10),
        ParameterInfo("layer.0.extra", "adapter", 0, False, 2),
        ParameterInfo("layer.1.weight", "task", 1, False, 10),
        ParameterInfo("head.bias", "task", None, True, 2),
    ),
    blocks=2,
)


@pytest.mark.parametrize(
    ("selector", "names", "written"),
    [
        (Name("*.bias"), ["head.bias"], "Name('*.bias')"),
        (Owner("adapter"), ["layer.0.extra"], "Owner('adapter')"),
        (Depth(0), ["layer.0.weight", "layer.0.extra"], "Depth(0)"),
        (Depth(-1), ["layer.1.weight"], "Depth(-1)"),
        (Head(), ["head.bias"], "Head()"),
        (Outside(), ["embed.weight"], "Outside()"),
        (Owner("adapter") & Depth(0), ["layer.0.extra"], "Owner('adapter') & Depth(0)"),
        (Head() | Depth(1), ["layer.1.weight", "head.bias"], "Head() | Depth(1)"),
        (~Head() & ~Name("layer*"), ["embed.weight"], "~Head() & ~Name('layer*')"),
        (
            ~(Depth(0) | Depth(1)) & Owner("task"),
            ["embed.weight", "head.bias"],
            "~(Depth(0) | Depth(1)) & Owner('task')",
        ),
        ((Head() | Depth(0)) & Owner("adapter"), ["layer.0.extra"], "(Head() | Depth(0)) & Owner('adapter')"),
    ],
)
def test_a_selector_takes_what_it_says(selector, names, written):
    assert [one.name for one in LAYOUT.where(selector)] == names
    assert repr(selector) == written
    assert LAYOUT.where(eval(written)) == LAYOUT.where(selector)
