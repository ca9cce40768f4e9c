"""The contrastive loss of a batch of embedded samples, and its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["contrastive_loss"]


def contrastive_loss(
    points: NDArray[np.float64],
    similar: NDArray[np.int64],
    apart: NDArray[np.bool_],
    *,
    margin: float,
    repulsion: float,
) -> tuple[float, NDArray[np.float64]]:
    """Mean over similar pairs of ½D², plus `repulsion` times the mean over dissimilar pairs of ½max(0, margin − D)².

    Parameters
    ----------
    points : float64 (n_points, n_components)
    similar : int64 (n_pairs, 2)
        Rows of `points`.
    apart : bool (n_points, n_points)
        Which are dissimilar; symmetric.
    margin, repulsion : float

    Returns
    -------
    loss : float
    gradient : float64 (n_points, n_components)
        Where two dissimilar points coincide, no direction leads them apart, and their gradient is 0.

    References
    ----------
    Hadsell, Chopra, LeCun, CVPR 2006, equations 4 and 7 to 10.
    """
    gradient = np.zeros_like(points)
    loss = 0.0
    if len(similar):
        one, other = similar.T
        differences = points[one] - points[other]
        loss = 0.5 * float(np.square(differences).sum()) / len(similar)
        differences /= len(similar)
        np.add.at(gradient, one, differences)
        np.subtract.at(gradient, other, differences)
    n_apart = int(apart.sum())  # each pair twice
    if n_apart and repulsion:
        squares = np.square(points).sum(axis=1)
        squared = squares[:, np.newaxis] + squares - 2 * (points @ points.T)
        distances = np.sqrt(np.maximum(squared, 0.0))
        missing = np.where(apart, np.maximum(margin - distances, 0.0), 0.0)
        loss += 0.5 * repulsion * float(np.square(missing).sum()) / n_apart
        # Of the pair (i, j), seen from i: −missing/D · (pᵢ − pⱼ); the mean is over pairs, each counted twice here.
        pull = missing / np.where(distances > 0, distances, np.inf)
        pull *= 2 * repulsion / n_apart
        gradient += pull @ points - pull.sum(axis=1)[:, np.newaxis] * points
    return loss, gradient
