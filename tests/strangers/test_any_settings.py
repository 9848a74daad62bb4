"""Any valid settings of any task: each verb of such a run succeeds, or is refused in a sentence."""

import dataclasses
import re
import sys
import types
import typing
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.command import run as command
from tinyconv import registry

# What makes every run tiny; and what names files, other machines or a length of time.
TINY = {
    "classify": {"limit": 40, "epochs": 1, "image_size": 16},
    "localise": {"limit": 40, "epochs": 1, "image_size": 32},
    "caption": {"limit": 24, "epochs": 1, "image_size": 64},
    "draw": {"limit": 24, "epochs": 1},
    "glimpse": {"limit": 24, "epochs": 1},
    "translate": {"limit": 24, "epochs": 1},
    "words": {"limit": 60, "epochs": 1, "least": 1},
    "sentences": {"limit": 24, "epochs": 1},
    "text": {"limit": 30, "epochs": 1, "window": 8, "batch_size": 4},
    "dqn": {"steps": 120, "start": 20, "replay": 200, "epsilon_steps": 50, "env": "catch"},
}
pytestmark = [pytest.mark.pages, pytest.mark.filterwarnings("default")]

LEFT_OUT = {"data", "root", "labels", "from_", "freeze", "minutes", "encoder", "layer", "force"}
MODELS = ("linear", "two_layer", "convnet", "resnet20", "sprint_small")
LARGEST = 12  # of a drawn number without a maximum, above its minimum
# Warnings that Python does not print unless it is asked to.
HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
EXAMPLES = pytest.mark.parametrize(
    "examples", [2, pytest.param(40, marks=pytest.mark.slow)], ids=["few", "many"]
)
FOREIGN = re.compile(r"Warning|Traceback|our fault|absl|WARNING|E0000|W0000")


def values(name: str, field: dataclasses.Field, kind) -> st.SearchStrategy:
    """The valid values of a setting, as words of the command; () leaves it out."""
    arguments = typing.get_args(kind)
    kinds = set(arguments or (kind,)) - {types.NoneType}
    option = "--" + (field.metadata.get("option") or name).removeprefix("--").replace("_", "-")
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if name == "model" and not field.metadata["choices"]:
        words = st.sampled_from(MODELS).map(lambda value: (option, value))
    elif field.metadata["choices"]:
        words = st.sampled_from(field.metadata["choices"]).map(lambda value: (option, value))
    elif kinds == {bool}:
        words = st.sampled_from([(option,), (f"--no-{option[2:]}",)][: 1 + bool(arguments)])
    elif kinds == {int}:
        numbers = st.integers(low or 0, min(high or 10**9, (low or 0) + LARGEST))
        words = numbers.map(lambda value: (option, str(value)))
    elif kinds == {float}:
        numbers = st.floats(low or 0.0, min(high or 1.0, 1.0)).map(lambda value: round(value, 3))
        words = numbers.map(lambda value: (option, str(value)))
    else:
        return st.just(())
    return st.one_of(st.just(()), words)


def options(task: str) -> st.SearchStrategy:
    """Words of a `fit` with any valid settings of the task, in tiny sizes."""
    Settings = registry.find("tasks", task).Settings
    hints = typing.get_type_hints(Settings)
    fixed = LEFT_OUT | TINY[task].keys() | ({"model"} if task == "dqn" else set())
    drawn = [
        values(field.name, field, hints[field.name])
        for field in dataclasses.fields(Settings)
        if field.name not in fixed
    ]
    tiny = [
        word
        for name, value in TINY[task].items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return st.tuples(*drawn).map(lambda parts: [*tiny, *(word for part in parts for word in part)])


def printed(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning on standard error, as Python does outside of tests."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


# Tasks with several networks to trace: their examples take minutes.
SLOW = ("caption", "text", "draw", "glimpse", "sentences", "translate")


@EXAMPLES
@pytest.mark.parametrize(
    "task", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TINY]
)
def test_every_verb_of_any_run(task, examples, tmp_path, monkeypatch, capsys):
    assert set(TINY) == set(registry.names("tasks"))
    monkeypatch.chdir(tmp_path)
    side, channels = (64, 3) if task == "caption" else (TINY[task].get("image_size", 8), 1)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, channels)).astype("uint8")
    Image.fromarray(pixels.squeeze()).save(tmp_path / "picture.png")
    runs, err = iter(range(10**6)), ""

    def verb(*words) -> int:
        nonlocal err
        with warnings.catch_warnings():
            warnings.showwarning = printed  # pytest collects them instead
            for kind in HIDDEN:
                warnings.simplefilter("ignore", kind)
            code, _, err = command(capsys, *words)
        assert code in (0, 2), f"{words}\n{err}"
        assert not FOREIGN.search(err), f"{words}\n{err}"
        if code == 2:
            refusal = err.strip().splitlines()[-1]
            assert refusal.startswith("tinyconv: "), f"{words}\n{err}"
        return code

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 10,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(options(task))
    def walk(words):
        name = f"run{next(runs)}"
        if verb("fit", task, *words, "--force", "--name", name):
            # Refused before the run begins, or stopped where its loss became infinite.
            assert "The loss became" in err or not Path("runs", name, "settings.json").exists()
            return
        more = ("--steps", "160") if task == "dqn" else ("--epochs", "2")
        texts = {"translate": ("the old king",), "words": ("the",), "text": ("the old",), "dqn": ()}
        texts["sentences"] = ("the film is good",)
        inputs = texts.get(task, ("picture.png",))
        verb("verify", name, "--steps", "2")
        verb("fit", "--resume", name, *more)
        assert verb("evaluate", name) == 0
        verb("predict", name, *inputs)
        verb("explain", name, *inputs)
        for form in ("keras", "onnx"):
            verb("export", name, "--format", form)
        assert verb("report", name) == 0

    walk()
