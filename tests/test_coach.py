"""The coach: every rule fires on its planted fault and is silent on what is sound."""

import ast
import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tinyconv import coach, course, losses, training, verbs
from tinyconv.coach import measurements, rules
from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError
from tinyconv.runs import Run
from tinyconv.tasks.classify import Settings

QUICK = {"model": "two_layer", "limit": 200, "epochs": 2}
FALLING = [{"epoch": i, "loss": 2.0 / i, "val_loss": 2.2 / i} for i in range(1, 9)]
BY_HEART = [
    row | {"val_loss": 1.0 + 0.2 * abs(row["epoch"] - 3)} for row in FALLING
]  # best in epoch 3
EVEN = dict.fromkeys("abcdefghij", 100)

BY_HEART_BY_LITTLE = [
    row | {"loss": row["loss"] / 40, "val_loss": row["val_loss"] / 25} for row in BY_HEART[1:]
]
LOSSES = {"idle_loss": 2.3, "learning_rate": 0.5, "steps": 30}

CASES = [  # rule, numbers of a planted fault, what it says, numbers of a sound training
    (
        rules.slow_numbers,
        {"policy": "mixed_float16", "gpu": False, "narrow_instructions": True},
        "24 to 84 times slower",
        {"policy": "mixed_bfloat16", "gpu": False, "narrow_instructions": True},
    ),
    (
        rules.slow_numbers,
        {"policy": "mixed_bfloat16", "gpu": False, "narrow_instructions": False},
        "no instructions that make it faster",
        {"policy": "mixed_float16", "gpu": True, "narrow_instructions": False},
    ),
    (
        rules.input_scale,
        {"pixel_spread": 0.4, "brightest_pixel": 1},
        "multiply them by 255",
        {"pixel_spread": 70.0, "brightest_pixel": 255},
    ),
    (
        rules.input_scale,
        {"pixel_spread": 0.0, "brightest_pixel": 0},
        "pictures are black",
        {"pixel_spread": 12.0, "brightest_pixel": 40},
    ),
    (
        rules.input_scale,
        {"pixel_spread": 2.0, "brightest_pixel": 140},
        "standard deviation of 2.0",
        {"pixel_spread": 9.0, "brightest_pixel": 140},
    ),
    (
        rules.imbalance,
        {"class_counts": EVEN | {"a": 4000}},
        "4,000 are of a and 100 of b: a for everything would be right about 82%",
        {"class_counts": EVEN | {"a": 300}},
    ),
    (
        rules.imbalance,
        {"class_counts": EVEN | {"c": 3}},
        "100 are of a and 3 of c; judge",
        {"class_counts": {"cat": 70, "dog": 30}},
    ),
    (
        rules.seen_before,
        {"held_out": "test", "duplicates": 40, "held_out_pictures": 400},
        "40 of the 400 test pictures",
        {"held_out": "test", "duplicates": 3, "held_out_pictures": 400},
    ),
    (  # sqrt(0.9 0.1 / 36) = 0.05, and 0.09 / 0.03² = 100
        rules.small_validation,
        {"validation_pictures": 36},
        "they show 85% to 95% by luck alone; trust no smaller difference, or hold back 100",
        {"validation_pictures": 179},
    ),
    (
        rules.first_loss,
        {"first_loss": 14.2, "chance": 2.303},
        "14.20, and 2.30",
        {"first_loss": 2.49, "chance": 2.303},
    ),
    (
        rules.first_loss,
        {"first_loss": 0.1, "chance": 2.303},
        "knows the answers already",
        {"first_loss": 9.2, "chance": 9.0},
    ),
    (
        rules.how_long,
        {"expected_seconds": 7620, "epochs": 20},
        "20 epochs will take about 2 h 07 min",
        {"expected_seconds": 20, "epochs": 20},
    ),
    (
        rules.diverging,
        {"recent_loss": 50.0, "begun_loss": 2.4, **LOSSES},
        "--learning-rate 0.05",
        {"recent_loss": 9.0, "begun_loss": 14.0, **LOSSES},
    ),
    (
        rules.stuck,
        {"hundred_loss": 2.301, "idle_loss": 2.303, "steps": 400},
        "After 400 steps the loss is 2.30",
        {"hundred_loss": 1.9, "idle_loss": 2.303, "steps": 400},
    ),
    (
        rules.dead_rectifiers,
        {"silent": {"one": (8, 8), "two": (30, 40), "three": (0, 10)}, "steps": 200},
        "30 of 40 units of two, and most of those of one, have had",
        {"silent": {"one": (2, 8), "two": (3, 40), "three": (0, 10)}, "steps": 200},
    ),
    (
        rules.vanishing,
        {"pull": {"one": 1e-9, "two": 1e-3}},
        "reaches one",
        {"pull": {"one": 0.015, "two": 10.0}},
    ),
    (
        rules.exploding,
        {"pull": {"one": 1e5, "two": 1e-3}},
        "gradient of one is very large",
        {"pull": {"one": 0.015, "two": 10.0}},
    ),
    (rules.overfitting, {"history": BY_HEART}, "Since epoch 3", {"history": FALLING}),
    (  # with dropout, training is above a validation loss that wavers
        rules.overfitting,
        {"history": BY_HEART},
        "from 1 to 2",
        {"history": [row | {"loss": 3.0 - row["epoch"] / 10} for row in BY_HEART]},
    ),
    (  # a network that fell back to knowing nothing
        rules.overfitting,
        {"history": BY_HEART},
        "from 1 to 2",
        {"history": [row | {"loss": row["val_loss"] - 0.01} for row in BY_HEART]},
    ),
    (  # a hinge loss of few pictures, when nearly all keep the margin
        rules.overfitting,
        {"history": BY_HEART[:6]},
        "from 1 to 1.6",
        {"history": [FALLING[0] | {"loss": 1.0}, *BY_HEART_BY_LITTLE]},
    ),
    (
        rules.waiting,
        {"waiting_share": 0.62, "epoch_seconds": 30.0},
        "62% of the epoch",
        {"waiting_share": 0.02, "epoch_seconds": 30.0},
    ),
]


@pytest.mark.parametrize(
    "rule, fault, said, sound", CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rule_fires_on_its_fault_and_is_silent_on_what_is_sound(rule, fault, said, sound):
    sentence = rule(**fault)
    assert said in sentence and sentence.endswith(".") and not sentence[0].islower()
    assert rule(**sound) is None


def test_every_rule_is_tried_and_names_a_lesson_and_options_that_there_are():
    assert {case[0].__name__ for case in CASES} == set(rules.LESSONS)
    numbers = {lesson.number for lesson in course.lessons()}
    assert set(rules.LESSONS.values()) <= numbers
    known = {f"--{name.replace('_', '-')}" for name in vars(Settings())} | {"--check"}
    for rule, fault, *_ in CASES:
        assert set(re.findall(r"--[a-z-]+", rule(**fault))) <= known


def test_the_coach_calls_every_rule_and_says_it_under_its_own_name():
    """As keyword=rules.name(...) or "name": rules.name(...)."""
    pairs = []
    for node in ast.walk(ast.parse(inspect.getsource(coach))):
        if isinstance(node, ast.keyword):
            pairs.append((node.arg, node.value))
        elif isinstance(node, ast.Dict):
            pairs += [(ast.literal_eval(key), value) for key, value in zip(node.keys, node.values)]
    calls = [
        (name, value.func.attr)
        for name, value in pairs
        if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("rules.")
    ]
    assert {name for name, _ in calls} == set(rules.LESSONS)
    assert all(name == rule for name, rule in calls)


# Sound runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(make_run):
    """(a run that the coach looked at as often as it could, how often it looked)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coach, "SHARE", float("inf"))
        patch.setattr(coach, "FIRST_LOOK", 1)
        looks, original = [], measurements.by_layer
        patch.setattr(measurements, "by_layer", lambda *given: looks.append(1) or original(*given))
        return make_run(epochs=3, deterministic=True), len(looks)


def test_a_sound_run_is_told_nothing(sound):
    run, looks = sound
    told = [each["rule"] for each in run.settings.get("coach", [])]
    assert set(told) <= {"how_long", "waiting"}  # which hang on the clock
    assert looks > 8


def test_the_coach_changes_no_bit_of_the_training(sound):
    """convnet has dropout: a random number drawn in between would show."""
    silent = tinyconv.fit(epochs=3, deterministic=True, no_coach=True)
    for name in ("loss", "top1", "val_loss"):
        assert [row[name] for row in silent.history] == [row[name] for row in sound[0].history]
    pairs = zip(silent.model("last").weights, sound[0].model("last").weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


# Faults -----------------------------------------------------------------------------------


def test_a_sentence_is_said_once_a_run_and_kept():
    """50 validation pictures are too few, also after the run has gone on."""
    run = tinyconv.fit(**QUICK | {"limit": 50, "epochs": 1}, name="few")
    (told,) = run.settings["coach"]
    assert told["rule"] == "small_validation" and (told["epoch"], told["lesson"]) == (0, 9)
    longer = tinyconv.resume("few", epochs=2)
    assert longer.settings["coach"] == [told]
    line = f"coach      {told['sentence']} (see: tinyconv lesson 9)"
    assert (run.path / "log.txt").read_text().splitlines().count(line) == 1


def test_a_divergence_is_told_while_it_happens():
    wild = {"model": "linear", "optimizer": "sgd", "learning_rate": 50.0, "epochs": 3}
    run = tinyconv.fit(**wild)
    (told,) = [each for each in run.settings["coach"] if each["rule"] == "diverging"]
    assert "try --learning-rate 5." in told["sentence"] and told["epoch"] in (2, 3)


def told_of(train, labels, validation, no_coach=False):
    """The rules that speak of a data set, by name."""
    splits = {
        "train": Split(train, labels, []),
        "validation": Split(validation, np.zeros(len(validation), "int32"), []),
    }
    options = Settings(no_coach=no_coach)
    run = Run(None, options, None)
    run.add(policy="float32")
    coach.before(run, Dataset("d", ("cat", "dog"), splits, False, False))
    return {each["rule"]: each["sentence"] for each in run.settings.get("coach", [])}


def test_faults_of_the_data(capsys):
    random = np.random.default_rng(0)
    train, validation = (random.integers(0, 256, (n, 4, 4, 1), "uint8") for n in (400, 200))
    labels = np.arange(400, dtype="int32") % 2
    assert told_of(train, labels, validation) == {}
    assert told_of(train // 255, labels, validation // 255).keys() >= {"input_scale"}
    twice = np.concatenate([train[50:57], validation])
    assert "7 of the 207 validation pictures" in told_of(train, labels, twice)["seen_before"]
    assert told_of(train, labels, twice, no_coach=True) == {}
    alike = twice.copy()
    alike[:7, 0, 0, 0] ^= 1  # whose middle rows are the same, and which are others
    assert told_of(train, labels, alike) == {}
    assert told_of(train, (labels == 0) * (train[:, 0, 0, 0] < 25), validation).keys() == {
        "imbalance"
    }
    assert "coach      Of 400 training pictures" in capsys.readouterr().err


def test_the_loss_of_knowing_nothing():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(7)])
    labels = np.arange(5)
    for loss, value in (
        (losses.loss("softmax"), np.log(7)),
        (losses.loss("hinge"), 6),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), np.log(7)),
        (keras.losses.SparseCategoricalCrossentropy(), None),
        (None, None),
    ):
        model.compile(loss=loss)
        found = measurements.chance(model, labels)
        assert found == value or found == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_mean_gradients_are_those_worked_by_hand(name):
    """A linear unit, (w x - y)²: its gradient is 2 x (w x - y), and 0.9 of the mean is kept."""
    unit = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), unit])
    settings = Settings(optimizer=name, learning_rate=0.01, weight_decay=0.0)
    training.compile_model(model, settings, "mse", None)
    random, mean = np.random.default_rng(0), np.zeros((2, 1))
    for _ in range(4):
        x, y = random.normal(size=(1, 2)), random.normal(size=(1, 1))
        w = np.array(unit.kernel, "float64")
        mean = 0.9 * mean + 0.1 * 2 * x.T @ (x @ w - y)
        model.train_on_batch(x, y)
    ((weight, found),) = measurements.mean_gradients(model.optimizer)
    assert weight is unit.kernel
    np.testing.assert_allclose(found, mean, rtol=1e-4)
    pull = measurements.by_layer(model.optimizer, 2.0)["pull"]
    size = np.linalg.norm(np.array(unit.kernel))
    assert list(pull.values()) == [pytest.approx(np.linalg.norm(mean) * size / 2, rel=1e-4)]
    model.compile("rmsprop", "mse")
    assert measurements.by_layer(model.optimizer, 1.0) == {}


def by_layer(factor, bias):
    """What is measured of 4 numbers, 5 rectifiers, 3 scores, Gaussian weights of that spread."""
    random = np.random.default_rng(0)
    spread = keras.initializers.RandomNormal(stddev=factor, seed=0)
    hidden = keras.layers.Dense(5, "relu", kernel_initializer=spread, name="hidden")
    scores = keras.layers.Dense(3, kernel_initializer=spread, name="scores")
    model = keras.Sequential([keras.Input((4,)), hidden, scores])
    training.compile_model(model, Settings(learning_rate=1e-9), losses.loss("softmax"), None)
    hidden.bias.assign(bias)
    for _ in range(3):
        model.train_on_batch(random.normal(size=(32, 4)), np.arange(32) % 3)
    found = measurements.by_layer(model.optimizer, np.log(3))
    return [list(found[name].items()) for name in ("silent", "pull")]


def test_dead_and_vanishing_and_exploding_layers_are_found():
    (hidden, scores), pull = by_layer(0.5, [-1e6, 1, -1e6, 1, -1e6])
    assert (hidden[1], scores[1]) == ((3, 5), (0, 3))
    assert rules.dead_rectifiers(dict([hidden, scores]), 200).startswith("3 of 5 units of ")
    assert rules.vanishing(dict(pull)) is rules.exploding(dict(pull)) is None
    assert "reaches " in rules.vanishing(dict(by_layer(1e-6, np.zeros(5))[1]))
    assert "thousandth" in rules.exploding(dict(by_layer(1e3, np.zeros(5))[1]))


# One batch --------------------------------------------------------------------------------


def test_one_batch_is_learnt_or_not_and_no_run_is_made(capsys):
    code, out, err = command(capsys, "fit", "--model", "two_layer", "--check", "--json")
    assert code == 0 and json.loads(out)["right"] == 1.0
    assert "check      It can overfit 16 examples" in err
    code, _, err = command(capsys, "fit", "--model", "two_layer", "--check", "--learning-rate", "0")
    assert code == 2 and "It cannot overfit 16 examples" in err
    assert command(capsys, "fit", "--check", "--name", "x")[0] == 2
    assert not Path("runs").exists()


SCENES = ["caption", "--limit", "64", "--batch-size", "16", "--least", "1", "--longest", "16"]


def test_a_network_of_two_heads_is_checked(capsys):
    small = ["localise", "--check", "--model", "two_layer", "--limit", "128"]
    code, out, _ = command(capsys, "fit", *small, "--json")
    found = json.loads(out)
    assert code == 0 and found["right"] == 1.0 and found["last_loss"] < found["first_loss"] / 2
    assert command(capsys, "fit", *small, "--learning-rate", "0")[0] == 2
    assert not Path("runs").exists()


def test_a_head_that_learns_nothing_fails_the_check(monkeypatch):
    """Where the other one has all its labels right."""
    monkeypatch.setattr(losses.DistanceIoU, "call", lambda self, true, boxes: 0 * boxes[:, 0] + 1)
    found = verbs.check("localise", model="two_layer", limit=128)
    assert found.right == 1.0 and not found.learns


def test_captions_are_checked_and_their_step_size_is_looked_for(capsys, few_scenes):
    code, out, _ = command(capsys, "fit", *SCENES, "--check", "--json")
    found = json.loads(out)
    assert code == 0 and found["right"] is None and found["last_loss"] < found["first_loss"] / 4
    code, out, _ = command(capsys, "lr-find", *SCENES, "--json")
    found = json.loads(out)
    assert code == 0 and 1e-4 < found["suggestion"] < 1 and Path(found["picture"]).is_file()
    assert not Path("runs").exists()


def test_a_task_with_a_training_of_its_own_cannot_be_tried(monkeypatch):
    loop = SimpleNamespace(name="mine", run=lambda: None)
    monkeypatch.setattr("tinyconv.tasks.classify.Classify.prepare", lambda self, run: loop)
    with pytest.raises(UserError, match="classify has a training loop of its own"):
        verbs.check()
