"""A network: two convolutions with pooling and one hidden layer. Name its paper here."""


def my_plugin(input_shape, classes, activation="prelu", widths=(16, 32), hidden=64):
    """CONV-POOL twice, then one FC: 13,818 parameters at 8x8x1 and 10 classes.

    Takes pixels 0 to 255, (B, H, W, C); returns scores (logits), float32 (B, classes).
    """
    import keras

    from tinyconv import layers

    inputs, x = layers.pixels(input_shape)
    for i, width in enumerate(widths, start=1):
        x = layers.conv(width, 3, activation, name=f"conv{i}")(x)
        x = layers.rectifier(activation, name=f"rectifier{i}")(x)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{i}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = layers.dense(hidden, activation, name="hidden")(x)
    x = layers.rectifier(activation, name="rectifier_hidden")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="my_plugin")


my_plugin.small = {"widths": (4, 8), "hidden": 8}  # quick to test, for tinyconv.checks
