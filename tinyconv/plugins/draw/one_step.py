"""A trained network in parts that other programs can run, one step after the other."""

import keras
from keras import ops

from tinyconv.text.search import DecoderPart


@keras.saving.register_keras_serializable("tinyconv")
class FirstCanvas(DecoderPart):
    """What a drawing starts from.

    Args of the call:
        z: (B, Z), of which only the number of rows matters.

    Returns:
        c_0 (B, C, R, A), before the logistic function, and the states h and cell of the encoder
        and of the decoder, (B, n) each, float32.
    """

    def call(self, z):
        return self.decoder.begin(ops.shape(z)[0])


@keras.saving.register_keras_serializable("tinyconv")
class DrawingStep(DecoderPart):
    """One step of a drawing of the network's own: equations 14 and 15.

    Args of the call:
        z: (B, Z), standard normal numbers.
        canvas: (B, C, R, A).
        h, cell: of the decoder, (B, n).

    Returns:
        The next canvas, h and cell.
    """

    def call(self, z, canvas, h, cell):
        return self.decoder.draw(z, canvas, h, cell)[:3]


@keras.saving.register_keras_serializable("tinyconv")
class InferenceStep(DecoderPart):
    """One step of the inference of a picture: equations 3 to 8.

    Args of the call:
        pictures: (B, R, A, C) uint8, pixel values 0 to 255.
        noise: (B, Z).
        states: those of `FirstCanvas`, or of the step before, a list.

    Returns:
        z (B, Z), the KL divergence (B,) in nats, and the next states.
    """

    def call(self, pictures, noise, states):
        x = ops.transpose(ops.cast(pictures, "float32") / 255, (0, 3, 1, 2))
        states, values = self.decoder.step(x, states, noise)
        return values["z"], values["kl"], *states


@keras.saving.register_keras_serializable("tinyconv")
class LatentEncoder(DecoderPart):
    """The encoder of an autoencoder: pictures -> mu and ln sigma, (B, Z) each."""

    def call(self, pictures):
        return self.decoder.encode(pictures)


@keras.saving.register_keras_serializable("tinyconv")
class LatentDecoder(DecoderPart):
    """The decoder of an autoencoder: z (B, Z) -> the logits (B, R, A, C)."""

    def call(self, z):
        return self.decoder.decode(z)


def networks(model) -> dict[str, keras.Model]:
    """The parts of a network by name.

    "begin", "draw" and "infer" for `DrawPath`; "encode" and "decode" for `VaePath`.
    """
    layer, pictures = model.get_layer("path"), model.input["pictures"]
    z = keras.Input((layer.latent,), name="z")
    picture = keras.Input(pictures.shape[1:], dtype=pictures.dtype, name="pictures")
    if hasattr(layer, "decode"):
        return {
            "encode": keras.Model(picture, LatentEncoder(layer)(picture), name="encode"),
            "decode": keras.Model(z, LatentDecoder(layer)(z), name="decode"),
        }
    begin = keras.Model(z, FirstCanvas(layer)(z), name="begin")
    states = [
        keras.Input(each.shape[1:], name=name)
        for name, each in zip(("canvas", "h_enc", "cell_enc", "h_dec", "cell_dec"), begin.outputs)
    ]
    canvas, _, _, h, cell = states
    noise = keras.Input((layer.latent,), name="noise")
    drawing = DrawingStep(layer)(z, canvas, h, cell)
    inference = InferenceStep(layer)(picture, noise, states)
    return {
        "begin": begin,
        "draw": keras.Model([z, canvas, h, cell], drawing, name="draw"),
        "infer": keras.Model([picture, noise, *states], inference, name="infer"),
    }
