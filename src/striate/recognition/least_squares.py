"""Least squares on the inner products of samples, whose leave-one-out scores need no second fit.

Targets are 1 for a sample's class and 0 for the others. With few labels this is more accurate than cross-entropy: on
whitened patches and filters of two stages, side by side, of photographs of 32×32 pixels (20 classes) it was 2.7 points
better with 5 labels per class and 1.5 with 10, and on digits 1.3 and 1.0 (validation, means of 4 draws).

With a centered kernel K, n samples and G = K + λ I, the scores of the samples are Y − λ G⁻¹ Y_c, where Y_c are the
targets without their means. Without sample i, whose targets and position then do not matter, its own are

    Y_i − λ (G⁻¹ Y_c)_i / (λ (G⁻¹)_ii − 1/n),

exactly, the intercept included (Golub, Heath and Wahba 1979).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.recognition.softmax import cross_entropy, fit_temperature

__all__ = [
    "DECAYS",
    "UNCALIBRATED",
    "CenteredFactor",
    "LeastSquares",
    "calibrated_losses",
    "factor_centered",
    "judged_scores",
    "solve_least_squares",
]

DECAYS = (1e-1, 1e-2, 1e-3)
"""Candidates for λ, relative to the mean squared norm of the samples about their mean."""

_MIRRORED = 128  # rows that are copied across the diagonal together, so that they stay in the cache

UNCALIBRATED = 0.1
"""The temperature where nothing can be held out: scores are between 0 and 1."""


class LeastSquares(NamedTuple):
    """The optimum for one λ.

    Attributes
    ----------
    coefficients : (n + 1, n_classes)
        What multiplies the kernel with the samples, which sums to 0 for each class, and the intercept in the last row.
    held_out : (n, n_classes)
        The scores of each sample by the optimum without it.
    """

    coefficients: NDArray
    held_out: NDArray


def solve_least_squares(kernel: NDArray, targets: NDArray, decay: float) -> LeastSquares:
    """The scores f that minimize Σ ‖y_i − f(x_i)‖² + λ ‖f‖², with an intercept that is not penalized.

    Parameters
    ----------
    kernel : float32 or float64 (n, n)
        Inner products of the samples, or a Gaussian kernel. It need not be centered, and is not changed.
    targets : (n, n_classes)
    decay : float
        λ relative to the mean of the centered kernel's diagonal.
    """
    n = len(kernel)
    kind = kernel.dtype.type
    mean = targets.mean(axis=0, dtype=np.float64)
    about_mean = (targets - mean).astype(kind)
    found = factor_centered(kernel, decay)
    if found is None:  # all samples are the same
        held_out = np.broadcast_to((n * mean - targets) / max(n - 1, 1), targets.shape).astype(kind)
        return LeastSquares(np.vstack([np.zeros_like(about_mean), mean]).astype(kind), held_out)
    penalty, row_means = found.penalty, found.row_means
    inverse = _inverse_of(found.factor)
    shares = inverse @ about_mean
    shares -= shares.mean(axis=0)
    leverage = penalty * inverse.diagonal().astype(np.float64) - 1 / n
    # It is 0 for a sample that alone spans a direction, and whose scores by the others are then the mean's.
    residuals = penalty * shares / np.maximum(leverage, 1e-6)[:, None]
    intercept = mean - row_means @ shares
    return LeastSquares(np.vstack([shares, intercept]).astype(kind), (targets - residuals).astype(kind))


class CenteredFactor(NamedTuple):
    """The Cholesky factor of ``K + λ I`` for a kernel K without the means of its rows and columns.

    Attributes
    ----------
    factor : (n, n)
        Lower triangular, in Fortran's order; above the diagonal it is 0.
    penalty : float
        λ.
    row_means : float64 (n,)
        Those of the kernel before.
    """

    factor: NDArray
    penalty: float
    row_means: NDArray[np.float64]


def factor_centered(kernel: NDArray, decay: float) -> CenteredFactor | None:
    """What everything about a fit follows from; None where all samples are the same.

    Parameters
    ----------
    kernel : float32 or float64 (n, n)
        It is not changed.
    decay : float
        λ relative to the mean of the centered kernel's diagonal.
    """
    from scipy.linalg.lapack import get_lapack_funcs

    n = len(kernel)
    kind = kernel.dtype.type
    row_means = kernel.mean(axis=1, dtype=np.float64)
    centered = kernel - (row_means[:, None] + row_means - row_means.mean()).astype(kind)
    diagonal = float(centered.diagonal().mean(dtype=np.float64))
    if diagonal <= 8 * float(np.finfo(kind).eps) * abs(float(row_means.mean())):  # nothing but rounding
        return None
    penalty = decay * diagonal
    centered.flat[:: n + 1] += kind(penalty)
    (factorize,) = get_lapack_funcs(("potrf",), (centered,))
    factor, info = factorize(centered.T, lower=True, overwrite_a=True, clean=True)
    if info:
        raise ArithmeticError(f"the kernel of {n} samples is not positive definite in {kernel.dtype}")
    return CenteredFactor(factor, penalty, row_means)


def _inverse_of(factor: NDArray) -> NDArray:
    """``(L Lᵀ)⁻¹`` of a lower triangular factor, which is overwritten."""
    from scipy.linalg.lapack import get_lapack_funcs

    (invert,) = get_lapack_funcs(("potri",), (factor,))
    inverse: NDArray = invert(factor, lower=True, overwrite_c=True)[0]
    for start in range(0, len(inverse), _MIRRORED):
        stop = min(start + _MIRRORED, len(inverse))
        inverse[:start, start:stop] = inverse[start:stop, :start].T
        block = inverse[start:stop, start:stop]
        block[:] = np.tril(block) + np.tril(block, -1).T
    return inverse


def calibrated_losses(held_out: NDArray, labels: NDArray[np.integer]) -> tuple[NDArray[np.float64], float]:
    """Cross-entropy of held-out scores after calibration, (n,), and the temperature.

    A class with one sample has no other that its scores could come from: such samples are left out.
    """
    counts = np.bincount(labels, minlength=held_out.shape[1])
    known = np.flatnonzero(counts[labels] > 1)
    if not len(known):
        return np.zeros(0), UNCALIBRATED
    temperature = fit_temperature(held_out[known], labels[known])
    losses = cross_entropy(held_out[known] / held_out.dtype.type(temperature), labels[known])
    return losses.astype(np.float64), temperature


def judged_scores(held_out: NDArray, labels: NDArray[np.integer]) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """The losses of `calibrated_losses`, and ``accuracy``, ``log_loss`` and ``temperature`` for a list of results."""
    losses, temperature = calibrated_losses(held_out, labels)
    accuracy = float(np.mean(held_out.argmax(axis=1) == labels))
    return losses, {"accuracy": accuracy, "log_loss": float(losses.mean()), "temperature": temperature}
