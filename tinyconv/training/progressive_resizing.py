"""Progressive resizing: a network that starts on smaller pictures learns more in a given time.

As in Howard's DAWNBench entries (2018) and the `ffcv` ResNets: convolutions do not ask for a
size, a step on a picture of half the side takes a quarter of the time, and what is learnt there
carries over.
"""

import keras

from tinyconv.system.private import rewired

STAGES = ((0.4, 1 / 2), (0.6, 3 / 4))  # (share of the run until which, share of the side)
SMALLEST = 24  # pixels a side: below, too little can be seen


def stages(model) -> list[tuple[float, keras.Model]]:
    """(share of the run until which it trains, network) before the compiled `model` does.

    They are the same layers and weights behind one that scales the pictures down, and share
    the optimizer. None for a network that asks for one size of picture, or has a small one.
    """
    height, width, _ = model.input_shape[1:]
    sizes = [(until, (round(height * share), round(width * share))) for until, share in STAGES]
    try:
        return [(until, smaller(model, size)) for until, size in sizes if min(size) >= SMALLEST]
    except ValueError:  # a dense layer right on the map: its weights are of one size
        return []


def smaller(model, size) -> keras.Model:
    """The same layers, behind one that scales pictures to `size` (height, width)."""
    pictures = keras.Input(model.input_shape[1:], name="pictures")
    resized = keras.ops.image.resize(pictures, size)

    def call(layer, *inputs, **keywords):
        return layer(*(resized if x is pictures else x for x in inputs), **keywords)

    scaled = rewired(model, pictures, call)
    config = model.get_compile_config()
    scaled.compile(
        optimizer=model.optimizer,
        loss=model.loss,
        metrics=keras.saving.deserialize_keras_object(config["metrics"]),
        jit_compile=model.jit_compile,
    )
    return scaled
