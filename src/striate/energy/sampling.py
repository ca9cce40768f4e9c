"""Samples from exp(−E), for the criteria that pull the energy up at samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from striate.energy.grid import Window
from striate.parameters import Instance, Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_samples

__all__ = ["hamiltonian", "langevin"]

Slopes = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # points → energies (n,), slopes (n, 2)


def langevin(
    slopes: Slopes, points: ArrayLike, *, n_steps: int, step: float, window: Window, rng: RandomState
) -> np.ndarray:
    """Langevin dynamics: y ← y − ½step²·∇E(y) + step·noise, mirrored at the window's sides.

    For small steps the chains' density tends to exp(−E) / Z. If the slope would move a point farther than the noise
    does, the move is shortened to that length, since the slope says little about the energy farther away.

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
    rng : int, Generator, RandomState or None

    Returns
    -------
    float (n, 2)
    """
    at, n_steps, step, generator = _checked(slopes, points, n_steps, step, window, rng)
    for _ in range(n_steps):
        drift = 0.5 * step**2 * slopes(at)[1]
        length = np.linalg.norm(drift, axis=1, keepdims=True)
        drift *= np.minimum(1, 3 * step / np.maximum(length, 1e-12))
        at = window.reflect(at - drift + step * generator.standard_normal(at.shape))
    return at


def hamiltonian(
    slopes: Slopes,
    points: ArrayLike,
    *,
    n_steps: int,
    step: float,
    window: Window,
    rng: RandomState,
    n_leaps: int = 5,
) -> np.ndarray:
    """Hamiltonian Monte Carlo: leapfrog paths, accepted by Metropolis' rule, so that exp(−E) / Z is exactly invariant.

    A path that ends outside the window is refused. The parameters are those of `langevin`; a step is a path of
    `n_leaps` leaps.

    References
    ----------
    Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011, figure 2.
    """
    at, n_steps, step, generator = _checked(slopes, points, n_steps, step, window, rng)
    n_leaps = checked("n_leaps", n_leaps, Integer(low=1))
    energies, slope = slopes(at)
    for _ in range(n_steps):
        momentum = generator.standard_normal(at.shape)
        before = energies + 0.5 * np.square(momentum).sum(axis=1)
        place, force = at, slope
        for _ in range(n_leaps):
            momentum = momentum - 0.5 * step * force
            place = place + step * momentum
            end_energies, force = slopes(place)
            momentum = momentum - 0.5 * step * force
        after = end_energies + 0.5 * np.square(momentum).sum(axis=1)
        accepted = (np.log(generator.uniform(size=len(at))) < before - after) & window.holds(place)
        at = np.where(accepted[:, np.newaxis], place, at)
        energies = np.where(accepted, end_energies, energies)
        slope = np.where(accepted[:, np.newaxis], force, slope)
    return at


def _checked(
    slopes: Slopes, points: ArrayLike, n_steps: int, step: float, window: Window, rng: RandomState
) -> tuple[np.ndarray, int, float, np.random.Generator]:
    checked("slopes", slopes, Instance(Callable, words="a function of points"))  # type: ignore[arg-type]
    checked("window", window, Instance(Window, words="a Window"))
    return (
        as_samples(points, name="points", n_features=2),
        checked("n_steps", n_steps, Integer(low=0)),
        checked("step", step, Real(above=0)),
        generator_from(rng),
    )
