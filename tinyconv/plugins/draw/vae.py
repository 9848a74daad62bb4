"""The variational autoencoder (Kingma and Welling 2013, arXiv 1312.6114): a picture in one step.

Its encoder and decoder are two layers of rectifiers each. It stands here beside DRAW as its floor:
the same bound, the same data and the same time. Axes as in `draw.py`, with T = 1.
"""

import keras
from keras import ops

from tinyconv.plugins.draw.variational import kl_divergence, last, last_spec, log_ratio, network


@keras.saving.register_keras_serializable("tinyconv")
class VaePath(keras.layers.Layer):
    """A variational autoencoder, called as `DrawPath` is.

    Args:
        units: of each of the two hidden layers of the encoder and of the decoder.
        latent: Z, the dimensions of z.

    Args of the call:
        pictures: (B, R, A, C) uint8, pixel values 0 to 255.
        noise: (B, 1, Z) float32.

    Returns:
        {"canvas": the logits (B, R, A, C), "kl" and "log_ratio": (B, 1) in nats}, float32.
    """

    reads = writes = False

    def __init__(self, units=256, latent=24, **kwargs):
        super().__init__(**kwargs)
        self.units, self.latent = units, latent

    def build(self, pictures_shape, noise_shape):
        self.shape = tuple(pictures_shape[1:])
        pixels = self.shape[0] * self.shape[1] * self.shape[2]

        def linear(inputs, units, name, activation=None):
            layer = keras.layers.Dense(units, activation, name=name, dtype=self.dtype_policy)
            layer.build((None, inputs))
            return layer

        n, Z = self.units, self.latent
        self.encoder_1 = linear(pixels, n, "encoder_1", "relu")
        self.encoder_2 = linear(n, n, "encoder_2", "relu")
        self.mean, self.log_deviation = linear(n, Z, "mean"), linear(n, Z, "log_deviation")
        self.decoder_1 = linear(Z, n, "decoder_1", "relu")
        self.decoder_2 = linear(n, n, "decoder_2", "relu")
        self.canvas = linear(n, pixels, "canvas")

    def decode(self, z):
        """The logits (B, R, A, C) of z (B, Z)."""
        pixels = self.canvas(self.decoder_2(self.decoder_1(z)))
        return ops.reshape(pixels, (-1, *self.shape))

    def encode(self, pictures):
        """mu and ln sigma (B, Z) of pictures (B, R, A, C), pixel values 0 to 255."""
        x = ops.cast(pictures, "float32") / 255
        x = ops.reshape(x, (-1, self.encoder_1.kernel.shape[0]))
        hidden = self.encoder_2(self.encoder_1(x))
        return self.mean(hidden), self.log_deviation(hidden)

    def steps(self, pictures, noise) -> dict:
        """As of `DrawPath.steps`, with one step."""
        mean, log_deviation = self.encode(pictures)
        z = mean + ops.exp(log_deviation) * noise[:, 0]
        steps = {
            "z": z,
            "kl": kl_divergence(mean, log_deviation),
            "log_ratio": log_ratio(z, noise[:, 0], log_deviation),
            "canvas": self.decode(z),
        }
        return {name: value[:, None] for name, value in steps.items()}

    def sample(self, z) -> dict:
        """As of `DrawPath.sample`, with one step."""
        return {"canvas": self.decode(z[:, 0])[:, None]}

    def call(self, pictures, noise):
        return last(self.steps(pictures, noise))

    def compute_output_spec(self, pictures, noise):
        return last_spec(pictures, noise)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "latent": self.latent}


def vae(shape: tuple[int, int, int], **sizes):
    """The autoencoder for pictures of `shape` (R, A, C); `sizes` are arguments of `VaePath`."""
    return network(VaePath(name="path", dtype="float32", **sizes), shape, 1, "vae")
