"""Sums of filters at the positions of a working set, and correlations at all positions, in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._filter_arrays import FilterArrays
from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional._working_set import WorkingSet
from striate.threads import run_ranges

__all__ = ["add_filters", "all_correlations", "run_in_threads", "stripes_by_parity"]

_WORTH_THREADS = 4e6  # multiplications; the work of about the time that threads take to start


def run_in_threads(
    kernel: Callable[..., object], arguments: tuple[Any, ...], n: int, work: float, n_threads: int, *, most: int = 32
) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges that cover 0 … n − 1.

    In threads, each with at most `most` at a time, if `work`, in multiplications altogether, is worth it.
    """
    if n_threads == 1 or n < 2 or work < _WORTH_THREADS:
        kernel(0, n, *arguments)
        return
    size = max(1, min(most, n // (4 * n_threads)))
    run_ranges(lambda first, last: kernel(first, last, *arguments), n, size=size, n_threads=n_threads)


def stripes_by_parity(layout: Layout) -> list[NDArray[np.int64]]:
    """The even stripes and the odd ones: within each of the two, no windows overlap."""
    return [np.arange(parity, layout.n_stripes, 2) for parity in (0, 1)]


def add_filters(
    rows: NDArray[Any], working: WorkingSet, values: NDArray[Any], windows: NDArray[Any], n_threads: int
) -> None:
    """Add the filters of a working set, each times its value, to an image."""
    from striate.coding.convolutional._kernels import compile_sums

    kernel, layout = compile_sums(rows.dtype), working.layout
    work = float(len(working)) * windows[0].size / layout.n_stripes
    for stripes in stripes_by_parity(layout):
        arguments = (
            stripes, layout.stripe_height, rows, windows, working.starts, working.places, working.maps, values
        )  # fmt: skip
        run_in_threads(kernel, arguments, len(stripes), work * len(stripes), n_threads)


def all_correlations(rows: NDArray[Any], layout: Layout, arrays: FilterArrays, n_threads: int) -> NDArray[Any]:
    """The correlations of an image with all filters at all positions, (n_maps, n_rows, n_columns)."""
    from striate.coding.convolutional._scan import compile_correlations

    kernel = compile_correlations(rows.dtype)
    result = np.empty((arrays.n_maps, layout.n_rows, layout.n_columns), rows.dtype)
    arguments = rows, layout.n_channels, arrays.panels, arrays.width, arrays.n_runs, result
    work = float(layout.n_rows * layout.n_columns) * arrays.panels.size
    run_in_threads(kernel, arguments, layout.n_rows, work, n_threads)
    return result
