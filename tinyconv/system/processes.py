"""One training in several processes: how JAX connects them, and what they exchange.

SLURM and Open MPI start the processes, or whoever sets three environment variables; each process
computes its share of every batch (`training/shares.py`). The first one, process 0, alone prints and
writes. Without `request` all of this is for one process, which asks nobody.
"""

import importlib.metadata
import json
import os
import platform
import socket
import sys
import threading
import time

import numpy as np

from tinyconv.errors import UserError
from tinyconv.system import private

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
CONNECT_SECONDS = 120  # in which all processes must have started
SILENT_SECONDS = 100  # without a sign of life, after which a process on a GPU counts as dead
MESSAGE = 1 << 13  # bytes of a message from one process to all

_is_requested = False
_count, _number = 1, 0  # processes, and which of them this is


def request() -> None:
    """Make the backend's start connect the processes; UserError where it has started alone."""
    global _is_requested
    if not _is_requested and private.jax_computes():
        raise UserError(
            "JAX has computed in this process already, and can connect it to no other; start "
            "the distributed training in a new process."
        )
    _is_requested = True


def is_requested() -> bool:
    """Whether this training is for several processes or devices."""
    return _is_requested


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return _number == 0


def count() -> int:
    """How many processes train together."""
    return _count


def number() -> int:
    """Which of the processes this is, from 0 on."""
    return _number


def connect(backend: str) -> None:
    """Connect the processes if that is requested, before the backend computes anything.

    Raises UserError where the backend is not JAX, or a process cannot be reached.
    """
    global _count, _number
    if not _is_requested or _count > 1:
        return
    if backend != "jax":
        raise UserError(
            f"--distributed is for JAX, and this is {backend}; set KERAS_BACKEND=jax, or leave "
            "it out."
        )
    address, count, number, devices = private.cluster(*_environment())
    if count is None or count == 1:
        return
    if address is None or number is None:
        raise UserError(
            f"{VARIABLES[0]} and {VARIABLES[2]} say where process 0 of the {count} listens and "
            "which of them this is; set both, or use srun."
        )
    if number != 0:
        _reach(address, number)
    _initialise(address, count, number, devices)
    _count, _number = count, number


def _environment() -> tuple[str | None, int | None, int | None]:
    """(address of process 0, number of processes, which of them this is), where they are set."""
    names = {
        "JAX_NUM_PROCESSES": "OMPI_COMM_WORLD_SIZE",  # all that Open MPI 5 sets
        "JAX_PROCESS_ID": "OMPI_COMM_WORLD_RANK",
    }
    numbers = []
    for name, other in names.items():
        text = os.environ.get(name) or os.environ.get(other)
        if text is not None and not text.isdecimal():
            raise UserError(f"{name} is {text!r}, which is no number; set it to one, from 0 on.")
        numbers.append(None if text is None else int(text))
    return os.environ.get(VARIABLES[0]), *numbers


def _reach(address: str, number: int) -> None:
    """Wait until process 0 listens at `address`; JAX itself would end without an exception."""
    host, _, port = address.rpartition(":")
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except ValueError:
            raise UserError(f"{VARIABLES[0]} is {address!r}; set it to HOST:PORT.") from None
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"Process {number} cannot reach process 0 at {address} "
                    f"({error.strerror or error}); start all processes within "
                    f"{CONNECT_SECONDS} s, on hosts that reach each other at that port."
                ) from error
        time.sleep(0.2)


def _initialise(address, count: int, number: int, devices) -> None:
    """Start JAX's runtime; a process for which others wait in vain ends with a sentence."""
    import jax

    def give_up():  # the main thread is inside of JAX, and cannot raise an exception
        sentence = (
            f"Not all of the {count} processes came to {address} within {CONNECT_SECONDS} s; "
            f"start them together, with the same {VARIABLES[1]}."
        )
        print(f"tinyconv: {sentence}", file=sys.stderr, flush=True)
        os._exit(UserError.exit_code)

    # It would take SIGTERM away from the training, which stops by it.
    jax.config.update("jax_enable_preemption_service", False)
    timer = threading.Timer(CONNECT_SECONDS, give_up)
    timer.start()
    try:
        jax.distributed.initialize(
            address,
            count,
            number,
            devices,
            initialization_timeout=2 * CONNECT_SECONDS,
            heartbeat_timeout_seconds=SILENT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        reason = f"{error}".partition("\n")[0]
        raise UserError(
            f"Process {number} of {count} cannot join the others at {address}: {reason}"
        ) from error
    finally:
        timer.cancel()


def greet() -> None:
    """Compare the versions of all processes, once their devices have started.

    On CPUs this also ends JAX's service that has connected them. It would kill the others without
    an exception when one dies; they notice that by themselves, at the next sum over all.

    Raises UserError for a version that is not that of process 0, and for a lone device.
    """
    import jax

    if len(jax.devices()) == 1:
        raise UserError(
            "--distributed found one process with one device: start several with srun or mpirun, "
            f"or set {', '.join(VARIABLES[:2])} and {VARIABLES[2]}."
        )
    names = ("tinyconv", "keras", "jax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    first, *others = gathered({"Python": platform.python_version(), **versions})
    for number, other in enumerate(others, start=1):
        for name, version in first.items():
            if other[name] != version:
                raise UserError(
                    f"Process {number} has {name} {other[name]}, and process 0 has {version}; "
                    "install the same versions on all hosts."
                )
    if _count > 1 and jax.default_backend() == "cpu":
        jax.distributed.shutdown()


# Messages ---------------------------------------------------------------------------------


def gathered(value) -> list:
    """The values, as JSON can hold them, that all processes pass at this point of the program."""
    if _count == 1:
        return [value]
    from jax.experimental import multihost_utils

    text = json.dumps(value).encode()
    row = np.zeros(MESSAGE, np.uint8)
    row[: len(text)] = np.frombuffer(text, np.uint8)
    try:
        rows = multihost_utils.process_allgather(row)
    except RuntimeError as error:
        raise lost(error) or error from error
    return [json.loads(bytes(row).rstrip(b"\0")) for row in rows]


def of_first(value):
    """The value that process 0 passes at this point of the program."""
    return gathered(value)[0]


def of_first_arrays(arrays: list) -> list:
    """The arrays that process 0 passes at this point; all pass as many, of the same shapes."""
    if _count == 1:
        return arrays
    from jax.experimental import multihost_utils

    bytes_ = np.concatenate([np.frombuffer(array.tobytes(), np.uint8) for array in arrays])
    bytes_ = np.asarray(multihost_utils.broadcast_one_to_all(bytes_))
    ends = np.cumsum([array.nbytes for array in arrays])
    parts = np.split(bytes_, ends[:-1])
    return [
        np.frombuffer(part.tobytes(), array.dtype).reshape(array.shape)
        for part, array in zip(parts, arrays, strict=True)
    ]


def agreed(left: int, stopped: threading.Event) -> int:
    """The steps that are left by the clock of process 0; `stopped` is set if that of one is."""
    if _count == 1:
        return left
    answers = gathered([left, stopped.is_set()])
    if any(is_stopped for _, is_stopped in answers):
        stopped.set()
    return answers[0][0]


def lost(error: Exception) -> UserError | None:
    """The error of a training in which another process has ended; None for other errors."""
    if _count == 1 or type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
        return None
    return UserError(
        f"Another of the {_count} processes of this training has ended, so that this one ends "
        "too; go on with --resume RUN, and any number of processes."
    )
