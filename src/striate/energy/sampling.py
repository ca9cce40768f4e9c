"""Samples of an energy, for the criteria that pull up where a chain of samples goes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate.energy.grid import Window

__all__ = ["hamiltonian", "langevin"]

Slopes = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # points → energies (n,), slopes (n, 2)


def langevin(
    slopes: Slopes, points: np.ndarray, *, n_steps: int, step: float, window: Window, rng: np.random.Generator
) -> np.ndarray:
    """Langevin dynamics: y ← y − ½step²·∇E(y) + step·noise, mirrored at the window's sides.

    For small steps the chains' density tends to exp(−E) / Z. Where the slope would carry a point farther than the
    noise does, it is cut to that: a step that long would say nothing about the energy where it ends.

    Parameters
    ----------
    slopes : callable
        Points (n, 2) → energies (n,) and their gradients (n, 2).
    points : float (n, 2)
        Where the chains start.
    n_steps : int
    step : float
        Standard deviation of a step's noise.
    window : Window
    rng : Generator

    Returns
    -------
    float (n, 2)
    """
    for _ in range(n_steps):
        drift = 0.5 * step**2 * slopes(points)[1]
        length = np.linalg.norm(drift, axis=1, keepdims=True)
        drift *= np.minimum(1, 3 * step / np.maximum(length, 1e-12))
        points = window.reflect(points - drift + step * rng.standard_normal(points.shape))
    return points


def hamiltonian(
    slopes: Slopes,
    points: np.ndarray,
    *,
    n_steps: int,
    step: float,
    window: Window,
    rng: np.random.Generator,
    n_leaps: int = 5,
) -> np.ndarray:
    """Hamiltonian Monte Carlo: leapfrog paths, accepted by Metropolis' rule, so that exp(−E) / Z stays exactly.

    A path that ends outside the window is refused. The parameters are those of `langevin`; a step is a path of
    `n_leaps` leaps.

    References
    ----------
    Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011, figure 2.
    """
    energies, slope = slopes(points)
    for _ in range(n_steps):
        momentum = rng.standard_normal(points.shape)
        before = energies + 0.5 * np.square(momentum).sum(axis=1)
        place, force = points, slope
        for _ in range(n_leaps):
            momentum = momentum - 0.5 * step * force
            place = place + step * momentum
            end_energies, force = slopes(place)
            momentum = momentum - 0.5 * step * force
        after = end_energies + 0.5 * np.square(momentum).sum(axis=1)
        accepted = (np.log(rng.uniform(size=len(points))) < before - after) & window.holds(place)
        points = np.where(accepted[:, np.newaxis], place, points)
        energies = np.where(accepted, end_energies, energies)
        slope = np.where(accepted[:, np.newaxis], force, slope)
    return points
