"""Names of the files that a command writes: derived, compared and checked before any work.

Every command names its files here, so that a name with dots, two files of one name, a device, or an input in
the place of an output are handled in one way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from striate.errors import UsageError
from striate.whole_file import check_output, kind_of_file

__all__ = ["ARRAYS", "INDEX", "MODEL", "PAGE", "FIGURE", "Output", "beside", "check_files", "format_of", "same_file"]

MODEL = (".safetensors",)
INDEX = (".index", ".safetensors")
PAGE = (".html", ".htm")
FIGURE = (".png",)
ARRAYS = (".npz",)

# Endings of files of other kinds that striate reads or writes, besides those of images. A file of one kind that
# bears the ending of another is a mistake that could overwrite data.
_KNOWN = frozenset(
    {".safetensors", ".html", ".htm", ".npy", ".npz", ".csv", ".json", ".jsonl", ".checkpoint", ".gz", ".txt", ".pdf"}
)


class Output(NamedTuple):
    """A file, or a folder, that a command will write.

    Parameters
    ----------
    name : str
        Its name in messages: the option that names it, or what it is.
    path : Path
    endings : sequence of str
        Endings of its kind of file, in lower case; endings of other kinds are refused. Empty: any ending is accepted.
    folder : bool
        Whether it is a folder of striate's own, in which nothing else may lie.
    """

    name: str
    path: Path
    endings: Sequence[str] = ()
    folder: bool = False


def beside(path: Path, ending: str, own: Sequence[str]) -> Path:
    """The name of a file that belongs to another file.

    Parameters
    ----------
    path : Path
        The other file.
    ending : str
        The ending of the new name.
    own : sequence of str
        Endings of the other file's kind, which are replaced. Any other ending is kept, since it may be a part of the
        name: ``v1.2`` gives ``v1.2.html``.
    """
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in own else path.name
    return path.parent / f"{stem}{ending}"


def format_of(path: Path, wanted: str | None, formats: Sequence[str], *, default: str, what: str) -> str:
    """The format of a file: the value of --format, or the ending of its name.

    Parameters
    ----------
    path : Path
        ``-`` is standard output.
    wanted : str or None
        The option ``--format``.
    formats : sequence of str
        The available formats, each the ending of its files without the dot.
    default : str
        For names without an ending. An ending that contains a digit, as in ``shots.2024``, is a part of the name.
    what : str
        What is written, in the plural, for messages.

    Raises
    ------
    UsageError
        If the format does not exist.
    """
    known = ", ".join(formats)
    if wanted is not None:
        if wanted not in formats:
            raise UsageError(f"--format {wanted}: {what} can be written as {known}.")
        return wanted
    ending = path.suffix[1:].lower()
    if ending in formats:
        return ending
    if ending.isalpha():
        raise UsageError(f"{path}: {what} can be written as {known}; give such an ending, or say which with --format.")
    return default


def check_files(*outputs: Output, inputs: Iterable[Path | None] = ()) -> None:
    """Check that all files of a command can be read or written; nothing is changed.

    Parameters
    ----------
    *outputs : Output
        What the command will write: regular files, which are replaced, and new ones.
    inputs : iterable of Path
        What the command reads; None is ignored. No output may be one of them. Each must be a file or a folder if it
        exists: reading from a pipe could wait forever.

    Raises
    ------
    UsageError
        If an output is a folder, a device, a pipe, a socket or a link, cannot be created, or has the ending of another
        kind of file; if two of these paths are the same file.
    """
    read = [path for path in inputs if path is not None]
    for path in read:
        kind = _kind(path, str(path))
        if kind not in ("", "file", "folder"):
            raise UsageError(f"{path} is a {kind}: give a file or a folder.")
    for output in outputs:
        _check_kind(output)
        _check_ending(output)
    for number, output in enumerate(outputs):
        for path in read:
            if same_file(output.path, path):
                raise UsageError(f"{output.name} {output.path} would replace what is read: choose another name.")
            if output.folder and _within(path, output.path):
                raise UsageError(f"{path} lies in {output.path}, {output.name}: choose another --out.")
        for other in outputs[:number]:
            if same_file(output.path, other.path):
                raise UsageError(f"{other.name} and {output.name} are one file, {output.path}: choose different names.")
            for inner, outer in ((output, other), (other, output)):
                if outer.folder and _within(inner.path, outer.path):
                    raise UsageError(f"{inner.name} {inner.path} lies in {outer.name}: choose another place.")
    for output in outputs:
        _check_creatable(output)


def _check_kind(output: Output) -> None:
    path = output.path
    if path == Path("-"):
        raise UsageError(f"{output.name} -: this cannot go to standard output: give the name of a file.")
    kind = _kind(path, f"{output.name} {path}")
    if output.folder and kind not in ("", "folder"):
        raise UsageError(f"{path} is a {kind}, where {output.name} goes: remove it, or choose another --out.")
    if not output.folder:
        check_output(path)


def _check_ending(output: Output) -> None:
    from striate.images import EXTENSIONS

    if not output.endings:
        return
    ending = output.path.suffix.lower()
    if ending not in output.endings and (ending in _KNOWN or ending in EXTENSIONS):
        raise UsageError(
            f"{output.name} {output.path}: {ending} is the ending of another kind of file; "
            f"give a name that ends in {output.endings[0]}."
        )


def _check_creatable(output: Output) -> None:
    """Raise UsageError now, not after minutes of work, if a file cannot be written."""
    folder = output.path.absolute().parent
    # Only a trial finds quotas, read-only systems and special folders such as /proc.
    trial = folder / f".striate-{token_hex(8)}.partial"
    try:
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise UsageError(
            f"{output.name} {output.path} cannot be written, {(error.strerror or str(error)).lower()}: "
            "choose another place."
        ) from None
    finally:
        with suppress(OSError):
            trial.unlink()


def _kind(path: Path, shown: str) -> str:
    """The kind of what is at a path, following links: "file", "folder", "device", …, or "" for nothing."""
    try:
        return kind_of_file(path)
    except NotADirectoryError:
        return ""
    except OSError as error:  # a name that is too long, a link to itself, a folder that may not be entered
        raise UsageError(f"{shown}: {(error.strerror or str(error)).lower()}; give another name.") from None


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are the same file, following links; the file system decides whether case matters."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:  # at least one is new
        return False


def _within(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents
