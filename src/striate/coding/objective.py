"""What the solvers minimize, written down once."""

from __future__ import annotations

import numpy as np

__all__ = ["energy"]


def energy(
    patches: np.ndarray,
    codes: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    *,
    prediction: float = 0.0,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Energy of every patch with its code: ½‖y − zD‖² + sparsity·Σ|z| + ½·prediction·‖z − target‖².

    Parameters
    ----------
    patches : ndarray (n_samples, n_features), float
    codes : ndarray (n_samples, n_components), float
    dictionary : ndarray (n_components, n_features), float
    sparsity, prediction : float
        The weights; the talk writes the squares without ½, so that ours are half of the talk's.
    target : ndarray (n_samples, n_components), optional
        What an encoder predicts, if `prediction` is not 0.

    Returns
    -------
    ndarray (n_samples,), dtype of `patches`
    """
    residual = patches - codes @ dictionary
    total = 0.5 * np.einsum("ij,ij->i", residual, residual) + sparsity * np.abs(codes).sum(axis=1)
    if prediction and target is not None:
        gap = codes - target
        total += 0.5 * prediction * np.einsum("ij,ij->i", gap, gap)
    return total
