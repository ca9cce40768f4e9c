"""Signals with weights, at a scale at which their squares neither vanish nor overflow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding import infer
from striate.errors import UsageError
from striate.learning._rows import Rows

__all__ = ["Batch", "Signals", "binary_exponent", "checked_weights", "infer_at_scale"]

_TAME = 30  # signals whose largest number is between 2^−30 and 2^30 are used without rescaling


class Uses(NamedTuple):
    """How a batch uses the units."""

    n_signals: float  # the sum of their weights
    usage: NDArray[np.float64]  # share of the signals that use each unit, (n_components,)
    active: float  # fraction of the codes that is not 0
    transposed: NDArray[Any]  # codes times weights, (n_components, n_signals)


class Batch(NamedTuple):
    """Signals in the learner's scale, and their weights, if they have any."""

    signals: NDArray[Any]
    weights: NDArray[np.float64] | None = None

    def uses(self, codes: NDArray[Any], usage: NDArray[np.float64]) -> Uses:
        """Statistics of how these codes use the units; `usage` stays as it is if all weights are 0."""
        active = codes != 0
        transposed = np.ascontiguousarray(codes.T)
        if self.weights is None:
            return Uses(len(codes), active.mean(axis=0), float(active.mean()), transposed)
        total = float(self.weights.sum())
        usage = self.weights @ active / total if total else usage
        transposed = np.ascontiguousarray(transposed * self.weights.astype(codes.dtype))
        return Uses(total, usage, float(usage.mean()), transposed)

    def mean(self, values: NDArray[Any]) -> float:
        """The mean of one number per signal."""
        return float(values.mean() if self.weights is None else self.weights @ values / self.weights.sum())


class Signals:
    """Signals in their original scale, and their weights, if they have any."""

    def __init__(self, rows: Rows, weights: NDArray[np.float64] | None) -> None:
        self.rows, self.weights = rows, weights

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Batch:
        return Batch(self.rows[rows], None if self.weights is None else self.weights[rows])

    def counted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows whose weight is not 0."""
        return rows if self.weights is None else rows[self.weights[rows] > 0]


def checked_weights(weights: ArrayLike | None, n_samples: int) -> NDArray[np.float64] | None:
    """Weights of signals, (n_samples,); None where all count the same."""
    if weights is None:
        return None
    try:
        array = np.array(weights, np.float64)
    except (ValueError, TypeError):
        array = np.empty(0)
    if array.shape != (n_samples,) or not (np.isfinite(array) & (array >= 0)).all():
        raise UsageError(f"sample_weight is not {n_samples} finite numbers of at least 0, one for each signal")
    if not array.any():
        raise UsageError("sample_weight is 0 for all signals: at least one must be above 0")
    return array


def binary_exponent(signals: NDArray[Any]) -> int:
    """The exponent of the power of two that signals are divided by; 0 if their squares are safe without it."""
    largest = float(max(signals.max(initial=0), -signals.min(initial=0)))
    exponent = int(np.frexp(largest)[1])
    return exponent if abs(exponent) > _TAME else 0


def infer_at_scale(
    signals: NDArray[Any], components: NDArray[Any], sparsity: float, exponent: int, **options: Any
) -> Any:
    """`infer`, computed with signals divided by ``2**exponent``; the result is in the original scale."""
    if not exponent:
        return infer(signals, components, sparsity, **options)
    scale = np.ldexp(1.0, exponent)
    if options.get("start") is not None:
        options["start"] = np.asarray(options["start"]) / scale
    found = infer(np.ldexp(signals, -exponent), components, float(np.ldexp(sparsity, -exponent)), **options)
    if not options.get("info"):
        return found * found.dtype.type(scale)
    codes, objective, gap = found.codes, found.objective * scale**2, found.gap * scale**2
    return replace(found, codes=codes * codes.dtype.type(scale), objective=objective, gap=gap)
