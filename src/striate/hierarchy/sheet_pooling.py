"""Pooling over a sheet of maps (``TORUS``, ``SHEET``): complex cells from the filters of `TopographicPSD`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.coding.topographic.sheet import Sheet
from striate.errors import UsageError
from striate.hierarchy._checks import MOST_MAPS
from striate.hierarchy.layer import Layer, Maps, Operations, Shape, Step, register_layer
from striate.parameters import Instance, checked
from striate.threads import run_ranges

__all__ = ["SheetPooling"]

_SIDES = r"[0-9]+(?:x[0-9]+)?"
_BLOCK = 1 << 16  # numbers of maps that a thread pools at a time


@register_layer
@dataclass(frozen=True)
class SheetPooling(Layer):
    """``√(Σ weight · maps²)`` over pools of maps that are neighbors on a sheet, at every position.

    Behind the filters of a `TopographicPSD` with the same sheet, each pool is a feature that tolerates small shifts,
    turns and changes of phase, as the complex cells of the visual cortex do. Like rectification, it removes the sign.
    `learn_filters` gives the sheet to the learner of the filter bank before it.

    Cost: the multiplications of a filter of one pixel with twelve weights, a few hundredths of those of the filters.
    Behind a filter bank, it pools rows of maps while they are in the cache, so that the maps of all units never are in
    memory together.

    Parameters
    ----------
    sheet : Sheet
        It has as many units as there are maps, in their order.

    References
    ----------
    Kavukcuoglu, Ranzato, Fergus, LeCun, "Learning invariant features through topographic filter maps", CVPR 2009.
    """

    sheet: Sheet

    kind: ClassVar[str] = "sheet_pooling"
    grammar: ClassVar[str] = (
        rf"(?P<form>TORUS|SHEET)(?P<shape>{_SIDES}):(?P<window>{_SIDES})/(?P<stride>{_SIDES})(?P<box>B?)"
    )
    examples: ClassVar[str] = (
        "TORUS32x16:6x6/2 (pools of 6x6 maps, every 2, on a torus of 32x16; SHEET: not a torus; B: equal weights)"
    )

    def __post_init__(self) -> None:
        checked("sheet", self.sheet, Instance(Sheet, words="a Sheet"))
        if self.sheet.n_units > MOST_MAPS:
            raise UsageError(f"a sheet of {self.sheet.words} has more than {MOST_MAPS:,} maps")

    @property
    def notation(self) -> str:
        """E.g. ``TORUS32x16:6x6/2``."""
        sheet = self.sheet
        stride = sheet.stride[:1] if len(set(sheet.stride)) == 1 else sheet.stride
        shape, window, steps = ("x".join(map(str, sides)) for sides in (sheet.shape, sheet.window, stride))
        box = "B" if sheet.weights == "box" else ""
        return f"{'TORUS' if sheet.torus else 'SHEET'}{shape}:{window}/{steps}{box}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        window = "×".join(map(str, self.sheet.window))
        return f"pools of {window} maps of a sheet of {self.sheet.words}"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> SheetPooling:
        """See `Layer.from_notation`."""
        shape, window, stride = (tuple(map(int, match[name].split("x"))) for name in ("shape", "window", "stride"))
        return cls(
            Sheet(
                shape,
                window if len(window) > 1 else window[0],
                stride if len(stride) > 1 else stride[0],
                torus=match["form"] == "TORUS",
                weights="box" if match["box"] else "gaussian",
            )
        )

    def output_shape(self, shape: Shape) -> Shape:
        """One map per pool."""
        n_maps, height, width = shape
        if n_maps != self.sheet.n_units:
            raise UsageError(f"{self.notation} pools over {self.sheet.n_units} maps, but {n_maps} come in")
        return self.sheet.n_pools, height, width

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_units) → (height, width, n_pools)."""
        return self._run(maps, 1)

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """Rows of the maps in threads."""
        return self._run, 0

    def _run(self, maps: Maps, threads: int) -> Maps:
        height, width, n_maps = maps.shape
        pooled = np.empty((height, width, self.sheet.n_pools), np.float32)

        def pool_rows(first: int, last: int) -> None:
            pooled[first:last] = self.pool(maps[first:last])

        size = max(1, min(_BLOCK // max(1, width * n_maps), -(-height // threads)))
        run_ranges(pool_rows, height, size=size, n_threads=threads)
        return pooled

    def pool(self, rows: Maps) -> Maps:
        """Some rows of maps, (n_rows, width, n_units) → (n_rows, width, n_pools)."""
        return self.sheet.pool(rows.reshape(-1, rows.shape[2])).reshape(*rows.shape[:2], -1)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        matrix = self.sheet.matrix().astype(np.float32)[:, :, np.newaxis, np.newaxis]
        return operations.root(operations.correlate(maps * maps, operations.constant(matrix, maps), None, None))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The sheet, as JSON for the model file."""
        return {}, self.sheet.to_state()

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> SheetPooling:
        """The inverse of `to_state`."""
        return cls(Sheet.from_state(header))
