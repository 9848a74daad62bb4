"""One training step on many devices: each of them computes its share of the batch.

Every process makes the whole batch, by the same random numbers as a process alone, and gives its
rows to its devices. The step is one program over all of them, so that batch normalisation, dropout,
the loss and the gradient are those of the whole batch. Outside of the step each process has all
variables for itself: it validates, and process 0 saves, as in a training by one process.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tinyconv.errors import UserError
from tinyconv.system import processes


class Shares:
    """Places what a step computes with on the devices of all processes."""

    def __init__(self):
        self.mesh = Mesh(np.array(jax.devices()), ("batch",))
        self.whole = NamedSharding(self.mesh, PartitionSpec())
        self.rows = NamedSharding(self.mesh, PartitionSpec(None, "batch"))

    def everywhere(self, value):
        """A value that every device has, from this process's own."""
        copies = [jax.device_put(value, device) for device in jax.local_devices()]
        return jax.make_array_from_single_device_arrays(np.shape(value), self.whole, copies)

    def divided(self, batches):
        """Batches (steps, B, ...) of which each device has its rows."""
        check(batches.shape[1])
        size = batches.shape[1] // processes.count()
        start = processes.number() * size
        own = batches[:, start : start + size]
        return jax.make_array_from_process_local_data(self.rows, own, batches.shape)

    @staticmethod
    def own(value):
        """This process's own copy of a value that every device has."""
        return value.addressable_data(0)


def check(batch_size: int) -> None:
    """Raise UserError for batches that cannot be divided equally among the devices."""
    count = len(jax.devices())
    if batch_size % count:
        nearest = max(count, round(batch_size / count) * count)
        raise UserError(
            f"A batch of {batch_size} cannot be divided equally among {count} devices; use "
            f"--batch-size {nearest} where there are as many examples, or fewer processes."
        )


def begin(loop) -> None:
    """Make the processes of a Training agree before its first step.

    They must have the same settings and data; weights and optimizer become those of process 0.
    Raises UserError for a process that would train something else.
    """
    options = {name: str(value) for name, value in vars(loop.settings).items()}
    for name in ("no_coach", "tensorboard", "data", "root", "labels"):  # places differ by machine
        options.pop(name, None)
    data = {"data": loop.run_folder.settings.get("data_sha256"), "step": loop.steps_done}
    first, *others = processes.gathered(options | data)
    for number, other in enumerate(others, start=1):
        for name in first:
            if first[name] != other.get(name):
                raise UserError(
                    f"Process {number} would train with {name} {other.get(name)}, and process 0 "
                    f"with {first[name]}; start all processes with the same command and data."
                )
    variables = [*loop.whole.variables, *loop.whole.optimizer.variables]
    values = processes.of_first_arrays([np.asarray(variable) for variable in variables])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
