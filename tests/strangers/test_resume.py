"""Resuming a run that early stopping has ended."""

import pytest

import tinyconv
from tinyconv.errors import UserError

STILL = {"model": "linear", "limit": 64, "learning_rate": 0.0, "weight_decay": 0.0}


def test_a_run_that_early_stopping_ended_needs_more_patience():
    run = tinyconv.fit(**STILL, epochs=10, patience=2, no_coach=True)
    assert len(run.history) == 3  # the first epoch is the best: nothing changes
    before = (run.path / "settings.json").read_bytes()
    for changes in ({}, {"epochs": 60}, {"patience": 1}):
        with pytest.raises(UserError, match="early stopping: 2 epochs .* patience is .; raise it"):
            tinyconv.resume(run.path, **changes)
    assert (run.path / "settings.json").read_bytes() == before
    again = tinyconv.resume(run.path, patience=5)
    assert len(again.history) == 6 and again.settings["patience"] == 5
    assert tinyconv.resume(run.path, patience=50).history[-1]["epoch"] == 10
