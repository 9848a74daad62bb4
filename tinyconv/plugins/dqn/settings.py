"""The settings of deep Q-learning, and the presets of their values.

Sources: "nature" is Mnih et al. 2015 (Extended Data Table 1 and the released code), "dopamine"
Castro et al. 2018 (arXiv 1812.06110, dqn.gin), "modern" adds what Hessel et al. 2018 (arXiv
1710.02298) report to help most at no cost, "fast" is "modern" with batches that suit a CPU, and
"small" is ours, for games with small frames. A number without a source of its own is ours.
"""

import dataclasses
from collections.abc import Mapping

from tinyconv.recipe import PRECISIONS
from tinyconv.settings import setting

NATURE = {
    "steps": 50_000_000,
    "games": 1,
    "batch_size": 32,
    "update_every": 4,
    "target_every": 10_000,  # the released code counts actions; the paper's table says updates
    "optimizer": "rmsprop",
    "learning_rate": 2.5e-4,
    "loss": "huber",  # "clipping the error term to be between -1 and 1"
    "start": 50_000,
    "replay": 1_000_000,
    "epsilon": 0.1,
    "epsilon_steps": 1_000_000,
    "lives_end": True,
    "sticky": 0.0,
    "double": False,
    "n_step": 1,
}
DOPAMINE = NATURE | {
    "target_every": 8_000,
    "optimizer": "adam",
    "learning_rate": 6.25e-5,
    "loss": "mse",
    "start": 20_000,
    "epsilon": 0.01,
    "epsilon_steps": 250_000,
    "lives_end": False,  # as Machado et al. 2018 recommend, section 5
    "sticky": 0.25,
}
MODERN = DOPAMINE | {
    "games": 8,
    "double": True,  # van Hasselt et al. 2016
    "n_step": 3,  # Hessel et al. 2018, table 1
    "loss": "huber",
    "learning_rate": 1e-4,  # as CleanRL and Stable-Baselines3 use for Atari
}
FAST = MODERN | {
    "steps": 1_000_000,
    "batch_size": 128,  # as many transitions per action as 32 every 4, in a quarter of the updates
    "update_every": 16,
    "replay": 500_000,
}
SMALL = MODERN | {
    "steps": 20_000,
    "games": 16,
    "update_every": 16,
    "target_every": 1_000,
    "learning_rate": 1e-3,
    "start": 1_000,
    "replay": 100_000,
    "epsilon_steps": 5_000,
    "n_step": 1,
    "sticky": 0.0,
}
PRESETS = {
    "nature": NATURE,
    "dopamine": DOPAMINE,
    "modern": MODERN,
    "fast": FAST,
    "small": SMALL,
}


def _of_preset(help: str, **more):
    """A setting whose default is the preset's."""
    return setting(None, f"{help}  [default: the preset's]", **more)


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of `tinyconv fit dqn`."""

    env: str = setting(
        "catch",
        "Game: catch, catch-large, ALE/NAME-v5, minatar/NAME, any Gymnasium environment, or "
        "MODULE:NAME-v0 of a module that registers it.",
    )
    preset: str = setting(
        "fast",
        "Preset of the other settings; small games default to small.",
        choices=tuple(PRESETS),
    )
    model: str = setting("nature", "Q-network by name; `tinyconv models` lists them.")
    steps: int | None = _of_preset("Total number of actions.", minimum=1)
    games: int | None = _of_preset(
        "Games played in parallel.", minimum=1, maximum=1024, alias="num-envs"
    )
    batch_size: int | None = _of_preset("Transitions per update.", minimum=1, scale="log")
    update_every: int | None = _of_preset("Actions between two updates.", minimum=1)
    target_every: int | None = _of_preset(
        "Actions between copies of the weights to the target network.",
        minimum=1,
        alias="target-update-every",
    )
    optimizer: str | None = _of_preset(
        "Optimizer: rmsprop (centred, as in Mnih et al. 2015) or adam.", choices=("rmsprop", "adam")
    )
    learning_rate: float | None = _of_preset("Learning rate.", minimum=0.0, scale="log")
    loss: str | None = _of_preset(
        "Loss function applied to the TD error.", choices=("huber", "mse")
    )
    discount: float = setting(0.99, "Discount factor per step (gamma).", minimum=0, maximum=1)
    n_step: int | None = _of_preset("Number of steps in the n-step return.", minimum=1)
    start: int | None = _of_preset(
        "Random actions before the first update.", minimum=1, alias="learning-starts"
    )
    replay: int | None = _of_preset(
        "Capacity of the replay buffer, in transitions.", minimum=1, alias="replay-size"
    )
    replay_on_disk: bool = setting(
        False,
        "Store the replay buffer on disk in the run's folder; for buffers that do not fit in RAM.",
    )
    epsilon: float | None = _of_preset(
        "Final fraction of random actions.", minimum=0, maximum=1, alias="final-epsilon"
    )
    epsilon_steps: int | None = _of_preset(
        "Actions over which epsilon falls to its final value, counted from the first update.",
        minimum=1,
        alias="epsilon-decay-steps",
    )
    lives_end: bool | None = _of_preset(
        "Treat a lost life as the end of the episode when computing targets.",
        alias="terminal-on-life-loss",
    )
    sticky: float | None = _of_preset(
        "Probability that Atari repeats the last action (sticky actions).", minimum=0, maximum=1
    )
    double: bool | None = _of_preset(
        "Double Q-learning: the online network selects the next action, the target network "
        "evaluates it."
    )
    prioritised: bool = setting(False, "Prioritised replay (Schaul et al. 2016).")
    dueling: bool = setting(
        False, "Dueling network: separate value and advantage heads (Wang et al. 2016)."
    )
    precision: str = setting(
        "auto",
        "Dtype policy; auto picks one to suit the hardware, never mixed_float16.",
        choices=PRECISIONS,
    )
    force: bool = setting(False, "Use the requested precision even if it is slow on this machine.")
    seed: int = setting(0, "Random seed.", minimum=0, maximum=2**31 - 1)

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The preset of `options`, and its values by the names of the settings."""
        small = options.get("env", "catch").startswith(("catch", "minatar/"))
        preset = options.get("preset") or ("small" if small else "fast")
        return {"preset": preset, **PRESETS[preset]}


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The game on which an agent is evaluated, and the protocol."""

    data: str | None = setting(None, "Another game with the same frames and actions.")
    protocol: str | None = setting(
        None, "Protocol for Atari games: nature or ale.  [default: by the run's --sticky]"
    )


@dataclasses.dataclass(frozen=True)
class Screens:
    """How screenshots of another size are read."""

    resize: bool = setting(False, "Scale and crop pictures of another size.")
