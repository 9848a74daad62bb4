"""A trained network in parts that other programs can run: one glimpse after the other."""

import keras

from tinyconv.text.search import DecoderPart


@keras.saving.register_keras_serializable("tinyconv")
class FirstStates(DecoderPart):
    """What a network computes before its first glimpse.

    Args of the call:
        pictures: (B, H, W, C) uint8.

    Returns:
        The states, and the mean of the first location (B, 2), float32.
    """

    def call(self, pictures):
        states = self.decoder.begin(pictures)
        return *states, self.decoder.aim(states)


@keras.saving.register_keras_serializable("tinyconv")
class OneGlimpse(DecoderPart):
    """One glimpse.

    Args of the call:
        pictures: (B, H, W, C) uint8.
        location: (B, 2), x and y from -1 to 1.
        states: those from before the glimpse, a list.

    Returns:
        Scores (logits) (B, classes), the mean of the next location (B, 2), and the next states.
    """

    def call(self, pictures, location, states):
        states = self.decoder.look(pictures, location, states)
        return self.decoder.act(states), self.decoder.aim(states), *states


def networks(model) -> dict[str, keras.Model]:
    """The networks "begin": pictures -> states and first aim; and "glimpse", for each glimpse."""
    layer, pictures = model.get_layer("path"), model.input["pictures"]
    begin = keras.Model(pictures, FirstStates(layer)(pictures), name="begin")
    *states, aim = begin.outputs
    location = keras.Input(aim.shape[1:], name="location")
    inputs = [keras.Input(each.shape[1:], name=f"state_{i}") for i, each in enumerate(states)]
    shown = keras.Input(pictures.shape[1:], dtype=pictures.dtype, name="pictures")
    outputs = OneGlimpse(layer)(shown, location, inputs)
    return {
        "begin": begin,
        "glimpse": keras.Model([shown, location, *inputs], outputs, name="glimpse"),
    }
