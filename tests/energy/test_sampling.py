from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.energy import Window, hamiltonian, langevin

WIDE = Window(-5, 5, -5, 5)


def gaussian(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance 0.25."""
    return 2 * np.square(points).sum(axis=1), 4 * points


@pytest.mark.parametrize(("run", "step", "n_steps"), [(langevin, 0.1, 400), (hamiltonian, 0.2, 40)])
def test_samples_of_a_gaussian(rng: np.random.Generator, run: Any, step: float, n_steps: int) -> None:
    samples = run(gaussian, np.full((3000, 2), 1.0), n_steps=n_steps, step=step, window=WIDE, rng=rng)
    np.testing.assert_allclose(samples.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(samples.var(axis=0), 0.25, rtol=0.1)


@pytest.mark.parametrize(("run", "step", "n_steps"), [(langevin, 0.1, 300), (hamiltonian, 0.1, 60)])
def test_without_an_energy_the_window_fills_evenly(
    rng: np.random.Generator, run: Any, step: float, n_steps: int
) -> None:
    def flat(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(points)), np.zeros_like(points)

    window = Window(0, 1, -1, 1)
    samples = run(flat, np.full((4000, 2), 0.1), n_steps=n_steps, step=step, window=window, rng=rng)
    assert window.holds(samples).all()
    counts = np.histogram2d(samples[:, 0], samples[:, 1], bins=2, range=[[0, 1], [-1, 1]])[0]
    np.testing.assert_allclose(counts, 1000, rtol=0.12)
