"""The catalogue: what it lists, what it says about what cannot run, and what it never does: import a plugin."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import packaging.requirements  # noqa: F401  (imported before sys.path is cut down)
import pytest

import triune
from triune.catalog import Catalog, Entry, installed, source_hash
from triune.errors import PluginError

CORE = str(Path(triune.__file__).parents[1])


class Site:
    """A folder of made-up distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        name: str,
        entries: str,
        *,
        version: str = "1.0",
        requires: tuple[str, ...] = (),
        extras: tuple[str, ...] = (),
    ) -> Path:
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {one}" for one in requires] + [f"Provides-Extra: {one}" for one in extras]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(entries)
        return info

    def module(self, name: str, text: str = "class Plugin:\n    pass\n") -> Path:
        file = self.folder / f"{name}.py"
        file.write_text(text)
        importlib.invalidate_caches()
        return file


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    rest = [path for path in sys.path if "site-packages" not in path and "dist-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *rest])
    monkeypatch.delenv("TRIUNE_DISABLE", raising=False)
    return Site(tmp_path)


def only(catalog: Catalog) -> Entry:
    (entry,) = catalog
    return entry


def test_a_plugin_is_listed_with_family_origin_and_value_and_not_imported(site: Site) -> None:
    site.add("acme", "[triune.methods]\nmine = acme_listed:Plugin\n", version="2.1")
    site.module("acme_listed", "raise RuntimeError('imported')")
    assert only(installed()) == Entry("mine", "method", "acme", "2.1", "acme_listed:Plugin")
    assert "acme_listed" not in sys.modules


def test_core_alone_lists_an_empty_catalogue(site: Site) -> None:
    catalog = installed()
    assert len(catalog) == 0 and catalog.problems == ()
    with pytest.raises(PluginError, match="no task plugin is called 'x'; none is installed"):
        catalog.entry("task", "x")


def test_a_broken_distribution_hides_no_other_and_is_told(site: Site) -> None:
    site.add("good", "[triune.rules]\nfine = fine_module:Plugin\n")
    site.module("fine_module")
    (site.add("nameless", "[triune.rules]\nlost = x:Y\n") / "METADATA").unlink()
    (site.add("binary", "") / "entry_points.txt").write_bytes(b"[triune.rules]\n\xff\xfe = a:B\n")
    catalog = installed()
    assert catalog.names("rule") == ["fine"]
    assert len(catalog.problems) == 2
    assert all("cannot be read" in line for line in catalog.problems)


def test_a_broken_line_costs_one_line(site: Site) -> None:
    site.add("acme", "[triune.rules]\nbad = not a value\nnone\ngood = good_line:Plugin\n")
    site.module("good_line")
    status = {entry.name: (entry.status, entry.reason) for entry in installed()}
    assert status["good"] == ("available", "")
    assert status["bad"][0] == status["none"][0] == "unavailable"
    assert "not of the form 'module:Class'" in status["bad"][1]


def test_a_misspelt_group_is_told_with_the_nearest_right_one(site: Site) -> None:
    site.add("acme", "[triune.method]\nmine = a:B\n")
    catalog = installed()
    assert len(catalog) == 0
    assert catalog.problems == (
        "distribution 'acme' declares 'triune.method', which is no group of plugins; did you mean 'triune.methods'?",
    )


def test_a_name_from_two_distributions_is_an_error_only_when_named(site: Site) -> None:
    site.add("one", "[triune.data]\ntwin = twin_module:Plugin\nother = twin_module:Plugin\n")
    site.add("two", "[triune.data]\ntwin = twin_module:Plugin\n")
    site.module("twin_module")
    catalog = installed()
    assert [(entry.distribution, entry.status) for entry in catalog if entry.name == "twin"] == [
        ("one", "ambiguous"),
        ("two", "ambiguous"),
    ]
    assert catalog.entry("data", "other").status == "available"
    with pytest.raises(PluginError, match=r"provided by one 1\.0 and by two 1\.0; uninstall all but one"):
        catalog.entry("data", "twin")


def test_the_same_name_in_two_families_is_no_conflict(site: Site) -> None:
    site.add("one", "[triune.data]\ntwin = twin_module:Plugin\n[triune.rules]\ntwin = twin_module:Plugin\n")
    site.module("twin_module")
    assert [entry.status for entry in installed()] == ["available", "available"]


def test_only_the_first_of_two_copies_on_the_path_counts(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("acme", "[triune.rules]\nmine = copied:Plugin\n", version="2.0")
    site.module("copied")
    older = Site(tmp_path_factory.mktemp("older"))
    older.add("acme", "[triune.rules]\nmine = copied:Plugin\nold = copied:Plugin\n", version="1.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older.folder)])
    assert [(entry.name, entry.version, entry.status) for entry in installed()] == [("mine", "2.0", "available")]


def test_blocking_by_environment_and_by_argument(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("acme", "[triune.rules]\na = blocking:Plugin\nb = blocking:Plugin\nc = blocking:Plugin\n")
    site.module("blocking")
    monkeypatch.setenv("TRIUNE_DISABLE", " a ,")
    catalog = installed(without=["b"])
    assert [entry.status for entry in catalog] == ["blocked", "blocked", "available"]
    with pytest.raises(PluginError, match="blocked by TRIUNE_DISABLE"):
        catalog.entry("rule", "a")
    with pytest.raises(PluginError, match="blocked by --without"):
        catalog.entry("rule", "b")


def test_blocking_what_is_not_there_is_refused_with_the_nearest_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("acme", "[triune.rules]\nteacher = t:Plugin\n")
    with pytest.raises(PluginError, match="--without: no installed plugin is called 'teache'; did you mean 'teacher'"):
        installed(without=["teache"])
    monkeypatch.setenv("TRIUNE_DISABLE", "teachr")
    with pytest.raises(PluginError, match="TRIUNE_DISABLE: no installed plugin is called 'teachr'"):
        installed()


def test_a_module_that_is_gone_makes_a_plugin_unavailable(site: Site) -> None:
    site.add("acme", "[triune.rules]\nmine = gone_from_here.inner:Plugin\n")
    assert only(installed()).reason == "module 'gone_from_here' is not there; reinstall 'acme'"


EXTRA = "[triune.data]\nmine = with_extra:Plugin [even]\n"


@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        (('missing-thing; extra == "even"',), 'needs missing-thing: pip install "acme[even]"'),
        (('here>=3; extra == "even"',), 'needs here>=3 (2.0 is here): pip install "acme[even]"'),
        (('here>=1; extra == "even"', "unrelated-and-missing"), ""),
        (('missing-thing; extra == "other"',), ""),
        (('missing-thing; extra == "even" and python_version < "3"',), ""),
        (('acme[other]; extra == "even"', 'far; extra == "other"'), 'needs far: pip install "acme[even]"'),
        (('acme[even]; extra == "even"',), ""),
    ],
)
def test_the_extras_of_an_entry_point_must_be_installed(site: Site, requires: tuple[str, ...], reason: str) -> None:
    site.add("acme", EXTRA, requires=requires, extras=("even", "other"))
    site.add("here", "", version="2.0")
    site.module("with_extra")
    entry = only(installed())
    assert (entry.reason, entry.value) == (reason, "with_extra:Plugin")
    assert entry.status == ("unavailable" if reason else "available")


def test_an_extra_that_its_distribution_does_not_have_is_told(site: Site) -> None:
    site.add("acme", EXTRA, extras=("evn",))
    site.module("with_extra")
    assert only(installed()).reason.startswith("its extra 'even' is not one of 'acme'; did you mean 'evn'?")


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("triune>=9", "needs triune>=9, and 0.3.0 is here: pip install --upgrade acme triune"),
        ("triune<0.4,>=0.3", ""),
        ('triune>=9; python_version < "3"', ""),
        ("triune-other>=9", ""),
        ("triune>>9", "its requirement 'triune>>9' cannot be read; report it to the authors of 'acme'"),
    ],
)
def test_the_version_of_triune_that_a_plugin_asks_for(site: Site, requirement: str, reason: str) -> None:
    site.add("triune", "", version="0.3.0")
    site.add("acme", "[triune.rules]\nmine = versioned:Plugin\n", requires=(requirement,))
    site.module("versioned")
    assert only(installed()).reason == reason


def entries(*names: str, family: str = "method") -> Catalog:
    return Catalog([Entry(name, family, "acme", "1.0", "m:C") for name in names])


def test_an_unknown_name_comes_with_what_is_there_and_the_nearest() -> None:
    with pytest.raises(PluginError) as caught:
        entries("lora", "hybrid").entry("method", "lorra")
    assert str(caught.value) == "no method plugin is called 'lorra'; installed: hybrid, lora; did you mean 'lora'?"


def test_a_name_of_another_family_is_sent_there() -> None:
    with pytest.raises(PluginError, match="'balance' is a data plugin: name it under data:"):
        entries("balance", family="data").entry("method", "balance")
    assert entries("balance", family="data").entry(["method", "data"], "balance").name == "balance"


def entry_for(site: Site, module: str, text: str, value: str = "") -> Entry:
    site.module(module, text)
    return Entry("mine", "method", "acme", "1.0", value or f"{module}:Plugin")


def test_load_returns_the_class(site: Site) -> None:
    assert entry_for(site, "loads_well", "class Plugin: pass").load().__name__ == "Plugin"


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("loads_a", "import no_such_module_x", "No module named 'no_such_module_x'; install the missing module (pip"),
        ("loads_b", "1 / 0", "ZeroDivisionError: division by zero; upgrade or reinstall 'acme'"),
        ("loads_c", "raise SystemExit(3)", "SystemExit: 3; upgrade"),
        ("loads_d", "class Plugi: pass", "has no attribute 'Plugin'"),
        ("loads_e", "Plugin = 3", "'loads_e:Plugin' is not a class but a int"),
        ("loads_f", "class Plugin(:", "SyntaxError"),
    ],
)
def test_what_cannot_load_names_plugin_origin_cause_and_remedy(
    site: Site, module: str, text: str, message: str
) -> None:
    with pytest.raises(PluginError) as caught:
        entry_for(site, module, text).load()
    assert str(caught.value).startswith("plugin 'mine' of acme 1.0 cannot be loaded: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None or "not a class" in message


def test_a_source_hash_follows_every_python_file_and_nothing_else(site: Site) -> None:
    package = site.folder / "hashed_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("class Plugin: pass\n")
    (package / "inner" / "deep.py").write_text("x = 1\n")
    importlib.invalidate_caches()
    entry = Entry("mine", "method", "acme", "1.0", "hashed_package:Plugin")
    first = source_hash(entry)
    assert "hashed_package" not in sys.modules
    assert len(first) == 64 and first == source_hash(entry) == source_hash(entry.load())
    (package / "notes.txt").write_text("no code")
    assert source_hash(entry) == first
    (package / "inner" / "deep.py").write_text("x = 2\n")
    assert source_hash(entry) != first


def test_a_source_hash_of_one_module_and_of_what_has_no_file(site: Site) -> None:
    file = site.module("hashed_module")
    entry = Entry("mine", "method", "acme", "1.0", "hashed_module:Plugin")
    first = source_hash(entry)
    file.write_text("# changed\n")
    assert first != source_hash(entry) != ""
    assert source_hash(type("Typed", (), {"__module__": "nowhere_at_all"})) == ""


def test_the_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys; from triune.catalog import installed; installed();"
        "print([m for m in ('pydantic', 'ruamel', 'numpy', 'torch', 'pandas', 'transformers', 'sklearn') "
        "if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": CORE}
    environment.pop("TRIUNE_DISABLE", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
