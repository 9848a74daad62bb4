"""Each test has its own folder of runs."""

import pytest


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYCONV_RUNS", str(tmp_path / "runs"))
