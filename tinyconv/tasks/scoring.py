"""Scores of a classifier: one network or an ensemble, one view of each picture or several."""

from collections.abc import Iterator, Sequence

import numpy as np

from tinyconv.data.pipeline import whole_batches

BATCH = 256  # pictures scored at a time
BEST = 5  # labels in a prediction
SHIFT = 1 / 16  # distance of a crop from the centre, as a fraction of the side


def alone(pictures) -> Iterator[np.ndarray]:
    """The pictures (B, H, W, C) as they are."""
    yield pictures


def flip(pictures) -> Iterator[np.ndarray]:
    """The pictures (B, H, W, C), and their mirror images."""
    yield pictures
    yield pictures[:, :, ::-1]


def ten_crop(pictures) -> Iterator[np.ndarray]:
    """Centre and four corners, and their mirror images (Krizhevsky et al. 2012, section 4.1).

    In the paper the crops are 224 of 256 pixels, 16 pixels from the centre. Our pictures already
    have the network's size: they are shifted by a sixteenth of their side, and mirrored pixels fill
    the gap, as in training (`data/augment.py`, by up to an eighth).
    """
    _, height, width, _ = pictures.shape
    pad = max(1, round(min(height, width) * SHIFT))
    padded = np.pad(pictures, [(0, 0), (pad, pad), (pad, pad), (0, 0)], mode="reflect")
    for top, left in ((pad, pad), (0, 0), (0, 2 * pad), (2 * pad, 0), (2 * pad, 2 * pad)):
        yield from flip(padded[:, top : top + height, left : left + width])


VIEWS = {"none": alone, "flip": flip, "ten-crop": ten_crop}


def scores(model, pictures, test_augment="none") -> np.ndarray:
    """Scores (logits), float32 (N, classes), of uint8 pictures (N, H, W, C), in bounded memory.

    They are averaged over the views of each picture that `test_augment` names.
    """
    from tinyconv.layers import program_costs

    rows = []
    with program_costs.for_predictions(model, len(pictures)):
        for batch, count in whole_batches(pictures, BATCH):
            views = map(np.ascontiguousarray, VIEWS[test_augment](batch))
            by_view = [np.asarray(model.predict_on_batch(view)) for view in views]
            rows.append(np.mean(by_view, axis=0)[:count])
    return np.concatenate(rows)


def together(each: Sequence[np.ndarray]) -> np.ndarray:
    """The logarithm of the mean of several networks' softmax probabilities, (N, classes).

    Probabilities are averaged, not scores, because each network has its own scale of scores.
    """
    from scipy.special import log_softmax, logsumexp

    return logsumexp([log_softmax(one, axis=1) for one in each], axis=0) - np.log(len(each))


def measure(scores, labels, loss, uneven: bool = False) -> dict[str, float]:
    """loss, top1 and top5 of scores (N, classes) against labels (N,).

    For uneven classes also balanced_accuracy, the mean of the classes' own top-1 (recall).

    For equal scores the first class counts as the prediction, and a NaN counts as none, so that a
    dead network is not right about everything.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    right = best == labels[:, None]  # (N, 5)
    metrics = {
        "loss": float(loss(labels, scores)),
        "top1": float(right[:, 0].mean()),
        "top5": float(right.any(axis=1).mean()),
    }
    if uneven:
        recalls = [right[labels == label, 0].mean() for label in np.unique(labels)]
        metrics["balanced_accuracy"] = float(np.mean(recalls))
    return metrics


def answers(row: np.ndarray, classes: Sequence[str]) -> list[dict]:
    """The best labels of one picture's scores (classes,) with their softmax probabilities."""
    from scipy.special import softmax

    probabilities = softmax(row)
    best = np.argsort(-row, kind="stable")[:BEST]
    return [{"label": classes[i], "probability": float(probabilities[i])} for i in best]
