"""What stands between a plugin's import and everything else.

A plugin may raise, exit, print or hang while it is imported, or be something else than what
its entry point promises; each becomes a `Fault`, one sentence about the plugin.
"""

import contextlib
import inspect
import os
import signal
import tempfile
import threading
from collections.abc import Iterator

from tinyconv import deprecated, settings
from tinyconv.errors import UserError
from tinyconv.plugins import API, OLDEST_API, DatasetLoader, Model, Task
from tinyconv.system import start_keras

SECONDS = 30  # that an import may take
SHOWN = 200  # characters of what a plugin says


class Fault(Exception):
    """What is wrong with a plugin, as a clause: "it raises ValueError: … at import"."""


class _TooLong(BaseException):
    """Raised by the alarm; no `except Exception` of the plugin's catches it."""


@contextlib.contextmanager
def guarded(timed: bool = True) -> Iterator[None]:
    """Import a plugin inside this block: it raises Fault, and nothing else, for what goes wrong.

    A UserError passes, for a plugin that knows what the user should do. Our own imports are not
    `timed`: that a machine is slow is no fault of theirs.
    """
    start_keras.prepare()
    here = os.getcwd()
    try:
        with _alarm() if timed else contextlib.nullcontext(), _output_aside() as printed:
            yield
    except (Fault, UserError, KeyboardInterrupt):
        raise
    except _TooLong as error:
        raise Fault(too_long()) from error
    except SystemExit as error:
        raise Fault(f"it ends Python at import (exit code {error.code!r})") from error
    except ModuleNotFoundError as error:
        raise Fault(f"it needs the module {error.name}, which is not installed") from error
    except BaseException as error:
        raise Fault(f"it raises {said(error)} at import") from error
    finally:
        os.chdir(here)  # a run is to land where the user stands
    if printed:
        raise Fault(f"it prints at import ({_line(printed[0])!r}), which would spoil --json")


def too_long() -> str:
    """What is wrong with a plugin whose import does not end."""
    return f"its import did not end within {SECONDS} seconds"


def said(error: BaseException) -> str:
    """An exception's class and the first line of its text."""
    text = _line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= SHOWN else first[: SHOWN - 1] + "…"


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raise _TooLong after SECONDS, and again each second should something swallow it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield  # nothing can interrupt an import here
        return

    def ring(*_):
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _output_aside() -> Iterator[list[str]]:
    """Keep both output streams off the screen; the list holds what went to standard output.

    Python's own stream and the file descriptor are turned aside, as C code writes to the
    latter. Standard error is TensorFlow's noise, if the plugin is the first to import it.
    """
    printed: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        with (
            start_keras.redirected_descriptor(1, out.fileno()),
            start_keras.redirected_descriptor(2),
            contextlib.redirect_stdout(out),
        ):
            yield printed
        out.flush()
        out.seek(0)
        printed += [text] if (text := out.read().strip()) else []


def misfit(kind: str, found) -> str | None:
    """Why `found` is no model, data set or task, in the terms of tinyconv.plugins; None if it is.

    Says what is missing, or what it should take.
    """
    if kind == "tasks":
        return _task_misfit(found)
    if not callable(found):
        return f"it is of type {type(found).__name__}, and should be a function"
    promise = Model if kind == "models" else DatasetLoader
    wanted = list(inspect.signature(promise.__call__).parameters.values())[1:]  # after self
    named = {p.name: None for p in wanted if p.kind is not p.VAR_KEYWORD}
    try:
        if kind == "models":  # is called by position
            inspect.signature(found).bind(*named)
        elif set(inspect.signature(found).parameters) != {"root"}:  # of inputs without pictures
            inspect.signature(found).bind(**named)
    except (TypeError, ValueError):
        names = [str(p.replace(annotation=p.empty)) for p in wanted]
        return f"it should take ({', '.join(names)})"
    return None


def _task_misfit(found) -> str | None:
    if not isinstance(found, type):
        return f"it is of type {type(found).__name__}, and a task is a class"
    members = [*Task.__annotations__, *(name for name in vars(Task) if name[0] != "_")]
    missing = [name for name in members if not hasattr(found, name)]
    missing = [name for name in missing if name not in deprecated.replaced(found)]
    if missing:
        return f"the class lacks {', '.join(missing)}"
    for name in ("Settings", "Evaluate", "Predict", "Explain"):
        try:
            settings.options(getattr(found, name, settings.NoOptions))
        except Exception as error:
            return f"its {name} are not a dataclass of settings ({said(error)})"
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        return f"its class should be made without arguments ({said(error)})"
    return None


def check_api(package) -> None:
    """Raise Fault for a plugin's package made for a specification that this one does not keep."""
    api = getattr(package, "TINYCONV_API", 1)
    if not isinstance(api, int) or not OLDEST_API <= api <= API:
        raise Fault(
            f"it is made for version {api!r} of the specification of plugins, and this tinyconv "
            f"has version {API} and still takes {OLDEST_API}; install another version of either"
        )
