"""The coach: every rule fires on its planted fault and is silent on sound trainings."""

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
OVERFITTING = [
    row | {"val_loss": 1.0 + 0.2 * abs(row["epoch"] - 3)} for row in FALLING
]  # best in epoch 3
EVEN = dict.fromkeys("abcdefghij", 100)

OVERFITTING_SLIGHTLY = [
    row | {"loss": row["loss"] / 40, "val_loss": row["val_loss"] / 25} for row in OVERFITTING[1:]
]
LOSSES = {"chance_loss": 2.3, "learning_rate": 0.5, "steps": 30}

CASES = [  # rule, numbers of a planted fault, part of its sentence, numbers of a sound training
    (
        rules.slow_numbers,
        {"policy": "mixed_float16", "has_gpu": False, "has_bfloat16": True},
        "24 to 84 times slower",
        {"policy": "mixed_bfloat16", "has_gpu": False, "has_bfloat16": True},
    ),
    (
        rules.slow_numbers,
        {"policy": "mixed_bfloat16", "has_gpu": False, "has_bfloat16": False},
        "no instructions that make it faster",
        {"policy": "mixed_float16", "has_gpu": True, "has_bfloat16": False},
    ),
    (
        rules.input_scale,
        {"pixel_spread": 0.4, "brightest_pixel": 1},
        "multiply the pixels by 255",
        {"pixel_spread": 70.0, "brightest_pixel": 255},
    ),
    (
        rules.input_scale,
        {"pixel_spread": 0.0, "brightest_pixel": 0},
        "pictures in a sample are black",
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
        "are of a and 100 of b: always predicting a would be 82% accurate; judge",
        {"class_counts": EVEN | {"a": 300}},
    ),
    (
        rules.imbalance,
        {"class_counts": EVEN | {"c": 3}},
        "100 of 903 training pictures are of a and 3 of c; judge",
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
        "they show 85% to 95% by chance alone; trust no smaller difference, or hold back 100",
        {"validation_pictures": 179},
    ),
    (
        rules.first_loss,
        {"first_loss": 14.2, "chance": 2.303},
        "14.20, where equal scores have 2.30",
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
        {"recent_loss": 50.0, "initial_loss": 2.4, **LOSSES},
        "--learning-rate 0.05",
        {"recent_loss": 9.0, "initial_loss": 14.0, **LOSSES},
    ),
    (
        rules.stuck,
        {"hundred_loss": 2.301, "chance_loss": 2.303, "steps": 400},
        "After 400 steps the loss is 2.30",
        {"hundred_loss": 1.9, "chance_loss": 2.303, "steps": 400},
    ),
    (
        rules.dead_rectifiers,
        {"dead": {"one": (8, 8), "two": (30, 40), "three": (0, 10)}, "steps": 200},
        "30 of 40 units of two, and most of those of one, have had",
        {"dead": {"one": (2, 8), "two": (3, 40), "three": (0, 10)}, "steps": 200},
    ),
    (
        rules.vanishing,
        {"influence": {"one": 1e-9, "two": 1e-3}, "steps": 20},
        "reaches one",
        {"influence": {"one": 0.015, "two": 10.0}, "steps": 20},
    ),
    (  # one of the first steps: weights that start at zero pass no gradient on
        rules.vanishing,
        {"influence": {"one": 0.0, "two": 1e-3}, "steps": 20},
        "reaches one",
        {"influence": {"one": 0.0, "two": 1e-3}, "steps": 19},
    ),
    (
        rules.exploding,
        {"influence": {"one": 1e5, "two": 1e-3}},
        "gradient of one is very large",
        {"influence": {"one": 0.015, "two": 10.0}},
    ),
    (rules.overfitting, {"history": OVERFITTING}, "Since epoch 3", {"history": FALLING}),
    (  # with dropout, the training loss is above a noisy validation loss
        rules.overfitting,
        {"history": OVERFITTING},
        "from 1 to 2",
        {"history": [row | {"loss": 3.0 - row["epoch"] / 10} for row in OVERFITTING]},
    ),
    (  # a network that collapsed to chance
        rules.overfitting,
        {"history": OVERFITTING},
        "from 1 to 2",
        {"history": [row | {"loss": row["val_loss"] - 0.01} for row in OVERFITTING]},
    ),
    (  # a hinge loss of few pictures, when nearly all keep the margin
        rules.overfitting,
        {"history": OVERFITTING[:6]},
        "from 1 to 1.6",
        {"history": [FALLING[0] | {"loss": 1.0}, *OVERFITTING_SLIGHTLY]},
    ),
    (
        rules.waiting,
        {"waiting_share": 0.62, "epoch_seconds": 30.0},
        "62% of the epoch",
        {"waiting_share": 0.02, "epoch_seconds": 30.0},
    ),
]


@pytest.mark.parametrize(
    "rule, fault, part, sound", CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rule_fires_on_its_fault_and_is_silent_on_sound_numbers(rule, fault, part, sound):
    sentence = rule(**fault)
    assert part in sentence and sentence.endswith(".") and not sentence[0].islower()
    assert rule(**sound) is None


def test_every_rule_is_tested_and_names_existing_lessons_and_options():
    assert {case[0].__name__ for case in CASES} == set(rules.LESSONS)
    numbers = {lesson.number for lesson in course.lessons()}
    assert set(rules.LESSONS.values()) <= numbers
    options = {f"--{name.replace('_', '-')}" for name in vars(Settings())} | {"--check"}
    for rule, fault, *_ in CASES:
        assert set(re.findall(r"--[a-z-]+", rule(**fault))) <= options


def test_the_coach_calls_every_rule_and_reports_it_by_its_own_name():
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
    """(a run that the coach checked as often as possible, the number of checks)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coach, "MAX_FRACTION", float("inf"))
        patch.setattr(coach, "FIRST_LOOK", 1)
        looks, original = [], measurements.by_layer
        patch.setattr(measurements, "by_layer", lambda *args: looks.append(1) or original(*args))
        return make_run(epochs=3, deterministic=True), len(looks)


def test_a_sound_run_gets_no_sentences(sound):
    run, looks = sound
    reported = [each["rule"] for each in run.settings.get("coach", [])]
    assert set(reported) <= {"how_long", "waiting"}  # which depend on the clock
    assert looks > 8


def test_the_coach_changes_no_bit_of_the_training(sound):
    """convnet has dropout: an extra random number would change it."""
    silent = tinyconv.fit(epochs=3, deterministic=True, no_coach=True)
    for name in ("loss", "top1", "val_loss"):
        assert [row[name] for row in silent.history] == [row[name] for row in sound[0].history]
    pairs = zip(silent.model("last").weights, sound[0].model("last").weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


# Faults -----------------------------------------------------------------------------------


def test_a_sentence_is_reported_once_a_run_and_recorded():
    """50 validation pictures are too few, also after the run was resumed."""
    run = tinyconv.fit(**QUICK | {"limit": 50, "epochs": 1}, name="few")
    (entry,) = run.settings["coach"]
    assert entry["rule"] == "small_validation" and (entry["epoch"], entry["lesson"]) == (0, 9)
    longer = tinyconv.resume("few", epochs=2)
    assert longer.settings["coach"] == [entry]
    line = f"coach      {entry['sentence']} (see: tinyconv lesson 9)"
    assert (run.path / "log.txt").read_text().splitlines().count(line) == 1


def test_a_divergence_is_reported_while_it_happens():
    wild = {"model": "linear", "optimizer": "sgd", "learning_rate": 50.0, "epochs": 3}
    run = tinyconv.fit(**wild)
    (entry,) = [each for each in run.settings["coach"] if each["rule"] == "diverging"]
    assert "try --learning-rate 5." in entry["sentence"] and entry["epoch"] in (2, 3)


def sentences_on(train, labels, validation, no_coach=False):
    """The coach's sentences on a data set, by rule."""
    splits = {
        "train": Split(train, labels, []),
        "validation": Split(validation, np.zeros(len(validation), "int32"), []),
    }
    options = Settings(no_coach=no_coach)
    run = Run(None, options, None)
    run.add(policy="float32")
    coach.examine_data(run, Dataset("d", ("cat", "dog"), splits, False, False))
    return {each["rule"]: each["sentence"] for each in run.settings.get("coach", [])}


def test_faults_of_the_data(capsys):
    random = np.random.default_rng(0)
    train, validation = (random.integers(0, 256, (n, 4, 4, 1), "uint8") for n in (400, 200))
    labels = np.arange(400, dtype="int32") % 2
    assert sentences_on(train, labels, validation) == {}
    assert sentences_on(train // 255, labels, validation // 255).keys() >= {"input_scale"}
    twice = np.concatenate([train[50:57], validation])
    assert "7 of the 207 validation pictures" in sentences_on(train, labels, twice)["seen_before"]
    assert sentences_on(train, labels, twice, no_coach=True) == {}
    similar = twice.copy()
    similar[:7, 0, 0, 0] ^= 1  # the same middle rows, but other pictures
    assert sentences_on(train, labels, similar) == {}
    assert sentences_on(train, (labels == 0) * (train[:, 0, 0, 0] < 25), validation).keys() == {
        "imbalance"
    }
    assert "coach      The classes are imbalanced: " in capsys.readouterr().err


def test_the_loss_of_chance():
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
        chance = measurements.chance(model, labels)
        assert chance == value or chance == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_mean_gradients_by_hand(name):
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
    ((weight, gradient),) = measurements.mean_gradients(model.optimizer)
    assert weight is unit.kernel
    np.testing.assert_allclose(gradient, mean, rtol=1e-4)
    influence = measurements.by_layer(model.optimizer, 2.0)["influence"]
    size = np.linalg.norm(np.array(unit.kernel))
    assert list(influence.values()) == [pytest.approx(np.linalg.norm(mean) * size / 2, rel=1e-4)]
    model.compile("rmsprop", "mse")
    assert measurements.by_layer(model.optimizer, 1.0) == {}


def by_layer(factor, bias):
    """`dead` and `influence` for 4 inputs, 5 rectifiers, 3 scores, weights of spread `factor`."""
    random = np.random.default_rng(0)
    spread = keras.initializers.RandomNormal(stddev=factor, seed=0)
    hidden = keras.layers.Dense(5, "relu", kernel_initializer=spread, name="hidden")
    scores = keras.layers.Dense(3, kernel_initializer=spread, name="scores")
    model = keras.Sequential([keras.Input((4,)), hidden, scores])
    training.compile_model(model, Settings(learning_rate=1e-9), losses.loss("softmax"), None)
    hidden.bias.assign(bias)
    for _ in range(rules.SPAN):
        model.train_on_batch(random.normal(size=(32, 4)), np.arange(32) % 3)
    measured = measurements.by_layer(model.optimizer, np.log(3))
    return [list(measured[name].items()) for name in ("dead", "influence")]


def test_dead_vanishing_and_exploding_layers():
    (hidden, scores), influence = by_layer(0.5, [-1e6, 1, -1e6, 1, -1e6])
    assert (hidden[1], scores[1]) == ((3, 5), (0, 3))
    assert rules.dead_rectifiers(dict([hidden, scores]), 200).startswith("3 of 5 units of ")
    assert rules.vanishing(dict(influence), rules.SPAN) is rules.exploding(dict(influence)) is None
    assert "reaches " in rules.vanishing(dict(by_layer(1e-6, np.zeros(5))[1]), rules.SPAN)
    assert "thousandth" in rules.exploding(dict(by_layer(1e3, np.zeros(5))[1]))


@pytest.mark.parametrize("spread, reports", [(0.0, []), (1e-7, ["vanishing"])])
def test_a_gradient_that_arrives_late_is_no_fault(spread, reports, monkeypatch):
    """Scores that start at zero pass no gradient on in the first step, as word2vec's do; one step
    an epoch, so that the coach looks from the first step on. Where both layers have next to no
    weights, and stay so, hardly any gradient arrives at all."""
    monkeypatch.setattr(coach, "MAX_FRACTION", float("inf"))
    first = keras.initializers.RandomNormal(stddev=spread or 0.05, seed=0)
    scores = keras.initializers.RandomNormal(stddev=spread, seed=0)
    model = keras.Sequential([
        keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
        keras.layers.Dense(8, kernel_initializer=first, name="hidden"),
        keras.layers.Dense(2, kernel_initializer=scores, name="scores"),
    ])  # fmt: skip
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (300, 4, 4, 1), "uint8"), np.arange(300) % 2
    rates = {"learning_rate": 1e-9 if spread else 1e-3, "weight_decay": 0.0}
    run = tinyconv.fit(data=(x, y), model=model, epochs=25, batch_size=200, **rates)
    rows = [each["rule"] for each in run.settings.get("coach", [])]
    assert [rule for rule in rows if rule == "vanishing"] == reports


# One batch --------------------------------------------------------------------------------


def test_one_batch_is_learnt_or_not_and_leaves_no_run(capsys):
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
    result = json.loads(out)
    assert code == 0 and result["right"] == 1.0 and result["last_loss"] < result["first_loss"] / 2
    assert command(capsys, "fit", *small, "--learning-rate", "0")[0] == 2
    assert not Path("runs").exists()


def test_a_head_that_learns_nothing_fails_the_check(monkeypatch):
    """Even if the other head has all its labels right."""
    monkeypatch.setattr(losses.DistanceIoU, "call", lambda self, true, boxes: 0 * boxes[:, 0] + 1)
    result = verbs.check("localise", model="two_layer", limit=128)
    assert result.right == 1.0 and not result.learns


def test_check_and_lr_find_work_for_captions(capsys, few_scenes):
    code, out, _ = command(capsys, "fit", *SCENES, "--check", "--json")
    check = json.loads(out)
    assert code == 0 and check["right"] is None and check["last_loss"] < check["first_loss"] / 4
    code, out, _ = command(capsys, "lr-find", *SCENES, "--json")
    result = json.loads(out)
    assert code == 0 and 1e-4 < result["suggestion"] < 1 and Path(result["picture"]).is_file()
    assert not Path("runs").exists()


def test_a_task_with_a_training_of_its_own_cannot_be_checked(monkeypatch):
    loop = SimpleNamespace(name="mine", run=lambda: None)
    monkeypatch.setattr("tinyconv.tasks.classify.Classify.prepare", lambda self, run: loop)
    with pytest.raises(UserError, match="classify has a training loop of its own"):
        verbs.check()
