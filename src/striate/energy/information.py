"""How much a code can say, and how much of the plane it lets be low: the talk's main insight as two numbers."""

from __future__ import annotations

import numpy as np

__all__ = ["code_entropy"]


def code_entropy(codes: np.ndarray, step: float) -> float:
    """The entropy of codes that are told apart to a step, in bits.

    Parameters
    ----------
    codes : float (n_points, n_units)
    step : float
        Units of a code that differ by less count as the same.

    Returns
    -------
    float
        At most log₂ of the number of points.
    """
    cells = np.round(np.asarray(codes) / step).astype(np.int64)
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
