"""`lr-find`: the range test of lesson 3, by its own arithmetic."""

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
    found = json.loads(out)
    sizes, losses = np.array(found["sizes"]), np.array(found["losses"])
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 1.1)
    smooth = np.convolve(losses, np.ones(8) / 8, "valid")  # as in tutorials/03
    np.testing.assert_allclose(found["smooth"], smooth, rtol=1e-5)
    lowest = sizes[np.argmin(smooth)]
    assert found["lowest"] == pytest.approx(lowest)
    assert found["suggestion"] == pytest.approx(lowest / 3, rel=0.05)
    assert 2e-4 < found["suggestion"] < 0.1 and 60 < len(sizes) <= 150
    with Image.open(found["picture"]) as picture:
        assert picture.size > (400, 200)
    assert not Path("runs").exists()
    before = Path("lr-find.png").read_bytes()
    code, out, err = command(capsys, "lr-find", "--model", "linear", "--limit", "100")
    assert code == 0 and float(out) > 0 and "lr-find-2.png" in err and "a third" in err.lower()
    assert Path("lr-find.png").read_bytes() == before


def test_a_step_size_is_not_taken():
    with pytest.raises(UserError, match="leave out learning_rate"):
        verbs.lr_find(learning_rate=0.1)


class Falling:
    """A network whose loss is known for each step size."""

    def __init__(self, loss):
        self.loss, self.optimizer = loss, type("Optimizer", (), {"learning_rate": 0.0})()

    def train_on_batch(self, inputs, targets, return_dict):
        return {"loss": self.loss(self.optimizer.learning_rate)}


def tried(loss):
    loop = type("Loop", (), {"model": Falling(loss), "batches": lambda *_: iter([(0, 0)] * 7)})()
    return lr_range.range_test(loop)


def test_it_stops_where_the_loss_diverges_or_is_no_number():
    found = tried(lambda size: 2.0 if size < 1e-3 else 1.0 if size < 1e-2 else 9.0)
    assert 1e-3 <= found.lowest < 1e-2 and max(found.sizes) < 2.2e-2
    assert tried(lambda size: 1 - size if size < 1e-3 else float("nan")).sizes[-1] < 1e-3
    with pytest.raises(UserError, match="no learning rate fixes"):
        tried(lambda size: float("nan"))
