"""Quadratic terms in the code, expressed as additional features that need no special case in solvers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["with_own_features"]


def with_own_features(units: NDArray[Any], weight: float | NDArray[np.float64]) -> NDArray[Any]:
    """Units with one additional feature per unit, (n_units, n_features + n_units), √weight for this unit, else 0.

    The error in these features is ½·weight·‖z − target‖² for signals that are √weight·target there, and ½·weight·‖z‖²
    for signals that are 0. `weight` is one number, or one per unit.
    """
    own = np.diag(np.broadcast_to(np.sqrt(weight), len(units)))
    return np.hstack([units, own.astype(units.dtype)])
