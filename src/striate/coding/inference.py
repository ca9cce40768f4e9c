"""The methods of `infer`, what it returns, and its warning for codes that miss the tolerance."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["METHODS", "Inference", "Method", "warn_of_gap"]

Method = Literal[
    "active_set", "coordinate_descent", "feature_sign", "homotopy", "greedy_descent", "fista", "ista", "threshold"
]

# The most iterations of each method that finds the optimum ("threshold" does not). An iteration is, in this order: a
# round over all units, a sweep, a closed-form solve, a breakpoint, a change of one unit, a step, a step.
METHODS: dict[str, int] = {
    "active_set": 1_000,
    "coordinate_descent": 10_000,
    "feature_sign": 10_000,
    "homotopy": 10_000,
    "greedy_descent": 1_000_000,
    "fista": 20_000,
    "ista": 100_000,
}


@dataclass(frozen=True)
class Inference:
    """Codes, with a certificate of their distance from the optimum.

    Attributes
    ----------
    codes : ndarray or scipy.sparse.csr_array (n_samples, n_components)
    objective : float64 (n_samples,)
        ½‖y − zD‖² + sparsity·‖z‖₁ + ½·l2·‖z‖².
    gap : float64 (n_samples,)
        The duality gap, computed in double precision from `codes`: the objective exceeds the minimum by at most this.
    relative_gap : float64 (n_samples,)
        The gap divided by ½‖y‖².
    iterations : int64 (n_samples,)
        Iterations of the requested method.
    converged : bool (n_samples,)
        Whether `relative_gap` is within the tolerance.
    """

    codes: Any
    objective: NDArray[np.float64]
    gap: NDArray[np.float64]
    relative_gap: NDArray[np.float64]
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


def warn_of_gap(
    converged: NDArray[np.bool_],
    tolerance: float,
    method: str,
    max_iterations: int,
    *,
    stacklevel: int,
    single: bool = False,
) -> None:
    """Warn about signals that did not reach the tolerance, with their number and advice.

    `single` means that codes are float32, in which some gaps cannot be reached.
    """
    if converged.all():
        return
    from sklearn.exceptions import ConvergenceWarning

    more = "; codes of float64 signals are more exact" if single else ""
    warnings.warn(
        f"{int((~converged).sum())} of {len(converged)} signals did not reach a relative gap of {tolerance:g} by "
        f"{method}; raise max_iterations (now {max_iterations}), tolerance or sparsity{more}",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )
