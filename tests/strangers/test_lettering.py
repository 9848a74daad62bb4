"""Names as people have them are drawn as they are: dollars, underscores, other scripts."""

import io
import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

import tinyconv
from tinyconv import results
from tinyconv.data import Split
from tinyconv.explain import overlays
from tinyconv.plugins.glimpse import figures as glimpse_figures
from tinyconv.plugins.language.sentences import figures as sentence_figures
from tinyconv.plugins.language.sentences import memory_figures
from tinyconv.report import attention, comparison, curves, figures, lettering

HOSTILE = [
    "$5 to $9",
    r"$\frac{$ x",
    "_hidden",
    "$$",
    "a\nb\tc",
    "50%",
    r"\$1",
    "x^2_3",
    "caf\udce9",
]


@pytest.fixture(autouse=True)
def strict():
    """No warning of matplotlib, and no character that an earlier test has reported."""
    lettering._reported.clear()
    lettering._fonts_for.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def drawn(text, family=None, **options):
    """The text on a white square, by this package or, with options, by matplotlib itself."""
    figure = Figure(figsize=(4, 1))
    place = figure.text(0.1, 0.4, text, fontfamily=family, **options)
    if options:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return pixels(buffer.getvalue())
    assert place.get_text() == text
    return pixels(figures.png(figure, 100))


@pytest.mark.parametrize("text", ["$5 to $9", r"$\frac{$ x", r"\$1", "$x^2$", "$$"])
def test_a_dollar_is_a_dollar(text):
    np.testing.assert_array_equal(drawn(text), drawn(text, parse_math=False))
    with matplotlib.rc_context({"text.usetex": True}):  # of the user's matplotlibrc
        np.testing.assert_array_equal(drawn(text), drawn(text, parse_math=False, usetex=False))


def test_powers_along_an_axis_stay_powers():
    def axis(draw):
        figure = Figure()
        figure.subplots().semilogx([1e-3, 1e3], [0, 1])
        return pixels(draw(figure))

    def plain(figure):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    np.testing.assert_array_equal(axis(figures.png), axis(plain))


def test_every_figure_takes_every_name():
    classes, count = HOSTILE, len(HOSTILE)
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=(30, count)), np.arange(30) % count
    pictures = random.integers(0, 255, (30, 8, 8, 3)).astype("uint8")
    split = Split(pictures, labels, HOSTILE)
    shown = [*figures.confusion(scores, labels, classes, "test")]
    shown += figures.mistakes(scores, split, classes, "test")
    words = HOSTILE[:3]
    parts = "x", pictures[0], "$a $b", words, np.ones((3, 4)), np.ones((3, 4)), (2, 2)
    shown.append(attention.strip(*parts))
    history = [{"epoch": 1, "loss": 1.0, "val_loss": 2.0, "val_$a$": 3.0}] * 2
    shown.append(curves.curves(history))
    shown.append(comparison.plot(dict.fromkeys(HOSTILE, history), "epoch", "Curves"))
    assert all(pixels(one.png).std() > 0 for one in shown if isinstance(one, results.Picture))
    assert attention.animation(pictures[0], words, np.ones((3, 4)), (2, 2)).startswith(b"GIF8")


def explained(name):
    figure = Figure()
    overlays.legend(figure, [name, "seen"], ["red", "blue"])
    figures.png(figure)


def errors(name):
    metrics = {"error_by_glimpse_1": 0.2, "error_by_glimpse_2": 0.1}
    run = SimpleNamespace(settings={"result": {"metrics": metrics}})
    list(glimpse_figures.comparison({name: run}))


def of_runs(name):
    comparison.plot({name: [{"epoch": 1, "loss": 1.0}]}, "epoch", "Curves")


def of_labels(name):
    sentence_figures.beginnings(["a", "b"], np.zeros((2, 1)), [name])


def of_stories(name):
    memory_figures.by_length({name: (np.full(20, 3), np.ones(20, bool))})


@pytest.mark.parametrize(
    "draw, others",
    [
        (explained, ["seen", "explained"]),
        (errors, []),
        (of_runs, []),
        (of_labels, []),
        (of_stories, []),
    ],
)
def test_a_legend_has_names_that_begin_with_an_underscore(draw, others, monkeypatch):
    saved, save = [], lettering.save
    monkeypatch.setattr(
        lettering, "save", lambda figure, *how: saved.append(figure) or save(figure, *how)
    )
    draw("_hidden")
    (figure,) = saved
    (entries,) = figure.legends or [axes.get_legend() for axes in figure.axes]
    assert [text.get_text() for text in entries.get_texts()] == ["_hidden", *others]


def test_missing_characters_come_from_an_installed_font(monkeypatch, capsys):
    """STIX has U+1D4D0, which matplotlib's own DejaVu Sans lacks."""
    letter = "\U0001d4d0"
    own = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    stix = font_manager.get_font(font_manager.findfont("STIXGeneral")).get_charmap()
    assert ord(letter) in stix and ord(letter) not in own
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    installed, names = font_manager.fontManager.ttflist, ("STIXGeneral", "DejaVu Sans")
    only = [entry for entry in installed if entry.name in names]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", only)
    mine = drawn(letter)
    np.testing.assert_array_equal(mine, drawn(letter, "STIXGeneral", parse_math=False))
    assert "no installed font" not in capsys.readouterr().err


def test_characters_that_no_font_has_are_reported_once(monkeypatch, capsys):
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    only = [one for one in font_manager.fontManager.ttflist if one.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", only)
    for _ in range(2):
        drawn("\u6f22\u5b57 cats")
    (line,) = capsys.readouterr().err.splitlines()
    assert "no installed font has \u5b57 \u6f22" in line and "\u6f22\u5b57 cats" in line


def test_invisible_characters_leave_no_box():
    assert lettering.plain("a\u200db\ufe0f\ufeff\tc\nd\udce9") == r"ab\ufeff\tc\nd" + "\ufffd"
    assert lettering.plain("\u200d") == "\ufffd"


@pytest.mark.pages
def test_a_run_with_two_dollars_in_a_class_has_a_report(tmp_path):
    for name, level in (("$5 to $9", 20), ("_b_", 230)):
        (tmp_path / "prices" / name).mkdir(parents=True)
        for i in range(10):
            grey = np.full((8, 8), level + i, "uint8")
            Image.fromarray(grey).save(tmp_path / "prices" / name / f"{i}.png")
    run = tinyconv.fit(data=str(tmp_path / "prices"), model="linear", epochs=1)
    report = (run.path / "report.html").read_text()
    assert "$5 to $9" in report
    assert (run.path / "pictures" / "confusion.png").is_file()
