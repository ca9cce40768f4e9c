"""Filters of unit norm from the statistics of their code maps, and new filters in place of those that nothing uses.

With A[k, l, s] = Σ z_k(p) z_l(p + s) over the positions p of all images, and B[k] the sum of the images' windows at
p, each times z_k(p), the error of the images is

    ½ Σ_kl Σ_s A[k, l, s] <d_k, d_l moved by s> − Σ_k <d_k, B[k]> + a constant,

with the border and all: a filter has coefficients only where it lies inside the image, and two filters overlap at
shifts below their sides only. In filter k this is a quadratic form with the Toeplitz matrix T of A[k, k], the same for
each channel. Its bound by ½ L ‖d − v‖², where L is at least T's largest eigenvalue and v a gradient step away, has its
minimum on the unit sphere at v / ‖v‖, so that every step lowers the error (Mairal, Bach, Ponce, Sapiro, "Online
learning for matrix factorization and sparse coding", JMLR 2010, algorithm 2, where T is a multiple of the identity).

Roofline: a change of one filter moves the gradients of all others by a product of A[:, k], as K rows, with the matrix
of the change at every shift: K·(2h − 1)·(2w − 1)·h·w multiplications per channel by BLAS, for 64 filters of 9×9 some
hundredths of a second per sweep, and as long for the gradients at its beginning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from striate.samples import as_array

__all__ = ["first_filters", "surrogate_error", "unit_filters", "update_filters", "worst_windows"]

_STEPS = 2  # of one filter in a row; more gain hardly anything, since the other filters change as well


def unit_filters(filters: NDArray[Any]) -> NDArray[Any]:
    """Filters divided by their norms; filters that are 0 stay."""
    norms = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray((filters / np.where(norms > 0, norms, 1)).astype(filters.dtype))


def first_filters(
    shape: tuple[int, int, int, int], dtype: np.dtype[Any], *, start: Any, rng: np.random.Generator
) -> NDArray[Any]:
    """The filters that learning begins with, of unit norm: `start`, or noise.

    Windows of the images would be nearer at the beginning, but many keep details of their one window. On photographs
    neither was better throughout: objectives differed by less than 0.5%, in favor of windows at high sparsities and of
    noise at lower ones.

    Parameters
    ----------
    shape : (n_components, channels, height, width)
    dtype : float32 or float64
    start : array-like of this shape, optional
    rng : Generator

    Raises
    ------
    UsageError
        For a start of another shape, or with numbers that are not finite.
    """
    if start is None:
        return unit_filters(rng.standard_normal(shape)).astype(dtype)
    return unit_filters(as_array(start, name="the filters to start from", axes=shape).astype(np.float64)).astype(dtype)


def update_filters(
    filters: NDArray[Any],
    code_products: NDArray[np.float64],
    image_products: NDArray[np.float64],
    *,
    n_sweeps: int = 1,
) -> NDArray[Any]:
    """Sweeps over all filters, each of which lowers the error; filters without statistics do not change.

    Parameters
    ----------
    filters : (n_components, channels, height, width)
        Of unit norm.
    code_products : (n_components, n_components, 2·height − 1, 2·width − 1)
        A; shift 0 is in the middle.
    image_products : (n_components, channels, height, width)
        B.
    n_sweeps : int

    Returns
    -------
    ndarray (n_components, channels, height, width)
        Of unit norm, in the type of `filters`.
    """
    n_components, n_channels, height, width = filters.shape
    found = filters.astype(np.float64)
    slopes = _slopes(found, code_products, image_products)
    products = code_products.reshape(n_components, n_components, -1)
    curvatures = _curvatures(code_products)
    places = _places(height, width)
    for _ in range(n_sweeps):
        for k in np.flatnonzero(curvatures):
            matrix = products[k, k][places]
            before = found[k].copy()
            unit = before.reshape(n_channels, -1)
            slope = slopes[k].reshape(n_channels, -1)
            for _ in range(_STEPS):
                ahead = curvatures[k] * unit - slope
                norm = np.sqrt(np.square(ahead).sum())
                if not norm > 0:
                    break
                change, unit = ahead / norm - unit, ahead / norm
                slope = slope + change @ matrix
            found[k] = unit.reshape(found[k].shape)
            slopes += _moved(products[:, k], found[k] - before)
    return found.astype(filters.dtype)


def surrogate_error(
    filters: NDArray[Any], code_products: NDArray[np.float64], image_products: NDArray[np.float64]
) -> float:
    """The error of filters for statistics A and B, without its constant; shapes as in `update_filters`."""
    filters = filters.astype(np.float64)
    return float(0.5 * (filters * (_slopes(filters, code_products, image_products) - image_products)).sum())


def _slopes(
    filters: NDArray[np.float64], code_products: NDArray[np.float64], image_products: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The gradient of the error with respect to all filters."""
    slopes = -image_products
    products = code_products.reshape(len(filters), len(filters), -1)
    for k, of_filter in enumerate(filters):
        slopes += _moved(products[:, k], of_filter)
    return slopes


def _moved(products: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.float64]:
    """A filter's change, moved by each shift and times its product, (n_components, channels, height, width)."""
    _, height, width = change.shape
    padded = np.pad(change, ((0, 0), (height - 1, height - 1), (width - 1, width - 1)))
    # Window (a, b) is the change moved by (height − 1 − a, width − 1 − b): the shifts in reverse.
    windows = sliding_window_view(padded, (height, width), axis=(1, 2))[:, ::-1, ::-1]
    matrix = np.ascontiguousarray(windows.transpose(1, 2, 0, 3, 4)).reshape(products.shape[1], -1)
    return np.asarray((products @ matrix).reshape(len(products), *change.shape))


def _places(height: int, width: int) -> NDArray[np.int64]:
    """Where in the flat products at all shifts the Toeplitz matrix of a filter has its numbers, (h·w, h·w)."""
    rows, columns = np.divmod(np.arange(height * width), width)
    down = rows[:, None] - rows + height - 1
    return np.asarray(down * (2 * width - 1) + columns[:, None] - columns + width - 1)


def _curvatures(code_products: NDArray[np.float64]) -> NDArray[np.float64]:
    """At least the largest eigenvalue of each filter's Toeplitz matrix: the largest of a circular one that contains it.

    0 for a filter without statistics.
    """
    from scipy import fft

    own = np.einsum("kkuv->kuv", code_products)
    _, height, width = own.shape
    spectra = fft.rfft2(fft.ifftshift(own, axes=(1, 2)))
    used = own[:, height // 2, width // 2] > 0
    return np.where(used, spectra.real.max(axis=(1, 2)), 0.0)


def worst_windows(residuals: list[NDArray[Any]], n: int, kernel: tuple[int, int]) -> NDArray[Any]:
    """The windows with the largest error, one after another, none of which overlaps those before it.

    Parameters
    ----------
    residuals : list of (channels, height, width)
        What codes leave of images, 0 where pixels are hidden.
    n : int
    kernel : (height, width)

    Returns
    -------
    ndarray (at most n, channels, height, width)
        Of unit norm; fewer where no error is left.
    """
    height, width = kernel
    energies = [_energies(residual, kernel) for residual in residuals]
    found: list[NDArray[Any]] = []
    while len(found) < n:
        highest = [float(energy.max()) for energy in energies]
        worst = int(np.argmax(highest))
        if not highest[worst] > 0:
            break
        row, column = divmod(int(np.argmax(energies[worst])), energies[worst].shape[1])
        found.append(residuals[worst][:, row : row + height, column : column + width])
        rows = slice(max(row - height + 1, 0), row + height)
        energies[worst][rows, max(column - width + 1, 0) : column + width] = 0
    channels = residuals[0].shape[0]
    return unit_filters(np.stack(found) if found else np.zeros((0, channels, *kernel), residuals[0].dtype))


def _energies(residual: NDArray[Any], kernel: tuple[int, int]) -> NDArray[np.float64]:
    """The sum of squares of each window."""
    squares = np.square(residual, dtype=np.float64).sum(axis=0)
    down = sliding_window_view(squares, kernel[0], axis=0).sum(axis=-1)
    return np.asarray(sliding_window_view(down, kernel[1], axis=1).sum(axis=-1))
