"""Sweeps: what they vary, which trials they have, kills, halving, pages, and bad input."""

import contextlib
import itertools
import json
import signal
import sys
import time
import types
import zlib
from pathlib import Path

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.incidents import ctrl_c
from tests.helpers.quick import EXACT
from tests.programs.sweep_kills import counted
from tinyconv import registry, sweep
from tinyconv.errors import UserError
from tinyconv.sweep import halving, ranges, record, study, worker
from tinyconv.sweep.ranges import Choices, Range
from tinyconv.trials import reproduce

pytest.importorskip("optuna", reason="optuna is not installed")
Settings = registry.find("tasks", "classify").Settings
SPACE = {"learning_rate": "1e-3..1e-1", "weight_decay": "0,1e-3"}


def losses(path) -> list[float]:
    return tinyconv.load(path).state()["step_losses"]


def outcomes(result) -> list[tuple]:
    return [(t.number, t.values, t.state, t.value, losses(t.path)) for t in result.trials]


# What a sweep varies ----------------------------------------------------------------------


def test_ranges_and_lists_are_read_by_the_type_and_scale_of_their_setting():
    values = {
        "learning_rate": "1e-4..1e-1",
        "weight_decay": "0, 1e-4,1e-3",
        "batch_size": "16..128",
        "label_smoothing": "0..0.3",
        "epochs": "5",
        "patience": "none,3",
        "optimizer": ["adamw", "sgd"],
        "no_coach": "true,false",
        "force": "true",
        "data": "digits",
        "limit": 50,
        "root": "a,b",
    }
    shared, varied = ranges.split(Settings, values)
    root = Path("a,b")
    assert shared == {"epochs": 5, "force": True, "data": "digits", "limit": 50, "root": root}
    assert varied == {
        "learning_rate": Range(1e-4, 1e-1, "log", whole=False),
        "weight_decay": Choices((0.0, 1e-4, 1e-3)),
        "batch_size": Range(16, 128, "log", whole=True),
        "label_smoothing": Range(0.0, 0.3, "linear", whole=False),
        "patience": Choices((None, 3)),
        "optimizer": Choices(("adamw", "sgd")),
        "no_coach": Choices((True, False)),
    }
    assert ranges.from_json(json.loads(json.dumps(ranges.as_json(varied)))) == varied


@pytest.mark.parametrize(
    "name, value, match",
    [
        ("learning_rate", "1e-1..1e-4", "is an empty range; give the lower end first"),
        ("learning_rate", "1e-3..1e-3", "is an empty range"),
        ("learning_rate", "0..1e-3", "logarithmic scale, which needs a lower end above 0"),
        ("learning_rate", "..1e-3", "a range is LOW..HIGH, two numbers with dots between"),
        ("learning_rate", "1e-3..nan", "a range is LOW..HIGH"),
        ("batch_size", "1.5..8", "two whole numbers"),
        ("batch_size", "0..8", "logarithmic scale"),
        ("label_smoothing", "0.1..2", "label_smoothing must be from 0.0 to 0.9, but 2.0"),
        ("learning_rate", "0.1,high", "learning_rate must be a number, a range LOW..HIGH or a"),
        ("learning_rate", "0.1,0.1", "lists no value, or one of them twice"),
        ("optimizer", [], "lists no value"),
        ("optimizer", "adam,sgd", "There is no optimizer 'adam'; did you mean adamw?"),
        ("force", "perhaps", "force must be true or false or a list with commas"),
        ("learning_rat", "1..2", "There is no setting 'learning_rat'; did you mean learning_rate"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(name, value, match):
    with pytest.raises(UserError, match=match) as error:
        sweep.fit(trials=3, **{name: value})
    assert "\n" not in str(error.value)
    assert not Path("runs").exists()


def test_values_follow_from_seed_and_number_by_numpys_generator():
    _, varied = ranges.split(Settings, {"learning_rate": "1e-4..1e-1", "batch_size": "2..5"})
    for number in (0, 7):
        values = ranges.at_random(varied, 3, number)
        one, other = (
            np.random.default_rng([3, number, zlib.crc32(name)]).random()
            for name in (b"learning_rate", b"batch_size")
        )
        assert values["learning_rate"] == pytest.approx(10 ** (-4 + 3 * one), rel=1e-3)
        assert values["batch_size"] == int(2 * (6 / 2) ** other)
    draws = [ranges.at_random(varied, 0, number) for number in range(3000)]
    decades = np.floor(np.log10([row["learning_rate"] for row in draws])).astype(int)
    assert np.bincount(decades + 4) / 3000 == pytest.approx([1 / 3] * 3, abs=0.03)
    counts = np.bincount([row["batch_size"] for row in draws])[2:] / 3000
    expected = np.diff(np.log([2, 3, 4, 5, 6])) / np.log(3)
    assert counts == pytest.approx(expected, abs=0.03)


def test_a_grid_has_every_combination_once():
    _, varied = ranges.split(Settings, {"weight_decay": [0, 1e-3], "batch_size": "8,16,32"})
    points = [tuple(ranges.on_grid(varied, i).values()) for i in range(ranges.grid_size(varied))]
    assert points == list(itertools.product((0.0, 1e-3), (8, 16, 32)))


# Trials -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A sweep of three trials, and the folder of runs it is in."""
    place = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCONV_RUNS", str(place))
        return sweep.fit(**EXACT, **SPACE, trials=3)


@pytest.fixture
def beside(done, monkeypatch):
    """The sweep, in the folder of runs of this test."""
    monkeypatch.setenv("TINYCONV_RUNS", str(done.path.parent))
    return done


def test_a_trial_is_the_run_that_a_fit_makes(done):
    assert [trial.state for trial in done.trials] == ["complete"] * 3
    for trial in done.trials:
        alone = tinyconv.fit(**EXACT, **trial.values)
        assert losses(trial.path) == losses(alone.path)
        run = tinyconv.load(trial.path)
        assert run.settings["result"]["metrics"] == alone.settings["result"]["metrics"]
        lowest = min(row["val_loss"] for row in run.history)
        assert trial.value == pytest.approx(-lowest, rel=1e-4)
    assert reproduce.verify(tinyconv.load(done.trials[1].path), None).verdict == "identical"
    order = [trial.value for trial in done.ranking]
    assert order == sorted(order, reverse=True) and done.best.path == done.ranking[0].path


def test_the_same_command_trains_nothing_again(beside, capsys, at_step):
    steps = []
    at_step(None, lambda *_: steps.append(1))
    words = ["--model", "two_layer", "--limit", 200, "--epochs", 3, "--deterministic"]
    varied = ["--learning-rate", "1e-3..1e-1", "--weight-decay", "0,1e-3", "--trials", 3]
    code, out, err = command(capsys, "sweep", "fit", *words, *varied, "--json")
    document = json.loads(out)
    assert code == 0 and not steps
    assert list(document) == ["run", "task", "metrics", "seconds", "sweep", "trials"]
    assert document["sweep"] == str(beside.path)
    assert document["run"] == str(beside.best.path)
    assert [each["settings"] for each in document["trials"]] == [t.values for t in beside.trials]
    assert "values by the seed and the trial's number" in err and "3 of 3 trials done" in err
    code, out, err = command(capsys, "report", beside.path)
    assert code == 0 and out.strip() == str(beside.path / "sweep.html")


def test_more_trials_extend_it_and_leave_the_others_as_they_are(beside, at_step):
    before = outcomes(beside)
    steps = []
    at_step(None, lambda loop, *_: steps.append(loop.run_folder.path.name))
    longer = sweep.fit(**EXACT, **SPACE, trials=4)
    assert longer.path == beside.path and outcomes(longer)[:3] == before
    assert set(steps) == {"trial-003"}


def test_a_stopped_sweep_goes_on_to_the_same_numbers(done, at_step, capsys):
    at_step(4, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        sweep.fit(**EXACT, **SPACE, trials=3, name="stopped")
    assert "0 of 3 trials done; the same command continues" in capsys.readouterr().err
    assert outcomes(sweep.fit(**EXACT, **SPACE, trials=3, name="stopped")) == outcomes(done)[:3]


@pytest.mark.tensorflow
def test_workers_killed_at_random_moments_end_with_the_numbers_of_an_undisturbed_sweep():
    settings = {
        "model": "two_layer",
        "limit": 200,
        "epochs": 3,
        "precision": "float32",
        "learning-rate": "1e-3..1e-1",
        "weight-decay": "0,1e-3",
    }
    counts = counted(settings, trials=4, kills=2, seconds=1.0)
    assert counts["trials"] == counts["identical"] == 4 and counts["same_best"]
    assert counts["kills"] >= 1 and counts["starts"] >= 4


def test_a_worker_takes_over_what_was_killed_before_it_had_values(done, tmp_path):
    """A trial that a killed worker has added, and begun nothing of."""
    one = study.Study(tmp_path, done.space, "random", 0)
    one.new()
    other = study.Study(tmp_path, done.space, "random", 0)
    assert other.trials[0].params == {}
    assert other.values(0) == done.trials[0].values == other.trials[0].params


def test_a_line_that_a_kill_has_cut_off_is_removed(tmp_path):
    _, varied = ranges.split(Settings, SPACE)
    one = study.Study(tmp_path, varied, "random", 0)
    one.new()
    journal = tmp_path / study.FOLDER / study.JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"work')
    other = study.Study(tmp_path, varied, "random", 0)
    other.new()
    assert len(other.trials) == 2
    assert all(json.loads(line) for line in journal.read_text().splitlines())


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_minutes_stop_a_worker_as_ctrl_c_does(handler):
    """Also in a script's background job, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(worker.TimeIsOver), worker.deadline(0.0005):
            for _ in range(3000):  # it takes effect between two of Python's instructions
                time.sleep(0.01)
        with worker.deadline(60):
            pass
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_worker_whose_minutes_are_over_stops_in_mid_trial(at_step, monkeypatch, capsys):
    @contextlib.contextmanager
    def at_ctrl_c(minutes):
        assert minutes == 5.0
        try:
            yield
        except KeyboardInterrupt as error:
            raise worker.TimeIsOver from error

    monkeypatch.setattr(worker, "deadline", at_ctrl_c)
    at_step(4, ctrl_c)
    result = sweep.fit(**EXACT, **SPACE, trials=2, minutes=5.0)
    assert "minutes    are over: 0 of 2 trials done" in capsys.readouterr().err
    assert tinyconv.load(result.trials[0].path).state()["epoch"] >= 1


def test_a_trial_that_diverges_is_reported_and_the_others_go_on(capsys):
    settings = EXACT | {"optimizer": "sgd", "learning_rate": [1e30, 0.01]}
    result = sweep.fit(**settings)
    assert [trial.state for trial in result.trials] == ["fail", "complete"]
    assert "loss" in result.trials[0].error and "\n" not in result.trials[0].error
    assert result.best.path.name == "trial-001"
    err = capsys.readouterr().err
    assert "trial 0    failed: " in err and "2 of 2 trials done (1 failed)" in err
    page = (result.path / "sweep.html").read_text()
    assert "Every trial" in page and "fail" in page


def test_what_only_this_machine_lacks_fails_no_trial():
    with pytest.raises(UserError, match="nowhere"):
        sweep.fit(**EXACT, **SPACE, trials=5, data="./nowhere", name="lacking")
    result = sweep.load("lacking")
    assert result.trials and {trial.state for trial in result.trials} == {"running"}


# Halving ----------------------------------------------------------------------------------


def test_rungs_and_survivors():
    assert halving.rungs(9, 9) == [1, 3, 9]
    assert halving.rungs(20, 40) == [2, 7, 20]
    assert halving.rungs(20, 4) == [7, 20]
    assert halving.rungs(2, 40) == [2]
    assert halving.survivors({0: 1.0, 1: 3.0, 2: 3.0, 3: 2.0}) == [1, 2]
    assert halving.survivors({}) == []


def test_the_next_rung_begins_when_all_trials_have_reached_the_last():
    def trial(value=None, state="RUNNING", **reports):
        reached = {int(epochs[1:]): one for epochs, one in reports.items()}
        state = types.SimpleNamespace(name=state)
        return types.SimpleNamespace(value=value, state=state, intermediate_values=reached)

    two = [trial(e1=0.5), trial()]
    assert halving.next_work(two, 4, [1, 3]) == (1, [1, 2, 3], [])
    four = [trial(e1=0.5), trial(e1=0.7), trial(state="FAIL"), trial(e1=0.1)]
    assert halving.next_work(four, 4, [1, 3]) == (None, [1], [0, 3])
    four[1] = trial(0.9, "COMPLETE", e1=0.7)
    assert halving.next_work(four, 4, [1, 3]) is None
    assert halving.next_work([trial(state="FAIL")], 1, [3]) is None


def test_halving_trains_no_epoch_twice_and_survivors_as_a_whole_fit(at_step, capsys):
    epochs = []

    def count(loop, *_):
        if loop.run_folder.path is not None:  # not that of `verify`
            epochs.append((loop.run_folder.path.name, loop.steps_done))

    at_step(None, count)
    settings = {**EXACT, "limit": 60, "epochs": 9}  # one step an epoch
    result = sweep.fit(**settings, learning_rate="1e-3..1e-1", trials=9, prune=True)
    assert len(epochs) == len(set(epochs)) == 6 * 1 + 2 * 3 + 1 * 9
    states = [trial.state for trial in result.trials]
    assert states.count("pruned") == 8 and states.count("complete") == 1
    best = result.best
    alone = tinyconv.fit(**settings, learning_rate=result.ranking[0].values["learning_rate"])
    assert losses(best.path) == losses(alone.path)
    assert [row["val_loss"] for row in best.history] == [row["val_loss"] for row in alone.history]
    rates = [row["learning_rate"] for row in best.history]
    assert rates == [row["learning_rate"] for row in alone.history]
    first = {t.number: tinyconv.load(t.path).history[0]["val_loss"] for t in result.trials}
    three = [t.number for t in result.trials if len(tinyconv.load(t.path).history) >= 3]
    assert sorted(three) == sorted(sorted(first, key=first.get)[:3])
    assert "9 trials to 1 epoch, 3 trials to 3 epochs, 1 trial to 9 epochs" in (
        capsys.readouterr().err
    )
    pruned = next(trial for trial in result.trials if trial.state == "pruned")
    assert reproduce.verify(tinyconv.load(pruned.path)).verdict == "identical"


# Samplers, tasks, pages -------------------------------------------------------------------


def test_tpe_says_what_it_gives_up(capsys):
    result = sweep.fit(**EXACT, **SPACE, trials=2, sampler="tpe")
    assert "values depend on which trials have ended before" in capsys.readouterr().err
    assert all(1e-3 <= trial.values["learning_rate"] <= 1e-1 for trial in result.trials)


def test_any_task_has_sweeps(capsys):
    words = {"limit": 60, "epochs": 1}
    result = sweep.fit("words", **words, least="1,2", name="words")
    assert [trial.values for trial in result.trials] == [{"least": 1}, {"least": 2}]
    assert result.best.settings["task"] == "words"


def test_the_page_shows_settings_results_and_what_matters(done):
    four = sweep.fit(**EXACT, **SPACE, trials=5)
    page = four.report().read_text()
    for part in ("Best runs", "Settings and results", "Which settings matter", "Every trial"):
        assert part in page
    assert f"{four.ranking[0].values['learning_rate']:g}" in page
    rows = [(trial.values, -trial.values["learning_rate"]) for trial in four.trials]
    shares = four.study.importance(rows, 0)
    assert shares["learning_rate"] > 0.8 and sum(shares.values()) == pytest.approx(1)


# Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"epochs": 3, "trials": 2}, "A sweep needs a setting to vary, as a range LOW..HIGH"),
        ({"learning_rate": "1e-3..1e-1"}, "A sweep needs a number of trials, such as --trials 40"),
        ({"learning_rate": "1e-3..1", "trials": 0}, "trials must be a whole number from 1, but 0"),
        ({"seed": "0,1", "sampler": "sobol"}, "There is no sampler 'sobol'"),
        ({"learning_rate": "1e-3..1", "sampler": "grid"}, "learning_rate has a range; list its"),
        ({"seed": "0,1", "prune": True, "epochs": 2}, "--prune compares trials after a fraction"),
        ({"epochs": "3,9", "prune": True}, "must be 3 or more and the same for all"),
        ({"task": "sentences", "model": "bag,cnn", "prune": True}, "the same for all; leave out"),
        ({"seed": "0,1", "minutes": 0}, "minutes must be above 0, but 0 was given"),
        ({"task": "dqn", "seed": "0,1", "prune": True}, "sweep another task, as dqn has no epochs"),
        ({"task": "nothing", "seed": "0,1"}, "There is no task 'nothing'"),
    ],
)
def test_a_sweep_that_does_not_fit_is_refused(arguments, match):
    with pytest.raises(UserError, match=match):
        sweep.fit(**arguments)
    assert not Path("runs").exists()


def test_the_folder_of_another_sweep_is_refused(beside, capsys):
    with pytest.raises(UserError, match="belongs to another command, whose weight_decay is"):
        sweep.fit(**EXACT, **SPACE | {"weight_decay": "0,1"}, trials=3, name=beside.path.name)
    with pytest.raises(UserError, match="belongs to another command, whose kind is 'sweep'"):
        tinyconv.fit(**EXACT, seeds=2, name=beside.path.name)
    with pytest.raises(UserError, match="is not the folder of a sweep"):
        sweep.load(beside.trials[0].path)
    code, _, err = command(capsys, "evaluate", beside.path)
    assert code == 2 and "holds several runs; name one of them, such as" in err


def test_clocks_that_disagree_are_refused(tmp_path):
    folder = tmp_path / "here"
    record.check_clock(folder)
    with pytest.raises(UserError, match="clock of this machine is 9\\d s behind that of the disk"):
        record.check_clock(folder, lambda: time.time() - 95)
    with pytest.raises(UserError, match="ahead of that of the disk"):
        record.check_clock(folder, lambda: time.time() + 95)
    assert not list(folder.iterdir())


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'tinyconv\[sweep\]'"):
        sweep.fit(seed="0,1")
    assert not Path("runs").exists()
