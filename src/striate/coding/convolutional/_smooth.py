"""The smooth part of an image, which convolutional codes leave out: a penalized least-squares fit to known pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["smooth_part"]

_TOLERANCE = 1e-4  # of the residual, relative to the known pixels
_MOST = 300  # iterations, which only very few known pixels need


def smooth_part(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    strength: float,
    order: int,
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The smooth image l that minimizes ½‖known ⊙ (x − l)‖² + ½·strength·‖Δ^(order/2) l‖², (height, width).

    Δ is the Laplacian of an image that goes on as its mirror image, so that constants cost nothing. Order 2 penalizes
    curvature (a biharmonic fill), order 3 the slope of curvature. The discrete cosine transform diagonalizes the
    penalty, and with the mean of the mask the preconditioner; conjugate gradients run in its coefficients.

    Parameters
    ----------
    image : float (height, width)
        0 where it is not known.
    known : bool (height, width)
        At least one pixel.
    strength : float
        Above 0.
    order : int
        At least 1.
    start : float (height, width), optional
        A similar solution.
    """
    from scipy import fft

    penalty = strength * _laplacian_spectrum(image.shape) ** order
    preconditioner = 1 / (known.mean() + penalty)

    def forth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(fft.dctn(values, norm="ortho"))

    def back(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(fft.idctn(values, norm="ortho"))

    target = forth(np.where(known, image, 0))
    found = np.zeros_like(target) if start is None else forth(start)
    residual = target - forth(known * back(found)) - penalty * found
    least = (_TOLERANCE**2) * float(np.vdot(target, target))
    direction, before = np.zeros_like(target), 1.0
    for _ in range(_MOST):
        if float(np.vdot(residual, residual)) <= least:
            break
        scaled = preconditioner * residual
        now = float(np.vdot(residual, scaled))
        direction = scaled + now / before * direction
        moved = forth(known * back(direction)) + penalty * direction
        step = now / float(np.vdot(direction, moved))
        found, residual, before = found + step * direction, residual - step * moved, now
    return back(found)


def _laplacian_spectrum(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Eigenvalues of −Δ in the discrete cosine transform, (height, width)."""
    rows, columns = (4 * np.sin(np.pi * np.arange(n) / (2 * n)) ** 2 for n in shape)
    return np.asarray(rows[:, np.newaxis] + columns)
