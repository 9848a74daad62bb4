"""The maps of the report: pictures that tell most, by every method that the network allows."""

import keras
import numpy as np
import pytest

from tests.helpers.networks import SHAPE, built, functional
from tinyconv import zoo
from tinyconv.data import Split
from tinyconv.explain.report_section import looked_at
from tinyconv.results import Picture, Table

CLASSES = ("cat", "dog", "horse", "owl")
PICTURES = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype("uint8")


def shown(model, right=(0, 1, 2, 3, 4, 5)):
    """What is drawn of a network whose answers to these pictures are taken for right."""
    scores = np.asarray(model.predict_on_batch(PICTURES))
    said = scores.argmax(axis=1)
    labels = np.where(np.isin(np.arange(12), right), said, (said + 1) % 4).astype("int32")
    (drawn,) = looked_at(model, scores, Split(PICTURES, labels, [""] * 12), CLASSES)
    return drawn


def test_mistakes_and_right_answers_stand_above_their_maps(grids):
    drawn = shown(built(functional))
    ((tiles, titles),) = grids
    assert isinstance(drawn, Picture) and len(tiles) == len(titles) == 8 * 3
    assert titles[8:] == ["grad-cam"] * 8 + ["saliency"] * 8
    assert all("\nis " in title for title in titles[:4])
    assert not any("\nis " in title for title in titles[4:8])
    assert "mistakes of which it was surest (4), then" in drawn.caption
    assert "grad-cam, warm" in drawn.caption and "saliency, bright" in drawn.caption
    for picture in range(8):  # a map is no copy of the picture, nor of the other map
        rows = tiles[[picture, 8 + picture, 16 + picture]].astype(int)
        assert np.abs(np.diff(rows, axis=0)).mean(axis=(1, 2, 3)).min() > 2


def test_without_mistakes_right_answers_alone(tmp_path):
    drawn = shown(built(functional), right=range(12))
    assert "mistakes" not in drawn.caption and "got right (4)" in drawn.caption


@pytest.mark.parametrize("kind", ["no map", "no gradient"])
def test_what_a_network_does_not_allow_is_left_out_or_told(kind):
    if kind == "no map":
        drawn = shown(zoo.linear(SHAPE, 4))
        assert "saliency" in drawn.caption and "grad-cam" not in drawn.caption
        return
    whole = keras.Input(SHAPE, dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(whole))
    drawn = shown(keras.Model(whole, keras.layers.Dense(4, activation="softmax")(flat)))
    assert isinstance(drawn, Table) and "needs a map of features" in drawn.caption
