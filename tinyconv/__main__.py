"""Runs the command, and turns every exception into one message and one exit code.

Exit codes: 0 done, 1 our fault, 2 the user's mistake, 3 a plugin's fault, 130 stopped by Ctrl-C,
141 the reader of the output left (`tinyconv models | head -1`). An error is one sentence on
standard error; `--debug` adds the traceback.
"""

import errno
import os
import sys
import traceback
from typing import NoReturn

import click

from tinyconv.cli import cli
from tinyconv.cli.base import ReaderLeft, echo, json_on_standard_output
from tinyconv.errors import PluginError, UserError
from tinyconv.registry import culprit
from tinyconv.registry.guarded_import import summary
from tinyconv.system import console
from tinyconv.system.files import settle_without_home

FLAGS = ("--debug", "--no-plugins")  # accepted anywhere, before or after the verb
INTERRUPTED = 130  # 128 + SIGINT
READER_LEFT = 141  # 128 + SIGPIPE: what a shell reports for a program that SIGPIPE ends

# Errors of the disk that the user can fix; not every system has all of them.
DISK_ERRORS = (
    *("ENOSPC", "EROFS", "EACCES", "EPERM", "EDQUOT", "EFBIG", "EIO", "ESTALE"),
    *("ENAMETOOLONG", "ENOTDIR", "EISDIR", "ELOOP"),
)
DISK = {getattr(errno, name) for name in DISK_ERRORS if hasattr(errno, name)}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit; the entry point of the console script."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console.open_streams()
    console.escape_unprintable()
    debug = "--debug" in arguments
    flags = [argument for argument in arguments if argument in FLAGS]
    others = [argument for argument in arguments if argument not in FLAGS]
    try:
        settle_without_home()
        with json_on_standard_output(others):
            code = cli.main(flags + others, standalone_mode=False) or 0
        sys.stdout.flush()  # a reader that has left is noticed here, not when Python exits
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped.", INTERRUPTED, debug)
    except (ReaderLeft, BrokenPipeError):
        _discard_output()
        sys.exit(READER_LEFT)
    except (Exception, SystemExit) as error:
        _fail(*_explain(error), debug)
    sys.exit(code)


def _discard_output() -> None:
    """Send the rest of both streams nowhere, so that Python can flush them when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _explain(error: BaseException) -> tuple[str, int]:
    """(one sentence, exit code) for an exception."""
    if isinstance(error, (UserError, PluginError)):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        command = f" See: {error.ctx.command_path} --help" if getattr(error, "ctx", None) else ""
        return error.format_message() + command, 2
    if isinstance(error, OSError) and error.errno in DISK:
        where = error.filename or "the disk"
        return f"{where} cannot be written or read: {error.strerror}.", 2
    if entry := culprit(error):
        return (
            f"The plugin {entry.distribution} {entry.version} failed ({summary(error)}); send its "
            f"author the output of --debug, or remove it with: {entry.removal}",
            PluginError.exit_code,
        )
    return (
        f"tinyconv failed, and that is our fault ({summary(error)}); "
        "run it again with --debug and report its output.",
        1,
    )


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    """Print the message, after the traceback of the current exception with `debug`; exit."""
    try:
        if debug:
            for line in traceback.format_exc().splitlines():
                echo(line, err=True)
        echo(f"tinyconv: {message}", err=True)
        sys.stdout.flush()  # what cannot be written now would end Python with exit code 120
    except OSError:  # a stream has no reader, or its disk is full
        _discard_output()
    sys.exit(code)


if __name__ == "__main__":
    main()
