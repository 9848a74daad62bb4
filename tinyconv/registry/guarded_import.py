"""A guard around the import of a plugin.

A plugin may raise, exit, print or hang while it is imported, or its entry point may name something
of the wrong kind. Each of these becomes a `Fault`, one clause about the plugin.
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

SECONDS = 30  # time limit of an import
SHOWN = 200  # characters shown of a plugin's output or error


class Fault(Exception):
    """What is wrong with a plugin, as a clause: "it raises ValueError: … at import"."""


class _TooLong(BaseException):
    """Raised by the alarm; `except Exception` in the plugin does not catch it."""


@contextlib.contextmanager
def guarded(timed: bool = True) -> Iterator[None]:
    """Import a plugin inside this block, which raises only Fault for whatever goes wrong.

    A UserError passes, for a plugin that knows what the user should do. tinyconv's own imports are
    not `timed`: a slow machine is not their fault.
    """
    start_keras.prepare()
    working_folder = os.getcwd()
    try:
        with _alarm() if timed else contextlib.nullcontext(), _captured_output() as printed:
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
        raise Fault(f"it raises {summary(error)} at import") from error
    finally:
        os.chdir(working_folder)  # a run is written into the user's working folder
    if printed:
        raise Fault(f"it prints at import ({_line(printed[0])!r}), which would break --json")


def too_long() -> str:
    """The fault of a plugin whose import does not end."""
    return f"its import did not end within {SECONDS} seconds"


def summary(error: BaseException) -> str:
    """An exception's class and the first line of its message."""
    text = _line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= SHOWN else first[: SHOWN - 1] + "…"


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raise _TooLong after SECONDS, and again each second in case something catches it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield  # no signal can interrupt an import here
        return

    def ring(*_):
        raise _TooLong

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@contextlib.contextmanager
def _captured_output() -> Iterator[list[str]]:
    """Hide both output streams; the list receives what was written to standard output.

    Python's stream and the file descriptor are both redirected, because C code writes to the
    latter. Standard error has TensorFlow's log, if the plugin is the first to import it.
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


def misfit(kind: str, target) -> str | None:
    """Why `target` is not a model, data set or task of tinyconv.plugins; None if it is one.

    The clause names what is missing, or the arguments that it should take.
    """
    if kind == "tasks":
        return _task_misfit(target)
    if not callable(target):
        return f"it is of type {type(target).__name__}, but should be a function"
    protocol = Model if kind == "models" else DatasetLoader
    parameters = list(inspect.signature(protocol.__call__).parameters.values())[1:]  # after self
    arguments = {p.name: None for p in parameters if p.kind is not p.VAR_KEYWORD}
    try:
        if kind == "models":  # is called by position
            inspect.signature(target).bind(*arguments)
        elif set(inspect.signature(target).parameters) != {"root"}:  # a data set without pictures
            inspect.signature(target).bind(**arguments)
    except (TypeError, ValueError):
        names = [str(p.replace(annotation=p.empty)) for p in parameters]
        return f"it should take ({', '.join(names)})"
    if kind == "models" and hasattr(target, "pretrained"):
        from tinyconv.tasks import pretrained

        return pretrained.flaw(target)
    return None


def _task_misfit(target) -> str | None:
    if not isinstance(target, type):
        return f"it is of type {type(target).__name__}, but a task is a class"
    members = [*Task.__annotations__, *(name for name in vars(Task) if name[0] != "_")]
    missing = [name for name in members if not hasattr(target, name)]
    missing = [name for name in missing if name not in deprecated.replaced(target)]
    if missing:
        return f"the class lacks {', '.join(missing)}"
    for name in ("Settings", "Evaluate", "Predict", "Explain"):
        try:
            settings.options(getattr(target, name, settings.NoOptions))
        except Exception as error:
            return f"its {name} are not a dataclass of settings ({summary(error)})"
    try:
        inspect.signature(target).bind()
    except TypeError as error:
        return f"its class should take no arguments ({summary(error)})"
    return None


def check_api(package) -> None:
    """Raise Fault for a package made for a version of the specification that is not supported."""
    api = getattr(package, "TINYCONV_API", 1)
    if not isinstance(api, int) or not OLDEST_API <= api <= API:
        raise Fault(
            f"it is made for version {api!r} of the plugin specification, and this tinyconv "
            f"has version {API} and supports {OLDEST_API} and later; install another version of "
            "one of them"
        )
