"""Fixtures for all tests: quiet Keras, separate folders, no warnings."""

import ctypes
import gc
import importlib.util
import os

import pytest

import tinyconv
from tinyconv import runs
from tinyconv.plugins.caption import scenes
from tinyconv.plugins.draw import two_digits
from tinyconv.plugins.glimpse import canvases
from tinyconv.results import Evaluation
from tinyconv.system import hardware
from tinyconv.system.start_keras import start
from tinyconv.verbs import single

# TensorFlow reads this on the first use of tf.keras, which tf-agents needs to be Keras 2.
if importlib.util.find_spec("tf_keras"):
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

SCENES = {"train": 640, "validation": 96, "test": 96}  # instead of 13,500, which take nine seconds
# Files with tests of ten seconds and more.
LONG = {
    *("test_tutorials.py", "test_nothing_is_lost.py", "test_sweep.py", "test_distributed.py"),
    *("test_packages.py", "test_attention_metrics.py", "test_transfer.py", "test_shipped.py"),
}
CANVASES = {"train": 1000, "validation": 100, "test": 100}  # instead of 15,000


def pytest_configure(config):
    """Load Keras silently before the tests do, but not where other processes run them."""
    if not config.getoption("numprocesses", None):
        start()


def pytest_collection_modifyitems(items):
    """Begin with the files of LONG tests, so that no worker ends with one while others wait."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish():
    """Spare each garbage collection from going through the objects of TensorFlow."""
    gc.collect()
    gc.freeze()


def settle(patch, pages: bool) -> None:
    """Make runs compute in float32, and end without a report unless `pages` is true.

    On machines with fast bfloat16 they would use that, and its sums vary with the threads. A report
    takes a second or two.
    """
    patch.setattr(hardware, "cpu_flags", frozenset)
    if not pages:
        patch.setattr(single, "report", lambda run: None)


@pytest.fixture(autouse=True)
def settled(request, monkeypatch):
    """`settle` for each test, with reports for the mark `pages`."""
    settle(monkeypatch, request.node.get_closest_marker("pages") is not None)


@pytest.fixture(autouse=True)
def memory_released():
    """Make glibc return freed memory after each test; it would hold up to a gigabyte."""
    yield
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(autouse=True, scope="module")
def networks_collected():
    """Collect networks with reference cycles, and the programs that JAX has compiled for them."""
    yield
    gc.collect()
    if os.environ.get("KERAS_BACKEND") == "jax":
        import jax

        jax.clear_caches()


def draw_few(patch):
    """Make the data sets shapes, two-digits and those of canvases draw few pictures."""
    patch.setattr(scenes, "COUNTS", SCENES)
    patch.setattr(two_digits, "FEWEST", CANVASES)
    patch.setattr(canvases, "FEWEST", CANVASES)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A cache that all tests share whose data sets draw few pictures."""
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture
def few_scenes(drawn, monkeypatch):
    """`draw_few` in a test, once for all tests."""
    draw_few(monkeypatch)
    monkeypatch.setenv("TINYCONV_CACHE", str(drawn))


@pytest.fixture
def no_measurement(monkeypatch):
    """Make fits end without the evaluation on test pictures."""
    monkeypatch.setattr(runs.Run, "measure", lambda run: Evaluation({}))


@pytest.fixture
def at_step(monkeypatch):
    """`at_step(n, do)` calls `do(loop, inputs, targets)` before step n of a training, once.

    Steps are counted from 1, since the start of the run. The call happens in the next training that
    reaches step n, so that a resumed training is not affected. With None for n, `do` is called
    before each step of every training.
    """
    from tinyconv import training

    plans, take, plan_chunk = [], training.Training.take, training.Training.plan

    def plan(self, steps):
        """Steps of the plans are chunks of their own."""
        done = self.steps_done
        numbers = [number or done + 1 for number, _ in plans]
        borders = [border for number in numbers for border in (number - 1, number)]
        return plan_chunk(self, min([steps, *(border for border in borders if border > done)]))

    def watched(self, batches, plan):
        for each in [each for each in plans if each[0] in (None, self.steps_done + 1)]:
            number, do = each
            if number is not None:
                plans.remove(each)
            do(self, *batches[0])
        take(self, batches, plan)

    monkeypatch.setattr(training.Training, "take", watched)
    monkeypatch.setattr(training.Training, "plan", plan)
    return lambda number, do: plans.append((number, do))


@pytest.fixture
def every_epoch(at_step):
    """Save every epoch of every training."""

    def save(loop, *_):
        loop.run_folder.saves_always = True

    at_step(None, save)


@pytest.fixture
def saves(monkeypatch):
    """A row (run's name, epochs done, steps of the next epoch, is best) for every save."""
    rows, save = [], runs.Run.save

    def recording(self, model, state, is_best):
        rows.append((self.path.name, state["epoch"], state["step"], is_best))
        save(self, model, state, is_best)

    monkeypatch.setattr(runs.Run, "save", recording)
    return rows


@pytest.fixture
def grids(monkeypatch):
    """A row (pictures, titles) for every grid of pictures that is drawn."""
    from tinyconv.report import figures

    rows, grid = [], figures.grid

    def recording(pictures, titles, **options):
        rows.append((pictures, titles))
        return grid(pictures, titles, **options)

    monkeypatch.setattr(figures, "grid", recording)
    return rows


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Trains a run for the tests of a module, in float32 and in separate folders.

    It has no report unless `pages` is true.
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
    """Give each test separate folders for cache and runs, and an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TINYCONV_CACHE", str(tmp_path / "cache"))
    for name in ("TINYCONV_RUNS", "TINYCONV_PLUGINS", "TINYCONV_STRICT_PLUGINS"):
        monkeypatch.setenv(name, "")  # registered, so that a value that a test leaves is removed
        monkeypatch.delenv(name)
