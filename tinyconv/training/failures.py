"""Failures that end a training: what happened, and what to try."""

import keras

from tinyconv.errors import UserError
from tinyconv.system import hardware, processes
from tinyconv.system.interruptions import is_out_of_memory, too_large


def explained(loop, error: Exception) -> UserError | None:
    """The error for people, for a failure that is not a fault of ours; None for others.

    Args:
        loop: the Training, which is over.
        error: what ended it.
    """
    if is_out_of_memory(error):
        return out_of_memory(loop)
    return processes.lost(error)


def out_of_memory(loop) -> UserError:
    """The error of a Training whose memory ran out; on a GPU, with a size that fits.

    Args:
        loop: the Training, which is over.
    """
    fitting, state = None, loop.state
    if hardware.has_gpu():
        batch = next(iter(loop.batches(state.epoch, state.step)))
        if loop.chunks is not None:
            loop.chunks.refill()
        fitting = fitting_size(loop.model, *batch)
    place = f"in epoch {state.epoch + 1}, step {state.step + 1}"
    return too_large(place, loop.settings.batch_size, loop.run_folder.path, fitting)


def fitting_size(model, inputs, targets) -> int | None:
    """The largest of a half, a quarter, … of a batch with which the model takes a step.

    On a GPU an operation that finds no memory only raises an error; on a CPU the system may end the
    process. The steps change the weights: the training must be over.

    Args:
        model: a compiled Keras model.
        inputs, targets: the batch that did not fit.

    Returns:
        Its number of examples; None if not one fits, or the step fails in another way.
    """
    size = len(keras.tree.flatten(targets)[0])
    while (size := size // 2) > 0:
        part = keras.tree.map_structure(lambda array, size=size: array[:size], (inputs, targets))
        try:
            model.train_on_batch(*part)
        except Exception as error:
            if not is_out_of_memory(error):
                return None
        else:
            return size
    return None
