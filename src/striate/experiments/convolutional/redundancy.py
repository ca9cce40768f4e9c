"""How much filters repeat each other at other places: their correlations over all shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["largest_correlations"]


def largest_correlations(filters: NDArray[Any]) -> NDArray[np.float64]:
    """The largest absolute cosine of each pair of filters, over all shifts of one against the other.

    A filter is 0 outside of its window, and norms are those of whole filters: the correlation is 1 for a copy that was
    shifted inside its window, and less for one that lost a part at the border.

    Parameters
    ----------
    filters : float (n_filters, channels, height, width)
        A filter that is 0 correlates with none.

    Returns
    -------
    float64 (n_filters, n_filters)
        Symmetric, from 0 to 1; 1 on the diagonal, where a filter is not 0.

    References
    ----------
    Kavukcuoglu et al., "Learning convolutional feature hierarchies for visual recognition", NIPS 2010, who compare
    cumulative histograms of the angles between filters.
    """
    height, width = filters.shape[2:]
    norms = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=(1, 2, 3), keepdims=True))
    units = filters / np.where(norms > 0, norms, 1)
    shape = 2 * height - 1, 2 * width - 1  # so that shifts do not wrap
    spectra = np.fft.rfft2(units, shape)
    found = np.empty((len(filters), len(filters)))
    for row, spectrum in enumerate(spectra):
        products = np.einsum("cuv,kcuv->kuv", spectrum.conj(), spectra)
        found[row] = np.abs(np.fft.irfft2(products, shape)).max(axis=(1, 2), initial=0)
    return np.minimum(np.maximum(found, found.T), 1)
