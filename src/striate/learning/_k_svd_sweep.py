"""A sweep of K-SVD over the units of a dictionary, with a penalty on the coherence of units.

Unit j and its values z in the n signals that use it are updated together, all others fixed. With the error E of these
signals without the unit, the best values of a unit d of norm 1 are E d, and the objective is, but for a constant,

    f(d) = −‖E d‖² / ‖Y‖² + c Σ_k |d·d_k|,    c = 2·incoherence / (K (K − 1)).

Without the penalty, Eᵀz / ‖Eᵀz‖ has a lower f, or the same: this is a step of the power method for the largest singular
vector (Rubinstein et al. 2008). With it, the step is that for the gradient at d, and is halved until f is lower.

Roofline: a sweep reads and writes the errors of a signal about six times for each of its active units, and is bound by
the memory. The products of all units with each other take K² p multiplications for each step that is tried.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fit", "coherence", "fit_of", "sweep"]

_HALVINGS = 8


class Fit(NamedTuple):
    """How well a dictionary and codes explain signals."""

    error: float  # ‖Y − ZD‖² / ‖Y‖²
    coherence: float  # the mean of |d_i·d_j| over all pairs of units

    def objective(self, incoherence: float) -> float:
        """The objective of K-SVD with an incoherence term."""
        return self.error + incoherence * self.coherence


def fit_of(errors: NDArray[Any], energy: float, components: NDArray[Any]) -> Fit:
    """The fit of a dictionary (n_components, n_features) whose codes leave `errors`, (n_samples, n_features)."""
    squares = np.einsum("ij,ij->", errors, errors, dtype=np.float64)
    return Fit(float(squares) / energy if energy > 0 else 0.0, coherence(components))


def coherence(components: NDArray[Any]) -> float:
    """The mean of |d_i·d_j| over all pairs of different units; 0 for a single one."""
    n = len(components)
    if n == 1:
        return 0.0
    products = np.abs(components @ components.T)
    return float((products.sum(dtype=np.float64) - products.trace(dtype=np.float64)) / (n * (n - 1)))


def sweep(
    errors: NDArray[Any], codes: Any, components: NDArray[Any], *, energy: float, incoherence: float
) -> NDArray[np.int64]:
    """Update all units that are used, and the values of their codes, in place; return the numbers of users, (n_units,).

    Parameters
    ----------
    errors : (n_samples, n_features)
        The signals minus their reconstructions, which it stays.
    codes : csr_array (n_samples, n_components)
        Which units are active does not change.
    components : (n_components, n_features)
        Rows of unit norm.
    energy : float
        ‖Y‖².
    incoherence : float
    """
    n_units = len(components)
    order = np.argsort(codes.indices, kind="stable")
    rows = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))[order]
    users = np.bincount(codes.indices, minlength=n_units)
    ends = np.cumsum(users)
    price = 2 * incoherence / max(n_units * (n_units - 1), 1)
    for unit in np.flatnonzero(users).tolist():
        places = slice(ends[unit] - users[unit], ends[unit])
        of_unit, before = rows[places], components[unit].copy()
        values = codes.data[order[places]]
        left = errors[of_unit]
        new, new_values = _best_unit(unit, before, values, left, components, price=price, energy=energy)
        left += np.outer(values, before)
        left -= np.outer(new_values, new)
        errors[of_unit], codes.data[order[places]], components[unit] = left, new_values, new
    return users


def _best_unit(
    unit: int,
    before: NDArray[Any],
    values: NDArray[Any],
    left: NDArray[Any],
    components: NDArray[Any],
    *,
    price: float,
    energy: float,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A unit with a lower f, or the one before, and its values in the signals that use it.

    `left` are the errors of these signals, from which E = left + values·beforeᵀ.
    """
    pull = values @ left + (values @ values) * before
    best_values = left @ before + values
    if not price:
        norm = np.linalg.norm(pull)
        if not norm > 0:
            return before, best_values
        new = pull / norm
        return new, left @ new + values * (before @ new)
    products = components @ before
    products[unit] = 0
    lowest = price * float(np.abs(products).sum()) - float(best_values @ best_values) / energy
    gradient = (2 / energy) * pull - price * (np.sign(products) @ components)
    norm = np.linalg.norm(gradient)
    if not norm > 0:
        return before, best_values
    goal, share = gradient / norm, 1.0
    for _ in range(_HALVINGS):
        new = before + components.dtype.type(share) * (goal - before)
        new /= np.linalg.norm(new)
        new_values = left @ new + values * (before @ new)
        products = components @ new
        products[unit] = 0
        found = price * float(np.abs(products).sum()) - float(new_values @ new_values) / energy
        if found < lowest:
            return new, new_values
        share /= 2
    return before, best_values
