"""Every model, data set and task that tinyconv ships keeps what it asks of strangers."""

import importlib.util

import pytest

from tests.data.sources import SOURCES
from tinyconv import checks
from tinyconv.checks.subject import Subject
from tinyconv.entries import installed

pytestmark = pytest.mark.usefixtures("few_scenes")
SHIPPED = [entry for entry in installed() if entry.distribution == "tinyconv"]
NO_FILES = [entry for entry in SHIPPED if entry.kind != "datasets"]


needs_tf_agents = pytest.mark.skipif(
    importlib.util.find_spec("tf_agents") is None, reason="tf-agents is not installed (extra dqn)"
)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=needs_tf_agents if entry.name == "dqn" else ())
        for entry in NO_FILES
        for check in checks.of(entry.full_name)
    ],
    ids=str,
)
def test_promise(check):
    check()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("promise", checks.PROMISES["datasets"], ids=lambda p: p.__name__)
def test_data_set(promise, source, tmp_path):
    name, write = SOURCES[source]
    (tmp_path / "files").mkdir()
    (entry,) = [e for e in SHIPPED if (e.kind, e.name) == ("datasets", name)]
    root = write(tmp_path / "files")
    checks.Check(promise, Subject(entry, {"root": root} if root else {}))()


def test_every_shipped_entry_is_checked():
    assert set(checks.PROMISES) == {entry.kind for entry in SHIPPED}
    assert {entry.name for entry in SHIPPED if entry.kind == "datasets"} == {
        name for name, _ in SOURCES.values()
    }
