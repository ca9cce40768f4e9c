"""The border where an error becomes one line on standard error and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from striate.errors import StriateError

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells expect it


def report(error: BaseException) -> int:
    """Tell the user about an error, and return the exit code that the process ends with.

    Parameters
    ----------
    error : BaseException
        A command may raise ``KeyboardInterrupt("...")`` to add where its work was kept.
    """
    message, exit_code = _explained(error)
    if os.environ.get("STRIATE_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    sys.stderr.write(f"striate: {on_one_line(message)}\n")
    return exit_code


def on_one_line(text: str) -> str:
    """Escape control characters, so that the name of a file cannot break a line or drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _explained(error: BaseException) -> tuple[str, int]:
    match error:
        case StriateError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return str(error) or "interrupted", INTERRUPTED
        case MemoryError():
            return "out of memory; close other programs, or use fewer or smaller pictures", 1
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" where {error.filename} should go" if error.filename else ""
            return f"no space left on the disk{where}; free some and run the command again", 1
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1
        case _ if is_command_line_error(error):
            return _wrong_command_line(error), 2
    summary = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"this is a defect of striate: {summary}; please report it with what STRIATE_DEBUG=1 shows", 1


def is_command_line_error(error: BaseException) -> bool:
    """Tell whether the command line itself was wrong: an unknown option, a missing argument."""
    # Typer publishes subclasses of this exception only, and where it comes from differs between its versions.
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _wrong_command_line(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "striate"
    sentence: str = error.format_message()  # type: ignore[attr-defined]
    return f"{sentence.rstrip('.')}; see {command} --help"
