from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.energy import Grid, NetworkEnergy, Parabola, Window, divergence
from striate.energy.network_energy import Criterion
from striate.errors import UsageError

TRUTH = Parabola(noise=0.1)
POINTS = TRUTH.sample(4000, random_state=0)


def fit(**options: Any) -> NetworkEnergy:
    settings: dict[str, Any] = {
        "window": TRUTH.window,
        "n_batches": 300,
        "grid_size": 24,
        "batch_size": 200,
        "random_state": 0,
    }
    return NetworkEnergy((24, 24), **(settings | options)).fit(POINTS)


def test_maximum_likelihood_finds_the_density() -> None:
    assert divergence(fit(rate=1e-2, n_batches=500), TRUTH, size=100) < 0.05


@pytest.mark.parametrize(
    "criterion", ["persistent_contrastive_divergence", "score_matching", "denoising_score_matching"]
)
def test_other_ways_come_nearer_than_they_began(criterion: Criterion) -> None:
    model = fit(criterion=criterion, step=0.05, noise=0.08, rate=1e-2, n_sampler_steps=5, snapshots=(0,))
    assert divergence(model, TRUTH, size=60) < 0.5 * divergence(model.at(0), TRUTH, size=60)


def test_short_chains_pull_up_beside_the_data_only() -> None:
    # What no chain reaches stays as it is, or becomes low: the energy is no density, but has its groove.
    model = fit(criterion="contrastive_divergence", step=0.05, rate=1e-2)
    curve = TRUTH.places(np.linspace(0.1, 0.9, 50))
    for beside in (0.3, -0.3):
        assert np.mean(model.energy(curve) < model.energy(curve + np.array([0, beside]))) > 0.9


def test_slopes_are_those_of_the_energy() -> None:
    model = fit(n_batches=20)
    points, step = POINTS[:20], 1e-2
    energies, slopes = model.slopes(points)
    np.testing.assert_allclose(energies, model.energy(points), rtol=1e-5)
    for axis in (0, 1):
        move = step * np.eye(2)[axis]
        numeric = (model.energy(points + move) - model.energy(points - move)) / (2 * step)
        np.testing.assert_allclose(slopes[:, axis], numeric, rtol=0.02, atol=0.02)


def test_snapshots_are_checkpoints_of_the_same_run() -> None:
    model = fit(n_batches=40, snapshots=(0, 20, 40))
    np.testing.assert_array_equal(model.at(40).energy(POINTS), model.energy(POINTS))
    # Pushed down on the data, pulled up elsewhere: the data's energy falls against the window's mean.
    everywhere = Grid(TRUTH.window, 30).points
    gaps = [model.at(n).energy(everywhere).mean() - model.at(n).energy(POINTS).mean() for n in (0, 20, 40)]
    assert gaps[0] < gaps[1] < gaps[2]
    with pytest.raises(UsageError, match=r"nothing was kept after 7 batches; snapshots=\[0, 20, 40\]"):
        model.at(7)


def test_hamiltonian_chains() -> None:
    options: dict[str, Any] = {"sampler": "hamiltonian", "n_sampler_steps": 1, "n_batches": 5}
    model = fit(criterion="persistent_contrastive_divergence", **options)
    np.testing.assert_array_equal(
        model.energy(POINTS), fit(criterion="persistent_contrastive_divergence", **options).energy(POINTS)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "hope"}, "NetworkEnergy: criterion is 'hope'; it must be \"maximum_likelihood\""),
        ({"sampler": "gibbs"}, "sampler is 'gibbs'; it must be"),
        ({"n_batches": 0}, "n_batches is 0; it must be an integer of at least 1"),
        ({"noise": 0.0}, "noise is 0.0; it must be a number above 0"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NetworkEnergy(**options)


def test_a_window_without_points() -> None:
    with pytest.raises(UsageError, match="no point lies in the window"):
        NetworkEnergy(window=Window(10, 11, 10, 11)).fit(POINTS)
