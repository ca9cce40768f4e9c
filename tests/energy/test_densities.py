from __future__ import annotations

import numpy as np
import pytest

from striate.energy import Density, Grid, Parabola, Spiral, ThreeCauchy
from striate.errors import UsageError

DENSITIES = [ThreeCauchy(), Spiral(), Parabola()]


@pytest.mark.parametrize("density", DENSITIES, ids=lambda density: type(density).__name__)
def test_points_are_those_of_the_density(density: Density) -> None:
    points = density.sample(40_000, random_state=0)
    assert density.window.holds(points).all()
    np.testing.assert_array_equal(points[:5], density.sample(40_000, random_state=0)[:5])

    # Counts in 8 × 8 boxes against the integral over each, whose cells are another grid's than the normalization's.
    grid = Grid(density.window, 320)
    mass = np.exp(grid.image(density.log_density(grid.points))) * grid.cell
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    expected = 40_000 * mass.reshape(8, 40, 8, 40).sum(axis=(1, 3))
    left, right, bottom, top = density.window.extent
    counts = np.histogram2d(points[:, 1], points[:, 0], bins=8, range=[[bottom, top], [left, right]])[0]
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 5).all()


def test_outside_the_window_nothing_is_likely() -> None:
    assert np.isneginf(Spiral().log_density(np.array([[1.5, 0.0], [0.0, -2.0]]))).all()


def test_the_star_has_three_arms() -> None:
    density = ThreeCauchy()
    on_arm = 2 * np.column_stack([np.cos(density.angles), np.sin(density.angles)])
    likely = density.log_density(on_arm)
    np.testing.assert_allclose(likely, likely[0])
    np.testing.assert_allclose(density.log_density(-on_arm), likely)
    between = 2 * np.column_stack([np.cos(density.angles + np.pi / 6), np.sin(density.angles + np.pi / 6)])
    assert (density.log_density(between) < likely - 2).all()


@pytest.mark.parametrize("make", [lambda: ThreeCauchy(width=0), lambda: Spiral(turns=-1), lambda: Parabola(noise=0)])
def test_impossible_shapes(make: object) -> None:
    with pytest.raises(UsageError, match="it must be a number"):
        make()  # type: ignore[operator]
