"""Light commands stay light: what only lists or helps imports nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "pandas", "sklearn", "numpy")
DUMP = "import sys; from triune.cli import main; code = main({words!r}); print(*sorted(sys.modules), file=sys.stderr)"


def imported(*words):
    """Return the names of the modules that a fresh process holds after a command."""
    program = f"{DUMP.format(words=list(words))}; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("rules", "--help"),
        ("compare", "--help"),
        ("plugins",),
        ("plugins", "--json"),
    ],
)
def test_nothing_heavy_is_imported(words):
    assert not imported(*words) & set(HEAVY)


def test_help_does_not_even_import_pydantic_or_a_verb():
    modules = imported("--help")
    assert "pydantic" not in modules
    assert not {name for name in modules if name.startswith("triune.cli.")} - {"triune.cli.failures"}


def test_listing_plugins_imports_none_of_them():
    modules = imported("plugins")
    assert not {name for name in modules if name.startswith("triune_")}


def test_the_measure_would_notice_a_heavy_import():
    program = DUMP.format(words=["--help"]).replace("import sys;", "import sys, numpy;")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "numpy" in done.stderr.split()
