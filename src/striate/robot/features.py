"""Features of windows, computed convolutionally over whole bands: the talk's network, or radial basis functions.

The network: windows of 12×25 pixels → 20 filters of 7×6 → maximum over 1×4 → 100 filters of 6×5 → 100 numbers. Over a
band, the same kernels give the numbers of a window at every row and every fourth column.

Roofline: a band of 36×500 pixels in one channel takes 76 million multiplications and additions, of which the second
filters are four fifths; only the rows that are asked for are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.hierarchy import FilterBank
from striate.learning.network import Layer, layers_of
from striate.parameters import Boolean, Choice, Real
from striate.robot.pyramid import WINDOW
from striate.samples import check_finite
from striate.stored import array, field

__all__ = [
    "COLUMN_STEP",
    "STAGES",
    "BandFeatures",
    "CenterFeatures",
    "NetworkFeatures",
    "as_windows",
    "features_of_state",
    "network_layers",
]

COLUMN_STEP = 4
"""Columns between neighboring features of a band."""

#: Of the network: filters, their height and width, height and width of the pooling window.
STAGES = ((20, 7, 6, 1, COLUMN_STEP), (100, 6, 5, 1, 1))
_ROWS = 2048  # windows at a time


def network_layers(n_channels: int, dense: Sequence[int] = ()) -> tuple[Layer, ...]:
    """The layers of the talk's network for windows of some channels, and dense ones after them."""
    return layers_of((n_channels, *WINDOW), STAGES, dense)


def as_windows(windows: ArrayLike, n_channels: int | None = None) -> NDArray[np.float32]:
    """Windows as float32 (n_windows, channels, 12, 25), contiguous.

    Raises
    ------
    UsageError
        For another shape, another number of channels, or NaN.
    """
    given = np.asarray(windows)
    if given.ndim != 4 or given.shape[2:] != WINDOW or n_channels not in (None, given.shape[1]):
        wanted = "channels" if n_channels is None else n_channels
        raise UsageError(f"windows of shape {given.shape}, and (n_windows, {wanted}, 12, 25) is needed")
    if given.dtype.kind not in "fiub":
        raise UsageError(f"windows are real numbers, not {given.dtype}")
    found = np.ascontiguousarray(given, np.float32)
    check_finite(found, "windows")
    return found


class BandFeatures:
    """Features that have been learned: a function of windows, and of whole bands.

    Features have mean 0 and variance 1 over the windows that they were learned from.

    Parameters
    ----------
    n_channels : int
    """

    kind: str
    n_features: int

    def __init__(self, n_channels: int) -> None:
        self.n_channels = n_channels
        self.mean = np.zeros(self.n_features, np.float32)
        self.deviation = np.ones(self.n_features, np.float32)

    def standardized(self, windows: NDArray[np.float32]) -> Self:
        """These features, after setting mean and deviation to those of windows; constant ones stay as they are."""
        found = self._raw(windows)
        self.mean = found.mean(axis=0)
        deviation = found.std(axis=0)
        self.deviation = np.where(deviation > 1e-6, deviation, np.float32(1))
        return self

    def of_windows(self, windows: ArrayLike) -> NDArray[np.float32]:
        """Features of windows.

        Parameters
        ----------
        windows : float (n_windows, channels, 12, 25)

        Returns
        -------
        float32 (n_windows, n_features)
        """
        return (self._raw(as_windows(windows, self.n_channels)) - self.mean) / self.deviation

    def of_band(self, band: ArrayLike, *, row_step: int = 1) -> NDArray[np.float32]:
        """Features of all windows of a band.

        Parameters
        ----------
        band : float (channels, height, width)
            At least 12×25 pixels.
        row_step : int, default 1
            Rows between neighboring windows; they are 4 columns apart.

        Returns
        -------
        float32 (n_rows, n_columns, n_features)
            At ``[i, j]`` those of the window whose first pixel is at row ``i·row_step`` and column ``4·j``.
        """
        given = np.asarray(band)
        height, width = WINDOW
        if given.ndim != 3 or given.shape[0] != self.n_channels or given.shape[1] < height or given.shape[2] < width:
            raise UsageError(
                f"a band of shape {given.shape}: give ({self.n_channels}, height, width), at least {height}×{width}"
            )
        pixels = np.ascontiguousarray(given.transpose(1, 2, 0), np.float32)
        check_finite(pixels, "rows of the band")
        return (self._raw_of_band(pixels, row_step) - self.mean) / self.deviation

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header for a model file."""
        return {"mean": self.mean, "deviation": self.deviation}, {"kind": self.kind}

    def _raw(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        raise NotImplementedError

    def _raw_of_band(self, pixels: NDArray[np.float32], row_step: int) -> NDArray[np.float32]:
        raise NotImplementedError

    def _restored(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        for name in ("mean", "deviation"):
            setattr(self, name, np.array(array(arrays, name, (self.n_features,), "float32")))
        return self


class NetworkFeatures(BandFeatures):
    """Those of the talk's network.

    Parameters
    ----------
    filters : sequence of two float32 arrays, (20, channels, 7, 6) and (100, 20, 6, 5)
    biases : sequence of two float32 arrays, (20,) and (100,)
    squashed : bool
        Whether the 100 numbers go through a tanh.
    """

    kind = "network"

    def __init__(
        self, filters: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]], *, squashed: bool = True
    ) -> None:
        self.filters = [np.ascontiguousarray(each, np.float32) for each in filters]
        self.biases = [np.ascontiguousarray(each, np.float32) for each in biases]
        self.squashed = squashed
        self.n_features = len(self.filters[1])
        super().__init__(self.filters[0].shape[1])

    @cached_property
    def banks(self) -> tuple[FilterBank, FilterBank]:
        """Both layers for the kernels of hierarchies; a shrinkage by 0 is the identity."""
        first, second = (FilterBank(len(each), (each.shape[2], each.shape[3])) for each in self.filters)
        if not self.squashed:
            second = FilterBank(second.n_maps, second.size, nonlinearity="shrink")
        return (
            first.with_filters(self.filters[0], bias=self.biases[0]),
            second.with_filters(self.filters[1], bias=self.biases[1]),
        )

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """See `BandFeatures.to_state`."""
        arrays, header = super().to_state()
        arrays |= {f"{name}.{number}": values for name, both in (("filters", self.filters), ("biases", self.biases))
                   for number, values in enumerate(both)}  # fmt: skip
        return arrays, {**header, "squashed": self.squashed}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> NetworkFeatures:
        """The inverse of `to_state`."""
        filters, biases = [], []
        for number, (n_filters, height, width, *_) in enumerate(STAGES):
            seen = None if number == 0 else STAGES[0][0]
            filters.append(array(arrays, f"filters.{number}", (n_filters, seen, height, width), "float32"))
            biases.append(array(arrays, f"biases.{number}", (n_filters,), "float32"))
        return cls(filters, biases, squashed=field(header, "squashed", Boolean()))._restored(arrays)

    def _raw(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        # A window's maps have one position, so that windows side by side, each as wide as its maps, are one image.
        return np.concatenate([
            np.empty((0, self.n_features), np.float32),
            *(self._beside(windows[first : first + _ROWS]) for first in range(0, len(windows), _ROWS)),
        ])  # fmt: skip

    def _beside(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        n, n_channels, height, width = windows.shape
        step = width + -width % COLUMN_STEP  # windows begin at multiples of the pooling's width
        spaced = np.zeros((height, n, step, n_channels), np.float32)
        spaced[:, :, :width] = windows.transpose(2, 0, 3, 1)
        maps = self._raw_of_band(spaced.reshape(height, n * step, n_channels), 1)
        return np.ascontiguousarray(maps[0, :: step // COLUMN_STEP])

    def _raw_of_band(self, pixels: NDArray[np.float32], row_step: int) -> NDArray[np.float32]:
        first, second = self.banks
        maps = first.apply(pixels)
        height, width, n_maps = maps.shape
        n_columns = width // COLUMN_STEP
        pooled = maps[:, : n_columns * COLUMN_STEP].reshape(height, n_columns, COLUMN_STEP, n_maps).max(axis=2)
        if row_step == 1:
            return np.ascontiguousarray(second.apply(pooled))
        # The rows that are asked for, side by side, are one image whose maps have one row; what lies across a seam is
        # left out.
        tall, wide = STAGES[1][1:3]
        tops = range(0, height - tall + 1, row_step)
        beside = second.apply(np.concatenate([pooled[top : top + tall] for top in tops], axis=1))[0]
        found = np.empty((len(tops), n_columns - wide + 1, self.n_features), np.float32)
        for number in range(len(tops)):
            found[number] = beside[number * n_columns :][: found.shape[1]]
        return found


class CenterFeatures(BandFeatures):
    """Radial basis functions: ``exp(−‖window − center‖² / (2·width²))``, the talk's baseline.

    Parameters
    ----------
    centers : float32 (n_features, channels, 12, 25)
    width : float
    """

    kind = "centers"

    def __init__(self, centers: NDArray[Any], width: float) -> None:
        self.centers, self.width = np.ascontiguousarray(centers, np.float32), float(width)
        self.n_features = len(self.centers)
        super().__init__(self.centers.shape[1])

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """See `BandFeatures.to_state`."""
        arrays, header = super().to_state()
        return {**arrays, "centers": self.centers}, {**header, "width": self.width}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> CenterFeatures:
        """The inverse of `to_state`."""
        centers = array(arrays, "centers", (None, None, *WINDOW), "float32")
        return cls(centers, field(header, "width", Real(above=0)))._restored(arrays)

    def _raw(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        centers = self.centers.reshape(self.n_features, -1)
        squares = np.square(centers).sum(axis=1)
        found = np.empty((len(windows), self.n_features), np.float32)
        for first in range(0, len(windows), _ROWS):
            rows = windows[first : first + _ROWS].reshape(-1, centers.shape[1])
            distances = np.square(rows).sum(axis=1)[:, np.newaxis] + squares - 2 * (rows @ centers.T)
            found[first : first + _ROWS] = np.exp(np.maximum(distances, 0) * np.float32(-0.5 / self.width**2))
        return found

    def _raw_of_band(self, pixels: NDArray[np.float32], row_step: int) -> NDArray[np.float32]:
        views = np.lib.stride_tricks.sliding_window_view(pixels, WINDOW, axis=(0, 1))[::row_step, ::COLUMN_STEP]
        rows = [self._raw(np.ascontiguousarray(row)) for row in views]
        return np.stack(rows)


_KINDS: dict[str, type[NetworkFeatures] | type[CenterFeatures]] = {
    each.kind: each for each in (NetworkFeatures, CenterFeatures)
}


def features_of_state(arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> BandFeatures:
    """Features from what their `to_state` returned."""
    return _KINDS[field(header, "kind", Choice(*_KINDS))].from_state(arrays, header)
