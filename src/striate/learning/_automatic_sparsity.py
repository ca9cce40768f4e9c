"""The sparsity that leaves a wanted fraction of the units active."""

from __future__ import annotations

import numpy as np

from striate.coding import PreparedDictionary, find_sparsity

__all__ = ["corrected_sparsity", "sparsity_for_fraction", "wanted_fraction"]

_CORRECTION = 0.25  # power of the correction per batch


def wanted_fraction(active_fraction: float, n_components: int) -> float:
    """The target fraction of active units: at least one unit per code, since most codes would otherwise be empty."""
    return min(max(active_fraction, 1 / n_components), 1 - 0.5 / n_components)


def sparsity_for_fraction(
    signals: np.ndarray, components: np.ndarray, active_fraction: float, *, positive: bool
) -> float:
    """The sparsity at which optimal codes of signals have this fraction of active units, found by bisection.

    Parameters
    ----------
    signals : float (n_samples, n_features)
    components : float (n_components, n_features)
    active_fraction : float
    positive : bool
        Whether codes must not be negative.
    """
    prepared = PreparedDictionary(components)
    fraction = wanted_fraction(active_fraction, prepared.n_components)
    high = float(np.abs(signals @ prepared.components.T).max())
    if not high > 0:
        return 1.0
    return find_sparsity(signals, prepared, fraction, low=1e-4 * high, high=high, n_steps=12, positive=positive)


def corrected_sparsity(sparsity: float, found: float, wanted: float) -> float:
    """The sparsity for the next batch, given the active fraction of the last one and the target fraction."""
    return sparsity * float(np.clip((max(found, 0.1 * wanted) / wanted) ** _CORRECTION, 0.8, 1.25))
