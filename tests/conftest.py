"""What every test shares: quiet Keras, folders of its own, and no warnings."""

import ctypes
import gc
import importlib.util
import os

import pytest

import tinyconv
from tinyconv import runs, verbs
from tinyconv.plugins.caption import scenes
from tinyconv.results import Evaluation
from tinyconv.system import hardware
from tinyconv.system.start_keras import start

# TensorFlow reads it when tf.keras is first used, which for tf-agents has to be Keras 2.
if importlib.util.find_spec("tf_keras"):
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
start()
from tinyconv import training  # noqa: E402  Keras is loaded silently first
from tinyconv.report import figures  # noqa: E402

SCENES = {"train": 640, "validation": 96, "test": 96}  # drawn, of 13,500, which take nine seconds


def settle(patch, pages: bool) -> None:
    """Have runs compute in float32, and end without their report unless `pages` is true.

    Where bfloat16 is fast they would take it, whose sums vary with threads; a report takes a
    second or two.
    """
    patch.setattr(hardware, "cpu_flags", frozenset)
    if not pages:
        patch.setattr(verbs, "report", lambda run: None)


@pytest.fixture(autouse=True)
def settled(request, monkeypatch):
    """As above, with reports for the mark `pages`."""
    settle(monkeypatch, request.node.get_closest_marker("pages") is not None)


@pytest.fixture(autouse=True)
def memory_given_back():
    """Have glibc give freed memory back after each test: it holds most of it, for a gigabyte."""
    yield
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(autouse=True, scope="module")
def networks_collected():
    """Have networks go that refer to themselves."""
    yield
    gc.collect()


def draw_few(patch):
    """Have the data set shapes draw few scenes."""
    patch.setattr(scenes, "COUNTS", SCENES)


@pytest.fixture
def few_scenes(monkeypatch):
    """As above, in a test."""
    draw_few(monkeypatch)


@pytest.fixture
def no_measurement(monkeypatch):
    """Have fits end without the measurement on the test pictures."""
    monkeypatch.setattr(runs.Run, "measure", lambda run: Evaluation({}))


@pytest.fixture
def at_step(monkeypatch):
    """`at_step(n, do)` calls `do(loop, inputs, targets)` before step n of a training, once.

    Steps are counted from 1, since the run began: the next training that comes to step n is meant,
    so that one which goes on passes it. With None for n each step of every training is meant.
    """
    plans, step = [], training.Training.step

    def watched(self, inputs, targets):
        for plan in [plan for plan in plans if plan[0] in (None, self.steps_done + 1)]:
            number, do = plan
            if number is not None:
                plans.remove(plan)
            do(self, inputs, targets)
        return step(self, inputs, targets)

    monkeypatch.setattr(training.Training, "step", watched)
    return lambda number, do: plans.append((number, do))


@pytest.fixture
def every_epoch(at_step):
    """Have every epoch of every training saved."""

    def save(loop, *_):
        loop.run_folder.saves_always = True

    at_step(None, save)


@pytest.fixture
def saves(monkeypatch):
    """(run's name, epochs done, steps of the next one, whether it is the best) of every save."""
    rows, save = [], runs.Run.save

    def noted(self, model, state, is_best):
        rows.append((self.path.name, state["epoch"], state["step"], is_best))
        save(self, model, state, is_best)

    monkeypatch.setattr(runs.Run, "save", noted)
    return rows


@pytest.fixture
def grids(monkeypatch):
    """(pictures, titles) of every grid of pictures that is drawn."""
    rows, grid = [], figures.grid

    def noted(pictures, titles, **how):
        rows.append((pictures, titles))
        return grid(pictures, titles, **how)

    monkeypatch.setattr(figures, "grid", noted)
    return rows


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Trains a run that a whole module asks about, in float32 and in folders of its own.

    Without its report, unless `pages` is true.
    """

    def make(pages=False, **settings):
        place = tmp_path_factory.mktemp("made")
        with pytest.MonkeyPatch.context() as patch:
            settle(patch, pages)
            draw_few(patch)
            patch.setenv("TINYCONV_RUNS", str(place))
            patch.setenv("TINYCONV_CACHE", str(place / "cache"))
            return tinyconv.fit(**settings)

    return make


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Give each test a cache and a runs folder of its own, and an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TINYCONV_CACHE", str(tmp_path / "cache"))
    for name in ("TINYCONV_RUNS", "TINYCONV_PLUGINS", "TINYCONV_STRICT_PLUGINS"):
        monkeypatch.setenv(name, "")  # noted, so that what a test leaves there ends with it
        monkeypatch.delenv(name)
