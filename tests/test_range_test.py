"""`lr-find`: the range test of lesson 3, compared with that lesson's arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import run as command
from tinyconv import verbs
from tinyconv.errors import UserError
from tinyconv.trials import lr_range


def test_it_suggests_what_the_lesson_would_and_makes_no_run(capsys):
    code, out, err = command(capsys, "lr-find", "--model", "two_layer", "--json")
    result = json.loads(out)
    rates, losses = np.array(result["sizes"]), np.array(result["losses"])
    np.testing.assert_allclose(rates[1:] / rates[:-1], 1.1)
    smooth = np.convolve(losses, np.ones(8) / 8, "valid")  # as in tutorials/03
    np.testing.assert_allclose(result["smooth"], smooth, rtol=1e-5)
    lowest = rates[np.argmin(smooth)]
    assert result["lowest"] == pytest.approx(lowest)
    assert result["suggestion"] == pytest.approx(lowest / 3, rel=0.05)
    assert 2e-4 < result["suggestion"] < 0.1 and 60 < len(rates) <= 150
    with Image.open(result["picture"]) as picture:
        assert picture.size > (400, 200)
    assert not Path("runs").exists()
    before = Path("lr-find.png").read_bytes()
    code, out, err = command(capsys, "lr-find", "--model", "linear", "--limit", "100")
    assert code == 0 and float(out) > 0 and "lr-find-2.png" in err and "a third" in err.lower()
    assert Path("lr-find.png").read_bytes() == before


def test_a_learning_rate_is_refused():
    with pytest.raises(UserError, match="leave out learning_rate"):
        verbs.lr_find(learning_rate=0.1)


class Falling:
    """A network whose loss is a function of the learning rate."""

    def __init__(self, loss):
        self.loss, self.optimizer = loss, type("Optimizer", (), {"learning_rate": 0.0})()

    def train_on_batch(self, inputs, targets, return_dict):
        return {"loss": self.loss(self.optimizer.learning_rate)}


def range_test(loss):
    loop = type("Loop", (), {"model": Falling(loss), "batches": lambda *_: iter([(0, 0)] * 7)})()
    return lr_range.range_test(loop)


def test_it_stops_where_the_loss_diverges_or_is_no_number():
    result = range_test(lambda rate: 2.0 if rate < 1e-3 else 1.0 if rate < 1e-2 else 9.0)
    assert 1e-3 <= result.lowest < 1e-2 and max(result.sizes) < 2.2e-2
    assert range_test(lambda rate: 1 - rate if rate < 1e-3 else float("nan")).sizes[-1] < 1e-3
    with pytest.raises(UserError, match="a lower learning rate will not help"):
        range_test(lambda rate: float("nan"))
