"""The start of the command, and the one place where its errors end.

Exit codes: 0 done, 1 our fault, 2 the user's mistake, 3 a plugin's fault, 130 stopped by
Ctrl-C. An error is one sentence on standard error; the traceback is for `--debug`.
"""

import errno
import os
import sys
import traceback

import click

from tinyconv.cli import cli
from tinyconv.cli.base import output_kept
from tinyconv.errors import PluginError, UserError
from tinyconv.registry import culprit
from tinyconv.registry.guarded_import import said
from tinyconv.system import console

FLAGS = ("--debug", "--no-plugins")  # that may stand anywhere, before or after the verb

# Errors of the disk that the user can mend; a system need not have all of them.
DISK_ERRORS = ("ENOSPC", "EROFS", "EACCES", "EPERM", "EDQUOT", "ENAMETOOLONG", "ENOTDIR")
DISK = {getattr(errno, name) for name in DISK_ERRORS if hasattr(errno, name)}


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; the entry point of the console script."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console.escape_unprintable()
    debug = "--debug" in arguments
    flags = [argument for argument in arguments if argument in FLAGS]
    others = [argument for argument in arguments if argument not in FLAGS]
    try:
        with output_kept(others):
            code = cli.main(flags + others, standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort):
        if debug:
            traceback.print_exc()
        _fail("stopped.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # head closed the pipe
        sys.exit(0)
    except (Exception, SystemExit) as error:
        if debug:
            traceback.print_exc()
        _fail(*_explain(error))
    sys.exit(code)


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
            f"The plugin {entry.distribution} {entry.version} failed ({said(error)}); tell its "
            f"author what --debug prints, or remove it with: {entry.removal}",
            PluginError.exit_code,
        )
    return (
        f"tinyconv failed, and that is our fault ({said(error)}); "
        "run it again with --debug and report what it prints.",
        1,
    )


def _fail(message: str, code: int) -> None:
    click.echo(f"tinyconv: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
