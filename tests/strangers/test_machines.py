"""Machines as they are: no home folder, closed streams, names that are no UTF-8, a full cache."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.quick import QUICK
from tinyconv.data import cache_content
from tinyconv.errors import UserError
from tinyconv.plugins.caption import caption_files
from tinyconv.system import console, files


def shell(line: str, **environment) -> subprocess.CompletedProcess:
    """Run a line of bash with TINYCONV as a function that runs the command."""
    line = f'tinyconv() {{ "{sys.executable}" -m tinyconv "$@"; }}; {line}'
    variables = {name: value for name, value in environment.items() if value is not None}
    missing = [name for name, value in environment.items() if value is None]
    inherited = {name: value for name, value in os.environ.items() if name not in missing}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=inherited | variables
    )


# Streams ----------------------------------------------------------------------------------


def test_closed_streams_end_nothing():
    done = shell("tinyconv fit --model linear --epochs 1 --name blind --json <&- >&- 2>&-")
    assert done.returncode == 0
    log = Path("runs/blind/log.txt").read_text()
    assert "epoch 1/1" in log and Path("runs/blind/best.keras").is_file()
    done = shell("tinyconv runs --json 2>&-")
    assert done.returncode == 0 and json.loads(done.stdout)[0]["run"] == "runs/blind"


@pytest.mark.parametrize(
    "line, code",
    [
        ("tinyconv models >&-", 0),
        ("tinyconv models 2>/dev/full", 0),
        ("tinyconv nothing 2>&-", 2),
        ("tinyconv nothing 2>/dev/full", 2),
        ("tinyconv models > /dev/full", 2),
        ("tinyconv models | true; exit ${PIPESTATUS[0]}", 141),
        ("tinyconv fit --help | true; exit ${PIPESTATUS[0]}", 141),
    ],
)
def test_exit_codes_of_closed_and_full_streams(line, code):
    done = shell(line)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and "fault" not in done.stderr


def test_a_descriptor_that_was_closed_is_not_that_of_the_next_file(tmp_path):
    program = (
        "import os, sys; from tinyconv.system import console; console.open_streams();"
        f"file = open({str(tmp_path / 'file')!r}, 'w'); print('lost'); os.write(2, b'lost');"
        "sys.exit(file.fileno() > 2 and sys.stderr is not None)"
    )
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{program}" >&- 2>&-'], capture_output=True
    )
    assert done.returncode == 1 and (tmp_path / "file").read_text() == ""


def test_lines_without_a_standard_error_reach_the_log(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    with console.run_log() as log:
        console.print_line("one")
    assert log.lines == ["one"] and not console.is_terminal()
    assert capsys.readouterr().out == ""


# Homes ------------------------------------------------------------------------------------


NOBODY = 12345  # a user whom no file belongs to, and who is in no list of users
VERBS = """
import sys
from tinyconv.__main__ import main
for line in sys.stdin:
    try:
        main(line.split())
    except SystemExit as stop:
        assert not stop.code, line
"""


def as_nobody() -> list[str]:
    """The beginning of a command that has no rights but to read, where root runs the tests.

    Python may lie in root's home, which is why reading stays allowed.
    """
    if os.getuid():
        return []
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for words in ([*user, *reading], user):
        if (
            not shutil.which("setpriv")
            or subprocess.run([*words, sys.executable, "-c", ""], capture_output=True).returncode
        ):
            continue
        return words
    pytest.skip("root runs the tests, and setpriv cannot start Python as another user")


@pytest.mark.parametrize("home", [None, "/nonexistent"], ids=["unset", "missing"])
def test_a_user_without_a_home(tmp_path, home):
    """Another user than root, where root runs the tests: root can write anywhere."""
    prefix = as_nobody()
    user = NOBODY if prefix else os.getuid()
    folders = work, temporary = [tmp_path / "work", tmp_path / "tmp"]
    for folder in folders:
        folder.mkdir()
        os.chown(folder, user, -1)
    for parent in tmp_path.parents:  # pytest and its workers make them for their own user alone
        if parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o711)
    tmp_path.chmod(0o711)
    missing = ("HOME", "TINYCONV_CACHE", "TINYCONV_RUNS", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    variables = {name: os.environ[name] for name in os.environ if name not in missing}
    variables |= {"TMPDIR": str(temporary)} | ({"HOME": home} if home else {})
    lines = [
        "fit --model linear --epochs 1 --name homeless",
        "evaluate homeless",
        "predict homeless runs/homeless/pictures/confusion.png --resize",
        "report homeless",
    ]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", VERBS],
        cwd=work,
        env=variables,
        input="\n".join(lines),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cache = temporary / f"tinyconv-{user}"
    first, *others = done.stderr.splitlines()
    assert first == (
        f"cache      {cache}, because there is no home folder to write into; name another one in "
        "TINYCONV_CACHE"
    )
    assert [line for line in others if "atplotlib" in line or "cache      " in line] == []
    assert cache.stat().st_mode & 0o777 == 0o700 and cache.stat().st_uid == user
    assert any(cache.glob("digits-*")) and (work / "runs/homeless/report.html").is_file()
    assert [path.name for path in work.iterdir()] == ["runs"]  # TensorFlow would make one named ~


def test_a_cache_that_others_can_write_is_refused(tmp_path, monkeypatch):
    for name in ("TINYCONV_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null/none")
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"tinyconv-{os.getuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(UserError, match="another user can write into .* TINYCONV_CACHE"):
        files.cache_root()
    folder.chmod(0o700)
    assert files.cache_root() == folder
    monkeypatch.setenv("HOME", str(tmp_path))  # a home, of which nothing exists yet
    assert files.cache_root() == tmp_path / ".cache/tinyconv"


@pytest.mark.pages
def test_a_tilde_is_the_home_folder_in_options_and_variables(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("TINYCONV_RUNS", "~/of/runs")
    monkeypatch.setenv("TINYCONV_CACHE", "~/cache")
    run = tinyconv.fit(**QUICK, name="first")
    assert run.path == tmp_path / "home/of/runs/first" and (tmp_path / "home/cache").is_dir()
    assert command(capsys, "fit", "--from=~/of/runs/first", "--limit=50", "--epochs=1")[0] == 0
    assert command(capsys, "export", "~/of/runs/first", "--output=~/net.keras")[0] == 0
    assert command(capsys, "lr-find", "--model=linear", "--output=~/new/a.png")[0] == 0
    assert command(capsys, "report", "first", "first", "--output=~/two/runs.html")[0] == 0
    for name in ("net.keras", "new/a.png", "two/runs.html"):
        assert (tmp_path / "home" / name).is_file(), name
    code, _, err = command(capsys, "evaluate", "first", "--data=mnist", "--root=~/absent")
    assert code == 2 and f"--root {tmp_path / 'home/absent'} does not exist" in err
    code, _, err = command(capsys, "predict", "first", "~nobody-of-that-name/x.png")
    assert code == 2 and "There is no picture at ~nobody-of-that-name/x.png" in err


# Names ------------------------------------------------------------------------------------

LATIN1 = b"caf\xe9"  # is no UTF-8
NAMES = (LATIN1, "猫 é".encode(), b"=1+1")


@pytest.fixture
def pictures(tmp_path):
    """A folder of three classes whose names and files come from other systems."""
    random = np.random.default_rng(0)
    for name in NAMES:
        folder = Path(os.fsdecode(os.fsencode(tmp_path / "odd") + b"/" + name))
        folder.mkdir(parents=True)
        for i in range(5):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / os.fsdecode(b"na\xefve%d.png" % i))
    return tmp_path / "odd"


def test_names_of_other_encodings_from_fit_to_csv(pictures, tmp_path, capsys):
    code, out, err = command(
        capsys, "fit", "--data", pictures, "--model=linear", "--epochs=1", "--name=odd", "--json"
    )
    assert code == 0 and json.loads(out)["run"] == "runs/odd", err
    classes = tinyconv.load("odd").settings["classes"]
    assert {os.fsencode(name) for name in classes} == set(NAMES)
    assert command(capsys, "evaluate", "odd", "--data", pictures)[0] == 0
    code, _, err = command(capsys, "predict", "odd", pictures, "--output", tmp_path / "new/a.csv")
    assert code == 0, err
    text = (tmp_path / "new/a.csv").read_bytes().decode("utf-8-sig")
    assert (tmp_path / "new/a.csv").read_bytes()[:3] == b"\xef\xbb\xbf"  # Excel: UTF-8
    header, *rows = csv.reader(text.splitlines())
    assert header == ["input", "rank", "label", "probability"] and len(rows) == 3 * 15
    assert {row[2] for row in rows} == {"caf\\udce9", "猫 é", "'=1+1"}
    assert all(0 <= float(row[3]) <= 1 for row in rows)


def test_a_result_file_is_whole_or_not_there(pictures, tmp_path, capsys, monkeypatch):
    tinyconv.fit(data=str(pictures), model="linear", epochs=1, name="odd")

    def full(path, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", lambda path: full(path, b""))
        code, _, err = command(capsys, "predict", "odd", pictures, "--output", tmp_path / "a.csv")
    assert code == 2 and "No space left" in err
    assert not (tmp_path / "a.csv").exists() and not [*tmp_path.glob(".a*")]
    assert command(capsys, "predict", "odd", pictures, "--output", tmp_path / "a.csv")[0] == 0


def test_a_held_out_folder_of_another_system_has_the_same_classes(tmp_path):
    """macOS writes é as e and an accent: the same name in other characters."""
    random = np.random.default_rng(0)
    for root, count, names in (("linux", 10, ["caf\xe9", "b"]), ("mac", 4, ["cafe\u0301", "b"])):
        for name, level in zip(names, (200, 50), strict=True):
            (tmp_path / root / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.normal(level, 20, (8, 8)).clip(0, 255).astype("uint8")
                Image.fromarray(pixels).save(tmp_path / root / name / f"{i}.png")
    run = tinyconv.fit(data=str(tmp_path / "linux"), model="linear", epochs=20, no_coach=True)
    measured = run.measure(data=str(tmp_path / "mac"))
    assert (measured.count, measured.metrics["top1"]) == (8, 1.0)


# The cache --------------------------------------------------------------------------------


def test_the_cache_is_listed_and_cleared(capsys, tmp_path):
    tinyconv.fit(**QUICK, name="first")
    cache = files.cache_root()
    (cache / "mine").mkdir()  # of somebody who named a folder with other things in it
    (cache / "mine/diary.txt").write_text("keep")
    (cache / "downloads").mkdir()
    (cache / "downloads/12345678-big.zip").write_bytes(bytes(2_500_000))
    os.utime(cache / "downloads/12345678-big.zip", (0, 0))
    os.utime(cache / "downloads", (0, 0))
    code, out, err = command(capsys, "datasets", "--cached", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    expected = sum(file.stat().st_size for file in cache.glob("digits-*/*"))
    assert code == 0 and rows["digits"]["bytes"] == expected and "mine" not in rows
    assert rows["downloads"]["bytes"] == 2_500_000
    assert cache_content.summary().startswith("2.6 MB; the oldest entry, downloads, was written")
    code, out, err = command(capsys, "datasets", "--cached")
    assert "2.5 MB" in out and "days ago" in out and str(cache) in err
    code, _, err = command(capsys, "datasets", "--clear", "digit")
    assert code == 2 and "The cache holds no 'digit'; did you mean digits?" in err
    code, _, err = command(capsys, "datasets", "--clear", "digits")
    assert code == 0 and "deleted" in err and not [*cache.glob("digits-*")]
    assert command(capsys, "datasets", "--clear", "all")[0] == 0
    assert [path.name for path in cache.iterdir()] == ["mine"]
    assert (cache / "mine/diary.txt").read_text() == "keep"
    assert cache_content.summary() == "empty"
    assert command(capsys, "evaluate", "first")[0] == 0  # digits are decoded again


@pytest.mark.parametrize(
    "size, words", [(0, "0 bytes"), (999, "999 bytes"), (1300, "1.3 kB"), (2.5e9, "2.5 GB")]
)
def test_bytes_in_words(size, words):
    assert cache_content.in_words(size) == words


# Captions in CSV --------------------------------------------------------------------------

CAPTIONS = {"a.png": ["A dog, brown.", "It runs."], "b.png": ["A cat."]}


@pytest.mark.parametrize(
    "text",
    [
        'file,caption\na.png,"A dog, brown."\na.png,It runs.\nb.png,A cat.\n',
        '\ufeffid;image;caption\r\n1;a.png;"A dog, brown."\r\n2;a.png;It runs.\r\n'
        "3;b.png;A cat.\r\n",
        'image,caption1,caption2,likes\na.png,"A dog,\nbrown.",It runs.,5\nb.png,A cat.,,7\n',
        'a.png,"A dog, brown."\na.png,It runs.\nb.png,A cat.\n',
        "image_name| comment_number| comment\na.png| 0| A dog, brown.\na.png| 1| It runs.\n"
        "b.png| 0| A cat.\n",
    ],
)
def test_captions_in_csv(tmp_path, text):
    (tmp_path / "captions.csv").write_text(text, encoding="utf-8", newline="")
    assert caption_files.columns(tmp_path / "captions.csv") == CAPTIONS


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,label\na.png,dog\n", "needs the columns file and caption; its first line has file"),
        ("file,caption\na.png,\n", "line 2 has no caption"),
        ("file,caption\n,A dog.\n", "line 2 has no picture"),
    ],
)
def test_captions_in_csv_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "captions.csv").write_text(text)
    with pytest.raises(UserError, match=f"captions.csv.* {message}"):
        caption_files.columns(tmp_path / "captions.csv")


# The end of a training --------------------------------------------------------------------


def test_one_end_of_a_training(capsys):
    code, _, err = command(capsys, "fit", "--model=linear", "--epochs=2", "--minutes=0.05")
    assert code == 2 and err.count("\n") == 1 and "leave out --epochs or --minutes" in err
    run = tinyconv.fit(model="linear", minutes=0.05, limit=64, name="timed")
    done = len(run.history)
    code, _, err = command(capsys, "fit", "--resume=timed", f"--epochs={done + 2}")
    assert code == 0, err
    run = tinyconv.load("timed")
    assert len(run.history) == done + 2 and run.settings["minutes"] is None


def test_a_stretched_schedule_is_reported_once(capsys):
    """One-cycle over 4 epochs ends at 0; half of 8 epochs is 2/3 of the peak rate of AdamW."""
    tinyconv.fit(**QUICK | {"epochs": 4}, name="short")
    assert "\nschedule " not in capsys.readouterr().err
    code, _, err = command(capsys, "fit", "--resume=short", "--epochs=8")
    (line,) = [line for line in err.splitlines() if line.startswith("schedule")]
    assert line == (
        "schedule   one-cycle now spans 8 epochs: the learning rate continues at 0.0013, and was 0"
    )
