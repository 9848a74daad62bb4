"""What DRAW and the autoencoder share: the parts of the bound, and the loss of a network.

Equation numbers are those of Gregor et al. 2015 (arXiv 1502.04623). Axes as in `draw.py`.
"""

import keras
from keras import ops


def kl_divergence(mean, log_deviation):
    """The KL divergence of N(mu, sigma^2) from N(0, 1), summed over the last axis.

    Args:
        mean: mu (..., Z).
        log_deviation: ln sigma (..., Z).

    Returns:
        (...) float32, in nats.

    Source:
        Gregor et al. 2015, equation 11, whose constant there is that of one dimension.
    """
    terms = ops.square(mean) + ops.exp(2 * log_deviation) - 2 * log_deviation - 1
    return ops.sum(terms, axis=-1) / 2


def log_ratio(z, noise, log_deviation):
    """ln Q(z) - ln P(z) of a sample z = mu + sigma noise, summed over the last axis.

    Its mean over the noise is `kl_divergence`; an importance-weighted bound needs each value.
    """
    return ops.sum(ops.square(z) - ops.square(noise) - 2 * log_deviation, axis=-1) / 2


def reconstruction(pictures, canvas):
    """L^x, -ln D(x | c_T): equation 9, the sum over all pixels, from the logits.

    Args:
        pictures: x (B, R, A, C), 0 to 1.
        canvas: c_T (B, R, A, C), before the logistic function.

    Returns:
        (B,) float32, in nats.
    """
    terms = ops.softplus(canvas) - pictures * canvas
    return ops.sum(terms, axis=(1, 2, 3))


def last(steps: dict) -> dict:
    """What training and measuring take from a path: the last canvas, and the nats of each step."""
    return {"canvas": steps["canvas"][:, -1], "kl": steps["kl"], "log_ratio": steps["log_ratio"]}


def last_spec(pictures, noise) -> dict:
    """The shapes of `last`."""
    steps = noise.shape[:2]
    shapes = {"canvas": pictures.shape, "kl": steps, "log_ratio": steps}
    return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}


@keras.saving.register_keras_serializable("tinyconv")
class DrawNetwork(keras.Model):
    """{"pictures", "noise"} -> the dict of its path, and the loss of equation 12, in nats."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.parts = {name: keras.metrics.Mean(name) for name in ("loss", "reconstruction", "kl")}

    def get_metrics_result(self):
        """The means over the batches so far."""
        return {name: metric.result() for name, metric in self.parts.items()}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """L = L^x + L^z, the mean over the pictures `y` (B, R, A, C) uint8: equation 12."""
        pictures = ops.cast(y, "float32") / 255
        nats = reconstruction(pictures, y_pred["canvas"])
        kl = ops.sum(y_pred["kl"], axis=1)  # (10)
        for name, value in (("loss", nats + kl), ("reconstruction", nats), ("kl", kl)):
            self.parts[name].update_state(value)
        return ops.mean(nats + kl)


def network(path, shape: tuple[int, int, int], steps: int, name: str) -> DrawNetwork:
    """The network of a path.

    Args:
        path: a `DrawPath` or a `VaePath`.
        shape: (R, A, C) of the pictures.
        steps: T.
        name: of the network.
    """
    inputs = {
        "pictures": keras.Input(shape, dtype="uint8", name="pictures"),
        "noise": keras.Input((steps, path.latent), name="noise"),
    }
    return DrawNetwork(inputs, path(inputs["pictures"], inputs["noise"]), name=name)
