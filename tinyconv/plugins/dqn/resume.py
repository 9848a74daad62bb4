"""Checkpoints of deep Q-learning, from which `--resume` continues with the same losses.

last.keras holds the network and the counts; the folder memory-N beside it, after N actions, holds
the rest: the replay buffer, both networks, the optimizer, and the actions since the games started.
An emulator's state cannot be saved completely, but the same actions lead to the same state.
"""

import dataclasses
import shutil

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.private import (
    counted_variables,
    mean_squares,
    online_network,
    target_network,
)
from tinyconv.system import console
from tinyconv.training.checkpoints import write_best

MANY_ACTIONS = 20_000  # whose repetition takes long enough for a message


def variables(learning) -> list:
    """The weights of both networks, the optimizer's variables, and the agent's counters."""
    agent = learning.agent
    return [
        *online_network(agent).variables,
        *target_network(agent).variables,
        *counted_variables(agent),
        agent.train_step_counter,
    ]


def save(learning) -> None:
    """Write the folder, then the best network, then last.keras, which names the folder.

    The previous folder is removed last.
    """
    state, path = learning.state, learning.run_folder.path
    state.random = learning.random.bit_generator.state
    folder = path / f"memory-{state.done}"
    if learning.saved != state.done:  # a reader gets the old folder or the new one, both complete
        try:
            folder.mkdir(exist_ok=True)
            learning.replay.save(folder)
            count = (state.done - state.begun) // learning.options.games
            np.save(folder / "taken.npy", learning.actions[:count])
            for i, variable in enumerate(variables(learning)):
                np.save(folder / f"variable-{i}.npy", variable.numpy())
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)  # an incomplete buffer only takes space
            raise UserError(
                f"The replay buffer cannot be saved in {path} ({error.strerror or error}); fix "
                f"that, then resume from the last checkpoint with: tinyconv fit --resume {path}"
            ) from error
    if learning.best is not None:
        write_best(learning.run_folder, learning.model, learning.best)
        learning.best = None
    is_first = not (path / "best.keras").exists()
    learning.run_folder.save(learning.model, dataclasses.asdict(state), is_first)
    learning.saved = state.done
    if state.rows:
        learning.run_folder.write_history(state.rows)
    for other in path.glob("memory-*"):
        if other != folder:
            shutil.rmtree(other)


def restore(learning) -> None:
    """Read what `save` wrote, and replay the actions of the games.

    Raises UserError where the folder is missing, belongs to another game or network, or was saved
    by version 0.1 with RMSProp's variables in a mixed order (`private.counted_variables`).
    """
    state = learning.state
    if state.rows:  # a run killed between a checkpoint and its history lacks a row
        learning.run_folder.write_history(state.rows)
    folder = learning.run_folder.path / f"memory-{state.done}"
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; the run cannot be resumed without it.")
    squares = {id(variable) for variable in mean_squares(learning.agent)}
    for i, variable in enumerate(variables(learning)):
        value = np.load(folder / f"variable-{i}.npy", allow_pickle=False)
        if value.shape != variable.shape:
            raise UserError(
                f"{folder} belongs to another game or network: one of its variables has the shape "
                f"{value.shape}, but {learning.options.env} with {learning.options.model} needs "
                f"{variable.shape}."
            )
        if id(variable) in squares and (value < 0).any():
            raise UserError(
                f"{folder} was saved by an earlier version with the optimizer's variables in a "
                "mixed order, from which the run cannot continue; start a new run."
            )
        variable.assign(value)
    learning.replay.restore(folder)
    learning.random.bit_generator.state = state.random
    history = np.load(folder / "taken.npy", allow_pickle=False).astype("int64")
    if history.size > MANY_ACTIONS:
        console.print_line(f"games      restored by replaying {history.size:,} actions")
    learning.actions[: len(history)] = history
    frames = learning.step.frames
    for actions in history:
        frames = learning.step.frames
        learning.apply(actions)
    newest = learning.replay.frames[(learning.replay.added - 1) % learning.replay.rows]
    if len(history) and not np.array_equal(frames, newest):
        console.print_line(
            f"games      {learning.options.env} is not reproducible by its seed: the games "
            "restart, and the run continues differently from an uninterrupted one"
        )
        learning.restart_games()
