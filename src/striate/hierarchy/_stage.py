"""A stage in two passes over the maps of an image: filters and rectification, then normalization and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy.layer import Layer, Maps
from striate.hierarchy.normalization import LocalContrastNormalization
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.rectification import Rectification
from striate.hierarchy.sheet_pooling import SheetPooling
from striate.threads import run_ranges

__all__ = ["FilterPlan", "run_stage", "taken_in"]

_BLOCK_FLOATS = 1 << 16  # a block of maps is filtered, and the nonlinearity is applied while it is in the cache: 256 KB


class FilterPlan:
    """A filter bank in the layout of the kernels: panels of filters for each set of input maps.

    Parameters
    ----------
    filters : float32 (n_maps, fan_in, height, width)
    bias, gain, threshold, beta : float32 (n_maps,) or None
    table : int64 (n_maps, fan_in) or None
        The input maps that each output map sees; None: all, in order.
    nonlinearity : str
        One of `striate.hierarchy._stage_kernels.NONLINEARITIES`.

    Notes
    -----
    Output maps that see the same inputs are filtered together, from a copy of those inputs. If fewer maps than half a
    panel share a set, one dense bank is used, with zeros for absent connections.
    """

    def __init__(
        self,
        filters: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        gain: NDArray[np.float32] | None,
        threshold: NDArray[np.float32] | None,
        beta: NDArray[np.float32] | None,
        table: NDArray[np.int64] | None,
        *,
        nonlinearity: str,
    ) -> None:
        from striate.hierarchy._stage_kernels import NONLINEARITIES
        from striate.kernels.convolution import WIDTH

        self.nonlinearity = NONLINEARITIES.index(nonlinearity)
        self.n_maps, fan_in, self.height, self.width = filters.shape
        sets, members = _sets(table, self.n_maps, fan_in)
        if len(sets) > 1 and 2 * self.n_maps < len(sets) * WIDTH:
            assert table is not None
            inputs = np.unique(table)
            dense = np.zeros((self.n_maps, len(inputs), self.height, self.width), np.float32)
            places = np.searchsorted(inputs, table)
            for k in range(self.n_maps):
                np.add.at(dense[k], places[k], filters[k])
            filters, sets, members = dense, [inputs], [np.arange(self.n_maps)]
        self.slots = np.empty(self.n_maps, np.int64)
        """Position of each map among the padded ones."""
        self.groups: list[tuple[NDArray[np.int64], int, Any, Any, Any, Any, Any]] = []
        """Input maps, first padded map, panels, bias, gain, threshold, beta."""
        self.n_padded = 0
        for inputs, outputs in zip(sets, members, strict=True):
            n = -(-len(outputs) // WIDTH) * WIDTH

            def padded(
                values: Any, default: float, padding: float = 0, outputs: Any = outputs, n: int = n
            ) -> NDArray[np.float32]:
                row = np.full(n, padding, np.float32)
                row[: len(outputs)] = default if values is None else values[outputs]
                return row

            weights = np.zeros((n, self.height * self.width * len(inputs)), np.float32)
            # Channels last, as in the maps.
            weights[: len(outputs)] = filters[outputs].transpose(0, 2, 3, 1).reshape(len(outputs), -1)
            panels = np.ascontiguousarray(weights.reshape(-1, WIDTH, weights.shape[1]).transpose(0, 2, 1))
            self.slots[outputs] = self.n_padded + np.arange(len(outputs))
            parameters = padded(bias, 0), padded(gain, 1), padded(threshold, 0), padded(beta, 1, 1)
            self.groups.append((inputs, self.n_padded, panels, *parameters))
            self.n_padded += n

    def unpadded(self, maps: Maps) -> Maps:
        """Maps in the order of the bank, from the padded maps of the kernels."""
        if self.n_padded == self.n_maps and len(self.groups) == 1:
            return maps
        return np.ascontiguousarray(maps[:, :, self.slots])


def _sets(
    table: NDArray[np.int64] | None, n_maps: int, fan_in: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Distinct sets of input maps, and the output maps of each."""
    if table is None:
        return [np.arange(fan_in)], [np.arange(n_maps)]
    sets, which = np.unique(table, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return list(sets), [np.flatnonzero(which == number) for number in range(len(sets))]


def taken_in(following: Sequence[Layer]) -> dict[str, Any]:
    """The layers after a filter bank that `run_stage` runs together with it, as its options."""
    if following and type(following[0]) is SheetPooling:
        return {"sheet": following[0]}
    taken: dict[str, Layer] = {}
    waiting = list(following)
    for option, kind in (("rectify", Rectification), ("normalize", LocalContrastNormalization), ("pool", Pooling)):
        if waiting and type(waiting[0]) is kind:
            taken[option] = waiting.pop(0)
    return taken


def run_stage(
    maps: Maps,
    threads: int = 1,
    *,
    plan: FilterPlan,
    rectify: Rectification | None = None,
    normalize: LocalContrastNormalization | None = None,
    pool: Pooling | None = None,
    sheet: SheetPooling | None = None,
) -> Maps:
    """One image through a stage.

    Parameters
    ----------
    maps : float32 (height, width, n_inputs), contiguous
    threads : int
        The rows are divided between them; the result is the same to the bit with any number.
    plan : FilterPlan
    rectify : Rectification, optional
    normalize : LocalContrastNormalization, optional
    pool : Pooling, optional
    sheet : SheetPooling, optional
        Instead of all of these.

    Returns
    -------
    float32 (new_height, new_width, n_maps)
    """
    if sheet is not None:
        return _run_on_sheet(maps, threads, plan, sheet)
    filter_rows, neighborhood, pool_rows = _kernels()
    height, width = maps.shape[0] - plan.height + 1, maps.shape[1] - plan.width + 1
    filtered = np.empty((height, width, plan.n_padded), np.float32)
    sums, squares = np.zeros((2, height, width), np.float32)
    seen = _seen(maps, plan)

    def filter_block(first: int, last: int) -> None:
        for visible, (_, at, panels, bias, gain, threshold, beta) in zip(seen, plan.groups, strict=True):
            filter_rows(
                first, last, visible, plan.height, plan.width, panels, at, bias, gain, threshold, beta,
                plan.nonlinearity, rectify is not None, filtered, sums, squares,
            )  # fmt: skip

    rows = max(1, _BLOCK_FLOATS // (width * plan.n_padded))
    run_ranges(filter_block, height, size=rows if threads == 1 else min(rows, -(-height // threads)), n_threads=threads)
    if normalize is not None:
        neighborhood(sums, squares, plan.n_maps, normalize.window)
    elif pool is None:
        return plan.unpadded(filtered)
    else:
        sums[:], squares[:] = 0, 1
    pool = pool or Pooling("max", 1, 1)
    pooled = np.empty(
        ((height - pool.size) // pool.stride + 1, (width - pool.size) // pool.stride + 1, plan.n_padded), np.float32
    )
    run_ranges(
        lambda first, last: pool_rows(
            first, last, filtered, sums, squares, pool.size, pool.stride, pool.how == "max", pooled
        ),
        len(pooled),
        size=-(-len(pooled) // threads),
        n_threads=threads,
    )
    return plan.unpadded(pooled)


def _seen(maps: Maps, plan: FilterPlan) -> list[Maps]:
    """The input maps of each group of the plan."""
    everything = np.arange(maps.shape[2])
    return [
        maps if np.array_equal(inputs, everything) else np.ascontiguousarray(maps[:, :, inputs])
        for inputs, *_ in plan.groups
    ]


def _run_on_sheet(maps: Maps, threads: int, plan: FilterPlan, sheet: SheetPooling) -> Maps:
    """Filters, and pools of their maps, some rows at a time: the maps of all units take four times as much as pools."""
    filter_rows, *_ = _kernels()
    height, width = maps.shape[0] - plan.height + 1, maps.shape[1] - plan.width + 1
    pooled = np.empty((height, width, sheet.sheet.n_pools), np.float32)
    seen = _seen(maps, plan)

    def block(first: int, last: int) -> None:
        n = last - first
        filtered = np.empty((n, width, plan.n_padded), np.float32)
        sums, squares = np.zeros((2, n, width), np.float32)  # not needed here
        for visible, (_, at, panels, bias, gain, threshold, beta) in zip(seen, plan.groups, strict=True):
            filter_rows(
                0, n, visible[first : last + plan.height - 1], plan.height, plan.width, panels, at, bias, gain,
                threshold, beta, plan.nonlinearity, False, filtered, sums, squares,
            )  # fmt: skip
        pooled[first:last] = sheet.pool(plan.unpadded(filtered))

    rows = max(1, _BLOCK_FLOATS // (width * plan.n_padded))
    run_ranges(block, height, size=rows if threads == 1 else min(rows, -(-height // threads)), n_threads=threads)
    return pooled


@lru_cache(maxsize=1)
def _kernels() -> Sequence[Any]:
    from striate.hierarchy._stage_kernels import compile_filter, compile_neighborhood, compile_pool

    return compile_filter(), compile_neighborhood(), compile_pool()
