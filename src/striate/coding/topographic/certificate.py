"""The energy of codes on a sheet, its gradient, and a duality gap, computed in double precision only from the codes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.certificate import Certificate
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.coding.topographic.sheet import Sheet
from striate.errors import UsageError
from striate.parameters import Instance, Real, checked
from striate.samples import as_samples

__all__ = ["Problem", "certify_topographic", "topographic_energy"]

EPSILON = 1e-3


class Problem(NamedTuple):
    """The arguments of all functions of codes on a sheet, checked."""

    signals: NDArray[Any]
    units: NDArray[Any]
    sheet: Sheet
    sparsity: float
    epsilon: float
    prediction: float
    target: NDArray[Any] | None

    @classmethod
    def of(
        cls, signals: Any, dictionary: Any, sheet: Any, sparsity: Any, epsilon: Any, prediction: Any, target: Any
    ) -> Problem:
        """Check all arguments; signals keep their type, float32 or float64, and the others take it."""
        sheet = checked("sheet", sheet, Instance(Sheet, words="a Sheet, such as Sheet((32, 16))"))
        units = as_samples(getattr(dictionary, "components", dictionary), name="units of the dictionary")
        signals = as_samples(signals, name="signals", n_features=units.shape[1])
        if len(units) != sheet.n_units:
            raise UsageError(f"the dictionary has {len(units)} units, but the sheet of {sheet.words} {sheet.n_units}")
        prediction = checked("prediction", prediction, Real(low=0))
        if prediction and target is None:
            raise UsageError("prediction > 0 needs a target: the codes that an encoder predicts")
        if target is not None:
            target = codes_like(signals, target, "target", len(units))
        return cls(
            signals, units.astype(signals.dtype, copy=False), sheet, checked("sparsity", sparsity, Real(above=0)),
            checked("epsilon", epsilon, Real(above=0)), prediction, target if prediction else None,
        )  # fmt: skip

    def wide(self) -> Problem:
        """The same in double precision."""
        target = None if self.target is None else self.target.astype(np.float64)
        return self._replace(
            signals=self.signals.astype(np.float64), units=self.units.astype(np.float64), target=target
        )


def codes_like(signals: NDArray[Any], codes: Any, name: str, n_units: int) -> NDArray[Any]:
    """Codes (n_samples, n_units) of the signals, in their type."""
    found = as_samples(codes, name=name, n_features=n_units)
    if len(found) != len(signals):
        raise UsageError(f"{name} has {len(found)} rows, but there are {len(signals)} signals")
    return found.astype(signals.dtype, copy=False)


def topographic_energy(
    signals: ArrayLike,
    codes: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sheet: Sheet,
    sparsity: float,
    *,
    epsilon: float = EPSILON,
    prediction: float = 0.0,
    target: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The energy that `infer_topographic` minimizes, and its gradient.

    Parameters
    ----------
    signals, dictionary, sheet, sparsity, epsilon, prediction, target
        As in `infer_topographic`.
    codes : float (n_samples, n_units)

    Returns
    -------
    energy : float64 (n_samples,)
    gradient : float64 (n_samples, n_units)
        Its derivatives with respect to the codes; zeros at the minimum.
    """
    task = Problem.of(signals, dictionary, sheet, sparsity, epsilon, prediction, target)
    z = codes_like(task.signals, codes, "codes", sheet.n_units).astype(np.float64)
    task = task.wide()
    residual = task.signals - z @ task.units
    roots, slopes = _roots(z, task)
    total = 0.5 * np.einsum("ij,ij->i", residual, residual) + task.sparsity * roots.sum(axis=1)
    gradient = task.sparsity * slopes * z - residual @ task.units.T
    if task.target is not None:
        error = z - task.target
        total += 0.5 * task.prediction * np.einsum("ij,ij->i", error, error)
        gradient += task.prediction * error
    return total, gradient


def certify_topographic(
    signals: ArrayLike,
    codes: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sheet: Sheet,
    sparsity: float,
    *,
    epsilon: float = EPSILON,
    prediction: float = 0.0,
    target: ArrayLike | None = None,
) -> Certificate:
    """The energy of codes on a sheet, and an upper bound on its distance to the minimum.

    Parameters
    ----------
    signals, dictionary, sheet, sparsity, epsilon, prediction, target
        As in `infer_topographic`.
    codes : float (n_samples, n_units)

    Returns
    -------
    Certificate
        `objective`, `gap`, and `relative_gap`: the gap divided by the energy of an empty code without a prediction,
        ½‖y‖² + ½·prediction·‖target‖² + sparsity·n_pools·√ε.

    Notes
    -----
    A root is the largest value of a linear function: √(Σⱼ wⱼzⱼ² + ε) is the maximum over ‖v‖ ≤ 1 of
    Σⱼ √wⱼ·vⱼ·zⱼ + √ε·√(1 − ‖v‖²).
    With a vector vₚ for each pool, the energy is at least ½‖y‖² − ½‖y − θ‖² + sparsity·√ε·Σₚ √(1 − ‖vₚ‖²) for every θ
    whose correlation with unit j is sparsity·Σₚ √wₚⱼ·vₚⱼ, over the pools that the unit is in. Here θ is the residual;
    its correlation cⱼ is divided among the pools in proportion to wₚⱼ/sₚ, as it is at the minimum,
    vₚⱼ = √wₚⱼ·cⱼ/(sₚ·sparsity·Σ wqⱼ/sq); and all is multiplied by one factor so that no ‖vₚ‖ exceeds 1. The bound
    is exact at the minimum, with overlapping pools too. The prediction term is a square of further features, in which
    the signal is √prediction times the target and unit j is √prediction in the j-th.
    """
    task = Problem.of(signals, dictionary, sheet, sparsity, epsilon, prediction, target)
    z = codes_like(task.signals, codes, "codes", sheet.n_units).astype(np.float64)
    task = task.wide()
    residual = task.signals - z @ task.units
    correlation = residual @ task.units.T
    square = np.einsum("ij,ij->i", residual, residual)
    aligned = np.einsum("ij,ij->i", residual, task.signals)
    energy = np.einsum("ij,ij->i", task.signals, task.signals)
    if task.target is not None:
        error = task.target - z
        correlation += task.prediction * error
        square += task.prediction * np.einsum("ij,ij->i", error, error)
        aligned += task.prediction * np.einsum("ij,ij->i", error, task.target)
        energy += task.prediction * np.einsum("ij,ij->i", task.target, task.target)
    roots, slopes = _roots(z, task)
    lengths = np.square(sheet.pool(correlation / (task.sparsity * slopes)) / roots)  # ‖vₚ‖²
    factor = 1 / np.sqrt(np.maximum(lengths.max(axis=1), 1))
    floor = task.sparsity * np.sqrt(task.epsilon)
    beside = np.sqrt(np.maximum(1 - np.square(factor)[:, np.newaxis] * lengths, 0)).sum(axis=1)
    objective = 0.5 * square + task.sparsity * roots.sum(axis=1)
    gap = np.maximum(objective - (factor * aligned - 0.5 * factor**2 * square + floor * beside), 0)
    return Certificate(objective, gap, gap / (0.5 * energy + floor * sheet.n_pools))


def _roots(z: NDArray[np.float64], task: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pools' roots sₚ (n_samples, n_pools), and Σₚ wₚⱼ/sₚ of each unit (n_samples, n_units)."""
    roots = np.sqrt(np.square(task.sheet.pool(z)) + task.epsilon)
    return roots, task.sheet.spread(1 / roots)
