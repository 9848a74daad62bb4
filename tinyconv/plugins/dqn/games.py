"""Parallel games by name: Catch, Atari, MinAtar and Gymnasium's games on pictures."""

import importlib
import logging
import sys
import warnings
from collections.abc import Iterable

import numpy as np

from tinyconv.errors import UserError, close_matches, nearest
from tinyconv.plugins.dqn.catch import Catch
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Games, Step

COLOURS = (1, 3, 4)  # channels of a frame: grey, RGB, RGBA or four grey frames
MAX_STEPS = 27_000  # of an Atari game: 108,000 frames, half an hour (Machado et al. 2018)


class VectorGames:
    """Games of a Gymnasium vector environment, which restarts a game in the step after its end.

    `frames` converts the environment's observations to (N, H, W, C) uint8.
    """

    def __init__(self, environment, frames, stack: int, repeat: int, seed: int, lives_end: bool):
        self.environment, self.frames, self.seed = environment, frames, seed
        self.stack, self.repeat, self.lives_end = stack, repeat, lives_end
        self.count = environment.num_envs
        space = environment.single_action_space
        self.actions = tuple(f"action {i}" for i in range(int(space.n)))
        self.shape = frames(np.zeros((1, *environment.single_observation_space.shape))).shape[1:]

    def reset(self) -> Step:
        """The first step of every game."""
        observations, info = self.environment.reset(seed=self.seed)
        self.ended, self.lives = np.zeros(self.count, bool), info.get("lives")
        kinds = np.full(self.count, FIRST, "int8")
        ones = np.ones(self.count, "float32")
        return Step(self.frames(observations), kinds, 0 * ones, ones)

    def step(self, actions) -> Step:
        """The step after the actions (N,)."""
        observations, rewards, over, truncated, info = self.environment.step(np.asarray(actions))
        starts, self.ended = self.ended, over | truncated
        kinds = np.where(starts, FIRST, np.where(self.ended, LAST, MID)).astype("int8")
        lives, lost = info.get("lives"), False
        if self.lives_end and lives is not None:
            lost = (lives < self.lives) & (lives > 0) & ~starts
        self.lives = lives
        discounts = np.where(over | lost, 0, 1).astype("float32")
        return Step(self.frames(observations), kinds, np.asarray(rewards, "float32"), discounts)


def open_games(
    name: str, count: int, seed: int, sticky: float = 0.0, lives_end: bool = False
) -> Games:
    """`count` games of `name`: "catch", "catch-large", "ALE/…", "minatar/…" or Gymnasium's.

    `sticky` is the probability that an Atari game repeats the last action instead of the new one;
    with `lives_end` a lost life has the discount 0. Raises UserError for an unknown game, and for
    one whose package is not installed.
    """
    if name.startswith("catch"):
        sizes = {"catch": (10, 5), "catch-large": (24, 24)}
        if name in sizes:
            return Catch(count, seed, *sizes[name])
        raise UserError(f"There is no game {name!r}; {nearest(name, sizes)}")
    try:
        if name.startswith("ALE/"):
            return _atari(name, count, seed, sticky, lives_end)
        if name.startswith("minatar/"):
            return _minatar(name, count, seed)
        return _gymnasium(name, count, seed)
    except ImportError as error:
        package = {"minatar": "minatar"}.get(error.name, "'tinyconv[dqn]'")
        raise UserError(
            f"The game {name!r} needs {error.name}, which is not installed; if this is the game "
            f"you mean, install it with: pip install {package}"
        ) from error


def _atari(name, count, seed, sticky, lives_end) -> Games:
    """Atari by the Arcade Learning Environment's vector environment; its wheel has the ROMs."""
    from ale_py.vector_env import AtariVectorEnv

    roms_by_name = _atari_games()
    if name not in roms_by_name:
        raise _unknown(name, roms_by_name)
    environment = AtariVectorEnv(
        roms_by_name[name],
        count,
        stack_num=1,  # the replay buffer stores a frame once, and stacks frames itself
        max_num_frames_per_episode=4 * MAX_STEPS,
        repeat_action_probability=sticky,
        # Two ways to make games differ: Mnih et al. 2015 start with up to 30 no-op actions;
        # Machado et al. 2018, section 5.3, replace them with sticky actions.
        noop_max=0 if sticky else 30,
        reward_clipping=False,  # scores are reported as they are; the agent clips rewards
        use_fire_reset=True,
    )
    games = VectorGames(
        environment, lambda one: one.transpose(0, 2, 3, 1).astype("uint8"), 4, 4, seed, lives_end
    )
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    machine = ALEInterface()
    machine.loadROM(roms.get_rom_path(roms_by_name[name]))
    games.actions = tuple(action.name.lower() for action in machine.getMinimalActionSet())
    return games


def _unknown(name: str, games) -> UserError:
    """The error for a name that is not in `games`, with the nearest names."""
    bare = {game.removeprefix("ALE/").removesuffix("-v5").lower(): game for game in games}
    advice = nearest(bare.get(name.removesuffix("-v5").lower(), name), games)
    if advice.startswith("choose"):  # from a hundred names
        advice = "give catch, catch-large, ALE/NAME-v5, minatar/NAME, or a game of Gymnasium's."
    return UserError(f"There is no game {name!r}; {advice}")


def _atari_games() -> dict[str, str]:
    """ROMs by Gymnasium's names of the games: {"ALE/SpaceInvaders-v5": "space_invaders", …}."""
    from ale_py.roms import get_all_rom_ids

    return {
        f"ALE/{''.join(part.capitalize() for part in rom.split('_'))}-v5": rom
        for rom in get_all_rom_ids()
    }


def _minatar(name, count, seed) -> Games:
    """MinAtar (Young & Tian 2019), where it is installed: 10x10 cells, one channel per object."""
    import gymnasium

    logging.disable(logging.WARNING)  # about packages that only its windows need
    try:
        import minatar.gym
    finally:
        logging.disable(logging.NOTSET)
    if "MinAtar/Breakout-v1" not in gymnasium.registry:
        minatar.gym.register_envs()
    ids = {
        f"minatar/{identifier.split('/')[1].removesuffix('-v1').lower()}": identifier
        for identifier in gymnasium.registry
        if identifier.startswith("MinAtar/") and identifier.endswith("-v1")
    }
    if name not in ids:
        raise UserError(f"There is no game {name!r}; {nearest(name, ids)}")
    environment = gymnasium.make_vec(ids[name], count, vectorization_mode="sync")
    return VectorGames(
        environment, lambda one: np.asarray(one, "uint8") * 255, 1, 1, seed, lives_end=False
    )


def _gymnasium(name, count, seed) -> Games:
    """Any game in Gymnasium's registry with discrete actions and pictures as observations."""
    import gymnasium

    if ":" in name:
        _import_module(name)
    rest = [k for k, spec in gymnasium.registry.items() if "ale_py" not in str(spec.entry_point)]
    names = ["catch", "catch-large", *_atari_games(), *rest]
    try:
        with warnings.catch_warnings():  # about versions, which the error names
            warnings.simplefilter("ignore")
            environment = gymnasium.make_vec(name, count, vectorization_mode="sync")
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(
            f"The game {name!r} needs packages that are not installed: {error}"
        ) from error
    except gymnasium.error.Error as error:
        if ":" in name:
            raise _unknown_in_module(name, rest) from error
        raise _unknown(name, names) from error
    if "ale_py" in str(environment.spec.entry_point):  # colour screens, not vectorised
        raise _unknown(name, names)
    actions, observations = environment.single_action_space, environment.single_observation_space
    if not isinstance(actions, gymnasium.spaces.Discrete):
        raise UserError(f"{name} has the actions {actions}; deep Q-learning needs discrete ones.")
    if observations.dtype != np.uint8 or len(observations.shape) not in (2, 3):
        raise UserError(
            f"{name} has observations of type {observations}; the agent needs image observations, "
            "(H, W, C), (C, H, W) or (H, W), uint8."
        )
    frames = _channels_last(observations.shape)
    return VectorGames(environment, frames, 4, 1, seed, lives_end=False)


def _unknown_in_module(name: str, games: Iterable[str]) -> UserError:
    """The error for a game MODULE:ID whose module does not register it; `games` are registered."""
    module, _, game = name.partition(":")
    advice = close_matches(game, games)
    advice = advice or f"it has to call gymnasium.register(id={game!r}, ...)."
    return UserError(f"The module {module} does not register the game {game!r}; {advice}")


def _channels_last(shape: tuple[int, ...]):
    """A function from observations of that shape, in a batch, to frames (N, H, W, C) uint8."""
    if len(shape) == 2:  # grey
        return lambda one: np.asarray(one, "uint8")[..., None]
    if shape[0] in COLOURS and shape[2] not in COLOURS:  # channels first, as PyTorch has them
        return lambda one: np.asarray(one, "uint8").transpose(0, 2, 3, 1)
    return lambda one: np.asarray(one, "uint8")


def _import_module(name: str) -> None:
    """Import the module of a game `MODULE:ID`, which registers the game; UserError if it cannot."""
    module, _, game = name.partition(":")
    if not game or not all(part.isidentifier() for part in module.split(".")):
        raise UserError(
            f"The game {name!r} should be MODULE:ID, as my_module:MyGame-v0, with the name of the "
            "module as in an import; PYTHONPATH=FOLDER adds the folder that it is in."
        )
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module + ".").startswith(error.name + "."):
            places = ", ".join(path for path in sys.path if path)
            raise UserError(
                f"The game {name!r} needs the module {error.name}, which is in none of {places}; "
                "PYTHONPATH=FOLDER adds a folder."
            ) from error
        raise UserError(
            f"The module {module} of the game {name!r} needs {error.name}, which is not installed."
        ) from error
    except Exception as error:  # anything that a stranger's module raises
        raise UserError(
            f"The module {module} of the game {name!r} cannot be imported "
            f"({type(error).__name__}: {error})."
        ) from error
