"""Graphs of TensorFlow for sequences of any length.

TensorFlow makes a graph for the length of the first batch and, when a second batch has another, one
for any length. The functions here make the second at once: it takes seconds of a first epoch.
"""

import keras


def has_sequences(model) -> bool:
    """Whether an input of a Keras model has two or three axes, of which the second has no size.

    An input of four axes is a picture of any size.
    """
    shapes = [tensor.shape for tensor in getattr(model, "inputs", None) or ()]
    return any(len(shape) in (2, 3) and shape[1] is None for shape in shapes)


def input_specs(model, inputs, of_any_size: bool = False):
    """`tf.TensorSpec`s of batches of a model's inputs, with sequences of any length.

    Args:
        model: a Keras model.
        inputs: a batch, whose structure and types are those of the result.
        of_any_size: whether batches may have any number of rows.
    """
    import tensorflow as tf

    arrays = keras.tree.flatten(inputs)
    shapes = [tuple(array.shape) for array in arrays]
    declared = [tensor.shape for tensor in model.inputs] if has_sequences(model) else shapes
    if list(map(len, declared)) != list(map(len, shapes)):
        declared = shapes

    def spec(array, shape, declared):
        rest = declared[1:] if len(shape) < 4 else shape[1:]
        rows = (None,) if of_any_size else shape[:1]
        return tf.TensorSpec((*rows, *rest), array.dtype)

    return keras.tree.pack_sequence_as(inputs, list(map(spec, arrays, shapes, declared)))


def target_specs(model, targets):
    """`tf.TensorSpec`s of batches of targets; integers have any length where inputs have."""
    import tensorflow as tf

    def spec(array):
        shape, dtype = list(array.shape), tf.as_dtype(array.dtype)
        if has_sequences(model) and dtype.is_integer:
            shape[1:2] = [None] * len(shape[1:2])
        return tf.TensorSpec(shape, dtype)

    return keras.tree.map_structure(spec, targets)


def predict(model, inputs):
    """`model.predict_on_batch(inputs)`; sequences of any length and number have one graph."""
    is_on_tensorflow = keras.config.backend() == "tensorflow" and not model.run_eagerly
    if is_on_tensorflow and model.predict_function is None and has_sequences(model):
        model.make_predict_function()
        model.predict_function.get_concrete_function(
            [(input_specs(model, inputs, of_any_size=True),)]
        )
    return model.predict_on_batch(inputs)
