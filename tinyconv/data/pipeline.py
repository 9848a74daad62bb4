"""From the memory map to the network: order, batches, augmentation, one thread ahead.

Everything random is drawn from (seed, epoch, step), so that a run which goes on after a stop
sees the pictures that an unbroken run would have seen.
"""

import mmap
import queue
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from tinyconv.data.augment import in_place
from tinyconv.errors import UserError

AHEAD = 4  # batches made before they are asked for
RELEASE = 64  # batches after which a memory map's pages are given back


def steps_per_epoch(pictures: int, batch_size: int) -> int:
    """Whole batches in an epoch; the left-over pictures wait for the next one's order."""
    return max(1, pictures // batch_size)


def training_batches(
    split, batch_size, policy, seed, epoch, first_step=0, targets=None
) -> Iterator[tuple]:
    """The batches of one epoch from `first_step` on: pictures (B, H, W, C) uint8, or inputs of
    another kind that are an array, and their targets.

    These are labels (B,) int32, and the steps of `policy` are those of `augment.py`. With
    `targets`, an array of N rows or a dict of such, they are the rows of those, and a step is
    (pictures, targets, random, turns) -> (pictures, targets), which may change both. A data set
    smaller than a batch gives one batch of all its pictures.
    """
    if targets is None:
        targets, policy = split.labels, [in_place(step) for step in policy]
    order = np.random.default_rng([seed, epoch]).permutation(len(split))
    turns = epoch + np.random.default_rng(seed).integers(0, 2, len(order))
    for step in range(first_step, steps_per_epoch(len(order), batch_size)):
        chosen = np.sort(order[step * batch_size : (step + 1) * batch_size])
        check_whole(split.rows)
        pictures, wanted = split.rows[chosen], _rows(targets, chosen)
        random = np.random.default_rng([seed, epoch, step])
        for change in policy:
            pictures, wanted = change(pictures, wanted, random, turns[chosen])
        yield pictures, wanted
        if step % RELEASE == 0:
            release(split.rows)


def _rows(targets, chosen):
    if isinstance(targets, dict):
        return {name: _rows(each, chosen) for name, each in targets.items()}
    return targets[chosen]


def whole_batches(pictures, batch_size) -> Iterator[tuple[np.ndarray, int]]:
    """All pictures in order as (batch, count); the last is filled up to the batch size.

    One shape for every batch keeps the compiled function from being traced again.
    """
    for start in range(0, len(pictures), batch_size):
        check_whole(pictures)
        batch = np.asarray(pictures[start : start + batch_size])
        count = len(batch)
        if count < batch_size and start > 0:
            batch = np.concatenate([batch, np.repeat(batch[-1:], batch_size - count, axis=0)])
        yield batch, count
    release(pictures)


def check_whole(pictures: np.ndarray) -> None:
    """Raise UserError where the file of a memory map has become shorter than the map.

    To read beyond its end would kill the process (SIGBUS). A file that was removed or replaced
    is still there for who has mapped it.
    """
    file = _map(pictures)
    if file is not None and file.size() < len(file):
        raise UserError(
            f"{pictures.filename} was cut short while it was in use; run the command again, a "
            "training with --resume, and it is made anew."
        )


def release(pictures: np.ndarray) -> None:
    """Give the pages of a memory map back; they stay in the system's cache of the disk.

    Without it a pass over a data set makes all of it resident, 1.2 GB for Tiny ImageNet.
    """
    file = _map(pictures)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def _map(pictures: np.ndarray) -> mmap.mmap | None:
    """The memory map that the pictures, or those that they are a part of, lie in."""
    base = pictures.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


class Feeder:
    """Makes batches in a thread of its own, `AHEAD` of the network.

    Iterate over it once, inside a `with` block that ends the thread; `waited` tells for how
    many seconds the network had to wait for data, by the clock `now`.
    """

    def __init__(self, batches: Iterator, now: Callable[[], float] = time.perf_counter):
        self.waited, self._now = 0.0, now
        self._batches = batches
        self._queue = queue.Queue(maxsize=AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        while not self._queue.empty():  # a worker that waits for room goes on and sees the stop
            self._queue.get_nowait()
        self._thread.join()

    def __iter__(self):
        while True:
            start = self._now()
            batch, error = self._queue.get()
            self.waited += self._now() - start
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch

    def _work(self):
        try:
            for batch in self._batches:
                self._queue.put((batch, None))
                if self._stopped.is_set():
                    return
            self._queue.put((None, None))
        except BaseException as error:
            self._queue.put((None, error))
