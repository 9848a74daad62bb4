"""The report: the content of the page, and how a real browser shows it."""

import base64
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from tests.helpers.browser import CHROMIUM, Browser
from tinyconv import report, verbs
from tinyconv.errors import UserError
from tinyconv.report import comparison, curves, figures
from tinyconv.results import Picture

pytestmark = pytest.mark.pages
ODD = "<script>alert(1)</script> {{ 7 * 7 }} \"x' onload='y"
HISTORY = [
    {"epoch": i, "seconds": 2.0 * i, "learning_rate": 0.1, "loss": 1 / i, "top1": 0.5}
    | {"val_loss": 1 / i, "val_top1": 1 - 0.5 / i}
    for i in range(1, 251)
]
ADVICE = {"rule": "dead", "epoch": 3, "sentence": f"Half is dead {ODD}.", "lesson": 3}


def fake_run(folder, name="run", history=HISTORY, **settings):
    """The parts of a run that the report uses: figures, settings and history."""
    (folder / name).mkdir(parents=True)
    result = {"metrics": {"loss": 0.5, "top1": 0.9}, "data": "digits", "split": "test"}
    facts = {
        "task": "classify",
        "model": "convnet",
        "epochs": len(history),
        "result": result | {"pictures": 359, "seconds": 12.3},
        "versions": {"python": "3.11"},
        "machine": {"cores": 2},
        "command_line": ["tinyconv", "fit"],
        "data_sha256": "ab" * 32,
        "created": "2026-11-25T10:00:00+00:00",
    }
    scores = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    split = SimpleNamespace(pictures=np.zeros((40, 8, 8, 1), "uint8"), labels=np.arange(40) % 3)
    classes = (ODD, "dog", "horse")

    def draw():
        yield curves.curves(history)
        yield from figures.confusion(scores, split.labels, classes, "test")
        yield from figures.mistakes(scores, split, classes, "test")

    return SimpleNamespace(
        path=folder / name,
        settings=facts | settings,
        history=history,
        task=None,
        pictures=lambda: list(draw()),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a run with all content, and class names with HTML's special characters."""
    settings = {
        "coach": [ADVICE],
        "plugins": {"models": {"name": "convnet", "distribution": "mine", "version": "1.0"}},
        "root": "/a" * 200,
    }
    return report.write_report(fake_run(tmp_path_factory.mktemp("page"), **settings))


class Tags(HTMLParser):
    """The tags of a page with their attributes, in order."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, tag) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


# One run ----------------------------------------------------------------------------------


def test_every_picture_says_what_it_shows_and_how_it_is_read(page):
    tags, figure_files = Tags(page), sorted((page.parent / "pictures").glob("*.png"))
    assert len(tags.all("img")) == len(figure_files) == 4
    text = page.read_text()
    for image in tags.all("img"):
        assert len(image["alt"]) > 30 and image["src"].startswith("data:image/png;base64,")
    assert "At the end: loss 0.004 in training and 0.004 in validation" in text
    assert "Validation data are never trained on." in text
    assert len(text) < 5e6


def test_names_are_escaped(page):
    text = page.read_text()
    assert html.escape(ODD, quote=False)[:30] in html.unescape(text).replace(ODD, html.escape(ODD))
    assert not Tags(page).all("script")
    assert not any("onload" in attributes for _, attributes in Tags(page).tags)


def test_settings_advice_and_numbers_are_on_the_page(page):
    page_text = html.unescape(page.read_text())
    for text in (
        "Half is dead",
        "tinyconv lesson 3",
        "359",
        "models convnet (mine 1.0)",
        "tinyconv fit",
    ):
        assert text in page_text
    rows = re.findall(r'<th scope="row">(\d+)</th><td>', page_text)
    assert len(rows) <= report.EPOCHS and rows[-1] == "250"  # of so many, the last one too


def embedded(picture):
    """(kind, bytes) of a Picture on the page."""
    kind, content = re.fullmatch("data:image/(.*);base64,(.*)", report.as_data(picture)).groups()
    return kind, base64.b64decode(content)


def test_photographs_are_small_on_the_page_and_look_the_same():
    """A large PNG of a photograph is embedded as WebP; a plot, and what is small, as it is."""
    noise = np.random.default_rng(0).normal(128, 60, (40, 60, 3))
    colours = Image.fromarray(np.clip(noise, 0, 255).astype("uint8")).resize((900, 600))
    buffer = io.BytesIO()
    colours.save(buffer, "PNG")
    photo = Picture("photo", "A photo", "Look at it.", buffer.getvalue())
    kind, content = embedded(photo)
    assert kind == "webp" and len(content) < len(photo.png) / 5
    error = np.asarray(Image.open(io.BytesIO(content)), float) - np.asarray(colours)
    assert np.sqrt(np.square(error).mean()) < 4  # of 255
    assert embedded(replace(photo, plot=True)) == ("png", photo.png)
    small = io.BytesIO()
    colours.resize((60, 40)).save(small, "PNG")
    assert embedded(replace(photo, png=small.getvalue())) == ("png", small.getvalue())


def test_a_plugins_picture_without_alt_is_shown(tmp_path):
    figure = figures.grid(np.zeros((1, 8, 8, 1), "uint8"), None)
    run = fake_run(tmp_path)
    run.pictures = lambda: [Picture("mine", "My title", "Read so.", figures.png(figure))]
    (image,) = Tags(report.write_report(run)).all("img")
    assert image["alt"] == "My title" and "class" not in image


# Several runs -----------------------------------------------------------------------------


def test_differing_settings_come_first(tmp_path):
    runs = [fake_run(tmp_path, name, learning_rate=rate) for name, rate in (("a", 0.1), ("b", 0.2))]
    differ, same = comparison.settings(["a", "b"], runs)
    assert differ.rows == [("learning_rate", "0.1", "0.2")]
    assert ("model", "convnet") in same.rows
    numbers = {row[0]: row[1:] for row in comparison.numbers(["a", "b"], runs).rows}
    assert numbers["top1"] == ("0.9000", "0.9000")
    assert numbers["evaluated on"] == ("359 test pictures of digits",) * 2
    (read,) = comparison.cautions(["a", "b"], runs)
    assert read.startswith("Loss is")


def test_what_cannot_be_compared_is_reported(tmp_path):
    base = fake_run(tmp_path, "base")
    result = base.settings["result"]
    others = {
        "different data (359 test pictures of digits; 359 test pictures of other)": {
            "result": result | {"data": "other"}
        },
        "different tasks (classify, caption)": {"task": "caption"},
        "trained on different data": {"data_sha256": "cd" * 32},
        "other has no result": {"result": None},
    }
    for sentence, settings in others.items():
        other = fake_run(tmp_path / f"{len(list(tmp_path.iterdir()))}", "other", **settings)
        page = comparison.write_comparison([base, other], tmp_path / "page.html")
        assert sentence in page.read_text(), sentence
        drawn = len(Tags(page).all("img"))
        assert drawn == (0 if "task" in settings else 2)


def test_curves_are_drawn_of_every_run(monkeypatch, tmp_path):
    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: drawn.append((a, k)) or plot(*a, **k))
    shorter = fake_run(tmp_path, "b", [row | {"val_top1": 0.25} for row in HISTORY[:3]])
    by_epoch, by_time = comparison.curves(["a", "b"], [fake_run(tmp_path, "a"), shorter])
    lines = [arguments[1:4] for arguments, _ in drawn]
    assert ([1, 2, 3], [0.25] * 3, "-") in lines and ([2.0, 4.0, 6.0], [0.25] * 3, "-") in lines
    assert len(lines) == 2 * 2 * 2 * 2  # pictures, runs, numbers, training and validation
    assert "b top1 0.25" in by_epoch.alt and by_time.name == "by-seconds"


def test_runs_with_the_same_name_are_distinguished(tmp_path):
    runs = [SimpleNamespace(path=Path(path)) for path in ("x/run", "y/run", "y/other")]
    assert comparison.distinct_names(runs) == ["x/run", "y/run", "other"]


def test_no_page_is_replaced(tmp_path):
    runs = [fake_run(tmp_path, "a"), fake_run(tmp_path, "b")]
    assert [str(verbs.report(*runs)) for _ in range(2)] == ["comparison.html", "comparison-2.html"]
    with pytest.raises(UserError, match="exists already"):
        verbs.report(*runs, output=Path("comparison.html"))
    with pytest.raises(UserError, match="is written into its folder"):
        verbs.report(runs[0], output=Path("page.html"))


# In a browser -----------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280], ids=["phone", "desktop"])
def test_a_browser_shows_it_without_requests(page, browser, width, dark):
    browser.open(page, width, 800, dark)
    assert browser.evaluate("document.images.length") == 4
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 100)")
    assert (
        browser.evaluate("document.documentElement.scrollWidth") <= width
    )  # no horizontal scrolling
    with Image.open(io.BytesIO(browser.screenshot())) as shot:
        brightness = np.asarray(shot.convert("L")).mean()
    assert brightness < 110 if dark else brightness > 145
    assert not browser.complaints and not browser.requests


@needs_chromium
def test_sections_fold_and_pictures_enlarge(page, browser):
    browser.open(page, 360, 800)
    wide = "document.querySelector('img').getBoundingClientRect().width"
    small = browser.evaluate(wide)
    browser.click("img")
    assert browser.evaluate("document.querySelectorAll('figure:popover-open').length") == 1
    assert browser.evaluate(wide) > 2 * small
    browser.click("img")
    assert browser.evaluate(wide) == small
    assert browser.evaluate("document.querySelector('details').open")
    browser.click("summary")
    assert not browser.evaluate("document.querySelector('details').open")
    assert not browser.complaints and not browser.requests


@needs_chromium
def test_requests_and_console_errors_are_noticed(browser, tmp_path):
    """The two tests above can fail."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/a.png'><script>console.error('no')</script>")
    browser.open(bad)
    assert browser.requests == ["http://127.0.0.1:9/a.png"] and browser.complaints
