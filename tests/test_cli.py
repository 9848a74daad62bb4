"""The command as people and scripts use it: verbs, JSON, messages and exit codes."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import run
from tests.helpers.incidents import full_disk
from tests.helpers.quick import QUICK
from tests.helpers.sources import idx_files, tiny_imagenet_zip
from tests.helpers.strangers import install
from tinyconv import registry
from tinyconv.data.digits import digits

OPTIONS = [part for name, value in QUICK.items() for part in (f"--{name}", str(value))]


# The command with nothing installed but tinyconv's requirements: None cannot be imported.
EXTRAS = "ale_py gym gymnasium jax onnx optuna pygame tensorboard tensorflow_probability tf2onnx"
NO_EXTRAS = f"""
import sys
sys.modules.update(dict.fromkeys("{EXTRAS} tf_agents tf_keras".split()))
from tinyconv.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder made by the command, in a process of its own, and what it printed."""
    folder = tmp_path_factory.mktemp("command")
    done = subprocess.run(
        [sys.executable, "-c", NO_EXTRAS, "fit", "--epochs", "3", "--json"],
        cwd=folder,
        env=os.environ | {"TINYCONV_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / json.loads(done.stdout)["run"], done


def test_fit_prints_one_document_and_plain_lines(trained):
    path, done = trained
    document = json.loads(done.stdout)
    assert list(document) == ["run", "task", "metrics", "seconds"]
    assert document["task"] == "classify" and document["seconds"] > 0
    assert list(document["metrics"]) == ["loss", "top1", "top5"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stderr)  # no control characters
    lines = done.stderr.splitlines()
    starts = ["device", "data", "model", "epoch", "epoch", "epoch", "test", "run", "next"]
    assert [line.split()[0] for line in lines] == starts  # and no line of TensorFlow's
    for part in ("loss", "top1", "validation", "pictures/s", "waiting for data", "left"):
        assert part in lines[3]
    assert (path / "log.txt").read_text().splitlines() == lines


@pytest.mark.pages
def test_every_verb_works_on_a_run(trained, capsys, tmp_path):
    path, _ = trained
    code, out, _ = run(capsys, "evaluate", path, "--json")
    document = json.loads(out)
    assert code == 0
    assert list(document) == ["run", "data", "split", "pictures", "metrics", "count"]
    assert (document["data"], document["split"]) == ("digits", "test")

    code, out, err = run(capsys, "evaluate", path, "--split", "validation")
    assert code == 0 and out.startswith("loss") and "validation pictures of digits" in err

    split = digits().splits["test"]
    for i in range(3):
        Image.fromarray(split.pictures[i, ..., 0]).save(tmp_path / f"{i}.png")
    code, out, _ = run(capsys, "predict", path, tmp_path / "*.png", "--json")
    answers = json.loads(out)
    assert code == 0 and len(answers) == 3
    assert list(answers[0]) == ["input", "answers"] and len(answers[0]["answers"]) == 5
    assert list(answers[0]["answers"][0]) == ["label", "probability"]

    code, out, err = run(capsys, "predict", path, tmp_path, "--output", tmp_path / "a.csv")
    assert (code, out) == (0, "") and "wrote 3 predictions" in err
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 15 and list(rows[0]) == ["input", "rank", "label", "probability"]
    assert rows[0]["label"] == answers[0]["answers"][0]["label"]
    code, _, err = run(capsys, "predict", path, tmp_path, "--output", tmp_path / "a.csv")
    assert code == 2 and "exists already" in err

    code, out, _ = run(capsys, "report", path)
    assert (code, out.strip()) == (0, str(path / "report.html"))
    code, out, _ = run(capsys, "report", path, path, "--output", tmp_path / "two.html")
    assert (code, out.strip()) == (0, str(tmp_path / "two.html"))


def test_runs_are_listed_the_newest_first(trained, capsys, monkeypatch):
    path, _ = trained
    monkeypatch.setenv("TINYCONV_RUNS", str(path.parent))
    code, out, _ = run(capsys, "runs", "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["task"] == "classify" and row["metrics"]["top1"] > 0.3
    assert run(capsys, "evaluate", path.name)[0] == 0  # a name alone will do
    monkeypatch.setenv("TINYCONV_RUNS", "nowhere")
    code, out, err = run(capsys, "runs")
    assert (code, out) == (0, "") and "tinyconv fit" in err


@pytest.mark.parametrize("kind", ["models", "datasets", "tasks"])
def test_listings(capsys, kind):
    code, out, _ = run(capsys, kind, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == registry.names(kind)
    for row in rows:
        assert len(row["summary"]) > 20 and row["distribution"] == "tinyconv" and row["version"]
        assert kind != "models" or row["parameters"] > 0
        assert row["summary"] in run(capsys, kind)[1]


def test_doctor(capsys):
    code, out, _ = run(capsys, "doctor", "--json")
    facts = json.loads(out)
    assert code == 0 and {"backend", "devices", "precision", "cores", "cache"} <= set(facts)
    assert "precision" in run(capsys, "doctor")[1]


def test_fit_help_shows_the_default_tasks_options(capsys):
    for arguments in (["fit", "--help"], ["fit", "classify", "--help"]):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        for part in (
            "--model",
            "--label-smoothing",
            "[default: convnet, or sprint with --minutes]",
            "adamw|sgd",
            "MINUTES",
        ):
            assert part in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["frobnicate"], "There is no command 'frobnicate'"),
        (["evalute", "x"], "did you mean evaluate?"),
        (["fit", "--epoch", "3"], "--epochs"),
        (["fit", "--modle", "convnet"], "--model"),
        (["fit", "--epochs", "many"], "'many' is not a valid integer"),
        (["fit", "--epochs", "0"], "epochs must be at least 1"),
        (["fit", "--model", "resnet19"], "did you mean resnet"),
        (["fit", "--data", "digit"], "did you mean digits or two-digits?"),
        (["fit", "--data", "./nowhere"], "nowhere"),
        (["fit", "--loss", "hing"], "hinge"),
        (["fit", "--data", "mnist", "--root", "nowhere"], "nowhere does not exist"),
        (["fit", "--precision", "mixed_float16"], "--force"),
        (["fit", "--resume", "nowhere"], "`tinyconv runs`"),
        (["fit", "--from", "nowhere"], "nowhere does not exist"),
        (["fit", "--freeze", "3"], "give --from too"),
        (["fit", "classify", "extra"], "extra"),
        (["evaluate", "nowhere"], "`tinyconv runs`"),
        (["evaluate"], "RUN"),
        (["predict", "."], "is not a run folder"),
        (["export", ".", "--format", "pth"], "onnx"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_users_mistakes_get_one_sentence_and_exit_2(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if not line.startswith("device")]
    assert len(lines) == 1 and lines[0].startswith("tinyconv: ")
    assert message in lines[0]
    assert not os.path.exists("runs")


def test_our_own_fault_exits_1_and_debug_shows_where(capsys, monkeypatch):
    monkeypatch.setattr(registry, "entries", lambda kind: 1 / 0)
    code, _, err = run(capsys, "models")
    assert code == 1 and "our fault (ZeroDivisionError" in err and "Traceback" not in err
    code, _, err = run(capsys, "models", "--debug")
    assert code == 1 and "Traceback" in err


def test_a_full_or_read_only_disk_is_reported(capsys, monkeypatch):
    Path("file").touch()
    monkeypatch.setenv("TINYCONV_RUNS", "file/runs")
    code, _, err = run(capsys, "fit", *OPTIONS)
    assert code == 2 and "file is a file, not a folder" in err

    monkeypatch.setenv("TINYCONV_RUNS", "runs")
    with full_disk("settings.json", after=0):
        code, _, err = run(capsys, "fit", *OPTIONS)
    assert code == 2 and ".settings.json cannot be written or read: No space left" in err


def test_predict_writes_the_courses_submission_file(capsys, tmp_path):
    root = tiny_imagenet_zip(tmp_path)
    arguments = ["--data", "tiny-imagenet", "--root", root, "--model", "linear", "--epochs", "1"]
    assert run(capsys, "fit", *arguments, "--name", "tiny")[0] == 0
    assert run(capsys, "predict", "tiny", "--test", "--output", "submission.txt")[0] == 0
    lines = Path("submission.txt").read_text().splitlines()
    assert len(lines) == 12
    assert all(re.fullmatch(r"test_\d+\.JPEG n0(1443537|1629819)", line) for line in lines)


def test_a_run_whose_files_have_moved_is_resumed_by_the_command(capsys, tmp_path):
    (tmp_path / "old").mkdir()
    root = idx_files(tmp_path / "old")
    arguments = ["--data", "mnist", "--root", root, "--model", "linear", "--epochs", "1"]
    assert run(capsys, "fit", *arguments, "--name", "moved")[0] == 0
    moved, file = root.rename(tmp_path / "new"), Path("runs/moved/settings.json")
    more, before = ["fit", "--resume", "moved", "--epochs", "2"], file.read_text()
    for wrong in (more, [*more, "--root", "nowhere"]):
        code, _, err = run(capsys, *wrong)
        assert code == 2 and "does not exist" in err and file.read_text() == before
    assert run(capsys, *more, "--root", moved)[0] == 0
    settings = json.loads(file.read_text())
    assert (settings["root"], settings["epochs"]) == (str(moved), 2)
    assert run(capsys, "evaluate", "moved")[0] == 0


HELLO = """
import click
from tinyconv.__main__ import cli, main
cli.add_command(click.Command("hello", callback=lambda: print("in the buffer")))
main()
"""


@pytest.mark.parametrize("arguments", ["models", "--help", "fit --help", "models --json", "hello"])
def test_a_reader_that_leaves_ends_the_command_silently(arguments):
    """As `tinyconv models | head -1`; `hello` flushes nothing itself."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", HELLO, *arguments.split()],
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", [["evaluate", "nowhere"], ["evaluate", "nowhere", "--debug"]])
def test_an_error_that_nobody_reads_keeps_its_exit_code(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tinyconv", *arguments]
    assert subprocess.run(command, stderr=writer).returncode == 2
    os.close(writer)


TEXTUAL = """
from tinyconv import plugins

class Reverse:
    Settings = plugins.TrainingSettings
    Evaluate = plugins.NoOptions
    Predict = plugins.TextOptions
    reads_text = True
    prepare = evaluate = pictures = None

    def predict(self, run, inputs, options):
        for text in inputs:
            yield plugins.Prediction(text, [{"word": text[::-1]}])
"""


def test_the_help_of_a_run_that_reads_text_mentions_no_pictures(capsys, monkeypatch, tmp_path):
    points = "[tinyconv.tasks]\nreverse = text_nets:Reverse\n"
    install(tmp_path / "plugin", monkeypatch, "text-nets", points=points, text_nets=TEXTUAL)
    Path("runs/text").mkdir(parents=True)
    Path("runs/text/settings.json").write_text('{"task": "reverse"}')
    for verb in ("predict", "evaluate"):
        code, out, _ = run(capsys, verb, "text", "--help")
        assert code == 0 and "picture" not in out and "--test" not in out
    _, out, _ = run(capsys, "predict", "text", "--help")
    for part in ("RUN [TEXT]...", "standard input", "Write CSV to this file."):
        assert part in " ".join(out.split())
    _, out, _ = run(capsys, "explain", "text", "--help")
    out = " ".join(out.split())
    assert "RUN|MODEL [TEXT]..." in out and "standard input" in out and "FILES" not in out
    _, out, _ = run(capsys, "predict", "--help")
    assert "RUN [FILES]..." in out and "pictures" in out and "with --test, lines" in out
    for texts, count in ((["abc"], "1 prediction to"), (["abc", "de"], "2 predictions to")):
        code, _, err = run(capsys, "predict", "text", *texts, "--output", tmp_path / f"{count}.csv")
        assert code == 0 and f"wrote {count}" in err
    code, _, err = run(capsys, "explain", "text", "abc")
    assert code == 2 and "The task reverse does not explain its runs." in err


MUTE = """
from tinyconv import plugins

class Mute:
    Settings = plugins.TrainingSettings
    Evaluate = Predict = plugins.NoOptions
    prepare = evaluate = pictures = None

    def predict(self, run, inputs, options):
        yield plugins.Prediction("a.png", [{"caption": "", "log_probability": -1.5}])
"""


def test_an_answer_without_words_is_marked(capsys, monkeypatch, tmp_path):
    points = "[tinyconv.tasks]\nmute = mute_nets:Mute\n"
    install(tmp_path / "plugin", monkeypatch, "mute-nets", points=points, mute_nets=MUTE)
    Path("runs/mute").mkdir(parents=True)
    Path("runs/mute/settings.json").write_text('{"task": "mute"}')
    _, out, _ = run(capsys, "predict", "mute", "a.png")
    assert out == "a.png: (no words) log_probability -1.5\n"


def test_colour_pictures_through_predict(capsys, tmp_path):
    """A colour or transparent scan is read as the grey picture that the network expects."""
    assert run(capsys, "fit", *OPTIONS, "--name", "grey")[0] == 0
    pixels = digits().splits["test"].pictures[0]
    colour = np.repeat(pixels, 3, axis=-1)
    (tmp_path / "scans").mkdir()
    Image.fromarray(pixels[..., 0]).save(tmp_path / "scans/grey.png")
    Image.fromarray(colour).save(tmp_path / "scans/colour.png")
    Image.fromarray(colour).convert("RGBA").save(tmp_path / "scans/alpha.png")
    _, out, _ = run(capsys, "predict", "grey", tmp_path / "scans", "--json")
    assert len(json.loads(out)) == 3
    assert len({json.dumps(answer["answers"]) for answer in json.loads(out)}) == 1


def test_the_reference_page_is_up_to_date(capsys, monkeypatch):
    monkeypatch.setenv("TINYCONV_PLUGINS", "caption,dqn,draw,glimpse,language,translate")
    code, out, _ = run(capsys, "tasks", "--reference")
    page = Path(__file__).parents[1] / "REFERENCE.md"
    assert code == 0 and page.read_text() == out
