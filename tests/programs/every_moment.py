"""Kills a training, or fills its disk, at every write; resumes it; compares it with a whole one.

It is a separate program (`KERAS_BACKEND=numpy python tests/programs/every_moment.py FOLDER`)
because it forks, which TensorFlow does not survive. The training loop, the run folder and the verbs
are the real ones; the network is a vector of numbers. A checkpoint is written after every step, or
when it is due, which is at the end: the best epoch's, then the last. The program prints the number
of moments, and raises an exception for the first folder that is not as it should be.
"""

import errno
import json
import os
import shutil
import signal
import sys
import traceback
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tinyconv.system import start_keras

start_keras.start = lambda: None  # it does not accept the backend numpy
from tinyconv import recipe, registry, settings, training, verbs  # noqa: E402
from tinyconv.__main__ import DISK  # noqa: E402
from tinyconv.errors import UserError  # noqa: E402
from tinyconv.runs.run_folder import RunFolder  # noqa: E402
from tinyconv.runs.schema import TIMES, read_settings  # noqa: E402
from tinyconv.system import console, files, provenance  # noqa: E402

STEPS, EPOCHS = 3, 3
RUN = Path("runs/run")
LOSSES = {1: 0.5, 2: 0.3, 3: 0.4}  # validation losses by epoch: the second one is the best


class Network:
    """The parts of a Keras model that the loop uses; a step mixes the batch into its weights."""

    def __init__(self, values=(0.0, 0.0)):
        import keras  # after tinyconv, which would start it itself otherwise

        self.variables = self.weights = [keras.Variable(values, dtype="float64")]
        self.optimizer = SimpleNamespace(variables=[])

    def train_on_batch(self, inputs, targets, return_dict):
        (values,) = self.weights
        values.assign(0.9 * values.value + self.optimizer.learning_rate * inputs)
        return {"loss": float(np.abs(values.value).sum())}

    def get_weights(self):
        return [self.weights[0].numpy()]

    def set_weights(self, weights):
        self.weights[0].assign(weights[0])

    def save(self, path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights.json", json.dumps(self.weights[0].value.tolist()))


def batches(epoch, first_step):
    for step in range(first_step, STEPS):
        yield np.random.default_rng([epoch, step]).normal(size=2), np.zeros(1)


class Vector:
    """A task that trains a Network."""

    Settings = recipe.TrainingSettings
    Evaluate = Predict = settings.NoOptions
    saves_every_step = False

    def prepare(self, run):
        network = Network()
        if run.state():
            network = Network(stored_weights(run.path / "last.keras"))
        loop = training.Training(
            run,
            network,
            run.options,
            batches,
            STEPS,
            lambda model: {"loss": LOSSES[loop.state.epoch + 1]},
            rank=lambda metrics: -metrics["loss"],
            name="vector",
        )
        if self.saves_every_step:
            loop.checkpoints.max_interval = -1
        return loop

    def evaluate(self, run, options):
        return {"sum": sum(stored_weights(run.path / "best.keras"))}

    def predict(self, run, inputs, options):
        yield from ()

    def pictures(self, run):
        yield from ()


class Catalogue:
    """A fake registry with one task."""

    used, origins = {"tasks": SimpleNamespace(short_name="vector")}, {}

    def find(self, kind, name):
        return Vector


def stored_weights(path: Path) -> list[float]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return json.loads(archive.read("weights.json"))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def inject(moment: int, fault) -> None:
    """Call `fault` from that moment on: before, after and in the middle of each write."""
    passed = 0

    def point():
        nonlocal passed
        passed += 1
        if passed >= moment:
            fault()

    def around(owner, name):
        original = getattr(owner, name)

        def watched(*arguments, **more):
            point()
            result = original(*arguments, **more)
            point()
            return result

        setattr(owner, name, watched)

    def write_bytes(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            point()
            file.write(content[len(content) // 2 :])

    for name in ("replace", "link", "fsync", "mkdir", "unlink"):
        around(os, name)
    around(zipfile.ZipFile, "writestr")
    Path.write_bytes = write_bytes


def in_fork(action) -> int:
    """Run `action` in a forked process; returns its wait status."""
    process = os.fork()
    if process == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1]


def fit():
    verbs.fit(name="run", epochs=EPOCHS)


def fit_or_exit() -> None:
    """Exit with 2 for errors that the command reports in a sentence."""
    try:
        fit()
    except UserError:
        os._exit(2)
    except OSError as error:
        assert error.errno in DISK
        os._exit(2)


def resume():
    try:
        verbs.resume("run")
    except UserError as error:  # interrupted with everything done except the page
        assert "has finished training" in str(error)
        verbs.report(verbs.load("run"))


def content(path: Path) -> dict:
    """The content of a finished run, without times."""
    run = RunFolder(path)
    state, settings = run.state(), read_settings(path)
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in state.pop("rows")]
    history = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    return {
        "files": sorted(file.name for file in path.iterdir()),
        "state": {k: v for k, v in state.items() if k not in TIMES},
        "rows": rows,
        "history": history,
        "last": stored_weights(path / "last.keras"),
        "best": stored_weights(path / "best.keras"),
        "metrics": settings["result"]["metrics"],
        "epochs": settings["epochs"],
    }


def check_open(path: Path) -> bool:
    """Whether a killed run's folder has its settings; asserts that every file is complete."""
    has_settings = (path / "settings.json").exists()
    if has_settings:
        read_settings(path)
    for name in ("last.keras", "best.keras"):
        if (path / name).exists():
            assert has_settings
            stored_weights(path / name)
    if (path / "history.csv").exists():
        run = RunFolder(path)
        rows = len(run.state()["rows"])
        assert len(run.history) in (rows - 1, rows)
    return has_settings


def main(folder: Path) -> None:
    os.chdir(folder)
    registry.Catalogue = Catalogue
    provenance.versions = provenance.machine = dict
    provenance.git_commit = lambda: None
    console.print_line = console.note = lambda text: None
    import jinja2  # noqa: F401  once, before the forks

    import tinyconv.report.figures  # noqa: F401

    assert in_fork(fit) == 0
    unbroken = content(RUN)
    counts = {"die, few saves": counted(die, unbroken)}
    Vector.saves_every_step = True
    print(json.dumps(counts | {way.__name__: counted(way, unbroken) for way in (die, full)}))


def counted(way, unbroken: dict) -> dict:
    """Inject a fault at each moment in turn; count the moments and the resumed runs."""
    moment = resumed = 0
    while True:
        shutil.rmtree("runs", ignore_errors=True)
        moment += 1

        def fit_with_fault(moment=moment):
            inject(moment, way)
            fit_or_exit()

        status = in_fork(fit_with_fault)
        if status == 0:
            return {"moments": moment - 1, "resumed": resumed}
        if way is die:
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
        else:
            assert os.waitstatus_to_exitcode(status) == 2, moment
        if not RUN.exists() or not check_open(RUN):
            continue
        assert in_fork(resume) == 0, moment
        assert content(RUN) == unbroken, (moment, content(RUN), unbroken)
        with files.only_writer(RUN):
            resumed += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
