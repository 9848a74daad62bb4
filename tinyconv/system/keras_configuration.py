"""The user's Keras configuration: keras.json and the variables KERAS_*.

Of these only the backend and the folder are the user's choice here. The numbers of a run depend on
all others, which therefore have Keras' defaults in every process of tinyconv.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.system import console

FIXED = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
ALLOWED = {  # Keras raises ValueError for others when it is imported
    "image_data_format": ("channels_last", "channels_first"),
    "floatx": ("float16", "float32", "float64"),
}
LIMITS = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")

_reported: set[str] = set()


def file() -> Path:
    """The path of keras.json, as Keras 3.15 finds it."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(os.path.expanduser(folder), "keras.json")
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp", ".keras", "keras.json")


def read() -> dict:
    """The content of keras.json; empty where there is none, or no JSON, which Keras ignores.

    Raises UserError for a value with which Keras cannot be imported.
    """
    try:
        content = json.loads(file().read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return {}
    except OSError as error:
        if not file().exists():
            return {}
        raise UserError(
            f"{file()}, the configuration of Keras, cannot be read ({error.strerror}); make it "
            "readable, or set KERAS_HOME to another folder."
        ) from error
    if not isinstance(content, dict):
        raise _error("the content", content, 'an object, as {"backend": "tensorflow"}')
    for name, values in ALLOWED.items():
        if name in content and content[name] not in values:
            raise _error(name, content[name], f"one of {', '.join(values)}")
    if not isinstance(content.get("epsilon", 0.0), float):
        raise _error("epsilon", content["epsilon"], "a number such as 1e-07")
    return content


def check() -> None:
    """Raise UserError for a configuration with which Keras cannot be imported."""
    read()
    for name in LIMITS:
        if not os.environ.get(name, "0").strip().isdecimal():
            raise UserError(
                f"{name} should be a whole number, but is {os.environ[name]!r}; unset it."
            )


def backend() -> str | None:
    """The backend that keras.json names; None for TensorFlow, which Keras itself writes there."""
    try:
        name = read().get("backend")
    except UserError:  # `check` raises it
        return None
    return None if name in ("tensorflow", None) else str(name)


def fix(backends: Collection[str]) -> None:
    """Give Keras, which has been imported, the values of FIXED; report once what is replaced.

    Raises UserError where Keras runs on none of `backends`.
    """
    import keras

    if keras.config.backend() not in backends:
        raise UserError(
            f"Keras runs on {keras.config.backend()} in this process, but tinyconv runs on "
            f"{' or '.join(backends)}; set KERAS_BACKEND to one of them before Keras is imported."
        )
    replaced = []
    for name, value in FIXED.items():
        before = getattr(keras.config, name)()
        if before != value:
            replaced.append(f"{name} {before}")
            getattr(keras.config, f"set_{name}")(value)
            if name == "floatx" and keras.config.dtype_policy().name == before:
                keras.config.set_dtype_policy(value)
    for name in ("max_epochs", "max_steps_per_epoch"):
        if getattr(keras.config, name)() is not None:
            replaced.append(f"KERAS_{name.upper()}")
            getattr(keras.config, f"set_{name}")(None)
    line = f"keras      the defaults of Keras replace your {', '.join(replaced)}"
    if replaced and line not in _reported:
        _reported.add(line)
        console.print_line(line)


def _error(name: str, value, expected: str) -> UserError:
    return UserError(
        f"{file()}, the configuration of Keras: {name} should be {expected}, but is "
        f"{value!r:.80}; correct it, or delete the file."
    )
