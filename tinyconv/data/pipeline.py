"""From the memory map to the network: order, batches, augmentation, one thread ahead.

All random numbers are drawn from (seed, epoch, step), so that a resumed run trains on the same
pictures as an uninterrupted one.
"""

import mmap
import queue
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from tinyconv.data.augment import Change, on_pictures
from tinyconv.errors import UserError

AHEAD = 4  # batches prefetched for a network that takes them one by one
RELEASE = 64  # batches after which a memory map's pages are released


def steps_per_epoch(pictures: int, batch_size: int) -> int:
    """Count the whole batches in an epoch; left-over pictures are not used in that epoch.

    Args:
        pictures: the number of training examples.
        batch_size: examples in a batch.

    Returns:
        An int, at least 1.
    """
    return max(1, pictures // batch_size)


def training_batches(
    split, batch_size, policy, seed, epoch, first_step=0, targets=None
) -> "Batches":
    """The batches of one epoch, shuffled and augmented.

    A data set smaller than a batch gives one batch of all its pictures.

    Args:
        split: the training Split, with N pictures or an array of other inputs.
        batch_size: examples in a batch, B.
        policy: the augmentation, each a Change of `data/augment.py`, or a function (pictures,
            random, turns) -> pictures. With `targets` a function is (pictures, targets, random,
            turns) -> (pictures, targets), and may change both.
        seed: the random seed of the run.
        epoch: epochs finished before this one; the order depends on it.
        first_step: steps of this epoch that are already done.
        targets: an array of N rows or a dict of such arrays; the split's labels for None.

    Returns:
        An iterator of (inputs, targets): pictures (B, H, W, C) uint8, or inputs of another kind
        that are an array, and labels (B,) int32 or the rows of `targets`.

    Raises:
        UserError: at its next batch, if the memory map's file was truncated.
    """
    if targets is None:
        targets = split.labels
        policy = [each if isinstance(each, Change) else on_pictures(each) for each in policy]
    return Batches(split.rows, targets, batch_size, policy, (seed, epoch), first_step)


class Batches(Iterator):
    """The batches of one epoch, as `training_batches` describes them.

    Attributes:
        rows: all inputs, N rows.
        policy: the augmentation.
    """

    def __init__(self, rows, targets, batch_size, policy, seed: tuple[int, int], first_step):
        self.rows, self.policy = rows, policy
        self._targets, self._size, self._seed, self._first = targets, batch_size, seed, first_step
        self._batches = self._made()

    def __next__(self):
        return next(self._batches)

    def drawn(self) -> Iterator[tuple]:
        """Yield ((row numbers, numbers of each Change), targets), for a policy of Changes alone.

        `changed(rows[indices], policy, numbers)` are the inputs, wherever a copy of the rows is.
        """
        for indices, turns, random in self._steps():
            answers, numbers = _rows(self._targets, indices), []
            shape = len(indices), *self.rows.shape[1:]
            for change in self.policy:
                numbers.append(tuple(change.draw(shape, random, turns)))
                answers = change.moved(answers, shape, *numbers[-1])
            yield (indices.astype("int32"), tuple(numbers)), answers

    def _made(self) -> Iterator[tuple]:
        for number, (indices, turns, random) in enumerate(self._steps()):
            check_whole(self.rows)
            inputs, answers = self.rows[indices], _rows(self._targets, indices)
            for change in self.policy:
                if isinstance(change, Change):
                    numbers = change.draw(inputs.shape, random, turns)
                    answers = change.moved(answers, inputs.shape, *numbers)
                    inputs = change.apply(inputs, *numbers)
                else:
                    inputs, answers = change(inputs, answers, random, turns)
            yield inputs, answers
            if number % RELEASE == 0:
                release(self.rows)

    def _steps(self) -> Iterator[tuple]:
        """(row numbers, each row's turn, generator) of each step from the first one on."""
        seed, epoch = self._seed
        order = np.random.default_rng([seed, epoch]).permutation(len(self.rows))
        turns = epoch + np.random.default_rng(seed).integers(0, 2, len(order))
        for step in range(self._first, steps_per_epoch(len(order), self._size)):
            indices = np.sort(order[step * self._size : (step + 1) * self._size])
            yield indices, turns[indices], np.random.default_rng([seed, epoch, step])


def changed(inputs, policy, numbers):
    """A batch after each Change of a policy, by its numbers; in NumPy or on JAX."""
    for change, each in zip(policy, numbers, strict=True):
        inputs = change.apply(inputs, *each)
    return inputs


def _rows(targets, indices):
    if isinstance(targets, dict):
        return {name: _rows(each, indices) for name, each in targets.items()}
    return targets[indices]


def whole_batches(pictures, batch_size) -> Iterator[tuple[np.ndarray, int]]:
    """Yield all pictures in order; the last batch is padded with copies of its last picture.

    One shape for every batch keeps the compiled function from being traced again.

    Args:
        pictures: an array of N rows.
        batch_size: rows in a batch, B.

    Yields:
        (batch, count): B rows, of which the first `count` are pictures and the others padding.
        With fewer pictures than B there is one batch of N rows.

    Raises:
        UserError: if the memory map's file was truncated.
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
    """Raise UserError if the file of a memory map has become shorter than the map.

    Reading beyond its end would kill the process (SIGBUS). A file that was removed or replaced
    still exists for a process that has mapped it.
    """
    file = _map(pictures)
    if file is not None and file.size() < len(file):
        raise UserError(
            f"{pictures.filename} was truncated while in use. Run the command again (for a "
            "training run, with --resume); the cache will be rebuilt."
        )


def release(pictures: np.ndarray) -> None:
    """Release the pages of a memory map; they stay in the system's page cache.

    Otherwise a pass over a data set makes all of it resident, 1.2 GB for Tiny ImageNet.
    """
    file = _map(pictures)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def _map(pictures: np.ndarray) -> mmap.mmap | None:
    """The memory map behind the pictures, or behind the array that they are a view of."""
    base = pictures.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


class Feeder:
    """Prefetches batches in a thread, up to `ahead` of the network.

    Iterate over it once, inside a `with` block, which ends the thread. `waited` is the time in
    seconds, by the clock `now`, for which the network waited for data.
    """

    def __init__(
        self, batches: Iterator, ahead: int = AHEAD, now: Callable[[], float] = time.perf_counter
    ):
        self.waited, self._now = 0.0, now
        self._batches = batches
        self._queue = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        while (
            not self._queue.empty()
        ):  # a worker that waits for room continues and notices the stop
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
