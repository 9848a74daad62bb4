"""Adversarial pictures: a network predicts another class, though people see no difference."""

import numpy as np
from keras import ops

from tinyconv.explain.probe import Probe, score

MARGIN = 0.1  # by which the target's score shall exceed the others
MAX_STEPS = 64  # after which the search for a change ends


def fool(model, pictures, classes=None) -> np.ndarray:
    """Change pictures as little as possible, so that the network predicts other classes.

    Each step follows the gradient of the target's score minus the best other score, as far as
    would make the two equal if the network were linear. A picture whose target is not reached in
    64 steps is returned as the last step left it. Pixels are whole levels, so that a file holds the
    same change. Built by hand in tutorials/12.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: target classes: an int, ints (N,), or None for the second best predictions.

    Returns:
        The changed pictures, uint8 (N, H, W, C).

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Szegedy et al. 2014 (arXiv 1312.6199), for the phenomenon; Moosavi-Dezfooli, Fawzi &
        Frossard 2016 (arXiv 1511.04599), equation 6, for the steps.
    """
    probe = Probe(model, pictures)
    scores = probe.scores(probe.pictures)
    targets = np.argsort(-scores, axis=1, kind="stable")[:, 1] if classes is None else classes
    targets = probe.target_classes(targets)
    reached = scores.argmax(axis=1) == targets

    def margin(scores, outputs, targets):
        others = scores - 1e9 * ops.one_hot(targets, scores.shape[1])
        return score(scores, outputs, targets) - ops.max(others, axis=1)

    step = probe.gradient(margin, repeated=True)
    x, changed = probe.pictures.copy(), probe.pictures.copy()
    for i in range(MAX_STEPS):
        margins, gradients = step(x, targets)
        norm = (gradients**2).sum(axis=(1, 2, 3))
        # Aim further beyond the boundary each time, since rounding undoes small steps.
        lacking = np.maximum(MARGIN * (1 + i) - margins, 0) / np.maximum(norm, 1e-12)
        x = np.clip(x + lacking[:, None, None, None] * gradients, 0, 255).astype("float32")
        rounded = np.round(x)
        changed[~reached] = rounded[~reached]
        reached |= probe.scores(rounded).argmax(axis=1) == targets
        if reached.all():
            break
    return changed.astype("uint8")


def fgsm(model, pictures, classes=None, size=2) -> np.ndarray:
    """Change every pixel by one step against a class: the fast gradient sign method.

    The loss is the cross-entropy. Built by hand in tutorials/12.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: true classes: an int, ints (N,), or None for the predicted ones.
        size: size of the step, in levels of 255.

    Returns:
        The changed pictures, uint8 (N, H, W, C).

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Goodfellow, Shlens & Szegedy 2015 (arXiv 1412.6572), equation in section 4.
    """
    probe = Probe(model, pictures)

    def loss(scores, outputs, classes):
        return -score(ops.log_softmax(scores), outputs, classes)

    _, gradients = probe.gradient(loss)(probe.pictures, probe.target_classes(classes))
    return np.clip(np.round(probe.pictures) + size * np.sign(gradients), 0, 255).astype("uint8")
