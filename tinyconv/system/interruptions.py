"""Trainings that end early: by a signal, or for lack of memory."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from tinyconv.errors import UserError


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy, TensorFlow or XLA raise this error for lack of memory."""
    message = f"{type(error).__name__} {error}".lower().replace("_", "")
    return isinstance(error, MemoryError) or "resourceexhausted" in message


def too_large(place: str, batch_size: int, path, fitting: int | None = None) -> UserError:
    """The error of a run whose memory ran out: what to try, and how to resume.

    Args:
        place: where in the run, for people.
        batch_size: examples in a batch.
        path: of the run; None for a training that makes no run.
        fitting: examples in a batch that was tried and fits, if one was.
    """
    smaller = f"--batch-size {batch_size // 2}" if batch_size > 1 else "a smaller --model"
    if fitting is not None:
        smaller = f"--batch-size {fitting}, which fits"
    resume = f", or resume where there is more memory with: tinyconv fit --resume {path}"
    return UserError(
        f"Memory ran out {place}, with batches of {batch_size}; start a new run with {smaller}"
        f"{'.' if path is None else resume}"
    )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt also in a script's background job, which ignores it.

    Python's `interrupt_main` does nothing where the signal is ignored.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one interrupts at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped  # Python handles signals only in the main thread
        return

    def stop(*_):
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
