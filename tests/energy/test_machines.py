"""The machines behind the one interface, and the shapes of their surfaces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from striate.energy import (
    AutoencoderEnergy,
    DenoisingEnergy,
    EnergyModel,
    Grid,
    KMeansEnergy,
    NetworkEnergy,
    Parabola,
    PCAEnergy,
    PSDEnergy,
    RBMEnergy,
    SparseCodingEnergy,
    ThreeCauchy,
    code_entropy,
    divergence,
    temperature,
)
from striate.errors import UsageError

MACHINES: dict[str, Callable[[], EnergyModel]] = {
    "PCA": lambda: PCAEnergy(1),
    "K-means": lambda: KMeansEnergy(3, random_state=0),
    "autoencoder": lambda: AutoencoderEnergy(3, hidden=(20,), n_batches=150, grid_size=20, rate=1e-2, random_state=0),
    "bottleneck": lambda: AutoencoderEnergy(1, pull_up="dimension", n_batches=150, rate=1e-2, random_state=0),
    "denoising": lambda: DenoisingEnergy(30, n_batches=150, rate=1e-2, random_state=0),
    "sparse coding": lambda: SparseCodingEnergy(3, random_state=0),
    "PSD": lambda: PSDEnergy(3, random_state=0),
    "RBM": lambda: RBMEnergy(10, n_epochs=20, random_state=0),
    "network": lambda: NetworkEnergy((20, 20), n_batches=150, grid_size=24, rate=1e-2, random_state=0),
}
STAR = ThreeCauchy()


@pytest.mark.parametrize("name", MACHINES)
def test_the_interface(name: str) -> None:
    points = STAR.sample(600, random_state=0)
    model = MACHINES[name]()
    with pytest.raises(NotFittedError, match=r"call fit\(X\) first"):
        model.energy(points)
    assert model.fit(points) is model
    assert all(model.machine)
    energies, free = model.energy(points), model.free_energy(points)
    assert energies.shape == free.shape == (600,)
    assert energies.dtype == free.dtype == np.float64
    assert (free <= energies + 1e-6).all()  # the code is minimized out
    np.testing.assert_array_equal(energies, MACHINES[name]().fit(points).energy(points))

    # Low on points of the same density that it has not seen, against all of the window.
    grid = Grid(STAR.window, 60)
    fresh = model.free_energy(STAR.sample(600, random_state=1))
    everywhere = np.sort(model.free_energy(grid.points))
    assert np.searchsorted(everywhere, fresh).mean() < 0.35 * len(everywhere)

    with pytest.raises(UsageError, match=r"\(n_points, 2\)"):
        model.energy(np.zeros((3, 3)))
    with pytest.raises(UsageError, match="NaN"):
        model.fit([[0.0, np.nan], [1.0, 2.0]])
    with pytest.raises(UsageError, match="at least 2 points"):
        model.fit([[0.0, 1.0]])


def test_pca_is_a_straight_groove(rng: np.random.Generator) -> None:
    points = rng.standard_normal((500, 2)) * [3, 1] @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + [5, 1]
    model = PCAEnergy(1).fit(points)
    places = rng.standard_normal((50, 2))
    np.testing.assert_allclose(model.energy(places + 2 * model.components_[0]), model.energy(places))
    across = np.array([-model.components_[0, 1], model.components_[0, 0]])
    assert model.energy([model.mean_ + 2 * across])[0] == pytest.approx(2)
    np.testing.assert_allclose(PCAEnergy(2).fit(points).energy(places), 0, atol=1e-20)  # it copies: collapse


def test_k_means_has_a_bowl_a_unit() -> None:
    model = KMeansEnergy(3, random_state=0).fit(STAR.sample(2000, random_state=0))
    minima = Grid(STAR.window, 200).local_minima(model.energy(Grid(STAR.window, 200).points))
    assert len(minima) == 3
    np.testing.assert_allclose(model.energy(model.centers_), 0, atol=1e-12)
    np.testing.assert_array_equal(model.code(model.centers_), np.eye(3))


def test_sparse_coding_has_a_groove_along_each_arm() -> None:
    model = SparseCodingEnergy(3, random_state=0).fit(STAR.sample(3000, random_state=0))
    angles = np.arctan2(model.places_[:, 1], model.places_[:, 0])
    off = np.abs(np.mod(angles[:, np.newaxis] - STAR.angles + np.pi / 2, np.pi) - np.pi / 2)
    assert sorted(off.argmin(axis=1)) == [0, 1, 2]
    assert np.rad2deg(off.min(axis=1)).max() < 10
    # On the unit's own line the optimum is known: z = r − λ, F = λ·r − ½λ².
    here = 2.0 * model.components_
    np.testing.assert_allclose(model.free_energy(here), 0.5 * 2 - 0.5 * 0.25, rtol=1e-4)


def test_the_free_energy_of_an_rbm_sums_over_its_codes() -> None:
    points = STAR.sample(300, random_state=0)
    model = RBMEnergy(5, n_epochs=10, random_state=0).fit(points)
    learner, scaled = model.learner_, model._scaled(points)
    codes = np.array(list(product((0.0, 1.0), repeat=5)))
    by_code = (
        0.5 * np.square(scaled - learner.visible_bias_).sum(axis=1)[:, np.newaxis]
        - codes @ learner.hidden_bias_
        - scaled @ (codes @ learner.components_).T
    )
    np.testing.assert_allclose(model.free_energy(points), -np.log(np.exp(-by_code).sum(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(model.energy(points), by_code.min(axis=1), rtol=1e-6)


def test_without_sparsity_the_energy_collapses() -> None:
    points = STAR.sample(1000, random_state=0)
    model = SparseCodingEnergy(3, sparsity=1e-4, random_state=0).fit(points)
    assert model.free_energy(Grid(STAR.window, 40).points).max() < 1e-3
    sparse = SparseCodingEnergy(3, sparsity=0.5, random_state=0).fit(points)
    assert code_entropy(model.code(points), 0.1) > code_entropy(sparse.code(points), 0.1)


def test_a_machine_without_a_code_says_so() -> None:
    model = MACHINES["network"]().fit(STAR.sample(300, random_state=0))
    with pytest.raises(UsageError, match="has no code"):
        model.code([[0.0, 0.0]])


@pytest.mark.parametrize(
    "model",
    [
        AutoencoderEnergy(2, hidden=(3,), precision=3.0, n_batches=1, batch_size=5, grid_size=8, random_state=0),
        AutoencoderEnergy(2, pull_up="dimension", n_batches=1, batch_size=5, random_state=0),
        DenoisingEnergy(4, n_batches=1, batch_size=5, random_state=0),
    ],
    ids=["partition function", "dimension", "denoising"],
)
def test_gradients_of_autoencoders(model: AutoencoderEnergy) -> None:
    model.fit(STAR.sample(50, random_state=0))
    net = model._network
    net.dtype = np.dtype(np.float64)
    for name, values in net.parameters.items():
        net.parameters[name] = values.astype(np.float64)
    points = np.random.default_rng(3).uniform(-1, 1, (7, 2))
    grid = Grid(STAR.window, 8)

    def loss() -> tuple[float, dict[str, np.ndarray]]:
        return model._loss(points, grid, np.random.default_rng(5))  # the same noise, the same shift of the grid

    gradients = loss()[1]
    for name, parameter in net.parameters.items():
        for place in np.ndindex(*parameter.shape):
            kept = parameter[place]
            sides = []
            for moved in (kept + 1e-5, kept - 1e-5):
                parameter[place] = moved
                sides.append(loss()[0])
            parameter[place] = kept
            assert gradients[name][place] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-4)


def test_the_factor_of_a_gaussian() -> None:
    # PCA with no direction left out of account: E = ½·across², of points whose variance across is 0.01.
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-1, 1, 4000), 0.1 * rng.standard_normal(4000)])
    model = PCAEnergy(1).fit(points)
    assert temperature(model, points, Grid(STAR.window, 400)) == pytest.approx(100, rel=0.1)


def test_divergence_is_that_of_the_grid() -> None:
    truth = Parabola()
    model = PCAEnergy(1).fit(truth.sample(500, random_state=0))
    grid = Grid(truth.window, 50)
    expected = grid.divergence(truth.log_density(grid.points), 3 * model.energy(grid.points))
    assert divergence(model, truth, size=50, factor=3) == pytest.approx(expected)


def test_the_entropy_of_codes() -> None:
    codes = np.repeat(np.eye(4), [1, 1, 2, 4], axis=0)
    assert code_entropy(codes, 0.5) == pytest.approx(1.75)
    assert code_entropy(codes, 10) == 0
