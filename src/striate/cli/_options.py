"""Options that several commands share, and the output of their results."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from striate import threads
from striate.cli._streams import write_result
from striate.errors import UsageError

__all__ = [
    "MOST",
    "MOST_PIXELS",
    "MOST_UNITS",
    "AsJson",
    "Cluster",
    "Images",
    "Quiet",
    "Seed",
    "Threads",
    "Workers",
    "emit",
    "plain",
    "require_memory",
]


# Larger numbers would need more memory than any computer has, and would overflow.
MOST = 1_000_000_000
MOST_UNITS = 10_000_000
MOST_PIXELS = 10_000


def _limit_threads(n: int | None) -> int | None:
    threads.set_limit(n)
    return n


def _silence_kernels(quiet: bool) -> bool:
    if quiet:
        from striate import kernels

        kernels.announce(False)
    return quiet


def _start_workers(context: typer.Context, n: int | None) -> int | None:
    if n is not None:
        from striate.distribute import workers

        context.with_resource(workers(n))
    return n


def _join_cluster(context: typer.Context, address: str | None) -> str | None:
    if address is not None:
        from striate.distribute import cluster

        context.with_resource(cluster(address))
    return address


# Files that cannot be opened are left out and reported, as they are within a folder.
Images = Annotated[list[Path], typer.Argument(help="Images, or folders of them.", show_default=False, readable=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_silence_kernels, help="Show no progress.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed and threads give the same result.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        callback=_limit_threads,
        show_default="all",
        help="Number of threads.",
    ),
]


Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=1024,
        callback=_start_workers,
        show_default="this process alone",
        help="Number of processes that read and transform images; the result is the same.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--dask",
        callback=_join_cluster,
        metavar="ADDRESS",
        show_default="this machine",
        help="Address of the scheduler of a Dask cluster, whose workers do the same.",
    ),
]


def require_memory(n_units: int, n_features: int) -> None:
    """Raise an error if units do not fit into memory, since the system would end the process without a message.

    Raises
    ------
    UsageError
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    # In single precision: the units, their gradient, and the other arrays that are learned.
    needed = 3 * 4 * n_units * n_features
    if needed > memory:
        raise UsageError(
            f"--n {n_units}: {n_units:,} units of {n_features:,} numbers take {needed / 1e9:,.1f} GB to learn, and "
            f"this machine has {memory / 1e9:,.1f} GB: give fewer."
        )


def emit(result: Mapping[str, Any] | list[Any], as_json: bool, text: str) -> None:
    """Print the result of a command on standard output; nothing else may print there.

    Parameters
    ----------
    result : dict or list
        The result for ``--json``. NumPy scalars and arrays, paths and tuples are converted; numbers that JSON does
        not have (NaN, infinity) become null.
    as_json : bool
        Whether ``--json`` was given.
    text : str
        The text that is printed otherwise; may be empty.
    """
    if as_json:
        text = json.dumps(plain(result), indent=2, allow_nan=False)
    if text:
        write_result(text.rstrip("\n") + "\n")


def plain(value: Any) -> Any:
    """Convert a value to types of JSON; see `emit`."""
    if hasattr(value, "tolist"):  # a NumPy object; NumPy is not imported for this
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
