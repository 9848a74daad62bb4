"""Scores of views and of several networks, compared with NumPy; and what `evaluate` prints."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import tinyconv
from tests.helpers.sources import class_folders
from tinyconv import losses
from tinyconv.__main__ import main
from tinyconv.data import selection
from tinyconv.errors import UserError
from tinyconv.tasks.scoring import VIEWS, scores, together


def softmax(rows):
    powers = np.exp(np.float64(rows))
    return powers / powers.sum(axis=1, keepdims=True)


def test_ten_crops_by_hand():
    """Pixel (r, c) of a crop is that of (r + dy, c + dx), and of its mirror image outside."""
    pictures = np.arange(2 * 32 * 48, dtype="uint16").reshape(2, 32, 48, 1)
    moves = [(0, 0), (-2, -2), (-2, 2), (2, -2), (2, 2)]  # a sixteenth of the shorter side

    def inside(i, n):
        return abs(i) if i < n else 2 * (n - 1) - i

    expected = []
    for dy, dx in moves:
        rows = [inside(r + dy, 32) for r in range(32)]
        columns = [inside(c + dx, 48) for c in range(48)]
        crop = pictures[:, rows][:, :, columns]
        expected += [crop, crop[:, :, ::-1]]
    np.testing.assert_array_equal(list(VIEWS["ten-crop"](pictures)), expected)


def test_scores_are_the_mean_over_views():
    """For a network whose score is the upper left pixel; 300 pictures are more than one batch."""
    pictures = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1)).astype("uint8")
    corner = SimpleNamespace(
        layers=[], trainable_weights=[], predict_on_batch=lambda batch: np.float32(batch[:, 0, 0])
    )
    left, right = np.float32(pictures[:, 0, 0]), np.float32(pictures[:, 0, -1])
    np.testing.assert_array_equal(scores(corner, pictures), left)
    np.testing.assert_allclose(scores(corner, pictures, "flip"), (left + right) / 2)
    views = [view[:, 0, 0] for view in VIEWS["ten-crop"](pictures)]
    np.testing.assert_allclose(scores(corner, pictures, "ten-crop"), np.mean(views, axis=0))


def test_together_is_the_mean_probability():
    each = np.random.default_rng(0).normal(0, 9, (3, 20, 5))
    expected = np.mean([softmax(one) for one in each], axis=0)
    np.testing.assert_allclose(np.exp(together(each)), expected, rtol=1e-6)


# The verb ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digit_runs(make_run):
    return [make_run(model="two_layer", limit=200, epochs=2, seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def pets(make_run, tmp_path_factory):
    """A run on pictures whose mirror images are of the same class."""
    data = class_folders(tmp_path_factory.mktemp("pets"))
    return make_run(data=str(data), model="linear", epochs=1, test_augment="flip")


def test_the_mean_of_two_runs_is_numpys(digit_runs, capsys):
    one, other = digit_runs
    first, second, mean = tinyconv.ensemble(one, other)
    assert [first.metrics, second.metrics] == [run.evaluate() for run in (one, other)]
    split = selection.of_run(one, None, None).splits["test"]
    mean_of = np.mean([softmax(scores(r.model(), split.pictures)) for r in (one, other)], axis=0)
    smoothed = losses.SMOOTHING / 10 + (1 - losses.SMOOTHING) * np.eye(10)[split.labels]
    expected = {
        "loss": -(smoothed * np.log(mean_of)).sum(axis=1).mean(),
        "top1": (mean_of.argmax(axis=1) == split.labels).mean(),
        "top5": (np.argsort(-mean_of)[:, :5] == split.labels[:, None]).any(axis=1).mean(),
    }
    assert mean.metrics == pytest.approx(expected, rel=1e-5)

    paths = [str(run.path) for run in (one, other)]
    document = evaluate(capsys, *paths, "--json")
    assert list(document) == ["runs", "data", "split", "pictures", "metrics", "count"]
    assert [each["run"] for each in document["runs"]] == paths
    assert document["runs"][1]["metrics"] == second.metrics
    assert document["metrics"] == mean.metrics
    assert list(evaluate(capsys, paths[0], "--json"))[0] == "run"
    lines = evaluate(capsys, *paths).splitlines()
    assert [path for line, path in zip(lines, paths) if line.endswith(path)] == paths


def test_runs_of_other_losses_have_a_mean_without_one(digit_runs):
    runs = [tinyconv.load(digit_runs[0].path, loss=loss) for loss in ("softmax", "hinge")]
    assert list(tinyconv.ensemble(*runs)[-1].metrics) == ["top1", "top5"]


def test_augment_takes_the_place_of_the_runs_own(pets):
    split = selection.of_run(pets, None, None).splits["validation"]
    loss = losses.loss("softmax")
    for augment, views in ((None, "flip"), ("none", "none"), ("ten-crop", "ten-crop")):
        expected = float(loss(split.labels, scores(pets.model(), split.pictures, views)))
        assert pets.evaluate(augment=augment)["loss"] == pytest.approx(expected, rel=1e-5)


def test_what_has_no_mean_is_refused(digit_runs, pets):
    with pytest.raises(UserError, match="have different classes and cannot be averaged"):
        tinyconv.ensemble(digit_runs[0], pets)
    with pytest.raises(UserError, match="Runs of classify and dqn cannot be averaged"):
        tinyconv.ensemble(digit_runs[0], tinyconv.load("catch"))
    with pytest.raises(UserError, match="Runs of dqn cannot be averaged"):
        tinyconv.ensemble(tinyconv.load("catch"), tinyconv.load("catch"))
    with pytest.raises(UserError, match="Mirroring changes the class in digits"):
        digit_runs[0].evaluate(augment="flip")


def evaluate(capsys, *arguments):
    """The output of the command; the document with --json."""
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *arguments])
    assert not stop.value.code
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in arguments else out
