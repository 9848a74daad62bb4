"""Progressive resizing: a network that starts on smaller pictures learns more in a fixed time.

As in Howard's DAWNBench entries (2018) and the `ffcv` ResNets: convolutions work at any size, a
step on a picture of half the side takes a quarter of the time, and the learnt features carry over.
"""

import keras

from tinyconv.system.private import rewired

STAGES = (
    (0.4, 1 / 2),
    (0.6, 3 / 4),
)  # (fraction of the run at which it ends, fraction of the side)
MIN_SIDE = 24  # pixels: smaller pictures show too little


def stages(model) -> list[tuple[float, keras.Model]]:
    """(fraction of the run at which it ends, network) for each stage before the compiled `model`.

    The networks have the same layers and weights behind a layer that scales the pictures down, and
    share the optimizer. The list is empty if the network takes only one size of picture, or if the
    pictures are small.
    """
    height, width, _ = model.input_shape[1:]
    sizes = [(until, (round(height * side), round(width * side))) for until, side in STAGES]
    try:
        return [(until, smaller(model, size)) for until, size in sizes if min(size) >= MIN_SIDE]
    except ValueError:  # a dense layer directly on the feature map: its weights fit one size
        return []


def smaller(model, size) -> keras.Model:
    """The same layers, behind a layer that scales pictures to `size` (height, width)."""
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
