"""The command line: what each verb prints, writes and leaves with, and how it says that something is wrong."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import types
from pathlib import Path

import pandas as pd
import pytest

from triune.catalog import installed
from triune.cli import VERBS, main
from triune.cli.failures import guarded
from triune.cli.printing import metrics_lines
from triune.cli.progress import EVERY, Bar, Lines, Watch, evaluation_line
from triune.cli.starter import BOTH, COMMON, configuration, example_data
from triune.cli.table_files import as_bytes
from triune.cli.table_input import frame_of
from triune.config import Training, load_config
from triune.errors import DataError, EnvironmentProblem, TriuneError
from triune.events import Evaluated, Finished, Stepped
from triune.types import Step

ROOT = Path(__file__).parents[2]
QUICK = ("training.epochs=1", "training.batch_size=64", "training.threads=1", "training.device=cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model):
    """Return a folder that `init --demo` filled, on the tiny model."""
    folder = tmp_path_factory.mktemp("project")
    assert main(["init", str(folder), "--demo", "--model", str(tiny_model)]) == 0
    return folder


@pytest.fixture(scope="module")
def finished(project):
    """Return the folder of a finished run."""
    folder = project / "run"
    assert main([*run_words(project), "--output", str(folder)]) == 0
    return folder


def run_words(project, *overrides):
    words = ["run", str(project / "config.yaml")]
    for override in (*QUICK, *overrides):
        words += ["--set", override]
    return words


def error_of(capsys, words):
    """Return the exit code of words and what they say on standard error, which is no traceback."""
    code = main(words)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return code, said


def stdin(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))


class TestTheVerbs:
    def test_help_lists_every_verb_with_its_summary(self, capsys):
        assert main(["--help"]) == main([]) == 0
        said = capsys.readouterr().out
        assert all(f"  {verb} " in said and summary in said for verb, summary in VERBS.items())

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_has_help_with_the_common_options(self, capsys, verb):
        assert main([verb, "--help"]) == 0
        said = capsys.readouterr().out
        assert f"triune {verb}" in said and "--json" in said and "--debug" in said

    def test_a_misspelt_verb_is_refused_with_the_nearest(self, capsys):
        code, said = error_of(capsys, ["pluginz"])
        assert code == 2
        assert "'pluginz'" in said and "did you mean 'plugins'?" in said

    def test_a_misspelt_option_is_refused_with_the_nearest(self, capsys):
        code, said = error_of(capsys, ["run", "config.yaml", "--ouput=x"])
        assert code == 2
        assert "did you mean '--output'?" in said

    def test_an_abbreviated_option_is_not_guessed(self, capsys):
        assert error_of(capsys, ["run", "config.yaml", "--over"])[0] == 2

    def test_the_module_runs_as_a_program(self):
        done = subprocess.run([sys.executable, "-m", "triune", "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("triune ")


class TestFailures:
    def fail(self, error, *words):
        def act():
            raise error

        return guarded(words, act)

    def test_a_mistake_of_the_users_leaves_with_2_and_its_message_alone(self, capsys):
        assert self.fail(DataError("train.csv:3: no label")) == 2
        assert capsys.readouterr().err == "train.csv:3: no label\n"

    def test_a_lack_of_the_machine_leaves_with_1(self):
        assert self.fail(EnvironmentProblem("no room")) == 1

    def test_notes_of_plugins_are_printed_under_the_message(self, capsys):
        error = TriuneError("what")
        error.add_note("raised by plugin 'x' in hook 'rules'")
        self.fail(error)
        assert capsys.readouterr().err == "what\n  raised by plugin 'x' in hook 'rules'\n"

    def test_an_unforeseen_error_is_two_lines_with_the_plugin_and_the_way_to_the_traceback(self, capsys):
        error = KeyError("scores")
        error.add_note("raised by plugin 'x' in hook 'measure'")
        assert self.fail(error) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert "KeyError" in first and "raised by plugin 'x' in hook 'measure'" in first
        assert "--debug" in second and "report" in second

    @pytest.mark.parametrize("error", [DataError("what"), ValueError("what")])
    def test_debug_shows_the_traceback(self, capsys, error):
        self.fail(error, "--debug")
        assert "Traceback (most recent call last)" in capsys.readouterr().err

    def test_json_says_it_as_json(self, capsys):
        assert self.fail(DataError("what"), "--json") == 2
        assert json.loads(capsys.readouterr().err) == {"error": "what", "exit_code": 2}

    def test_an_interrupt_leaves_with_130(self):
        assert self.fail(KeyboardInterrupt()) == 130

    def test_sigterm_leaves_with_143_and_its_handler_is_given_back(self, capsys):
        before = signal.getsignal(signal.SIGTERM)

        def act():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
            return 0

        assert guarded([], act) == 143
        assert signal.getsignal(signal.SIGTERM) == before

    @pytest.mark.skipif(os.name != "posix", reason="a pipe whose reader is gone is told otherwise there")
    @pytest.mark.parametrize("buffered", ["", "1"])
    def test_a_reader_that_went_away_is_no_error(self, buffered):
        reader, writer = os.pipe()
        os.close(reader)
        environment = {**os.environ, "PYTHONUNBUFFERED": buffered}
        words = [sys.executable, "-m", "triune", "plugins"]
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")

    def test_a_pipe_that_is_not_standard_output_is_an_error(self, capsys):
        assert self.fail(BrokenPipeError("of a plugin's")) == 1


class TestInit:
    def test_what_is_written_is_valid_and_equals_the_defaults(self, tmp_path):
        assert main(["init", str(tmp_path)]) == 0
        loaded = load_config(tmp_path / "config.yaml", catalog=installed())
        assert loaded.run.training == Training()

    def test_every_key_of_training_has_a_comment(self):
        lines = configuration("m", {}).splitlines()
        assert all(any(line.strip().startswith(f"{name}:") and "# " in line for line in lines) for name in COMMON)
        assert all(len(line) <= 120 for line in lines)

    def test_a_model_with_odd_characters_is_kept(self, tmp_path):
        name = 'a: "b" # c'
        assert main(["init", str(tmp_path), "--model", name]) == 0
        loaded = load_config(tmp_path / "config.yaml", catalog=installed())
        assert loaded.run.task.settings["model"] == name

    def test_the_demo_has_rules_and_a_configuration_that_learns_from_them(self, project, tiny_model):
        loaded = load_config(project / BOTH, catalog=installed())
        assert [plugin.family for plugin in loaded.plugins].count("rule") == 1
        assert loaded.run.task.settings["model"] == str(tiny_model)
        assert main(["plan", str(project / BOTH), "--set", "training.threads=1"]) == 0

    @pytest.mark.parametrize("existing", ["config.yaml", "test.csv", "rules.yaml", BOTH])
    def test_it_replaces_nothing_and_writes_nothing_then(self, tmp_path, capsys, existing):
        (tmp_path / existing).write_text("mine")
        code, said = error_of(capsys, ["init", str(tmp_path), "--demo"])
        assert code == 2 and existing in said
        assert [one.name for one in tmp_path.iterdir()] == [existing]
        assert (tmp_path / existing).read_text() == "mine"

    @pytest.mark.parametrize(("there", "verb"), [(["test.csv"], "exists:"), (["test.csv", "rules.yaml"], "exist:")])
    def test_one_file_exists_and_two_exist(self, tmp_path, capsys, there, verb):
        for name in there:
            (tmp_path / name).write_text("mine")
        assert f"' {verb} name another folder" in error_of(capsys, ["init", str(tmp_path), "--demo"])[1]

    def test_the_wheel_ships_what_it_reads(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
        wanted = {*(f"customer_service/{name}" for name in (*example_data(), BOTH)), "starter/sections.yaml"}
        assert shipped == {f"examples/{name}": f"triune/demo/{name}" for name in wanted}


class TestRun:
    def test_it_prints_the_plan_the_metrics_the_choice_and_what_is_next(self, project, tmp_path, capsys):
        output = tmp_path / "a run"
        assert main([*run_words(project), "--output", str(output)]) == 0
        said = capsys.readouterr()
        for part in ("7 (1 epoch × 7)", "macro_f1", "Chosen:  the model of step 7, by macro_f1", f"'{output}'"):
            assert part in said.out
        assert "note     no validation table" in said.out
        assert "valid at step 7/7: macro_f1" in said.err

    def test_json_is_one_document_and_all_else_goes_to_standard_error(self, project, tmp_path, capsys):
        assert main([*run_words(project), "--output", str(tmp_path / "run"), "--json"]) == 0
        said = capsys.readouterr()
        result = json.loads(said.out)
        assert {"accuracy", "macro_f1"} <= result["metrics"]["test"].keys()
        assert result["ended"]["step"] == 7
        assert "steps    7" in said.err

    def test_a_finished_run_is_shown_again_with_resume_and_refused_without(self, project, finished, capsys):
        words = [*run_words(project), "--output", str(finished)]
        assert main([*words, "--resume", "auto"]) == 0
        assert "finished before" in capsys.readouterr().out
        code, said = error_of(capsys, words)
        assert code == 2 and "--overwrite" in said

    def test_a_plugin_that_is_blocked_stops_it(self, project, tmp_path, capsys):
        words = [*run_words(project), "--output", str(tmp_path / "run"), "--without", "end-to-end"]
        code, said = error_of(capsys, words)
        assert code == 2 and "blocked by --without" in said
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_saves_and_tells_the_command_that_goes_on(
        self, project, tmp_path, capsys, monkeypatch, number, code
    ):
        output = tmp_path / "run"
        words = [*run_words(project, "training.epochs=3"), "--output", str(output)]
        stepped = Watch.__call__

        def interrupt(watch, event):
            stepped(watch, event)
            if isinstance(event, Stepped) and event.step.index == 3:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Watch, "__call__", interrupt)
        assert main(words) == code
        said = capsys.readouterr().err
        assert "saved at step 3 of 21" in said and "--set training.epochs=3" in said
        assert said.rstrip().endswith(f"--output {output} --resume auto")
        monkeypatch.undo()
        assert main([*words, "--resume", "auto", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ended"]["of"] == 21


class TestPredict:
    def test_a_file_keeps_its_columns_and_gains_the_predictions(self, project, finished, tmp_path):
        output = tmp_path / "out.csv"
        words = ["predict", str(finished), str(project / "test.csv"), "--probabilities", "--output", str(output)]
        assert main(words) == 0
        given, found = pd.read_csv(project / "test.csv"), pd.read_csv(output)
        assert found[["text", "label"]].equals(given)
        chances = found.filter(like="probability of ")
        assert found.columns[2] == "predicted" and chances.shape[1] == 8
        assert (chances.idxmax(axis=1).str.removeprefix("probability of ") == found["predicted"]).all()

    @pytest.mark.parametrize("name", ["out.tsv", "out.jsonl", "out.csv.gz"])
    def test_the_name_of_the_output_says_its_format(self, project, finished, tmp_path, name):
        path = tmp_path / name
        assert main(["predict", str(finished), str(project / "unlabelled.csv"), "--output", str(path)]) == 0
        text = (gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()).decode()
        first = text.splitlines()[0]
        wanted = {"out.tsv": "text\tpredicted", "out.csv.gz": "text,predicted"}
        assert first == wanted[name] if name in wanted else json.loads(first).keys() == {"text", "predicted"}

    def test_lines_of_standard_input_are_texts(self, finished, capsys, monkeypatch):
        stdin(monkeypatch, b"where is my parcel\nI want my money, back\n")
        assert main(["predict", str(finished), "-"]) == 0
        header, first, second = capsys.readouterr().out.splitlines()
        assert header == "text,predicted"
        assert first.startswith("where is my parcel,") and second.startswith('"I want my money, back",')

    def test_objects_of_standard_input_keep_their_keys(self, finished, capsys, monkeypatch):
        stdin(monkeypatch, b'{"id": 7, "text": "where"}\n{"text": "money"}\n')
        assert main(["predict", str(finished), "-", "--json"]) == 0
        first, second = json.loads(capsys.readouterr().out)["predictions"]
        assert (first["id"], first["text"], second["id"]) == (7, "where", None)
        assert isinstance(first["predicted"], str)

    @pytest.mark.parametrize(
        ("content", "part"),
        [(b"", "nothing came in"), (b'{"text": "a"}\nb\n', "standard input:2"), (b"caf\xe9\n", "standard input:1")],
    )
    def test_broken_standard_input_is_refused(self, finished, capsys, monkeypatch, content, part):
        stdin(monkeypatch, content)
        code, said = error_of(capsys, ["predict", str(finished), "-"])
        assert code == 2 and part in said

    def test_a_column_of_the_same_name_is_refused(self, finished, capsys, monkeypatch):
        stdin(monkeypatch, b'{"text": "a", "predicted": "b"}\n')
        code, said = error_of(capsys, ["predict", str(finished), "-"])
        assert code == 2 and "'predicted'" in said

    def test_an_output_that_exists_is_kept_unless_asked(self, project, finished, tmp_path, capsys):
        output = tmp_path / "out.csv"
        output.write_text("mine")
        words = ["predict", str(finished), str(project / "unlabelled.csv"), "--output", str(output)]
        code, said = error_of(capsys, words)
        assert code == 2 and "--overwrite" in said and output.read_text() == "mine"
        assert main([*words, "--overwrite"]) == 0
        assert output.read_text().startswith("text,predicted")

    def test_an_ending_that_says_no_format_is_refused_before_anything_is_computed(self, capsys, tmp_path):
        code, said = error_of(capsys, ["predict", "nowhere", "-", "--output", str(tmp_path / "out.xlsx")])
        assert code == 2 and ".jsonl" in said

    def test_a_folder_without_a_run_is_refused(self, capsys, tmp_path):
        code, said = error_of(capsys, ["predict", str(tmp_path), "-"])
        assert code == 2 and "no finished run" in said

    def test_a_failure_leaves_nothing_half_written(self, finished, tmp_path, capsys):
        words = ["predict", str(finished), str(tmp_path / "gone.csv"), "--output", str(tmp_path / "out.csv")]
        assert error_of(capsys, words)[0] == 2
        assert not list(tmp_path.iterdir())


class TestTablesOfPredictions:
    def test_lists_and_empty_cells_survive_each_format(self, tmp_path):
        table = pd.DataFrame({"n": pd.Series([1, None], dtype=object), "predicted": [["a", "b"], []]})
        assert as_bytes(table, tmp_path / "t.csv").decode() == 'n,predicted\n1,"[""a"", ""b""]"\n,[]\n'
        lines = as_bytes(table, tmp_path / "t.jsonl").decode().splitlines()
        assert json.loads(lines[0]) == {"n": 1, "predicted": ["a", "b"]}
        assert json.loads(lines[1]) == {"n": None, "predicted": []}

    def test_parquet_is_written_where_it_can_be(self, tmp_path):
        pytest.importorskip("pyarrow")
        table = pd.DataFrame({"text": ["a"], "predicted": ["b"]})
        assert pd.read_parquet(io.BytesIO(as_bytes(table, tmp_path / "t.parquet"))).equals(table)

    def test_blank_lines_and_a_mark_of_byte_order_are_no_texts(self):
        assert frame_of(b"\xef\xbb\xbfone\r\n\r\ntwo\n", "body")["body"].tolist() == ["one", "two"]


class TestEvaluate:
    def test_it_finds_what_the_run_measured(self, project, finished, capsys):
        assert main(["evaluate", str(finished), str(project / "test.csv"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        measured = json.loads((finished / "metrics.json").read_text())["test"]
        assert found["confusion"] == measured["confusion"]
        assert found["macro_f1"] == pytest.approx(measured["macro_f1"])

    def test_it_prints_a_table_of_metrics(self, project, finished, capsys):
        assert main(["evaluate", str(finished), str(project / "test.csv")]) == 0
        said = capsys.readouterr().out
        assert "macro_f1" in said and "per class" in said and "delivery" in said

    def test_a_table_without_labels_is_refused(self, project, finished, capsys):
        code, said = error_of(capsys, ["evaluate", str(finished), str(project / "unlabelled.csv")])
        assert code == 2 and "nothing to measure" in said


class TestListings:
    def test_plugins_names_each_with_its_status_and_the_reason(self, capsys, monkeypatch):
        monkeypatch.setenv("TRIUNE_DISABLE", "end-to-end")
        assert main(["plugins"]) == 0
        said = capsys.readouterr().out
        assert "NAME" in said and "text-classification" in said and "blocked by TRIUNE_DISABLE" in said
        assert main(["plugins", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["plugins"]
        assert {"name", "family", "distribution", "version", "status", "reason"} <= rows[0].keys()

    def test_schema_is_json_and_says_how_an_editor_uses_it(self, capsys, tmp_path):
        assert main(["schema"]) == 0
        said = capsys.readouterr()
        assert "properties" in json.loads(said.out) and "yaml-language-server: $schema=" in said.err
        path = tmp_path / "schema.json"
        assert main(["schema", "--output", str(path)]) == 0
        assert f"yaml-language-server: $schema={path}" in capsys.readouterr().out
        assert json.loads(path.read_text()) == json.loads(said.out)
        assert error_of(capsys, ["schema", "--output", str(path)])[0] == 2

    def test_plan_prints_a_page_and_writes_nothing(self, project, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        words = ["plan", *run_words(project)[1:]]
        assert main(words) == 0
        assert "BertForSequenceClassification" in capsys.readouterr().out
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["steps"]["total"] == 7
        assert not list(tmp_path.iterdir())

    def test_a_schedule_is_written_taken_back_and_not_written_over(self, project, tmp_path, capsys):
        file = tmp_path / "schedule.yaml"
        words = ["plan", *run_words(project, "methods[0]=layer-by-layer")[1:], "--write-schedule", str(file)]
        assert main(words) == 0
        written = capsys.readouterr().out
        with_file = [*run_words(project, "methods[0].use=schedule", f"methods[0].path={file}")]
        assert main(["plan", *with_file[1:]]) == 0
        read = capsys.readouterr().out
        assert written[written.index("Model:") : written.index("Steps:")].split("Loss")[0] in read
        assert main(words) == 2
        assert "exists: name another file" in capsys.readouterr().err


class TestDoctor:
    def test_each_line_has_a_status_and_failures_leave_with_1(self, capsys, tmp_path):
        code = main(["doctor", "--output", str(tmp_path), "--json"])
        report = json.loads(capsys.readouterr().out)
        assert {check["status"] for check in report["checks"]} <= {"ok", "warn", "fail"}
        assert {"python", "torch", "memory", "output", "hub cache", "plugins"} <= {
            one["name"] for one in report["checks"]
        }
        assert code == int(not report["ok"])

    def test_an_output_that_cannot_be_written_is_a_failure_with_a_remedy(self, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        assert main(["doctor", "--output", str(tmp_path / "file")]) == 1
        said = capsys.readouterr().out
        assert "fail  output" in said and "→ give another folder" in said

    def test_a_plugin_that_is_blocked_is_told(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setenv("TRIUNE_DISABLE", "end-to-end")
        main(["doctor", "--output", str(tmp_path)])
        assert "end-to-end of triune" in capsys.readouterr().out


class TestProgress:
    def step(self, index, total=4, loss=1.0, terms=None):
        return Stepped(Step(index, total), loss, terms or {"task": loss}, (1e-3,), 32, 0.5)

    def test_lines_come_every_few_seconds_and_at_the_end(self):
        now = [0.0]
        stream = io.StringIO()
        watch = Watch(Lines(stream, lambda: now[0]))
        for index in range(1, 101):
            now[0] += 1.0
            watch(self.step(index, 100))
        lines = stream.getvalue().splitlines()
        assert len(lines) == 100 / EVERY
        assert lines[0].startswith("step 5/100  loss 1.0000  lr 1.0e-03  64 examples/s") and "left" in lines[0]
        assert lines[-1].startswith("step 100/100") and "left" not in lines[-1]

    def test_several_terms_are_shown_by_name(self):
        stream = io.StringIO()
        Watch(Lines(stream, lambda: 0.0))(self.step(4, terms={"task": 0.25, "rules": 0.75}))
        assert "task 0.2500  rules 0.7500" in stream.getvalue()

    def test_a_terminal_gets_one_bar_and_evaluations_as_lines(self):
        stream = io.StringIO()
        watch = Watch(Bar(stream))
        for index in (3, 4):  # resumed: two steps were done before
            watch(self.step(index))
        watch(Evaluated(Step(4, 4), "valid", {"macro_f1": 0.5}, True))
        watch(Finished(Step(4, 4), "all 4 steps are done"))
        said = stream.getvalue()
        assert "4/4" in said and "loss=1.0000" in said
        assert "valid at step 4/4: macro_f1 0.5000  (the best so far)" in said

    def test_an_evaluation_shows_the_usual_figures_and_none_that_is_no_number(self):
        metrics = {"accuracy": 0.5, "macro_f1": 0.4, "per_class": {}, "auroc": None, "examples": 3}
        assert evaluation_line(Evaluated(Step(1, 2), "test", metrics, False)) == (
            "test at step 1/2: macro_f1 0.4000, accuracy 0.5000"
        )


def test_what_a_plugin_measures_is_printed_without_rows_that_hold_no_figure():
    measured = {
        "accuracy": 0.5,
        "toy": {"weights": {"all": 2.0}, "each": {"one": {"seen": 3}}},
        "deep": {"a": {"b": {}}},
    }
    lines = metrics_lines({"test": measured})
    assert "  toy (test)" in lines
    assert any(line.split() == ["weights", "2.0000"] for line in lines)
    assert not any("each" in line or "deep" in line for line in lines)
