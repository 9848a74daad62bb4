"""Whether graphs are built with compiled programs or with Keras' own operations."""

import contextlib
import contextvars
import math
from collections.abc import Iterator

from tinyconv.system import hardware

# One value a thread that builds a graph: another thread may build the plain graph of the same
# network. None where no block has chosen.
_compiled: contextvars.ContextVar[bool | None] = contextvars.ContextVar("compiled", default=None)


@contextlib.contextmanager
def compiled(choice: bool = True) -> Iterator[None]:
    """Build graphs inside the block with compiled programs, on TensorFlow on a CPU.

    The results are the same to rounding, a step of resnet18 takes half the time, and compiling
    takes seconds. On other hardware or backends, and outside the block, layers use Keras' own
    operations.

    Args:
        choice: whether to use the programs; False chooses Keras' own operations.

    Yields:
        None; the choice ends with the block.
    """
    token = _compiled.set(choice)
    try:
        yield
    finally:
        _compiled.reset(token)


def is_chosen() -> bool:
    """Check whether an enclosing `compiled` block has chosen programs or Keras' own operations.

    Returns:
        True inside a `compiled` block, whichever of the two it chose.
    """
    return _compiled.get() is not None


def is_compiled() -> bool:
    """Check whether graphs built here use compiled programs.

    Returns:
        True inside `compiled()`, on TensorFlow on a CPU.
    """
    return bool(_compiled.get()) and can_compile()


def can_compile() -> bool:
    """Check whether compiled programs exist for this backend and hardware.

    Returns:
        True for TensorFlow on a CPU.
    """
    return hardware.is_tensorflow_on_cpu()


class WithPrograms:
    """A layer with compiled programs of its own, which it uses where graphs are `compiled`."""

    def program_numbers(self) -> int:
        """Count the numbers per example that the programs process, to estimate what they save.

        Returns:
            The size of the layer's output for one example; an unknown side counts as 1.
        """
        return math.prod(side or 1 for side in self.output.shape[1:])
