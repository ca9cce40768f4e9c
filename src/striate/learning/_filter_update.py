"""Filters of unit norm from the statistics of their code maps, and new filters in place of those that nothing uses.

With A[k, l, s] = Σ z_k(p) z_l(p + s) over the positions p of all images, and B[k] the sum of the images' windows at
p, each times z_k(p), the error of the images is

    ½ Σ_kl Σ_s A[k, l, s] <d_k, d_l moved by s> − Σ_k <d_k, B[k]> + a constant,

with the border and all: a filter has coefficients only where it lies inside the image, and two filters overlap at
shifts below their sides only. In filter k this is a quadratic form with the Toeplitz matrix T of A[k, k], the same for
each channel. Its bound by ½ L ‖d − v‖², where L is at least T's largest eigenvalue and v a gradient step away, has its
minimum on the unit sphere at v / ‖v‖, so that every step lowers the error (Mairal, Bach, Ponce, Sapiro, "Online
learning for matrix factorization and sparse coding", JMLR 2010, algorithm 2, where T is a multiple of the identity).

Convolutions with A are circular ones with a period of 2h − 1 and 2w − 1, and the gradients of all filters are kept as
spectra: a change of one filter then costs K multiplications per frequency. A sweep over 64 filters of 9×9 takes some
hundredths of a second, and reads A once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["surrogate_error", "unit_filters", "update_filters", "worst_windows"]

_STEPS = 3  # of one filter in a row; its shape on the sphere is then nearly the best for the others as they are


def unit_filters(filters: NDArray[Any]) -> NDArray[Any]:
    """Filters divided by their norms; filters that are 0 stay."""
    norms = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray((filters / np.where(norms > 0, norms, 1)).astype(filters.dtype))


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
    from scipy import fft

    height, width = filters.shape[2:]
    period = code_products.shape[2:]
    spectra = _spectra(code_products)
    found = filters.astype(np.float64)

    def transformed(one: NDArray[np.float64]) -> NDArray[np.complex128]:
        return np.asarray(fft.rfft2(one, period))

    def cropped(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(fft.irfft2(spectrum, period)[..., :height, :width])

    gradients = np.einsum("kluv,lcuv->kcuv", spectra, transformed(found))
    used = np.flatnonzero(np.einsum("kkuv->kuv", code_products)[:, height - 1, width - 1] > 0)
    for _ in range(n_sweeps):
        for k in used:
            own = spectra[k, k].real
            # The Toeplitz matrix is a part of the circular one, whose eigenvalues are these numbers.
            curvature = own.max()
            slope = cropped(gradients[k]) - image_products[k]
            unit = found[k]
            for _ in range(_STEPS):
                ahead = curvature * unit - slope
                norm = np.sqrt(np.square(ahead).sum())
                if not norm > 0:
                    break
                change, unit = ahead / norm - unit, ahead / norm
                slope = slope + cropped(own * transformed(change))
            gradients += spectra[:, k, None] * transformed(unit - found[k])
            found[k] = unit
    return found.astype(filters.dtype)


def surrogate_error(
    filters: NDArray[Any], code_products: NDArray[np.float64], image_products: NDArray[np.float64]
) -> float:
    """The error of filters for statistics A and B, without its constant; shapes as in `update_filters`."""
    from scipy import fft

    height, width = filters.shape[2:]
    period = code_products.shape[2:]
    filters = filters.astype(np.float64)
    convolved = np.einsum("kluv,lcuv->kcuv", _spectra(code_products), fft.rfft2(filters, period))
    moved = fft.irfft2(convolved, period)[..., :height, :width]
    return float(0.5 * (filters * moved).sum() - (filters * image_products).sum())


def _spectra(code_products: NDArray[np.float64]) -> NDArray[np.complex128]:
    from scipy import fft

    return np.asarray(fft.rfft2(fft.ifftshift(code_products, axes=(2, 3))))


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
