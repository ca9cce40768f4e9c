"""Turns errors into one line on standard error and an exit code, without a traceback."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from striate.cli._signals import exit_code
from striate.errors import StriateError, one_line

LEAST_ADDRESS_SPACE = 720_000_000  # bytes; with less, NumPy, SciPy and numba cannot be loaded

_OUT_OF_MEMORY = "out of memory; close other programs, or use fewer or smaller images"
_SHORTAGE = (
    "cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "could not find/load shared object",  # llvmlite, whatever the reason
)
_FILE_ERRORS = (ModuleNotFoundError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


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
    sys.stderr.write(f"striate: {one_line(message)}\n")
    return exit_code


def check_memory() -> None:
    """Raise StriateError if so little memory is allowed that libraries would fail to load, or hang."""
    granted = _address_space()
    if granted is not None and granted < LEAST_ADDRESS_SPACE:
        raise StriateError(_OUT_OF_MEMORY + _limit_in_words())


def _address_space() -> int | None:
    """Bytes that this process may map; None if there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _limit_in_words() -> str:
    granted = _address_space()
    if granted is None or granted > 4 * LEAST_ADDRESS_SPACE:
        return ""
    return f"; this process is limited to {granted / 1e9:.1f} GB of address space (ulimit -v), give it 2 GB or more"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory is short; libraries report this in different ways."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if any(words in str(error).lower() for words in _SHORTAGE):
        return True
    # Extensions that were only partly mapped into memory can fail with any error.
    small = bool(_limit_in_words())
    return small and isinstance(error, ImportError | SystemError | OSError) and not isinstance(error, _FILE_ERRORS)


def _explained(error: BaseException) -> tuple[str, int]:
    match error:
        case StriateError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return str(error) or "interrupted", exit_code()
        case _ if _is_out_of_memory(error):
            return _OUT_OF_MEMORY + _limit_in_words(), 1
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
    """Whether the command line itself is wrong, for example an unknown option or a missing argument."""
    # Typer exports only subclasses of this exception, and its module differs between versions.
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _wrong_command_line(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "striate"
    sentence: str = error.format_message()  # type: ignore[attr-defined]
    return f"{sentence.rstrip('.')}; see {command} --help"
