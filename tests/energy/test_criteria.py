"""Every criterion against finite differences, and against cases whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from striate.energy import Grid, Window, hamiltonian
from striate.energy._network import Network
from striate.energy.criteria import (
    Loss,
    contrast,
    denoising_score_matching,
    maximum_likelihood,
    score_matching,
)

GRID = Grid(Window(-1, 1, -1, 1), 15)


def small(rng: np.random.Generator) -> Network:
    return Network((2, 6, 4, 1), rng, gain=2.0)


def losses(rng: np.random.Generator) -> dict[str, Callable[[Network], Loss]]:
    points, others = rng.uniform(-1, 1, (2, 9, 2))
    noise = 0.1 * rng.standard_normal((9, 2))
    return {
        "maximum likelihood": lambda net: maximum_likelihood(net, points, GRID.points, GRID.cell),
        "contrast": lambda net: contrast(net, points, others),
        "score matching": lambda net: score_matching(net, points),
        "denoising score matching": lambda net: denoising_score_matching(net, points, noise, 0.1),
    }


@pytest.mark.parametrize("name", ["maximum likelihood", "contrast", "score matching", "denoising score matching"])
def test_gradients(rng: np.random.Generator, name: str) -> None:
    net, criterion = small(rng), losses(rng)[name]
    gradients = criterion(net).gradients
    for key, parameter in net.parameters.items():
        for place in np.ndindex(*parameter.shape):
            kept = parameter[place]
            sides = []
            for moved in (kept + 1e-5, kept - 1e-5):
                parameter[place] = moved
                sides.append(criterion(net).value)
            parameter[place] = kept
            assert gradients[key][place] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-5)


class Quadratic:
    """E = ½·precision·‖y‖², in the form of a network: a Gaussian, whose slopes and curvatures are known."""

    def __init__(self, precision: float) -> None:
        self.precision = precision

    def jets(self, points: np.ndarray, order: int) -> tuple[np.ndarray, int]:
        p = self.precision
        value = 0.5 * p * np.square(points).sum(axis=1)
        parts = [value, *(p * points.T), *np.full((2, len(points)), p)]
        return np.array(parts[: 1 + 2 * order])[:, :, np.newaxis], order

    def backward(self, tape: int, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {}


def test_score_matching_of_a_gaussian(rng: np.random.Generator) -> None:
    # Points of variance v: ½p²‖y‖² − 2p has the mean p²v − 2p, least at the true precision, 1 / v.
    points = rng.standard_normal((4000, 2)) * 0.5
    variance = float(np.square(points).mean())
    values = {}
    for precision in (1.0, 2.0, 4.0, 8.0):
        values[precision] = score_matching(Quadratic(precision), points).value  # type: ignore[arg-type]
        assert values[precision] == pytest.approx(precision**2 * variance - 2 * precision)
    assert min(values, key=values.__getitem__) == 4.0


def test_score_matching_is_the_distance_of_slopes(rng: np.random.Generator) -> None:
    # Hyvärinen's theorem: J = ½·E‖∇E − y/v‖² + constant, for points of a Gaussian with the score −y/v.
    points = rng.standard_normal((60_000, 2))
    one, other = small(rng), small(rng)
    explicit, implicit = [], []
    for net in (one, other):
        jets, _ = net.jets(points, 1)
        explicit.append(0.5 * np.square(jets[1:, :, 0].T - points).sum(axis=1).mean())
        implicit.append(score_matching(net, points).value)
    assert implicit[0] - implicit[1] == pytest.approx(explicit[0] - explicit[1], abs=0.06)


def test_denoising_score_matching_of_a_gaussian(rng: np.random.Generator) -> None:
    # The minimum is the energy of the noisy points: precision 1 / (v + noise²).
    points, noise = 0.4 * rng.standard_normal((2, 50_000, 2)) * np.array([[[1.0]], [[0.75]]])
    values = {
        precision: denoising_score_matching(Quadratic(precision), points, noise, 0.3).value  # type: ignore[arg-type]
        for precision in (3.0, 4.0, 5.0, 6.25)
    }
    assert min(values, key=values.__getitem__) == 4.0  # 1 / (0.16 + 0.09)


def test_contrast_with_exact_samples_is_the_gradient_of_likelihood(rng: np.random.Generator) -> None:
    net = small(rng)
    points = rng.uniform(-0.5, 0.5, (50, 2))
    exact = maximum_likelihood(net, points, GRID.points, GRID.cell).gradients
    energies = net.values(GRID.points)[:, 0]
    shares = np.exp(-energies) / np.exp(-energies).sum()
    samples = GRID.points[rng.choice(len(shares), 200_000, p=shares)]
    sampled = contrast(net, points, samples).gradients
    for name, gradient in exact.items():
        np.testing.assert_allclose(sampled[name], gradient, atol=0.02)


def test_contrastive_divergence_tends_to_likelihood_as_its_chains_lengthen(rng: np.random.Generator) -> None:
    net = small(rng)
    points = rng.uniform(-0.2, 0.2, (20, 2))
    fine = Grid(Window(-1, 1, -1, 1), 60)
    exact = maximum_likelihood(net, points, fine.points, fine.cell).gradients

    def slopes(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        jets, _ = net.jets(places, 1)
        return jets[0, :, 0], jets[1:, :, 0].T

    def distance(n_steps: int) -> float:
        start = np.repeat(points, 300, axis=0)
        samples = hamiltonian(slopes, start, n_steps=n_steps, step=0.15, window=fine.window, rng=rng)
        gradients = contrast(net, points, samples).gradients
        return float(np.sqrt(sum(np.square(gradients[name] - exact[name]).sum() for name in exact)))

    first, second, last = distance(1), distance(5), distance(40)
    assert last < second < first
    assert last < 0.15 * first
