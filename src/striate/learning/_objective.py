"""The objective of sparse coding on held-out signals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from striate.coding import certify
from striate.learning._signals import Batch

__all__ = ["HeldOutObjective", "comparable", "mean_objective"]


class HeldOutObjective(NamedTuple):
    """An evaluation on held-out signals; means over signals."""

    batch: int
    objective: float
    active: float  # fraction of the codes that is not 0; for code maps of images, coefficients per position
    sparsity: float


def comparable(history: list[HeldOutObjective]) -> list[float]:
    """The objectives of a history at the sparsity of the last: those at different ones cannot be compared."""
    return [found.objective for found in history if found.sparsity == history[-1].sparsity]


def mean_objective(
    batch: Batch, codes: Any, components: np.ndarray, sparsity: float | None, *, positive: bool, l2: float
) -> float:
    """The weighted mean of the objective over signals; without a sparsity, the L1 term is left out.

    Parameters
    ----------
    batch : Batch
    codes : sparse array (n_samples, n_components)
    components : (n_components, n_features)
    sparsity : float, optional
    positive : bool
    l2 : float
    """
    if sparsity is not None:
        proof = certify(batch.signals, codes, components, sparsity, positive=positive, l2=l2)
        return batch.mean(proof.objective)
    objective = 0.5 * np.square(batch.signals - codes @ components, dtype=np.float64).sum(axis=1)
    objective += 0.5 * l2 * (codes * codes).sum(axis=1)
    return batch.mean(objective)
