"""The plugin keeps its promises and reads a needle to a few degrees."""

import numpy as np
import pytest
from PIL import Image
from tinyconv_compass.bearing import answers, difference, directions
from tinyconv_compass.needles import needle

import tinyconv
from tinyconv import checks, verbs


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYCONV_RUNS", str(tmp_path / "runs"))


@pytest.mark.parametrize("check", checks.of("tinyconv-compass"), ids=str)
def test_promise(check):
    check()


def test_angles_by_hand():
    np.testing.assert_allclose(directions([0, 90]), [[1, 0], [0, 1]], atol=1e-7)
    np.testing.assert_allclose(answers(np.array([[0, -3.0], [-2, 0]])), [270, 180])
    assert difference(359.0, 1.0) == 2 and difference(10.0, 190.0) == 180


def test_the_needle_points_where_it_says():
    """The thick end has more ink: it lies on the other side from the tip."""
    random = np.random.default_rng(0)
    up, right = needle(0, 24, random)[..., 0], needle(90, 24, random)[..., 0]
    assert up[12:].sum() > up[:12].sum() and right[:, :12].sum() > right[:, 12:].sum()


def test_it_reads_the_needle(tmp_path):
    run = tinyconv.fit("bearing", epochs=10)
    assert run.evaluate()["degrees"] < 15  # 90 by chance
    picture = needle(123, 24, np.random.default_rng(5))
    Image.fromarray(picture[..., 0]).save(tmp_path / "needle.png")
    (prediction,) = run.predict(tmp_path / "needle.png")
    assert difference(prediction.answers[0]["degrees"], 123) < 30


def test_the_network_can_learn_one_batch():
    assert verbs.check("bearing", model="two_layer", limit=128).learns


def test_other_data_is_refused():
    with pytest.raises(tinyconv.UserError, match="digits has no degrees to learn"):
        tinyconv.fit("bearing", data="digits", model="linear")
    with pytest.raises(tinyconv.UserError, match="needles has no classes; it is for"):
        tinyconv.fit("classify", data="needles", model="linear")
