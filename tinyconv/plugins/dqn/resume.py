"""Where a run of deep Q-learning stands, on disk: what `--resume` goes on from to the same losses.

last.keras holds the network and the counts; the folder memory-N beside it, N being the actions
taken, holds the rest: the replay memory, both networks, the optimizer, and the actions since the
games began. No emulator tells all of its state, but the same actions lead it to the same place.
"""

import dataclasses
import shutil

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.private import counted_variables, online_network, target_network
from tinyconv.system import console
from tinyconv.training.checkpoints import write_best

LONG = 20_000  # actions whose repetition takes long enough to be told of


def variables(learning) -> list:
    """Weights of both networks, the optimizer's, and the agent's counts of steps."""
    agent = learning.agent
    return [
        *online_network(agent).variables,
        *target_network(agent).variables,
        *counted_variables(agent),
        agent.train_step_counter,
    ]


def save(learning) -> None:
    """Write the folder, then the best network, then last.keras, which names the folder, and remove
    the one of before."""
    state, path = learning.state, learning.folder.path
    state.random = learning.random.bit_generator.state
    folder = path / f"memory-{state.done}"
    if learning.saved != state.done:  # a reader finds the old folder or the new one, both whole
        try:
            folder.mkdir(exist_ok=True)
            learning.replay.save(folder)
            count = (state.done - state.begun) // learning.options.games
            np.save(folder / "taken.npy", learning.taken[:count])
            for i, variable in enumerate(variables(learning)):
                np.save(folder / f"variable-{i}.npy", variable.numpy())
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)  # half a memory that only takes room
            raise UserError(
                f"The memory cannot be saved in {path} ({error.strerror or error}); mend that, "
                f"then go on from its last save with: tinyconv fit --resume {path}"
            ) from error
    if learning.best is not None:
        write_best(learning.folder, learning.model, learning.best)
        learning.best = None
    is_first = not (path / "best.keras").exists()
    learning.folder.save(learning.model, dataclasses.asdict(state), is_first)
    learning.saved = state.done
    if state.rows:
        learning.folder.write_history(state.rows)
    for other in path.glob("memory-*"):
        if other != folder:
            shutil.rmtree(other)


def restore(learning) -> None:
    """Take up what `save` left, and lead the games to where they were."""
    state = learning.state
    if state.rows:  # a run killed between a checkpoint and its history lacks a row
        learning.folder.write_history(state.rows)
    folder = learning.folder.path / f"memory-{state.done}"
    if not folder.is_dir():
        raise UserError(f"{folder} is missing, without which the run cannot go on.")
    for i, variable in enumerate(variables(learning)):
        value = np.load(folder / f"variable-{i}.npy", allow_pickle=False)
        if value.shape != variable.shape:
            raise UserError(
                f"{folder} is of another game or network: it has {value.shape} numbers where "
                f"{learning.options.env} with {learning.options.model} has {variable.shape}."
            )
        variable.assign(value)
    learning.replay.restore(folder)
    learning.random.bit_generator.state = state.random
    taken = np.load(folder / "taken.npy", allow_pickle=False).astype("int64")
    if taken.size > LONG:
        console.say(f"games      led back to where they were, by {taken.size:,} actions")
    learning.taken[: len(taken)] = taken
    shown = learning.step.frames
    for actions in taken:
        shown = learning.step.frames
        learning.move(actions)
    newest = learning.replay.frames[(learning.replay.added - 1) % learning.replay.room]
    if len(taken) and not np.array_equal(shown, newest):
        console.say(
            f"games      {learning.options.env} does not repeat itself by its seed: they begin "
            "anew, and the run goes on otherwise than one that was not stopped"
        )
        learning.anew()
