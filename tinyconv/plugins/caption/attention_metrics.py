"""What can be stated about attention on photographs, where the position of nothing is known.

For each word of the network's own captions: how far the attention is concentrated; whether it lies
where the word's probability depends on the encoder's feature map, by Grad-CAM (Selvaraju et al.
2017, arXiv 1610.02391); and how much of that probability is lost if the cells with the largest
weights are greyed out in the picture, beside cells drawn at random.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from scipy.stats import rankdata

from tinyconv.errors import UserError
from tinyconv.explain.backends import runner
from tinyconv.explain.regions import GREY
from tinyconv.plugins.caption.inference import CaptionModel
from tinyconv.plugins.caption.words import split
from tinyconv.system import progress

PICTURES = 200  # that are measured
GREY_FRACTION = 0.1  # fraction of a picture's cells that is greyed out
DEPENDENT = np.log(2)  # a word depends on the picture if p is halved where the picture is all grey


def measure(model: CaptionModel, pictures, seed: int = 0) -> dict[str, float]:
    """The metrics of the attention for the words of the network's captions of some pictures.

    Args:
        model: a trained CaptionModel with attention.
        pictures: (N, H, W, C) uint8; the first PICTURES of them count.
        seed: of the cells drawn at random.

    Returns:
        attention_entropy: the mean entropy of the weights, 0 (one cell) to 1 (uniform).
        gradcam_agreement: the mean rank correlation of weights and Grad-CAM, -1 to 1.
        gradcam_agreement_chance: the same with the Grad-CAM of another picture's word.
        dependent_words: the fraction of words whose p is halved where the picture is all grey.
        grey_attended: the mean change of ln p of these words without their most attended cells.
        grey_random: the same without as many cells drawn at random.

    Raises:
        UserError: for a network without attention.
    """
    if model.model.get_layer("decoder").attention == "none":
        raise UserError("--attention-metrics needs a run with attention, soft or hard.")
    pictures = np.asarray(pictures[:PICTURES])
    inputs = model.encode(pictures)
    captions = model.best_captions(inputs)
    attention, _, log_p = model.attend(inputs, captions)
    importance = grad_cam(model, inputs, captions)
    changes = changes_by_grey(model, pictures, captions, attention, log_p, seed)
    dependent = changes[:, 0] < -DEPENDENT
    _, attended, at_random = changes[dependent].mean(axis=0) if dependent.any() else [0.0] * 3
    return {
        "attention_entropy": float(np.mean(entropy(np.concatenate(attention)))),
        "gradcam_agreement": agreement(attention, importance),
        "gradcam_agreement_chance": agreement(attention, importance[1:] + importance[:1]),
        "dependent_words": float(dependent.mean()),
        "grey_attended": float(attended),
        "grey_random": float(at_random),
    }


def entropy(attention: np.ndarray) -> np.ndarray:
    """The entropy (T,) of weights (T, L) as a fraction of the largest one, ln L."""
    logs = np.log(np.maximum(attention, 1e-30))
    return -(attention * logs).sum(axis=1) / np.log(attention.shape[1])


def agreement(attention: Sequence, importance: Sequence) -> float:
    """The mean rank correlation of weights (T, L) and importance (S, L), word by word.

    Of two captions of different length the first words count. Maps of one value do not.
    """
    correlations = [
        np.corrcoef(rankdata(one), rankdata(other))[0, 1]
        for weights, maps in zip(attention, importance, strict=True)
        for one, other in zip(weights, maps)
        if np.ptp(one) and np.ptp(other)
    ]
    return float(np.mean(correlations)) if correlations else 0.0


def grad_cam(model: CaptionModel, inputs, captions: Sequence[str]) -> list[np.ndarray]:
    """Grad-CAM of ln p of each word, in the feature map that the annotations are made of.

    Args:
        model: a trained CaptionModel.
        inputs: (N, ...), as `CaptionModel.encode` returns them.
        captions: N texts.

    Returns:
        For each caption (T, L) float32, at least 0; the last of the T words is the end.

    Source:
        Selvaraju et al. 2017, equations 1 and 2.
    """
    network = model.model
    annotations, decoder = network.get_layer("annotations"), network.get_layer("decoder")
    vision = keras.Model(network.input["pictures"], annotations.input)

    def log_p(maps, words, targets, chosen):
        logs = ops.log_softmax(decoder(annotations(maps), words)["scores"])
        of_words = ops.take_along_axis(logs, ops.expand_dims(targets, -1), axis=-1)[..., 0]
        return ops.sum(of_words * chosen, axis=1)

    gradient = runner(network, log_p, repeated=True, differentiated=True)
    results = []
    with progress.bar("Grad-CAM of the words", len(captions), "captions") as bar:
        for i, caption in enumerate(captions):
            word_ids = np.array([model.vocabulary.encode(split(caption))], "int32")
            count = word_ids.shape[1] - 1
            # A row for each word, since the gradient is that of a row's value.
            maps = np.repeat(np.asarray(vision(np.asarray(inputs[i : i + 1]))), count, axis=0)
            maps = maps.astype("float32")
            words, targets = (np.repeat(each, count, axis=0) for each in _shifted(word_ids))
            _, gradients = gradient(maps, words, targets, np.eye(count, dtype="float32"))
            weights = np.asarray(gradients).mean(axis=(1, 2), keepdims=True)  # (T, 1, 1, D)
            results.append(np.maximum((weights * maps).sum(axis=-1), 0).reshape(count, -1))
            bar.advance()
    return results


def _shifted(word_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the words before each word, the words), each (B, T), of ids (B, T + 1)."""
    return word_ids[:, :-1], word_ids[:, 1:]


def changes_by_grey(
    model: CaptionModel, pictures, captions: Sequence[str], attention, log_p, seed: int
) -> np.ndarray:
    """How ln p of each word changes if parts of the picture are grey.

    Args:
        model: a trained CaptionModel.
        pictures: (N, H, W, C) uint8.
        captions: N texts.
        attention: for each caption the weights (T, L), as `CaptionModel.attend` returns them.
        log_p: for each caption ln p of its words, (T,).
        seed: of the cells drawn at random.

    Returns:
        (words of all captions, 3) float64: the change with the whole picture grey, with the tenth
        of the cells with the largest weights, and with as many cells drawn at random.
    """
    random, changes = np.random.default_rng(seed), []
    rows, columns = model.grid
    count = max(1, round(GREY_FRACTION * rows * columns))
    with progress.bar("greying out cells", len(captions), "captions") as bar:
        for picture, caption, weights, before in zip(pictures, captions, attention, log_p):
            length = len(weights)
            top = [np.argsort(-each, kind="stable")[:count] for each in weights]
            at_random = [random.permutation(rows * columns)[:count] for _ in weights]
            masks = np.ones((1 + 2 * length, rows * columns), bool)  # the first is all grey
            for mask, cells in zip(masks[1:], top + at_random):
                mask[:] = False
                mask[cells] = True
            variants = np.stack([greyed(picture, mask, rows, columns) for mask in masks])
            _, _, after = model.attend(model.encode(variants), [caption] * len(variants))
            after = np.array(after)  # (1 + 2T, T)
            words = np.arange(length)
            kinds = after[0], after[1 + words, words], after[1 + length + words, words]
            changes.append(np.stack([each - before for each in kinds], axis=1))
            bar.advance()
    return np.concatenate(changes)


def greyed(picture: np.ndarray, mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A picture (H, W, C) whose pixels below the cells of a mask (L,) are grey."""
    height, width = picture.shape[:2]
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    hidden = mask.reshape(rows, columns)[row[:, None], column]
    return np.where(hidden[..., None], GREY, picture).astype(picture.dtype)
