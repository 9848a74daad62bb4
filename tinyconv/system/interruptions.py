"""A training that ends before its time: by a signal, or for lack of memory."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from tinyconv.errors import UserError


def is_out_of_memory(error: Exception) -> bool:
    """Whether that is what Python, NumPy, TensorFlow or XLA say with this error."""
    told = f"{type(error).__name__} {error}".lower().replace("_", "")
    return isinstance(error, MemoryError) or "resourceexhausted" in told


def too_large(place: str, batch_size: int, path) -> UserError:
    """The error of a run at `path` whose memory ran out there: what to try, and how to go on.

    `path` is None for a training that leaves no run.
    """
    smaller = f"--batch-size {batch_size // 2}" if batch_size > 1 else "a smaller --model"
    resume = f", or go on where there is more memory with: tinyconv fit --resume {path}"
    return UserError(
        f"Memory ran out {place}, with batches of {batch_size}; start a new run with {smaller}"
        f"{'.' if path is None else resume}"
    )


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one interrupts at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped  # Python gives signals to the main thread alone
        return

    def ask(*_):
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
