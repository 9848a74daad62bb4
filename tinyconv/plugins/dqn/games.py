"""Games by name, side by side: Catch, Atari, MinAtar and Gymnasium's games on pictures."""

import logging
import warnings

import numpy as np

from tinyconv.errors import UserError, nearest
from tinyconv.plugins.dqn.catch import Catch
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Games, Step

LONGEST = 27_000  # steps of a game of Atari: 108,000 frames, half an hour (Machado et al. 2018)


class VectorGames:
    """Games of a Gymnasium vector environment that begins a game in the step after its end."""

    def __init__(self, environment, frames, stack: int, repeat: int, seed: int, lives_end: bool):
        self.environment, self.frames, self.seed = environment, frames, seed
        self.stack, self.repeat, self.lives_end = stack, repeat, lives_end
        self.count = environment.num_envs
        space = environment.single_action_space
        self.actions = tuple(f"action {i}" for i in range(int(space.n)))
        self.shape = frames(np.zeros((1, *environment.single_observation_space.shape))).shape[1:]

    def begin(self) -> Step:
        """The first step of every game."""
        seen, told = self.environment.reset(seed=self.seed)
        self.ended, self.lives = np.zeros(self.count, bool), told.get("lives")
        kinds = np.full(self.count, FIRST, "int8")
        ones = np.ones(self.count, "float32")
        return Step(self.frames(seen), kinds, 0 * ones, ones)

    def step(self, actions) -> Step:
        """What the actions (N,) lead to."""
        seen, rewards, over, cut, told = self.environment.step(np.asarray(actions))
        begins, self.ended = self.ended, over | cut
        kinds = np.where(begins, FIRST, np.where(self.ended, LAST, MID)).astype("int8")
        lives, lost = told.get("lives"), False
        if self.lives_end and lives is not None:
            lost = (lives < self.lives) & (lives > 0) & ~begins
        self.lives = lives
        discounts = np.where(over | lost, 0, 1).astype("float32")
        return Step(self.frames(seen), kinds, np.asarray(rewards, "float32"), discounts)


def open_games(
    name: str, count: int, seed: int, sticky: float = 0.0, lives_end: bool = False
) -> Games:
    """`count` games called `name`: "catch", "catch-large", "ALE/…", "minatar/…" or Gymnasium's.

    `sticky` is the probability that an Atari game repeats the last action in place of the one
    given; `lives_end` has a lost life end what can still be won. Raises UserError.
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
            f"The game {name!r} needs {error.name}, which is not installed; if it is the one that "
            f"you mean, install it with: pip install {package}"
        ) from error


def _atari(name, count, seed, sticky, lives_end) -> Games:
    """The Arcade Learning Environment by its own vector environment; the ROMs are in the wheel."""
    from ale_py.vector_env import AtariVectorEnv

    known = _atari_games()
    if name not in known:
        raise _unknown(name, known)
    environment = AtariVectorEnv(
        known[name],
        count,
        stack_num=1,  # the replay memory keeps a frame once, and stacks them itself
        max_num_frames_per_episode=4 * LONGEST,
        repeat_action_probability=sticky,
        # Two ways to have no game be like another: Mnih et al. 2015 begin with up to 30 idle
        # actions, and Machado et al. 2018, section 5.3, put sticky actions in their place.
        noop_max=0 if sticky else 30,
        reward_clipping=False,  # the score is told as it is; the agent clips
        use_fire_reset=True,
    )
    games = VectorGames(
        environment, lambda seen: seen.transpose(0, 2, 3, 1).astype("uint8"), 4, 4, seed, lives_end
    )
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    machine = ALEInterface()
    machine.loadROM(roms.get_rom_path(known[name]))
    games.actions = tuple(action.name.lower() for action in machine.getMinimalActionSet())
    return games


def _unknown(name: str, known) -> UserError:
    """The error for a game that is none of `known`, by the names that come near."""
    bare = {game.removeprefix("ALE/").removesuffix("-v5").lower(): game for game in known}
    told = nearest(bare.get(name.removesuffix("-v5").lower(), name), known)
    if told.startswith("choose"):  # from a hundred
        told = "give catch, catch-large, ALE/NAME-v5, minatar/NAME, or a game of Gymnasium's."
    return UserError(f"There is no game {name!r}; {told}")


def _atari_games() -> dict[str, str]:
    """ROMs by the names of Gymnasium's games: space_invaders by ALE/SpaceInvaders-v5."""
    from ale_py.roms import get_all_rom_ids

    return {
        f"ALE/{''.join(part.capitalize() for part in rom.split('_'))}-v5": rom
        for rom in get_all_rom_ids()
    }


def _minatar(name, count, seed) -> Games:
    """MinAtar (Young & Tian 2019), where it is installed: 10x10 cells, a channel a thing."""
    import gymnasium

    logging.disable(logging.WARNING)  # of what only its own windows need
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
        environment, lambda seen: np.asarray(seen, "uint8") * 255, 1, 1, seed, lives_end=False
    )


def _gymnasium(name, count, seed) -> Games:
    """Any game that Gymnasium knows, with discrete actions and pictures to look at."""
    import gymnasium

    rest = [k for k, spec in gymnasium.registry.items() if "ale_py" not in str(spec.entry_point)]
    known = ["catch", "catch-large", *_atari_games(), *rest]
    try:
        with warnings.catch_warnings():  # of versions, which the error names
            warnings.simplefilter("ignore")
            environment = gymnasium.make_vec(name, count, vectorization_mode="sync")
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"The game {name!r} needs more than is installed: {error}") from error
    except gymnasium.error.Error as error:
        raise _unknown(name, known) from error
    if "ale_py" in str(environment.spec.entry_point):  # the screen in colour, and no fast vector
        raise _unknown(name, known)
    actions, seen = environment.single_action_space, environment.single_observation_space
    if not isinstance(actions, gymnasium.spaces.Discrete):
        raise UserError(f"{name} has the actions {actions}; deep Q-learning chooses one of a few.")
    if seen.dtype != np.uint8 or len(seen.shape) != 3:
        raise UserError(f"{name} shows {seen}, and the agent looks at pictures, (H, W, C) uint8.")
    return VectorGames(
        environment, lambda seen: np.asarray(seen, "uint8"), 4, 1, seed, lives_end=False
    )
