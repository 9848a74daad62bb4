"""A text read in order by several readers side by side, and what a network gives for it.

Zaremba et al. 2014 and char-rnn cut the text into as many parts as a batch has rows, and read a
window of each in a step. The state at the end of a window is the one that the next begins with.
Here each reader goes on where the next one began, around the whole text, so that no state is ever
wrong or reset; an epoch is only a number of windows.
"""

from collections.abc import Iterator

import numpy as np

from tinyconv.errors import UserError
from tinyconv.results import plural

READERS = 16  # side by side, to measure a long text
WARM_UP = 128  # symbols that each of them but the first reads before its part
LONG = 4096  # symbols of a text that is measured by several readers


class Streams:
    """The windows of a text for training.

    Args:
        ids: (N,) int32, the text.
        readers: rows of a batch, B.
        window: symbols of a row, T.
        seed: of the place where the first reader begins.
    """

    def __init__(self, ids: np.ndarray, readers: int, window: int, seed: int):
        self.ids, self.window = ids, window
        part = len(ids) // readers
        self.steps = part // window
        if not self.steps:
            raise UserError(
                f"The training text has {plural(len(ids), 'symbol')}, and {readers} readers of "
                f"{plural(window, 'symbol')} need {readers * window:,}; choose a smaller "
                "--batch-size or --window, or more text."
            )
        start = np.random.default_rng(seed).integers(len(ids))
        self.places = (start + part * np.arange(readers))[:, None] + np.arange(window + 1)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The windows of an epoch from step `first` on, both counted from 0.

        Yields:
            symbols (B, T) and those that come next (B, T), int32.
        """
        for step in range(epoch * self.steps + first, (epoch + 1) * self.steps):
            rows = self.ids[(self.places + step * self.window) % len(self.ids)]
            yield rows[:, :-1], rows[:, 1:]


def losses(reader, ids: np.ndarray) -> np.ndarray:
    """-ln p of each symbol but the first, given all before it.

    A long text is read by 16 readers, each of which first reads the 128 symbols before its part.

    Args:
        reader: a `language_model.Reader`.
        ids: (N,) int32.

    Returns:
        (N - 1,) float64.
    """
    readers = READERS if len(ids) >= LONG else 1
    warm_up = WARM_UP if readers > 1 else 0
    part = -(-(len(ids) - 1) // readers)
    begins = part * np.arange(readers)[:, None]
    states = reader.first_states(readers)
    if warm_up:
        before = np.maximum(0, begins + np.arange(-warm_up, 0))
        _, warm = reader(ids[before], ids[before], states)
        # The first reader has no text before its part.
        states = [np.concatenate([s[:1], w[1:]]) for s, w in zip(states, warm, strict=True)]
    columns = []
    for start in range(0, part, WARM_UP):
        places = np.minimum(begins + np.arange(start, start + WARM_UP), len(ids) - 2)
        values, states = reader(ids[places], ids[places + 1], states)
        columns.append(values)
    table = np.concatenate(columns, axis=1)[:, :part].astype("float64")
    return table.ravel()[: len(ids) - 1]


def losses_by_place(reader, ids: np.ndarray, window: int, carried: np.ndarray) -> np.ndarray:
    """The mean loss at each place of a window: with the state carried over, and without.

    Args:
        reader: a `language_model.Reader`.
        ids: (N,) int32.
        window: T.
        carried: (N - 1,), of `losses`.

    Returns:
        (2, T): carried, and from the first state in each window.
    """
    count = min((len(ids) - 1) // window, 512)
    rows = np.arange(count * window).reshape(count, window)
    fresh, _ = reader(ids[rows], ids[rows + 1], reader.first_states(count))
    return np.stack([carried[rows].mean(axis=0), fresh.mean(axis=0)])
