"""A text written symbol by symbol, each drawn from the probabilities after those before it."""

from collections.abc import Sequence

import numpy as np

from tinyconv.plugins.language.text.symbols import UNKNOWN


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(scores / temperature) without the unknown symbol; at 0 all of it is the best one.

    Args:
        scores: (V,) logits.
        temperature: from 0 on.

    Returns:
        (V,) float64.
    """
    scores = np.array(scores, "float64")
    scores[UNKNOWN] = -np.inf
    if temperature == 0:
        return np.eye(len(scores))[scores.argmax()]
    with np.errstate(over="ignore"):  # of a temperature that is almost 0
        weights = np.exp((scores - scores.max()) / temperature)
    return weights / weights.sum()


def continuations(
    step, beginning: Sequence[int], length: int, temperatures: Sequence[float], seed: int
) -> list[list[int]]:
    """So many symbols after a beginning, once for each temperature.

    Args:
        step: a `language_model.Step`.
        beginning: ids, at least one.
        length: symbols to write.
        temperatures: of each text.
        seed: of the random numbers.

    Returns:
        A list of `length` ids for each temperature.
    """
    random = np.random.default_rng(seed)
    count = len(temperatures)
    states = step.first_states(count)
    for symbol in beginning:
        scores, states = step(np.full(count, symbol, np.int32), states)
    texts = [[] for _ in temperatures]
    for place in range(length):
        draws = random.random(count)
        for text, row, temperature, draw in zip(texts, scores, temperatures, draws, strict=True):
            total = np.cumsum(probabilities(row, temperature))
            text.append(int(np.searchsorted(total, draw * total[-1], side="right")))
        if place < length - 1:
            last = np.array([text[-1] for text in texts], np.int32)
            scores, states = step(last, states)
    return texts
