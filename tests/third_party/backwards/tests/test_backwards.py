"""The plugin keeps its promises and learns to write backwards."""

import io
import json
import re
import sys

import pytest

import tinyconv
from tinyconv import checks
from tinyconv.__main__ import main


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYCONV_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("check", checks.of("tinyconv-backwards"), ids=str)
def test_promise(check):
    check()


def answers(capsys, *arguments) -> list:
    with pytest.raises(SystemExit) as stop:
        main(["predict", "runs/run", "--json", *arguments])
    assert not stop.value.code
    return [
        (row["input"], row["answers"][0]["word"]) for row in json.loads(capsys.readouterr().out)
    ]


def test_it_writes_backwards(tmp_path, capsys, monkeypatch):
    run = tinyconv.fit("backwards", epochs=20, name="run")
    metrics = run.evaluate()
    assert metrics["letters"] > 0.98  # 0.125 by chance
    assert answers(capsys, "abcde") == [("abcde", "edcba")]
    (tmp_path / "some.txt").write_text("abcde\nhhgfa\n")
    assert answers(capsys, "some.txt") == [("some.txt:1", "edcba"), ("some.txt:2", "afghh")]
    monkeypatch.setattr(sys, "stdin", io.StringIO("abcde\n\nbbbba\n"))
    assert answers(capsys, "-") == [("abcde", "edcba"), ("bbbba", "abbbb")]
    (tmp_path / "abcde").write_text("hhhha\n")
    assert answers(capsys, "abcde") == [("abcde:1", "ahhhh")]
    assert answers(capsys, "abcde", "--text") == [("abcde", "edcba")]
    with pytest.raises(SystemExit):
        main(["predict", "runs/run", "tinyconv"])
    assert "is 'tinyconv', and a word has 5 of the letters" in capsys.readouterr().err


def test_evaluation_counts_words(capsys):
    run = tinyconv.fit("backwards", epochs=1, limit=100, name="run")
    assert run.measure().count == 100 and run.measure().pictures is None
    with pytest.raises(SystemExit):
        main(["evaluate", "runs/run", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["pictures"] is None and document["count"] == 100


def test_words_are_not_described_as_pictures(capsys):
    run = tinyconv.fit("backwards", epochs=1, limit=100, name="run")
    assert " words/s" in capsys.readouterr().err and run.settings["data_unit"] == "words"
    with pytest.raises(SystemExit):
        main(["evaluate", "runs/run"])
    assert "on the 100 test words of words" in capsys.readouterr().err
    tinyconv.verbs.report(run)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "test words of words" in page and not re.search(
        r"\d pictures|[Vv]alidation pictures", page
    )


def test_classify_has_no_use_for_words():
    with pytest.raises(tinyconv.UserError, match="words has words, which this task cannot use"):
        tinyconv.fit("classify", data="words", model="linear")
    with pytest.raises(tinyconv.UserError, match="digits has pictures, which this task cannot use"):
        tinyconv.fit("backwards", data="digits")


@pytest.mark.parametrize(
    "words, message", [(["-"], "Standard input, which `-` reads, has no text"), ([""], "empty")]
)
def test_nothing_is_no_text(words, message, capsys, monkeypatch):
    tinyconv.fit("backwards", epochs=1, limit=64, name="run")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(SystemExit):
        main(["predict", "runs/run", *words])
    assert message in capsys.readouterr().err
