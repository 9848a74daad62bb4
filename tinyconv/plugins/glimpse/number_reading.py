"""Numbers that DRAM reads: from scores to digits, and their errors."""

import numpy as np
from scipy.special import logsumexp

from tinyconv.plugins.glimpse.dram import NONE
from tinyconv.plugins.glimpse.looks import END, symbols_of


def lengths(symbols: np.ndarray) -> np.ndarray:
    """(N,) the digits of each row of symbols (N, S): those before the end."""
    is_end = symbols == END
    return np.where(is_end.any(axis=1), is_end.argmax(axis=1), symbols.shape[1])


def read(scores: np.ndarray) -> tuple[str, float]:
    """The most probable number and its probability, from scores (S, symbols)."""
    log_p = scores - logsumexp(scores, axis=-1, keepdims=True)
    symbols = scores.argmax(axis=-1)
    (length,) = lengths(symbols[None])
    chosen = log_p.max(axis=-1)[: length + 1]  # with the end
    return "".join(map(str, symbols[:length])), float(np.exp(chosen.sum()))


def errors(scores: np.ndarray, digits: np.ndarray) -> dict[str, float]:
    """The mean cross-entropy of a symbol, and the part of the numbers with any wrong symbol.

    Args:
        scores: (N, S, symbols).
        digits: (N, M) int32, -1 where there is none.
    """
    symbols = _true(scores, digits)
    there = symbols != NONE
    log_p = scores - logsumexp(scores.astype("float64"), axis=-1, keepdims=True)
    of_true = np.take_along_axis(log_p, np.maximum(symbols, 0)[..., None], axis=-1)[..., 0]
    wrong = (scores.argmax(axis=-1) != symbols) & there
    return {
        "loss": float(-of_true[there].mean()),
        "sequence_error": float(wrong.any(axis=1).mean()),
    }


def details(scores: np.ndarray, digits: np.ndarray) -> dict[str, float]:
    """The error of numbers by their length, of lengths, and of digits; arguments as of `errors`."""
    symbols, best = _true(scores, digits), scores.argmax(axis=-1)
    wrong = ((best != symbols) & (symbols != NONE)).any(axis=1)
    true = lengths(symbols)
    values = {
        f"sequence_error_by_digits_{count}": float(wrong[true == count].mean())
        for count in np.unique(true)
    }
    is_digit = (symbols != NONE) & (symbols != END)
    values["length_accuracy"] = float((lengths(best) == true).mean())
    values["digit_error"] = float((best != symbols)[is_digit].mean())
    return values


def _true(scores: np.ndarray, digits: np.ndarray) -> np.ndarray:
    return symbols_of(np.full(len(digits), -1), digits, scores.shape[1])
