"""Several seeds of one fit: ordinary runs, resumed as one; and a run repeated with a change."""

import contextlib
import errno
import fcntl
import json
import threading

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.quick import EXACT
from tinyconv.errors import UserError
from tinyconv.runs import group
from tinyconv.runs.schema import read_settings
from tinyconv.system import files
from tinyconv.trials import reproduce


@pytest.fixture(scope="module")
def three(make_run):
    """The runs of the seeds 4 to 6."""
    return make_run(seeds=3, **EXACT, seed=4)


@pytest.fixture(scope="module")
def alone(make_run):
    """The same three runs, one by one."""
    return [make_run(**EXACT, seed=seed) for seed in (4, 5, 6)]


def losses(runs) -> list[list[float]]:
    return [run.state()["step_losses"] for run in runs]


@pytest.fixture
def folder_of(three, monkeypatch):
    """The folder of runs, and the cache, that the three are in."""
    monkeypatch.setenv("TINYCONV_RUNS", str(three.path.parent))
    monkeypatch.setenv("TINYCONV_CACHE", str(three.path.parent / "cache"))
    return three.path.parent


def test_seeds_are_the_runs_that_a_fit_of_each_makes(three, alone, folder_of):
    assert [run.path.name for run in three.runs] == ["seed-4", "seed-5", "seed-6"]
    assert losses(three.runs) == losses(alone)
    for one, other in zip(three.runs, alone):
        assert one.settings["result"]["metrics"] == other.settings["result"]["metrics"]
        for which in ("best", "last"):
            weights = [run.model(which).get_weights() for run in (one, other)]
            assert all(map(np.array_equal, *weights))
    assert reproduce.verify(three.runs[2], None).verdict == "identical"


def test_mean_and_spread_are_numpys(three):
    for name in ("loss", "top1", "top5"):
        values = [run.settings["result"]["metrics"][name] for run in three.runs]
        assert three.metrics[name] == pytest.approx(np.mean(values))
        assert three.spread[name] == pytest.approx(np.std(values, ddof=1))
        row = next(row for row in three.table().rows if row[0] == name)
        assert row[1:] == tuple(
            f"{value:.4f}" for value in (np.mean(values), np.std(values, ddof=1), *values)
        )
    page = (three.path / "comparison.html").read_text()
    assert "Over the seeds" in page and f"{three.spread['loss']:.4f}" in page


def test_the_same_command_trains_nothing_again(three, folder_of, capsys, at_step):
    steps = []
    at_step(None, lambda *_: steps.append(1))
    words = [part for name, value in EXACT.items() for part in (f"--{name}", str(value))]
    words = [word for word in words if word != "True"]
    code, out, err = command(capsys, "fit", "--seeds", 3, "--seed", 4, *words, "--json")
    assert code == 0 and not steps
    document = json.loads(out)
    assert list(document) == ["run", "task", "metrics", "seconds", "spread", "runs"]
    assert document["run"] == str(three.path) and document["metrics"] == three.metrics
    assert [each["seed"] for each in document["runs"]] == [4, 5, 6]
    assert "3 of them finished" in err and f"spread     {three.spread['loss']:10.4f}" in err


def test_evaluate_is_the_ensemble(three, folder_of, capsys):
    ensemble = tinyconv.ensemble(*three.runs)[-1].metrics
    assert three.evaluate() == ensemble
    code, out, _ = command(capsys, "evaluate", three.path, "--json")
    document = json.loads(out)
    assert code == 0 and document["metrics"] == pytest.approx(ensemble)
    assert [each["run"] for each in document["runs"]] == [str(run.path) for run in three.runs]
    code, out, _ = command(capsys, "runs", "--json")
    assert {str(run.path) for run in three.runs} <= {row["run"] for row in json.loads(out)}
    code, out, _ = command(capsys, "report", three.path)
    assert code == 0 and out.strip() == str(three.path / "comparison.html")


def test_a_stopped_group_goes_on_to_the_same_numbers(three, at_step, capsys):
    at_step(4, lambda loop, *_: loop.stop() if loop.settings.seed == 4 else None)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(seeds=2, **EXACT, seed=4, name="stopped")
    resumed = tinyconv.resume("stopped", seeds=3)
    assert losses(resumed.runs) == losses(three.runs)
    assert resumed.metrics == three.metrics and resumed.spread == three.spread
    assert "0 of 2 seeds finished" in capsys.readouterr().err


def test_a_task_without_ensembles_has_a_mean(make_run):
    words = {"limit": 60, "epochs": 1, "least": 1}
    two = make_run(task="words", seeds=2, **words)
    expected = {
        name: np.mean([run.settings["result"]["metrics"][name] for run in two.runs])
        for name in two.metrics
    }
    assert two.metrics == pytest.approx(expected)


def test_processes_share_the_runs_and_take_over_what_one_leaves(tmp_path):
    """Ten folders and three threads, one of which dies in its first folder."""
    folders = [tmp_path / str(i) for i in range(10)]
    done, lock = [], threading.Lock()

    def train(folder):
        if threading.current_thread().name == "dying":
            raise KeyboardInterrupt
        with lock:
            done.append(folder)

    def work():
        with contextlib.suppress(KeyboardInterrupt):
            group.work(folders, train, lambda folder: folder in done, pause=0.01)

    threads = [threading.Thread(target=work, name=name) for name in ("dying", "one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(folders)


def test_a_worker_waits_for_what_another_process_trains(tmp_path, capsys):
    done = set()

    def other():
        with group.claim(tmp_path / "b") as is_free:
            assert is_free
            held.set()
            released.wait()
            done.add(tmp_path / "b")

    held, released = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    held.wait()

    def train(folder):
        done.add(folder)
        released.set()

    group.work([tmp_path / "b", tmp_path / "a"], train, done.__contains__, pause=0.01)
    thread.join()
    assert done == {tmp_path / "a", tmp_path / "b"}


def test_on_nfs_a_file_is_locked(tmp_path, monkeypatch):
    """NFS refuses flock with EBADF for a descriptor that cannot write, as a folder's."""
    flock = fcntl.flock

    def as_nfs(descriptor, operation):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & 0b11 == 0:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(files.fcntl, "flock", as_nfs)
    refused = pytest.raises(UserError, match="Another process is")
    with files.only_writer(tmp_path), refused, files.only_writer(tmp_path):
        pass
    with files.only_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"seeds": 1}, "seeds must be a whole number from 2, but 1 was given"),
        ({"seeds": 3, "name": "one"}, "is not the folder of several runs; choose another --name"),
        ({"like": "one", "task": "localise"}, "one is a run of classify, not of localise"),
        ({"like": "one", "learning_rat": 1.0}, "no setting 'learning_rat'; did you mean"),
        ({"like": "one", "epochs": 2, "minutes": 1.0}, "epochs and minutes would both end"),
    ],
)
def test_what_does_not_fit_is_refused(alone, folder_of, settings, match):
    (folder_of / "one").mkdir(exist_ok=True)
    (folder_of / "one" / "settings.json").write_bytes(
        (alone[0].path / "settings.json").read_bytes()
    )
    with pytest.raises(UserError, match=match):
        tinyconv.fit(**settings)


def test_a_group_is_not_mixed_with_another_commands(three, folder_of, capsys):
    with pytest.raises(UserError, match="belongs to another command, whose limit is 200 and"):
        tinyconv.fit(seeds=3, **EXACT | {"limit": 90}, seed=4, name=three.path.name)
    with pytest.raises(UserError, match="changes nothing but --seeds; leave out epochs"):
        tinyconv.resume(three.path, epochs=9)
    with pytest.raises(UserError, match="is a single run; leave out --seeds"):
        tinyconv.resume(three.runs[0].path, seeds=9)
    with pytest.raises(UserError, match=r"holds several runs; name one of them, such as .*seed-4"):
        tinyconv.load(three.path)
    (three.path.parent / "torn").mkdir()
    (three.path.parent / "torn" / group.FILE).write_text('{"kind": "seeds"}')
    with pytest.raises(UserError, match="cannot be read as the record of a group: it lacks its"):
        tinyconv.resume("torn")


def test_like_repeats_a_run_with_one_setting_changed(alone, folder_of, capsys):
    origin = alone[1]
    code, out, _ = command(
        capsys, "fit", "--like", origin.path, "--learning-rate", 0.01, "--name", "other", "--json"
    )
    other = tinyconv.load("other")
    assert code == 0 and json.loads(out)["run"] == str(other.path)
    names = origin.settings["setting_names"]
    differing = [name for name in names if origin.settings[name] != other.settings[name]]
    assert differing == ["learning_rate"]
    expected = tinyconv.fit(**EXACT, seed=5, learning_rate=0.01)
    assert losses([other]) == losses([expected]) != losses([origin])
    same = tinyconv.fit(like=origin.path)
    assert losses([same]) == losses([origin])


def test_like_keeps_the_task_and_replaces_the_end(make_run, monkeypatch):
    origin = make_run(task="localise", limit=40, epochs=1, image_size=32, model="linear")
    monkeypatch.setenv("TINYCONV_CACHE", str(origin.path.parent / "cache"))
    from tinyconv import verbs

    other = verbs.repeat(None, origin.path, {"minutes": 2.0})
    assert type(other.task).__name__ == "Localise"
    assert (other.options.minutes, other.options.image_size) == (2.0, 32)


def test_like_takes_a_network_of_ones_own():
    import keras

    x = np.random.default_rng(0).random((40, 4, 4))
    y = np.arange(40) % 2
    layers = keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)
    network = keras.Sequential(layers)
    settings = {"data": (x, y), "epochs": 2, "deterministic": True}
    origin = tinyconv.fit(model=network, **settings)
    again = tinyconv.fit(like=origin.path)
    assert losses([again]) == losses([origin])
    two = tinyconv.fit(model=network, seeds=2, **settings)
    assert losses(two.runs[:1]) == losses([origin])
    assert read_settings(two.runs[1].path)["seed"] == 1
