"""`fit --distributed`: real processes on this machine train what one process trains."""

import importlib.util
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import tinyconv
from tinyconv.errors import UserError
from tinyconv.system import private, processes

pytestmark = [
    pytest.mark.tensorflow,  # else both backends would start the same processes
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]
# Batch normalisation, augmentation, dropout: all of them must be those of the whole batch.
FIT = ["--model", "sprint_small", "--image-size", "8", "--limit", "64", "--batch-size", "16"]
FIT += ["--epochs", "2", "--no-coach", "--optimizer", "sgd"]
NUMBERS = ("loss", "top1", "val_loss", "val_top1")
HANGS = 900  # seconds; four processes beside other work take minutes on two old cores


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(count, *arguments, before="", numbers=None):
    """Start processes of `tinyconv fit --distributed`, which run the code `before` first."""
    port = free_port()
    program = f"{before}\nfrom tinyconv.__main__ import main\nmain()"
    command = [sys.executable, "-c", program, "fit", "--distributed", *arguments]
    shared = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "KERAS_BACKEND": "jax"}
    return [
        subprocess.Popen(
            command,
            env=os.environ
            | shared
            | {"JAX_NUM_PROCESSES": str(count), "JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in numbers or range(count)
    ]


def ends(started) -> list[tuple[int, str, str]]:
    """(exit code, standard output, standard error) of each process."""
    try:
        texts = [process.communicate(timeout=HANGS) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(started, texts)]


def alone(*arguments) -> None:
    command = [sys.executable, "-m", "tinyconv", "fit", *arguments]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def assert_same(name, other, tolerance=1e-3):
    """Two runs have the same history, losses and weights, to rounding."""
    one, two = (tinyconv.load(each) for each in (name, other))
    for row, twin in zip(one.history, two.history, strict=True):
        np.testing.assert_allclose(
            [row[key] for key in NUMBERS], [twin[key] for key in NUMBERS], rtol=tolerance
        )
    losses = [run.state()["step_losses"] for run in (one, two)]
    np.testing.assert_allclose(*losses, rtol=tolerance)
    for weight, twin in zip(
        one.model("last").get_weights(), two.model("last").get_weights(), strict=True
    ):
        np.testing.assert_allclose(weight, twin, atol=tolerance, rtol=tolerance)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The folder of a run by one process."""
    place = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCONV_RUNS", str(place))
        alone(*FIT, "--name", "alone")
    return place / "alone"


def at_step(number: int, step: int, do: str) -> str:
    """Code that sends one process a signal before a step of its training, or before its chunk."""
    return f"""
import os, signal
from tinyconv.system import processes
from tinyconv.system.start_keras import start
processes.request(); start()
from tinyconv.training import Training
take = Training.take
def watched(self, *chunk):
    if processes.number() == {number} and 0 <= {step} - self.steps_done - 1 < len(chunk[0]):
        os.kill(os.getpid(), signal.{do})
    take(self, *chunk)
Training.take = watched
"""


def test_two_processes_train_what_one_does_stop_together_and_one_goes_on(one_process):
    """Five steps, of which the last begins a second epoch; SIGTERM comes to the other process."""
    stopping = at_step(1, 5, "SIGTERM")
    stopped = ends(start(2, *FIT, "--name", "two", before=stopping))
    (code, out, err), (other_code, *other_texts) = stopped
    assert (code, other_code) == (130, 130), err + other_texts[1]
    assert "resume with: tinyconv fit --resume" in err and not out
    assert [text.strip() for text in other_texts] == ["", "tinyconv: stopped."]
    run = tinyconv.load("two")
    assert (run.state()["epoch"], run.state()["step"]) == (1, 1)
    alone("--resume", "two")
    assert_same(one_process, "two")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_what_one_does_and_others_go_on(one_process, count):
    whole = ends(start(count, *FIT, "--name", "whole", "--json"))
    for code, _, err in whole:
        assert code == 0, err
    assert json.loads(whole[0][1])["run"].endswith("whole") and not whole[1][1]
    assert_same(one_process, "whole")
    ends(start(2, *FIT, "--name", "parts", before=at_step(0, 3, "SIGINT")))
    for code, _, err in ends(start(count, "--resume", "parts")):
        assert code == 0, err
    assert_same(one_process, "parts")


SMALL = ["--model", "two_layer", "--limit", "64", "--batch-size", "16", "--epochs", "3"]


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_when_one_process_is_killed_the_other_ends_with_a_sentence(victim):
    both = ends(start(2, *SMALL, "--name", "killed", before=at_step(victim, 6, "SIGKILL")))
    code, _, err = both[1 - victim]
    assert both[victim][0] == -9 and code == 2
    *_, sentence = err.splitlines()
    assert sentence.startswith("tinyconv: Another of the 2 processes of this training has ended")


@pytest.mark.parametrize(
    "count, numbers, before, message",
    [
        (2, [1], "P.CONNECT_SECONDS = 1", "Process 1 cannot reach process 0 at 127.0.0.1:"),
        (2, [0], "P.CONNECT_SECONDS = 2", "Not all of the 2 processes came to 127.0.0.1:"),
        (
            2,
            [0, 1],
            "import importlib.metadata as m, os; v = m.version; own = os.environ['JAX_PROCESS_ID'];"
            "m.version = lambda n: '9.9' if (n, own) == ('numpy', '1') else v(n)",
            "Process 1 has numpy 9.9, and process 0 has ",
        ),
        (2, [0, 1], "", "A batch of 3 cannot be divided equally among 2 devices"),
    ],
    ids=["unreachable", "alone", "versions", "more processes than pictures"],
)
def test_what_cannot_be_trained_is_told_in_a_sentence(count, numbers, before, message):
    before = f"import tinyconv.system.processes as P; {before}"
    started = start(count, *SMALL, "--batch-size", "3", before=before, numbers=numbers)
    for code, _, err in ends(started):
        assert code == 2 and err.splitlines()[-1].startswith(f"tinyconv: {message}"), err
        assert len([line for line in err.splitlines() if line.startswith("tinyconv:")]) == 1


# What the environment says ----------------------------------------------------------------


@pytest.mark.parametrize(
    "variables, expected",
    [
        ({}, (None, None, None, None)),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "h:1",
                "JAX_NUM_PROCESSES": "4",
                "JAX_PROCESS_ID": "2",
            },
            ("h:1", 4, 2, None),
        ),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "h:1",
                "OMPI_COMM_WORLD_SIZE": "3",
                "OMPI_COMM_WORLD_RANK": "0",
            },
            ("h:1", 3, 0, None),
        ),
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_NODELIST": "node[001-002]",
                "SLURM_NTASKS": "2",
                "SLURM_PROCID": "1",
                "SLURM_LOCALID": "0",
            },
            ("node001:61447", 2, 1, [0]),
        ),
    ],
)
def test_the_processes_that_srun_mpirun_or_variables_describe(monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert private.cluster(*processes._environment()) == expected


def test_other_backends_and_other_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(processes, "_is_requested", True)
    with pytest.raises(UserError, match="--distributed is for JAX, and this is tensorflow"):
        processes.connect("tensorflow")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UserError, match="JAX_NUM_PROCESSES is 'two', which is no number"):
        processes.connect("jax")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    with pytest.raises(UserError, match="JAX_COORDINATOR_ADDRESS and JAX_PROCESS_ID say where"):
        processes.connect("jax")
