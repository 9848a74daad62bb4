"""What every test shares: quiet Keras, folders of its own, and no warnings."""

import importlib.util
import os

import pytest

import tinyconv
from tinyconv import verbs
from tinyconv.plugins.caption import scenes
from tinyconv.system import hardware
from tinyconv.system.start_keras import start

# TensorFlow reads it when tf.keras is first used, which for tf-agents has to be Keras 2.
if importlib.util.find_spec("tf_keras"):
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
start()
SCENES = {"train": 640, "validation": 96, "test": 96}  # drawn, of 13,500, which take nine seconds


@pytest.fixture(autouse=True)
def same_numbers_on_every_machine(monkeypatch):
    """Have runs compute in float32, also where bfloat16 is fast: its sums vary with threads."""
    monkeypatch.setattr(hardware, "cpu_flags", frozenset)


@pytest.fixture(autouse=True)
def no_pages(request, monkeypatch):
    """Have fits end without their report, which takes a second or two, but for the mark `pages`."""
    if request.node.get_closest_marker("pages") is None:
        monkeypatch.setattr(verbs, "report", lambda run: None)


@pytest.fixture
def few_scenes(monkeypatch):
    """Have the data set shapes draw few scenes."""
    monkeypatch.setattr(scenes, "COUNTS", SCENES)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Trains a run that a whole module asks about, in float32 and in folders of its own.

    Without its report, unless `pages` is true.
    """

    def make(pages=False, **settings):
        place = tmp_path_factory.mktemp("made")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hardware, "cpu_flags", frozenset)
            if not pages:
                patch.setattr(verbs, "report", lambda run: None)
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
