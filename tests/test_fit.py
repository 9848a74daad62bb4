"""`fit` from Python: it learns, and every verb works on a run; test_resume.py has stopped ones."""

import csv
import functools
import json
import os
import subprocess
import sys
import threading
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.quick import QUICK
from tests.helpers.sources import class_folders, tiny_imagenet_folder
from tinyconv import losses, training
from tinyconv.data.selection import limited
from tinyconv.errors import UserError
from tinyconv.runs import run_folder
from tinyconv.tasks.scoring import measure, scores
from tinyconv.training.clock import Clock
from tinyconv.training.step_graph import Step


@pytest.fixture(scope="module")
def trained(make_run):
    """A run on all digits for the tests of verbs, which do not change it."""
    return make_run(model="convnet", epochs=6, pages=True)


# What a run leaves ------------------------------------------------------------------------


def test_it_learns(trained):
    assert trained.settings["result"]["metrics"]["top1"] > 0.85
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] / 2


def test_the_folder_is_whole(trained):
    names = {path.name for path in trained.path.iterdir()}
    assert names == {
        "settings.json",
        "history.csv",
        "last.keras",
        "best.keras",
        "log.txt",
        "pictures",
        "report.html",
    }
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
    with (trained.path / "history.csv").open() as file:
        assert "val_top1" in next(csv.reader(file))
    settings = json.loads((trained.path / "settings.json").read_text())
    assert settings["seed"] == 0 and settings["model"] == "convnet"
    assert {"versions", "machine", "git_commit", "command_line"} <= set(settings)
    log = (trained.path / "log.txt").read_text()
    for line in ("device ", "data ", "model ", "epoch 6/6", "test ", "next "):
        assert f"\n{line}" in f"\n{log}"


def test_pictures_open_and_the_report_holds_them(trained):
    pictures = sorted((trained.path / "pictures").glob("*.png"))
    assert {"curves", "confusion", "right", "filters", "slopes"} <= {p.stem for p in pictures}
    for path in pictures:
        with Image.open(path) as image:
            assert min(image.size) > 50
            assert len(image.convert("RGB").getcolors(1 << 24)) > 10  # it shows something
    page = (trained.path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "http://" not in page and "https://" not in page and "<script" not in page
    for fact in ("convnet", "The pairs it confuses most", "learning_rate"):
        assert fact in page


def test_best_is_the_best_epoch(trained):
    best = min(trained.history, key=lambda row: row["val_loss"])
    measured = trained.measure(split="validation")
    assert measured.metrics["top1"] == pytest.approx(best["val_top1"], abs=1e-5)
    assert measured.metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-3)


def test_models_open_in_plain_keras(trained):
    script = (
        "import sys, keras, tinyconv\n"
        "for path in sys.argv[1:]: print(keras.saving.load_model(path).output_shape)"
    )
    files = [trained.path / "best.keras", trained.path / "last.keras"]
    done = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(None, 10)"] * 2, done.stderr


def test_evaluate_agrees_with_numpy(trained):
    measured = trained.measure()
    split = tinyconv.data.digits.digits().splits["test"]
    logits = scores(trained.model(), split.pictures)
    order = np.argsort(-logits, axis=1)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    smoothed = 0.9 * np.eye(10)[split.labels] + 0.1 / 10  # the default label smoothing
    expected = {
        "top1": (order[:, 0] == split.labels).mean(),
        "top5": (order[:, :5] == split.labels[:, None]).any(axis=1).mean(),
        "loss": -(smoothed * log_softmax).sum(axis=1).mean(),
    }
    assert measured.metrics == pytest.approx(expected, rel=1e-5)
    assert trained.evaluate() == measured.metrics
    assert (measured.split, measured.pictures) == ("test", len(split.labels))
    with pytest.raises(UserError, match="no split 'tset'"):
        trained.evaluate(split="tset")


@pytest.mark.parametrize("dead", [0.0, np.nan])
def test_a_dead_network_is_not_right_about_everything(dead):
    """Ten classes, seven of each, and the same score for all: a tenth, a half at the most."""
    labels = np.arange(70) % 10
    metrics = measure(np.full((70, 10), dead, "float32"), labels, losses.loss("softmax"))
    assert metrics["top1"] == pytest.approx(0.1) and metrics["top5"] == pytest.approx(0.5)


def test_predict_answers_for_files_folders_and_globs(trained, tmp_path):
    split = tinyconv.data.digits.digits().splits["test"]
    (tmp_path / "scans").mkdir()
    for i in range(20):
        Image.fromarray(split.pictures[i, ..., 0]).save(tmp_path / f"scans/{i:02}.png")
    folder = list(trained.predict(tmp_path / "scans"))
    glob = list(trained.predict(tmp_path / "scans" / "*.png"))
    assert folder == glob and len(folder) == 20
    right = [p.answers[0]["label"] == str(label) for p, label in zip(folder, split.labels)]
    assert np.mean(right) > 0.8
    for prediction in folder:
        probabilities = [answer["probability"] for answer in prediction.answers]
        assert len(probabilities) == 5 and probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1 + 1e-6


def test_predict_refuses_what_is_no_picture_of_its_size(trained, tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "large.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"large.png has 20x30 grey pixels.*8x8.*--resize"):
        list(trained.predict(tmp_path / "large.png"))
    with pytest.raises(UserError, match=r"torn.png is not a picture"):
        list(trained.predict(tmp_path / "torn.png"))
    with pytest.raises(UserError, match="There is no picture at"):
        list(trained.predict(tmp_path / "nothing*.png"))
    with pytest.raises(UserError, match="name FILES, or use --test"):
        list(trained.predict())
    both = [str(tmp_path / "large.png"), str(tmp_path / "torn.png")]
    answered = trained.predict(*both, resize=True, skip_corrupt=True)
    assert [os.path.basename(p.input) for p in answered] == ["large.png"]


def test_other_classes_are_refused(trained, tmp_path):
    (tmp_path / "pets").mkdir()
    with pytest.raises(UserError, match="class .cat., which the run was not trained on"):
        trained.evaluate(data=str(class_folders(tmp_path / "pets")))


# Settings that change the training --------------------------------------------------------


@pytest.fixture
def batches(at_step):
    """The pictures of every step of every training from here on."""
    steps = []
    at_step(None, lambda loop, pictures, labels: steps.append(np.array(pictures)))
    return steps


def loss_is(formula):
    """The loss on the test pictures is `formula(scores, labels)`, in NumPy."""

    def holds(run, batches):
        split = limited(tinyconv.data.digits.digits().splits["test"], QUICK["limit"])
        expected = formula(scores(run.model(), split.pictures), split.labels)
        assert run.evaluate()["loss"] == pytest.approx(expected, rel=1e-4)

    return holds


def hinge(scores, labels):
    margins = np.maximum(0, scores - scores[np.arange(len(labels)), labels, None] + 1)
    return margins.sum(axis=1).mean() - 1  # but for the label's own


def smoothed(scores, labels):
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    targets = 0.7 * np.eye(10)[labels] + 0.3 / 10
    return -(targets * log_softmax).sum(axis=1).mean()


def optimizer_is_sgd(run, batches):
    optimizer = run.model("last", compiled=True).optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert optimizer.momentum == 0.9 and optimizer.nesterov


def rates_are(*expected):
    """Of the peak, in the last steps of two epochs of three: a third and five sixths of the run."""

    def holds(run, batches):
        rates = [row["learning_rate"] for row in run.history]
        assert rates == pytest.approx([3e-3 * rate for rate in expected], rel=1e-5)

    return holds


def one_slope_a_layer(run, batches):
    slopes = [weight for weight in run.model().weights if weight.name == "alpha"]
    assert slopes and all(slope.shape == (1,) for slope in slopes)


def bfloat16_inside(run, batches):
    model = run.model()
    assert {layer.compute_dtype for layer in model.layers if layer.count_params()} >= {"bfloat16"}
    assert all(weight.dtype == "float32" for weight in model.trainable_weights)


def share_of_originals(least, most):
    """The fraction of unchanged training pictures among the inputs."""

    def holds(run, batches):
        originals = {p.tobytes() for p in tinyconv.data.digits.digits().splits["train"].pictures}
        shown = [picture.tobytes() in originals for batch in batches for picture in batch]
        assert least <= np.mean(shown) <= most

    return holds


def batches_are(steps, *shape):
    """The number of steps, and the shape of the first batch."""

    def holds(run, batches):
        assert len(batches) == steps and batches[0].shape == shape
        assert run.model().input_shape[1:] == shape[1:]

    return holds


def recipe_is_fast(run, batches):
    optimizer_is_sgd(run, batches)
    batches_are(8, 128, 8, 8, 1)(run, batches)
    assert run.options.sizes == "growing" and run.options.weight_decay == 1e-3


page = pytest.mark.pages


@pytest.mark.parametrize(
    "settings, holds",
    [
        pytest.param({"loss": "hinge"}, loss_is(hinge), marks=page),
        ({"label_smoothing": 0.3}, loss_is(smoothed)),
        ({"optimizer": "sgd", "learning_rate": 0.05}, optimizer_is_sgd),
        ({"schedule": "one-cycle"}, rates_are(8 / 9, 2 / 9)),
        ({"schedule": "cosine"}, rates_are(0.75, (1 - 0.75**0.5) / 2)),
        ({"schedule": "step"}, rates_are(1, 0.01)),
        ({"activation": "prelu-shared"}, one_slope_a_layer),
        pytest.param({"precision": "mixed_bfloat16"}, bfloat16_inside, marks=page),
        ({"augment": "none"}, share_of_originals(1, 1)),
        ({"augment": "strong"}, share_of_originals(0, 0.01)),
        pytest.param({"image_size": 16}, batches_are(6, 64, 16, 16, 1), marks=page),
        ({"batch_size": 1000}, batches_are(2, 200, 8, 8, 1)),
        pytest.param(
            {"recipe": "fast", "learning_rate": 0.1, "epochs": 8}, recipe_is_fast, marks=page
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_each_choice_trains_and_changes_what_it_says(settings, holds, batches, request):
    run = tinyconv.fit(**(QUICK | {"epochs": 2, "learning_rate": 3e-3} | settings))
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    holds(run, batches)
    has_page = request.node.get_closest_marker("pages") is not None
    assert (run.path / "report.html").exists() == has_page


def test_limit_and_image_size_are_honoured():
    run = tinyconv.fit(**QUICK | {"limit": 50, "epochs": 1, "image_size": 12})
    assert run.settings["result"]["pictures"] == 50
    assert run.model().input_shape == (None, 12, 12, 1)


def test_a_run_on_a_folder_and_on_tiny_imagenet(tmp_path):
    (tmp_path / "pets").mkdir()
    run = tinyconv.fit(data=str(class_folders(tmp_path / "pets")), model="linear", epochs=1)
    assert run.path.name.endswith("linear-pets")
    assert run.settings["classes"] == ["cat", "dog"]
    root = tiny_imagenet_folder(tmp_path)
    run = tinyconv.fit(data="tiny-imagenet", root=root, model="linear", epochs=1, batch_size=4)
    assert run.settings["result"]["split"] == "validation"
    tested = list(run.predict(test=True))
    assert [prediction.input for prediction in tested] == [f"test_{i}.JPEG" for i in range(12)]
    assert {p.answers[0]["label"] for p in tested} <= {"n01443537", "n01629819"}
    assert next(iter(run.predict(root / "tiny-imagenet-200/test/images/test_3.JPEG"))).answers


def test_minutes_end_in_time_and_at_the_schedules_end(monkeypatch):
    """With a clock that each step advances by 40 ms, and nothing else does."""
    clock, step = SimpleNamespace(now=0.0), Step.__call__

    def timed(self, *batch):
        clock.now += 0.04
        return step(self, *batch)

    monkeypatch.setattr(Step, "__call__", timed)
    monkeypatch.setattr(training, "Clock", functools.partial(Clock, now=lambda: clock.now))
    run = tinyconv.fit(model="linear", minutes=0.1)
    assert 5 < run.history[-1]["seconds"] <= 6
    assert len(run.history) > 1
    rates = [row["learning_rate"] for row in run.history]
    assert rates[-1] < 0.05 * max(rates)
    with pytest.raises(UserError, match="has finished training.*--minutes"):
        tinyconv.resume(run.path)
    before = len(run.history)
    longer = tinyconv.resume(run.path, minutes=0.2)
    assert len(longer.history) > before and 11 < longer.history[-1]["seconds"] <= 12


def test_same_seed_same_history():
    same = [tinyconv.fit(**QUICK, seed=5, deterministic=True).history for _ in range(2)]
    other = tinyconv.fit(**QUICK, seed=6, deterministic=True).history
    columns = ("loss", "top1", "val_loss", "val_top1")
    assert [[row[k] for k in columns] for row in same[0]] == [
        [row[k] for k in columns] for row in same[1]
    ]
    assert other[0]["loss"] != same[0][0]["loss"]


# Folders, names and threads ---------------------------------------------------------------


def test_names_are_never_overwritten():
    paths = [tinyconv.fit(**QUICK | {"epochs": 1}, name="mine").path.name for _ in range(3)]
    assert paths == ["mine", "mine-2", "mine-3"]
    with pytest.raises(UserError, match="one folder name without slashes"):
        tinyconv.fit(**QUICK, name="../mine")


def test_nothing_is_made_of_a_refused_fit(tmp_path):
    for wrong in (
        {"model": "resnet81"},
        {"data": "digit"},
        {"epochs": 0},
        {"root": str(tmp_path)},
        {"loss": "hinge", "label_smoothing": 0.2},
        {"precision": "mixed_float16"},
    ):
        with pytest.raises(UserError):
            tinyconv.fit(**QUICK | wrong)
    assert not (tmp_path / "here" / "runs").exists()


def test_wrong_run_folders(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        tinyconv.load("nowhere")
    with pytest.raises(UserError, match="is not a run folder"):
        tinyconv.load(tmp_path)
    (tmp_path / "settings.json").write_text('{"task": ')
    with pytest.raises(UserError, match="cannot be read as the settings"):
        tinyconv.load(tmp_path)
    (tmp_path / "settings.json").write_text('{"task": "classify", "epochs": "many"}')
    with pytest.raises(UserError, match="epochs must be a whole number"):
        tinyconv.load(tmp_path)


def test_last_keras_holds_its_own_state(trained):
    with zipfile.ZipFile(trained.path / "last.keras") as archive:
        state = json.loads(archive.read(run_folder.STATE_MEMBER))
    assert state["epoch"] == 6 and len(state["rows"]) == 6 and state["progress"] == 1.0


def test_fit_works_outside_the_main_thread():
    """Signals belong to the main thread; a notebook or a server may train in another."""
    fitted = []
    thread = threading.Thread(target=lambda: fitted.append(tinyconv.fit(**QUICK)))
    thread.start()
    thread.join()
    assert fitted[0].history
