"""The information content of codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.samples import as_samples

__all__ = ["code_entropy"]


def code_entropy(codes: ArrayLike, step: float) -> float:
    """The entropy of codes that are rounded to multiples of a step, in bits.

    Parameters
    ----------
    codes : float (n_points, n_units)
    step : float
        Code values that differ by less than this may count as equal.

    Returns
    -------
    float
        At most log₂ of the number of points.
    """
    given = as_samples(codes, name="codes")
    if not len(given):
        raise UsageError("codes hold no points; give at least one")
    step = checked("step", step, Real(above=0))
    with np.errstate(over="ignore"):
        cells = np.round(given / step) + 0.0  # a negative zero is zero
    if not np.isfinite(cells).all():
        raise UsageError(f"step is {step:g}, too small for codes of up to {np.abs(given).max():g}; give a larger one")
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
