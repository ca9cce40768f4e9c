"""Quadratic terms in the code, stated as more features, so that solvers and certificates need no case for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["with_own_features"]


def with_own_features(units: NDArray[Any], weight: float | NDArray[np.float64]) -> NDArray[Any]:
    """Units with one more feature for each of them, (n_units, n_features + n_units): √weight in its own, else 0.

    The error in these features is ½·weight·‖z − target‖² for signals that are √weight·target there, and ½·weight·‖z‖²
    for signals that are 0. `weight` is one number, or one per unit.
    """
    own = np.diag(np.broadcast_to(np.sqrt(weight), len(units)))
    return np.hstack([units, own.astype(units.dtype)])
