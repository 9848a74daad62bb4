"""What Keras and TensorFlow do not promise and we use all the same, a function each."""

import contextlib
import sys
import threading
from collections.abc import Iterator

_lock, _blocks = threading.Lock(), []


@contextlib.contextmanager
def graphs_released() -> Iterator[None]:
    """Release the graphs of a training when the block ends.

    TensorFlow 2.21 keeps each `tf.custom_gradient` that a graph was traced with in a registry,
    and with it the whole graph, for ever; Keras' optimizers use one in every training step. They
    are needed while the graph is traced. Of several blocks in threads the last one releases all.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python.framework import ops

    gradients = ops.gradient_registry._registry
    with _lock:
        _blocks.append(set(gradients))
    try:
        yield
    finally:
        with _lock:
            before = _blocks[0]
            _blocks.pop()
            if not _blocks:
                for name in set(gradients) - before:
                    if name.startswith("CustomGradient-"):
                        del gradients[name]
