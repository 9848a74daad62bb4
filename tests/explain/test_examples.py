"""The maps of the report, by every method that works with the network."""

import keras
import numpy as np
import pytest

from tests.helpers.networks import SHAPE, built, functional
from tinyconv import zoo
from tinyconv.data import Split
from tinyconv.explain.report_section import where_it_looks
from tinyconv.results import Picture, Table

CLASSES = ("cat", "dog", "horse", "owl")
PICTURES = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype("uint8")


def section(model, right=(0, 1, 2, 3, 4, 5)):
    """The report's section for a network whose predictions for the pictures `right` are correct."""
    scores = np.asarray(model.predict_on_batch(PICTURES))
    predictions = scores.argmax(axis=1)
    labels = np.where(np.isin(np.arange(12), right), predictions, (predictions + 1) % 4)
    split = Split(PICTURES, labels.astype("int32"), [""] * 12)
    (result,) = where_it_looks(model, scores, split, CLASSES)
    return result


def test_mistakes_and_right_answers_are_above_their_maps(grids):
    result = section(built(functional))
    ((tiles, titles),) = grids
    assert isinstance(result, Picture) and len(tiles) == len(titles) == 8 * 3
    assert titles[8:] == ["grad-cam"] * 8 + ["saliency"] * 8
    assert all("\nis " in title for title in titles[:4])
    assert not any("\nis " in title for title in titles[4:8])
    assert "First its most confident mistakes (4), then" in result.caption
    assert "grad-cam, warm" in result.caption and "saliency, bright" in result.caption
    for picture in range(8):  # a map is no copy of the picture, nor of the other map
        rows = tiles[[picture, 8 + picture, 16 + picture]].astype(int)
        assert np.abs(np.diff(rows, axis=0)).mean(axis=(1, 2, 3)).min() > 2


def test_without_mistakes_only_right_answers(tmp_path):
    result = section(built(functional), right=range(12))
    assert "mistakes" not in result.caption and "got right (4)" in result.caption


@pytest.mark.parametrize("kind", ["no map", "no gradient"])
def test_a_method_that_does_not_work_is_left_out_or_explained(kind):
    if kind == "no map":
        result = section(zoo.linear(SHAPE, 4))
        assert "saliency" in result.caption and "grad-cam" not in result.caption
        return
    whole = keras.Input(SHAPE, dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(whole))
    result = section(keras.Model(whole, keras.layers.Dense(4, activation="softmax")(flat)))
    assert isinstance(result, Table) and "needs a feature map" in result.caption
