"""Requirements of the task dqn: its packages, and the size of its replay buffer."""

import contextlib
import os
import shutil
import sys
import warnings

from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.runs import runs_folder
from tinyconv.system.start_keras import is_installed

MAX_FRACTION = 0.8  # of the machine's memory or free disk that a replay buffer may take


def require_tf_agents() -> None:
    """Raise UserError where a module is missing, or TensorFlow's Keras was used too early."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow" and is_installed("tensorflow"):
        raise UserError(
            "The task dqn needs the TensorFlow backend, which tf-agents requires; unset "
            "KERAS_BACKEND to train with it."
        )
    with contextlib.suppress(ImportError):
        import gym_notices.notices

        gym_notices.notices.notices.clear()  # gym, which tf-agents imports, prints one
    try:
        with warnings.catch_warnings():  # about tf-agents' own code
            warnings.simplefilter("ignore")
            import tensorflow
            import tf_keras  # noqa: F401

            if not tensorflow.keras.layers.Layer.__module__.startswith("tf_keras"):
                raise UserError(
                    "TensorFlow's own Keras was used before the task dqn could set "
                    "TF_USE_LEGACY_KERAS=1, which tf-agents needs; set it before Python starts, or "
                    "call tinyconv.fit('dqn') first."
                )
            import tinyconv.plugins.dqn.learning  # noqa: F401  imports tf-agents
    except ModuleNotFoundError as error:
        raise UserError(
            f"The task dqn needs the module {error.name}, which is not installed; install what it "
            f"needs with: {installation()}"
        ) from error
    except ImportError as error:
        raise UserError(
            f"The task dqn cannot import {error.name or 'a module'} "
            f"({str(error).partition(chr(10))[0]}); install what it needs with: {installation()}"
        ) from error


def installation() -> str:
    """The commands that install the task's packages on this Python; see setup.py."""
    first = "pip install 'tinyconv[dqn]'"
    if sys.version_info < (3, 12):
        return first
    return f"{first}, then: pip install --no-deps tf-agents==0.19.0"


def machine_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not report them (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_replay(options, games) -> None:
    """Raise UserError for a replay buffer that is too small, or too large for this machine."""
    from tinyconv.plugins.dqn.replay import Replay

    steps = options.replay
    if options.replay_on_disk:
        from tinyconv.plugins.dqn.learning import MAX_INTERVAL

        steps += MAX_INTERVAL  # added before the next checkpoint
        folder = runs_folder().resolve()
        while not folder.exists():
            folder = folder.parent
        available, has, otherwise = shutil.disk_usage(folder).free, f"{folder} has", ""
    else:
        available = machine_memory()
        has, otherwise = "this machine has", ", and --replay-on-disk allows more"
    needed = Replay.byte_size(steps, games.shape)
    if available is not None and needed > MAX_FRACTION * available:
        fits = int(MAX_FRACTION * available / needed * steps) - (steps - options.replay)
        raise UserError(
            f"A replay buffer of {options.replay:,} steps takes {needed / 1e9:.1f} GB, and {has} "
            f"{available / 1e9:.1f}; --replay-size {max(0, fits)} fits{otherwise}."
        )
    if options.replay < options.games * (options.n_step + games.stack + 1):
        raise UserError(
            f"A replay buffer of {options.replay:,} steps is too small for "
            f"{plural(options.games, 'game')}; use --replay-size {options.games * 100} or more."
        )
    earliest = options.games * (options.n_step + 2)
    if options.start < earliest:
        raise UserError(
            f"After {options.start:,} actions in {plural(options.games, 'game')} no transition of "
            f"{options.n_step} steps is complete for the first update; use --learning-starts "
            f"{earliest} or more."
        )
