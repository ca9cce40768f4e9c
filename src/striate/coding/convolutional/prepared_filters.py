"""Filters with what the solvers of convolutional codes need of them, computed once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._ranges import exponents
from striate.coding.convolutional._arguments import assembled, checked_images, maps_as_images
from striate.coding.convolutional._filter_arrays import FilterArrays
from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional._sums import add_filters, all_correlations
from striate.coding.convolutional._working_set import WorkingSet
from striate.coding.convolutional.sparse_maps import SparseMaps
from striate.errors import UsageError
from striate.samples import float_type
from striate.threads import n_threads

__all__ = ["PreparedFilters", "as_prepared_filters"]

TAME = 20  # filters and images whose largest magnitude is within 2^±20 are not rescaled
_GRID = 16  # frequencies per filter side, where the spectrum is sampled


def as_prepared_filters(filters: ArrayLike | PreparedFilters) -> PreparedFilters:
    """The filters, prepared if they are not yet."""
    return filters if isinstance(filters, PreparedFilters) else PreparedFilters(filters)


class PreparedFilters:
    """Filters of convolutional codes: their norms, correlations and spectrum, computed at first use and kept.

    Parameters
    ----------
    filters : float (n_maps, height, width), or (n_maps, channels, height, width)
        One filter per map, of any norm. Three axes mean one channel. Integers become float64, float16 float32. They are
        copied and never change.

    Attributes
    ----------
    filters : ndarray (n_maps, channels, height, width), read-only
    n_maps, n_channels, height, width : int

    Raises
    ------
    UsageError
        For an array that has not three or four axes, is empty, or holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import PreparedFilters
    >>> filters = PreparedFilters(np.ones((1, 2, 2)))
    >>> filters.squared_norms, filters.gram[0, 0]
    (array([4.]), array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]]))
    """

    def __init__(self, filters: ArrayLike) -> None:
        try:
            array = np.asarray(filters)
        except ValueError:
            raise UsageError("the filters are no array of numbers: give filters of one size") from None
        if array.ndim == 3:
            array = array[:, np.newaxis]
        if array.ndim != 4 or 0 in array.shape:
            raise UsageError(
                f"filters are an array (n_maps, height, width) or (n_maps, channels, height, width), "
                f"not one of shape {array.shape}"
            )
        if array.dtype.kind not in "fiub":
            raise UsageError(f"filters hold real numbers, not {array.dtype}")
        array = np.array(array, dtype=float_type(array.dtype), order="C", subok=False)
        if not np.isfinite(array).all():
            unit = int(np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))[0])
            raise UsageError(f"the filters hold NaN or infinity, first in filter {unit}")
        array.flags.writeable = False
        self.filters: NDArray[Any] = array
        self.n_maps, self.n_channels, self.height, self.width = array.shape
        self._arrays: dict[np.dtype, FilterArrays] = {}

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.filters.dtype

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        """Squared norms of the filters, (n_maps,)."""
        return np.einsum("kcij,kcij->k", self.filters, self.filters, dtype=np.float64)

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Products of the filters at every shift at which they overlap, (n_maps, n_maps, 2·height − 1, 2·width − 1).

        ``gram[k, l, height − 1 + s, width − 1 + t]`` is the product of filter k with filter l moved s rows down and t
        columns to the right; shift 0 is in the middle.
        """
        from scipy import fft

        shape = 2 * self.height - 1, 2 * self.width - 1
        spectra = fft.rfft2(self.filters.astype(np.float64), shape)
        products = np.einsum("kcuv,lcuv->kluv", spectra, spectra.conj())
        return np.asarray(fft.fftshift(fft.irfft2(products, shape), axes=(-2, -1)))

    @cached_property
    def largest_eigenvalue(self) -> float:
        """A bound on the curvature ‖z * d‖² / ‖z‖² for maps of every size: it limits the step of a gradient method.

        It is the largest eigenvalue of the filters' spectral density over all frequencies, taken on a grid and
        divided by the least share of its maximum that a trigonometric polynomial has on the grid (M. Riesz), so that
        it is at most 4% too large.
        """
        from scipy import fft

        shape, n_channels = (_GRID * self.height, _GRID * self.width), self.n_channels
        density = np.zeros((shape[0], shape[1] // 2 + 1, n_channels, n_channels), np.complex128)
        for one in self.filters:  # one by one: the spectra of all may not fit into memory
            spectrum = fft.rfft2(one.astype(np.float64), shape)
            density += np.einsum("cuv,duv->uvcd", spectrum, spectrum.conj())
        highest = max(float(np.linalg.eigvalsh(density)[..., -1].max()), 0.0)
        for side, n in zip((self.height, self.width), shape, strict=True):
            highest /= np.cos(np.pi * (side - 1) / n)
        return highest

    @cached_property
    def extent(self) -> tuple[float, float]:
        """The smallest magnitude of a filter that is not 0, and the largest; 1 and 1 where all filters are 0."""
        magnitudes = np.abs(self.filters).max(axis=(1, 2, 3))
        some = magnitudes[magnitudes > 0]
        return (float(some.min()), float(some.max())) if len(some) else (1.0, 1.0)

    @cached_property
    def exponent(self) -> int:
        """The arrays that solvers compute with are divided by 2 to this power; 0 unless the filters are extreme."""
        return int(exponents(self.extent[1], tame=TAME))

    def arrays(self, dtype: np.dtype) -> FilterArrays:
        """The arrays that solvers compute with, in float32 or float64."""
        found = self._arrays.get(dtype)
        if found is None:
            scaled = np.ldexp(self.filters.astype(np.float64), -self.exponent)
            found = self._arrays[dtype] = FilterArrays(scaled, dtype)
        return found

    def correlate(self, images: Any) -> Any:
        """Correlations of images with the filters at every position: the adjoint of `reconstruct`.

        Parameters
        ----------
        images : float (height, width), (channels, height, width), (n_images, channels, height, width), or a list

        Returns
        -------
        ndarray (n_maps, n_rows, n_columns) for one image, with a further axis for an array of several; a list for a
            list
            In the type of the images. Their largest magnitude is the least sparsity at which all codes are 0.

        Raises
        ------
        UsageError
            For NaN or infinity, and images that do not fit.
        """
        found = checked_images(images, None, self.filters.shape)
        return assembled([self._correlate(image) for image in found.items], found.form)

    def _correlate(self, image: NDArray[Any]) -> NDArray[Any]:
        layout = Layout.of(image.shape, self.filters.shape)
        rows = layout.rows_of(image, image.dtype)
        found = all_correlations(rows, layout, self.arrays(image.dtype), n_threads())
        return np.ldexp(found, self.exponent) if self.exponent else found

    def reconstruct(self, codes: Any) -> Any:
        """The images that code maps stand for: the sum over maps of their full convolutions with the filters.

        Parameters
        ----------
        codes : float (n_maps, n_rows, n_columns), (n_images, n_maps, n_rows, n_columns), SparseMaps, or a list

        Returns
        -------
        ndarray (channels, height, width), with a further axis for an array of several; a list for a list
            In the type of the codes.

        Raises
        ------
        UsageError
            For NaN or infinity, and another number of maps.
        """
        found, form = maps_as_images(codes, self.n_maps)
        return assembled([self._reconstruct(maps) for maps in found], form)

    def _reconstruct(self, codes: SparseMaps) -> NDArray[Any]:
        _, n_rows, n_columns = codes.shape
        size = n_rows + self.height - 1, n_columns + self.width - 1
        layout = Layout(self.n_channels, size[0], size[1], self.height, self.width)
        rows = np.zeros((size[0] * self.n_channels, layout.length), codes.values.dtype)
        working = WorkingSet.from_sparse(layout, codes)
        add_filters(rows, working, working.values, self.arrays(rows.dtype).windows, n_threads())
        image = layout.image_of(rows)
        return np.ldexp(image, self.exponent) if self.exponent else image

    def __repr__(self) -> str:
        channels = f"×{self.n_channels}" if self.n_channels > 1 else ""
        return f"PreparedFilters({self.n_maps} filters of {self.height}×{self.width}{channels}, {self.dtype})"
