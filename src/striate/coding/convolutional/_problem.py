"""One image in one precision: the residual of a working set of coefficients, its duality gap, and what it violates."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional._sums import add_filters, run_in_threads
from striate.coding.convolutional._working_set import WorkingSet
from striate.coding.convolutional.prepared_filters import PreparedFilters

__all__ = ["Gap", "Problem", "relative_gap"]


class Gap(NamedTuple):
    """Objective and duality gap of a code, with what they are computed from.

    The dual of ½‖m⊙(x − Dz)‖² + Σ λ|z| is that of the Lasso with signal m⊙x and units that are multiplied by the
    mask m as well: max ½‖m⊙x‖² − ½‖m⊙x − θ‖², where every unit's product with θ, which is the correlation of its
    filter with m⊙θ, is at most λ. The masked residual r = m⊙(x − Dz) times `1 / highest` is feasible, where `highest`
    is the largest ratio of a correlation with m⊙r to its sparsity, or 1 if that is more.
    """

    square: float  # ‖r‖²
    aligned: float  # (m⊙x)·r
    norm: float  # Σ λ|z|
    highest: float

    def at(self, level: float) -> Gap:
        """The same for sparsities that are `level` times as high."""
        return self if level == 1 else Gap(self.square, self.aligned, level * self.norm, self.highest / level)

    @property
    def objective(self) -> float:
        return 0.5 * self.square + self.norm

    @property
    def gap(self) -> float:
        factor = 1 / max(self.highest, 1.0)
        dual = factor * self.aligned - 0.5 * factor**2 * self.square
        gap = self.objective - dual
        return max(gap, 0.0) if np.isfinite(gap) else np.inf


def relative_gap(gap: float, half_energy: float) -> float:
    """A gap relative to half the energy of what is coded; of an image that is 0, 0 or infinity."""
    return gap / half_energy if half_energy > 0 else (0.0 if gap == 0 else np.inf)


class Problem:
    """The objective of one image in one precision.

    Parameters
    ----------
    image : float (n_channels, height, width)
        Finite; 0 where the mask is.
    weights : float64 (n_channels, height, width) or None
        The squares of the mask.
    filters : PreparedFilters
    thresholds : float64 (n_maps,)
        The sparsities; image and thresholds are those for `filters.arrays`, which may be scaled.
    positive : bool
    dtype : float32 or float64
    n_threads : int
    """

    def __init__(
        self,
        image: NDArray[Any],
        weights: NDArray[np.float64] | None,
        filters: PreparedFilters,
        thresholds: NDArray[np.float64],
        positive: bool,
        dtype: np.dtype,
        n_threads: int,
    ) -> None:
        self.layout = layout = Layout.of(image.shape, filters.filters.shape)
        self.arrays, self.positive, self.dtype, self.n_threads = filters.arrays(dtype), positive, dtype, n_threads
        self.is_weighted = weights is not None
        self.target = layout.rows_of(image, dtype)
        self.weights = np.zeros((0, layout.length), dtype) if weights is None else layout.rows_of(weights, dtype)
        self.precise_thresholds = thresholds
        with np.errstate(over="ignore"):
            self.thresholds = thresholds.astype(dtype)
        self.factors = np.zeros(self.arrays.panels.shape[0] * self.arrays.panels.shape[2], dtype)
        self.factors[: len(thresholds)] = 1 / thresholds
        self.residual = self.target.copy()
        self.highest = np.zeros(layout.n_rows, dtype)

    @cached_property
    def half_energy(self) -> float:
        """½‖m⊙x‖²."""
        weighted = self.target * self.weights if self.is_weighted else self.target
        return 0.5 * _product(self.target, weighted)

    @cached_property
    def strengths(self) -> NDArray[Any]:
        """For each position, how strongly a coefficient that is 0 violates its bound; see `_scan`."""
        return np.zeros((self.layout.n_rows, self.layout.n_columns), self.dtype)

    @cached_property
    def strongest(self) -> NDArray[np.int32]:
        """The map of that coefficient."""
        return np.zeros((self.layout.n_rows, self.layout.n_columns), np.int32)

    @property
    def scan_work(self) -> float:
        """Multiplications of a pass over all coefficients."""
        panels = self.arrays.panels
        return float(self.layout.n_rows * self.layout.n_columns) * panels.size

    def norms_of(self, working: WorkingSet) -> NDArray[Any]:
        """Squared norms of the windows of a working set, in which the mask counts."""
        if not self.is_weighted:
            return np.ascontiguousarray(self.arrays.squared_norms[working.maps])
        return self.products(self.weights, working, self.arrays.squares)

    def products(self, rows: NDArray[Any], working: WorkingSet, windows: NDArray[Any] | None = None) -> NDArray[Any]:
        """The products of the windows of a working set in an image with their filters, (n,)."""
        from striate.coding.convolutional._kernels import compile_products

        windows = self.arrays.windows if windows is None else windows
        kernel, result = compile_products(self.dtype), np.empty(len(working), self.dtype)
        arguments = rows, windows, working.places, working.maps, result
        work = float(len(working)) * windows[0].size
        run_in_threads(kernel, arguments, len(working), work, self.n_threads, most=4096)
        return result

    def refresh(self, working: WorkingSet) -> tuple[float, float]:
        """Compute the residual anew; return ‖r‖² and Σ λ|z|."""
        self.residual[:] = self.target
        add_filters(self.residual, working, -working.values, self.arrays.windows, self.n_threads)
        if self.is_weighted:
            weighted = self.residual * self.weights
            square = _product(self.residual, weighted)
            self.residual = weighted
        else:
            square = _product(self.residual, self.residual)
        sizes = np.abs(working.values).astype(np.float64) * self.precise_thresholds[working.maps]
        return square, float(sizes[working.values != 0].sum())

    def evaluate(self, working: WorkingSet, limit: float = np.inf) -> Gap:
        """Compute the residual of a working set anew, and search it for coefficients that violate the limit."""
        square, norm = self.refresh(working)
        return Gap(square, _product(self.target, self.residual), norm, self._scan(working, limit))

    def _scan(self, working: WorkingSet, limit: float) -> float:
        from striate.coding.convolutional._scan import compile_scan

        kernel, layout, arrays = compile_scan(self.dtype), self.layout, self.arrays
        arguments = (
            self.residual, layout.n_channels, arrays.panels, arrays.width, arrays.n_runs, self.factors, self.positive,
            self.dtype.type(limit), working.starts, working.columns, working.maps, working.values, self.strengths,
            self.strongest, self.highest,
        )  # fmt: skip
        run_in_threads(kernel, arguments, layout.n_rows, self.scan_work, self.n_threads)
        return float(self.highest.max())


def _product(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The sum of products, in double precision."""
    return float(np.einsum("ij,ij->", a, b, dtype=np.float64))
