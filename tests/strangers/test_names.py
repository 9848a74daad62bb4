"""Names as people have them: controls are printed visibly, accents in one character or in two."""

import csv
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.command import run as command
from tinyconv.data import division
from tinyconv.data.folder import folder
from tinyconv.data.image_files import expand
from tinyconv.data.text import inputs
from tinyconv.plugins.caption.photos import caption_folder, flickr8k
from tinyconv.settings import build
from tinyconv.system import console, progress

# Folders' names, and what a terminal may show for them.
HOSTILE = {
    "\x1b[31mred": r"\x1b[31mred",
    "bell\x07": r"bell\x07",
    "two\nlines\tand a tab": r"two\nlines\tand a tab",
    "gpj.\u202eexe": r"gpj.\u202eexe",
}
CONTROLS = {chr(code) for code in (*range(32), *range(127, 160), 0x202E)} - {"\n", "\r"}
NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def save(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(level).integers(0, 30, (8, 8))
    Image.fromarray((noise + level).astype("uint8")).save(path)


def fill(root: Path, classes, count: int = 10) -> Path:
    for label, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i}.png", 50 * label + i)
    return root


@pytest.mark.pages
def test_controls_in_names_are_printed_visibly(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "LINE_EVERY", 0)
    fill(Path("odd"), HOSTILE)
    verbs = {
        "fit": ["--data", "odd", "--model", "linear", "--epochs", "1", "--name", "odd"],
        "predict": ["odd", *(f"odd/{name}" for name in HOSTILE)],
        "evaluate": ["odd", "--data", "odd"],
        "explain": ["odd", "odd/bell\x07/1.png", "--class", "bell\a", "--method", "saliency"],
        "report": ["odd"],
    }
    printed = ""
    for verb, words in verbs.items():
        code, out, err = command(capsys, verb, *words)
        assert code == 0, err
        assert not CONTROLS & set(out + err), verb
        printed += out + err
    assert all(shown in printed for shown in HOSTILE.values())
    for path in ("report.html", "log.txt"):
        text = Path("runs/odd", path).read_text(encoding="utf-8")
        assert not CONTROLS & set(text), path
    assert r"\x1b[31mred" in Path("runs/odd/report.html").read_text(encoding="utf-8")
    code, _, err = command(capsys, "evaluate", "runs/\x1b[31mgone")
    assert code == 2 and r"runs/\x1b[31mgone does not exist" in err
    code, _, err = command(capsys, "evaluate", "runs/\x1b[31mgone", "--debug")
    assert code == 2 and "Traceback" in err and not CONTROLS & set(err)


def test_json_is_exact_and_csv_has_one_line_per_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(Path("odd"), HOSTILE)
    tinyconv.fit(data="odd", model="linear", epochs=1, no_coach=True, name="odd")
    code, out, _ = command(capsys, "predict", "odd", "odd", "--json")
    assert code == 0 and not CONTROLS & set(out)
    answers = json.loads(out)
    assert {each["label"] for each in answers[0]["answers"]} == set(HOSTILE)
    assert {Path(each["input"]).parent.name for each in answers} == set(HOSTILE)
    code, _, _ = command(capsys, "predict", "odd", "odd", "--output", "answers.csv")
    text = Path("answers.csv").read_text(encoding="utf-8-sig")
    assert code == 0 and not CONTROLS & set(text)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(text.splitlines()) - 1 == 40 * 4
    assert {row["label"] for row in rows} == set(HOSTILE.values())


@pytest.mark.parametrize(
    "name, shown",
    [
        *HOSTILE.items(),
        ("\x9b31m", r"\x9b31m"),  # the control that begins an escape in one character
        ("a\u200bb\ufeff\u2028", r"a\u200bb\ufeff\u2028"),
        ("日本\u3000語 é ✓ 👩\u200d🔬 می\u200cخواهم", "日本\u3000語 é ✓ 👩\u200d🔬 می\u200cخواهم"),
    ],
)
def test_what_is_visible(name, shown):
    assert console.visible(name) == shown


def test_a_bar_takes_brackets_for_text(monkeypatch, capsys):
    """rich reads [/b] as the end of a style, and raises an error without a beginning."""
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    with progress.bar("reading cats [/b] \x1b[31m", 2, "pictures") as bar:
        bar.advance(note="[/i]")
        (task,) = bar.live.tasks
        assert task.description == r"reading cats [/b] \x1b[31m"


# Accents -----------------------------------------------------------------------------------


def test_the_two_forms_differ():
    assert NFC != NFD and len(NFD) == len(NFC) + 1


@pytest.mark.parametrize("disk, typed", [(NFC, NFD), (NFD, NFC)], ids=["NFC", "NFD"])
def test_names_with_accents_match_in_either_form(tmp_path, monkeypatch, capsys, disk, typed):
    """A table, arguments, options, a division and a held-out folder, in the other form."""
    monkeypatch.chdir(tmp_path)
    fill(Path(f"train-{disk}"), [disk, "tea"])
    data = folder(fill(Path("split") / "train", [disk, "tea"]).parent)
    assert data.classes == (disk, "tea")
    fill(Path("split/test"), [typed, "tea"], 3)
    assert np.bincount(folder(Path("split")).splits["test"].labels).tolist() == [3, 3]
    rows = "\n".join(f"{typed}/{i}.png,{(typed, disk)[i % 2]}\ntea/{i}.png,tea" for i in range(10))
    Path("labels.csv").write_text(f"file,label\n{rows}\n", encoding="utf-8")
    table = folder(Path(f"train-{disk}"), labels=Path("labels.csv"))
    assert table.classes == (NFC, "tea") and not table.notes
    run = tinyconv.fit(data=f"train-{typed}", model="linear", epochs=1, no_coach=True, name=disk)
    assert run.settings["data"].endswith(f"train-{disk}")
    for words in ([f"train-{typed}/{typed}"], [f"train-{typed}/{typed}/*.png"]):
        assert [Path(file).parent.name for file in expand(words)] == [disk] * 10
    assert inputs([f"train-{typed}"], as_text=False) == [f"train-{disk}"]
    code, out, err = command(capsys, "predict", typed, f"train-{typed}/{typed}/3.png")
    assert code == 0 and len(out.splitlines()) == 1, err
    code, _, err = command(capsys, "fit", "--resume", f"runs/{typed}", "--epochs", "2")
    assert code == 0, err
    options = build(type(run.options), {"root": f"train-{typed}"})
    assert options.root == Path(f"train-{disk}")


def test_a_division_holds_where_names_are_composed_in_another_way(tmp_path, monkeypatch, capsys):
    """A run of macOS, whose folder is copied to Linux as tar or rsync may do it."""
    monkeypatch.chdir(tmp_path)
    letters = [unicodedata.normalize("NFD", letter) for letter in "àáâãäåèéêëìíîïòóôõö"]
    for place, form in (("mac", "NFD"), ("linux", "NFC")):
        for label, name in enumerate("ab"):
            for i, letter in enumerate(letters):
                letter = unicodedata.normalize(form, letter)
                save(Path(place, "pets", name, f"{letter}.png"), 60 * label + i)
    run = tinyconv.fit(data="mac/pets", model="linear", epochs=1, no_coach=True, name="pets")
    splits = [folder(Path(place, "pets")).splits for place in ("mac", "linux")]
    for name in ("train", "validation"):
        mac, linux = ([unicodedata.normalize("NFC", n) for n in s[name].names] for s in splits)
        assert mac == linux
    other = {
        path: {"train": "validation"}.get(s, "train") for path, s in division.read(run.path).items()
    }
    again = folder(Path("linux/pets"), division=other).splits
    assert list(again["train"].names) == list(splits[1]["validation"].names)
    Path("mac/pets").rename("mac/gone")
    Path("linux/pets").rename("mac/pets")
    capsys.readouterr()
    tinyconv.load(run.path).measure(split="validation")
    assert len(tinyconv.resume(run.path, epochs=2).history) == 2
    assert "changed" not in capsys.readouterr().err


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("disk, written", [(NFC, NFD), (NFD, NFC)], ids=["NFC", "NFD"])
def test_lists_of_captions_match_in_either_form(tmp_path, disk, written, packed):
    for i in range(12):
        save(tmp_path / "own" / f"{disk}{i}.png", i)
        save(tmp_path / "flickr/Images" / f"{disk}{i}.jpg", i)
    lines = "".join(f"{written}{i}.png\ta cup {i}\n" for i in range(12))
    (tmp_path / "own/captions.tsv").write_text(lines, encoding="utf-8")
    dataset = caption_folder(packed_in(tmp_path / "own", packed), image_size=8)
    assert sum(map(len, dataset.splits.values())) == 12 and not dataset.skipped
    tokens = "".join(f"{written}{i}.jpg#0\ta cup {i}\n" for i in range(12))
    (tmp_path / "flickr/Flickr8k.token.txt").write_text(tokens, encoding="utf-8")
    for split, numbers in (("train", range(8)), ("dev", (8, 9)), ("test", (10, 11))):
        names = "".join(f"{disk}{i}.jpg\n" for i in numbers)
        (tmp_path / f"flickr/Flickr_8k.{split}Images.txt").write_text(names, encoding="utf-8")
    splits = flickr8k(packed_in(tmp_path / "flickr", packed), image_size=8).splits
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 8,
        "validation": 2,
        "test": 2,
    }
    assert splits["test"].targets[0]["captions"] == ["a cup 10"]


def packed_in(folder: Path, packed: bool) -> Path:
    """The folder, or a zip of it."""
    return Path(shutil.make_archive(str(folder), "zip", folder)) if packed else folder
