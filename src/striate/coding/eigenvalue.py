"""The largest eigenvalue of a Gram matrix: the curvature that limits the step of a gradient method."""

from __future__ import annotations

import numpy as np

from striate.errors import UsageError

__all__ = ["TrackedEigenvalue", "largest_eigenvalue"]


def largest_eigenvalue(gram: np.ndarray) -> float:
    """The largest eigenvalue, to the precision of float64.

    Parameters
    ----------
    gram : ndarray (n_components, n_components), float
        Symmetric and positive semidefinite.

    Returns
    -------
    float
        Never below 0.

    Raises
    ------
    UsageError
        For a matrix that is not square, or holds NaN or infinity.
    """
    gram = np.asarray(gram)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not gram.size:
        raise UsageError(f"a Gram matrix is square, (n_components, n_components), not of shape {gram.shape}")
    if not np.isfinite(gram).all():
        raise UsageError("the Gram matrix holds NaN or infinity: units hold it, or their squares are too large")
    return max(float(np.linalg.eigvalsh(gram.astype(np.float64, copy=False))[-1]), 0.0)


class TrackedEigenvalue:
    """Tracks the largest eigenvalue of a Gram matrix that changes slowly, as in learning.

    Two power iterations from the last eigenvector cost a thousandth of a decomposition. They give a lower bound, which
    is multiplied by a margin. The eigenvalue of another eigenvector may still become larger, so that callers compare
    the curvature along their steps with this estimate, and call `correct` where it was exceeded.

    Parameters
    ----------
    margin : float, default 1.05
        Factor of the estimate. 5 % make steps 5 % shorter; FISTA diverges only if the eigenvalue is more than a
        quarter too small.
    """

    def __init__(self, *, margin: float = 1.05) -> None:
        self.margin = margin
        self.vector: np.ndarray | None = None

    def update(self, gram: np.ndarray) -> float:
        """A bound on the largest eigenvalue of `gram` (n_components, n_components), by power iteration."""
        if self.vector is None:
            return self.correct(gram)
        vector = self.vector
        for _ in range(2):
            vector = gram @ vector
            length = float(np.linalg.norm(vector))
            if not length > 0:
                return self.correct(gram)
            vector /= length
        self.vector = vector
        # ‖G v‖ for the v before last: between the Rayleigh quotient and the eigenvalue.
        return self.margin * length

    def correct(self, gram: np.ndarray) -> float:
        """The same by a full decomposition."""
        values, vectors = np.linalg.eigh(gram.astype(np.float64, copy=False))
        self.vector = vectors[:, -1].astype(gram.dtype)
        return self.margin * max(float(values[-1]), 0.0)
