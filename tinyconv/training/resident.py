"""Data sets that live on a GPU, on JAX: a step is given row numbers, not pictures.

The rows are copied there once. A batch is then the numbers of its rows and what augmentation draws,
a few kilobytes; the program of the step gathers the rows and changes them, by the functions of
`data/augment.py` that NumPy runs elsewhere. The host goes on drawing, by (seed, epoch, step).
"""

import contextlib
import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from tinyconv.data.augment import Change
from tinyconv.data.pipeline import Batches, changed, check_whole, release
from tinyconv.system import processes

# Of what JAX may take of a GPU's memory, for the data set. A step keeps activations, gradients and
# the optimizer's state beside it, and should lose little of the largest batch that fits.
SHARE = 1 / 4
SMALL = 1 << 28  # bytes that a data set may take where the memory is unknown


@dataclasses.dataclass(frozen=True)
class Resident:
    """A data set on the device, an argument of the program that takes the steps.

    Attributes:
        rows: all inputs (N, ...), on the device.
        policy: the augmentation.
        source: the rows as the data set has them.
    """

    rows: jax.Array
    policy: Sequence[Change]
    source: np.ndarray | None = None

    def whole(self, drawn, targets) -> tuple:
        """(inputs, targets) of a batch that was drawn by `Batches.drawn`."""
        indices, numbers = drawn
        return changed(self.rows[indices], self.policy, numbers), targets


jax.tree_util.register_pytree_node(
    Resident,
    lambda each: ((each.rows,), tuple(each.policy)),
    lambda policy, rows: Resident(*rows, policy),
)


def of(batches: Batches, earlier: Resident | None) -> Resident | None:
    """The Resident from which batches can be drawn; None where they come from the host.

    Args:
        batches: those of an epoch.
        earlier: the Resident of the epoch before, which is kept where its rows are the same.
    """
    rows, policy = batches.rows, tuple(batches.policy)
    if earlier is not None and earlier.source is rows and earlier.policy == policy:
        return earlier
    is_drawn = all(isinstance(change, Change) for change in policy)
    if not is_drawn or processes.is_requested() or rows.dtype.kind not in "biuf":
        return None
    device = jax.local_devices()[0]
    if rows.nbytes > room(device.memory_stats()):
        return None
    check_whole(rows)
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # another program has the memory
        copy = jax.device_put(rows, device).block_until_ready()
        release(rows)
        return Resident(copy, policy, rows)
    return None


def room(statistics: dict | None) -> float:
    """The bytes that a data set may take of a device.

    Args:
        statistics: what `jax.Device.memory_stats` returns; None where it knows nothing.
    """
    limit = (statistics or {}).get("bytes_limit")
    return SMALL if limit is None else SHARE * limit
