"""A sheet of units: which of them are neighbors, and the windows whose units make a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Boolean, Choice, Integer, IntegerTuple, checked
from striate.samples import as_samples
from striate.stored import field

__all__ = ["SIDES", "Axis", "Sheet"]

WINDOW, STRIDE = 6, 2  # of Kavukcuoglu et al. 2009
SIDES = Integer(low=1) | IntegerTuple(1, low=1) | IntegerTuple(2, low=1)


class Axis(NamedTuple):
    """The windows along one side of a sheet.

    Attributes
    ----------
    units : int64 (n_windows, width)
        The rows or columns of the sheet that each window covers.
    weights : float64 (width,)
        Their weights, which add up to 1.
    """

    units: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Sheet:
    """Units that are laid out on a plane or a line, and pools of neighbors: windows that overlap.

    The windows begin at every `stride`-th unit. On a torus, they continue at the opposite side; on an open sheet, all
    lie inside. Every unit must be in a window.

    Parameters
    ----------
    shape : (int, int) or int
        Rows and columns of units, or their number on a line. Units are numbered row by row.
    window : int or (int, int), optional
        Rows and columns of a window; one number is for both. By default 6, or the side of a smaller sheet.
    stride : int or (int, int), optional
        Distance of neighboring windows. By default 2 where windows have 4 units or more and it fits the sheet, else 1.
        With a stride of the size of
        the window, no unit is in two pools: the pools are independent subspaces, without order among them.
    torus : bool, default True
        Whether opposite sides are neighbors, so that no unit is at a border.
    weights : "gaussian" or "box"
        The units' weights in a window, which add up to 1: a Gaussian whose standard deviation is a quarter of the
        window, or equal ones.

    Raises
    ------
    UsageError
        For a window that is larger than the sheet, and strides that do not divide a torus or that leave units out.

    Examples
    --------
    >>> from striate.coding import Sheet
    >>> sheet = Sheet((32, 16), window=6, stride=2)
    >>> sheet.n_units, sheet.n_pools, sheet.pool_shape
    (512, 128, (16, 8))

    References
    ----------
    Hyvärinen, Hoyer, "A two-layer sparse coding model learns simple and complex cell receptive fields and topography
    from natural images", Vision Research 41, 2001. Kavukcuoglu, Ranzato, Fergus, LeCun, "Learning invariant features
    through topographic filter maps", CVPR 2009.
    """

    shape: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    torus: bool
    weights: Literal["gaussian", "box"]

    def __init__(
        self,
        shape: tuple[int, ...] | int,
        window: tuple[int, ...] | int | None = None,
        stride: tuple[int, ...] | int | None = None,
        *,
        torus: bool = True,
        weights: Literal["gaussian", "box"] = "gaussian",
    ) -> None:
        sides = checked("shape", shape, SIDES)
        sides = (sides,) if isinstance(sides, int) else sides
        torus = checked("torus", torus, Boolean())
        widths = _per_side("window", window, sides) or tuple(min(WINDOW, side) for side in sides)
        steps = _per_side("stride", stride, sides) or tuple(
            STRIDE if width >= 2 * STRIDE and (side if torus else side - width) % STRIDE == 0 else 1
            for side, width in zip(sides, widths, strict=True)
        )
        for side, width, step in zip(sides, widths, steps, strict=True):
            _check(side, width, step, torus)
        given = sides, widths, steps, torus, checked("weights", weights, Choice("gaussian", "box"))
        for name, value in zip(("shape", "window", "stride", "torus", "weights"), given, strict=True):
            object.__setattr__(self, name, value)  # the object is frozen

    @classmethod
    def of(cls, n_units: int, shape: Any = None, **options: Any) -> Self:
        """The sheet of a number of units: of a given shape, or the one that is nearest to a square.

        Raises
        ------
        UsageError
            If the shape has another number of units.
        """
        if shape is None:
            short = next(side for side in range(int(np.sqrt(n_units)), 0, -1) if n_units % side == 0)
            shape = (n_units,) if short == 1 else (n_units // short, short)
        sheet = cls(shape, **options)
        if sheet.n_units != n_units:
            raise UsageError(f"a sheet of {sheet.words} has {sheet.n_units} units, not {n_units}")
        return sheet

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(np.prod(self.shape))

    @property
    def n_pools(self) -> int:
        """Number of pools."""
        return int(np.prod(self.pool_shape))

    @cached_property
    def pool_shape(self) -> tuple[int, ...]:
        """Rows and columns of pools, which are numbered row by row."""
        return tuple(len(axis.units) for axis in self.axes[: len(self.shape)])

    @property
    def words(self) -> str:
        """The shape, e.g. ``32×16``."""
        return "×".join(map(str, self.shape))

    @property
    def n_columns(self) -> int:
        """Units in a row of the sheet; a line is one column."""
        return self.shape[1] if len(self.shape) == 2 else 1

    @property
    def columns_shown(self) -> int | None:
        """Units per row of a drawing; None for a line, which is broken into rows."""
        return self.n_columns if len(self.shape) == 2 else None

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """The windows along rows and columns; a line is one column."""
        sides = [
            self._axis(side, width, step)
            for side, width, step in zip(self.shape, self.window, self.stride, strict=True)
        ]
        if len(sides) == 1:
            sides.append(Axis(np.zeros((1, 1), np.int64), np.ones(1)))
        return sides[0], sides[1]

    def _axis(self, side: int, width: int, step: int) -> Axis:
        n_windows = side // step if self.torus else (side - width) // step + 1
        units = (step * np.arange(n_windows)[:, np.newaxis] + np.arange(width)) % side
        weights = np.ones(width)
        if self.weights == "gaussian":
            weights = np.exp(-0.5 * np.square((np.arange(width) - (width - 1) / 2) / (width / 4)))
        return Axis(units.astype(np.int64), weights / weights.sum())

    def windows(self, dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64], NDArray[Any]]:
        """The windows along rows and their weights, then those along columns, as kernels of a dtype take them."""
        rows, columns = self.axes
        return rows.units, rows.weights.astype(dtype), columns.units, columns.weights.astype(dtype)

    def matrix(self) -> NDArray[np.float64]:
        """The weights of all units in all pools, (n_pools, n_units): what the kernels compute without a matrix."""
        factors = []
        for side, axis in zip((*self.shape, 1), self.axes, strict=False):
            factor = np.zeros((len(axis.units), side))
            factor[np.arange(len(axis.units))[:, np.newaxis], axis.units] = axis.weights
            factors.append(factor)
        return np.asarray(np.kron(factors[0], factors[1]))

    def pool(self, codes: ArrayLike) -> NDArray[Any]:
        """The pooled features of codes: ``√(Σ weight · code²)`` over the units of each pool.

        Parameters
        ----------
        codes : float (n_samples, n_units)

        Returns
        -------
        ndarray (n_samples, n_pools), float32 or float64 as the codes
        """
        from striate.coding.topographic._pooling import pool_rows

        codes = as_samples(codes, name="codes", n_features=self.n_units)
        return pool_rows(codes, self.windows(codes.dtype), self.n_columns)

    def spread(self, values: ArrayLike) -> NDArray[Any]:
        """Sums of a value per pool over the pools that each unit is in, times the unit's weights: `matrix` transposed.

        Parameters
        ----------
        values : float (n_samples, n_pools)

        Returns
        -------
        ndarray (n_samples, n_units), float32 or float64 as the values
        """
        from striate.coding.topographic._pooling import spread_rows

        values = as_samples(values, name="values", n_features=self.n_pools)
        return spread_rows(values, self.windows(values.dtype), self.n_columns, self.n_units)

    def to_state(self) -> dict[str, Any]:
        """All parameters, as values that JSON can store."""
        return {
            "shape": list(self.shape), "window": list(self.window), "stride": list(self.stride),
            "torus": self.torus, "weights": self.weights,
        }  # fmt: skip

    @classmethod
    def from_state(cls, header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        return cls(
            **{name: tuple(field(header, name, IntegerTuple(low=1))) for name in ("shape", "window", "stride")},
            torus=field(header, "torus", Boolean()),
            weights=field(header, "weights", Choice("gaussian", "box")),
        )


def _check(side: int, width: int, step: int, torus: bool) -> None:
    """Raise an error for windows along one side that do not fit it, or do not cover it."""
    if width > side:
        raise UsageError(
            f"a window of {width} units is larger than the side of the sheet, {side}: take a smaller window, or a "
            "larger sheet"
        )
    if step > width:
        raise UsageError(f"windows of {width} units every {step} leave units out: take a stride of at most the window")
    if torus and side % step:
        raise UsageError(
            f"a stride of {step} does not divide the side of the torus, {side}: take one that does, or torus=False"
        )
    if not torus and (side - width) % step:
        raise UsageError(
            f"windows of {width} units every {step} leave out the last {(side - width) % step} of {side}: take "
            f"another stride, or a side of {side - (side - width) % step}, or torus=True"
        )


def _per_side(name: str, value: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """One number for each side of the sheet; None stays None."""
    value = checked(name, value, SIDES | None)
    if value is None:
        return None
    value = (value,) * len(shape) if isinstance(value, int) else value
    if len(value) != len(shape):
        raise UsageError(f"{name} is {value}, and the sheet has {len(shape)} sides: give as many numbers, or one")
    return tuple(value)
