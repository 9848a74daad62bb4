"""The agent that comes with the package plays, without tf-agents and without another run."""

import json

import numpy as np
from PIL import Image

from tests.helpers.command import run
from tinyconv import verbs


def test_it_plays_a_game(capsys):
    code, out, _ = run(capsys, "predict", "catch", "--json")
    ((answer,),) = [one["answers"] for one in json.loads(out)]
    assert code == 0 and answer["return"] == 1.0 and answer["game"] == "catch-game.gif"
    with Image.open("catch-game.gif") as game:
        assert game.n_frames == 10
        first = np.asarray(game.convert("L"), float)
        game.seek(9)
        last = np.asarray(game.convert("L"), float)
    assert np.abs(last - first).mean() > 1  # the ball has fallen


def test_it_catches_every_ball():
    """Its metrics are those recorded in its settings.json."""
    agent = verbs.load("catch")
    assert agent.evaluate() == agent.settings["result"]["metrics"]
    assert agent.evaluate()["return_mean"] >= 0.95
