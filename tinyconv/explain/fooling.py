"""Pictures that a network takes for something else, though people see no difference."""

import numpy as np
from keras import ops

from tinyconv.explain.probe import Tap, score

MARGIN = 0.1  # by which the wanted score is to be above the others
TRIES = 64  # steps after which a class cannot be reached


def fool(model, pictures, classes=None) -> np.ndarray:
    """The pictures, changed as little as can be found to be taken for `classes`, uint8.

    Szegedy et al. 2014 (arXiv 1312.6199) found them; the steps are those of Moosavi-Dezfooli,
    Fawzi & Frossard 2016 (arXiv 1511.04599), equation 6: along the gradient of the wanted score
    less the best other one, as far as the two would be equal if the network were a plane. Of no
    class given, the network's second best. What cannot be reached in 64 steps comes back as far
    as it came. Pixels are whole levels, 0 to 255, so that a file holds the same change. Built by
    hand in tutorials/12.
    """
    tap = Tap(model, pictures)
    scores = tap.scores(tap.pictures)
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, 1] if classes is None else classes
    wanted = tap.asked(wanted)
    reached = scores.argmax(axis=1) == wanted

    def ahead(scores, outputs, wanted):
        others = scores - 1e9 * ops.one_hot(wanted, scores.shape[1])
        return score(scores, outputs, wanted) - ops.max(others, axis=1)

    step = tap.gradient(ahead, repeated=True)
    x, found = tap.pictures.copy(), tap.pictures.copy()
    for i in range(TRIES):
        margins, gradients = step(x, wanted)
        norm = (gradients**2).sum(axis=(1, 2, 3))
        # Ever further beyond the boundary, since rounding to whole levels undoes small steps.
        lacking = np.maximum(MARGIN * (1 + i) - margins, 0) / np.maximum(norm, 1e-12)
        x = np.clip(x + lacking[:, None, None, None] * gradients, 0, 255).astype("float32")
        rounded = np.round(x)
        found[~reached] = rounded[~reached]
        reached |= tap.scores(rounded).argmax(axis=1) == wanted
        if reached.all():
            break
    return found.astype("uint8")


def fgsm(model, pictures, classes=None, size=2) -> np.ndarray:
    """The pictures after one step of `size` levels of every pixel against `classes`, uint8.

    The fast gradient sign method: Goodfellow, Shlens & Szegedy 2015 (arXiv 1412.6572), equation
    in section 4, with the cross-entropy loss; `classes` are what the pictures are, or what the
    network says if not given. Built by hand in tutorials/12.
    """
    tap = Tap(model, pictures)

    def loss(scores, outputs, classes):
        return -score(ops.log_softmax(scores), outputs, classes)

    _, gradients = tap.gradient(loss)(tap.pictures, tap.asked(classes))
    return np.clip(np.round(tap.pictures) + size * np.sign(gradients), 0, 255).astype("uint8")
