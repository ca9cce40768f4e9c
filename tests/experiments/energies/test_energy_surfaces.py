"""How the experiments on energies tell the shape of a surface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.energy import PCAEnergy, Spiral, ThreeCauchy
from striate.experiments.energies.energy_surfaces import groove_along, grooves_of
from striate.experiments.energies.toys import SIDE, pack, unpack


class Given:
    """A surface that a formula gives."""

    def __init__(self, formula: Any) -> None:
        self.free_energy = formula


def test_a_star_has_three_grooves_where_its_arms_are() -> None:
    star = ThreeCauchy()
    n_grooves, off = grooves_of(Given(lambda points: -star.log_density(points)), star)  # type: ignore[arg-type]
    assert n_grooves == 3
    assert off < 1

    def turned(points: np.ndarray) -> np.ndarray:
        cosine, sine = np.cos(0.3), np.sin(0.3)
        return -star.log_density(points @ np.array([[cosine, -sine], [sine, cosine]]))

    n_grooves, off = grooves_of(Given(turned), star)  # type: ignore[arg-type]
    assert n_grooves == 3
    assert off == pytest.approx(np.rad2deg(0.3), abs=1)


def test_a_straight_groove_is_one() -> None:
    points = np.column_stack([np.linspace(-3, 3, 50), np.zeros(50)])
    n_grooves, off = grooves_of(PCAEnergy(1).fit(points), ThreeCauchy())
    assert n_grooves == 1
    assert off == pytest.approx(30, abs=0.6)


def test_a_groove_along_the_spiral() -> None:
    spiral = Spiral()
    assert groove_along(Given(lambda points: -spiral.log_density(points)), spiral) == 1  # type: ignore[arg-type]
    assert groove_along(Given(lambda points: spiral.log_density(points)), spiral) == 0  # type: ignore[arg-type]
    assert groove_along(Given(lambda points: np.zeros(len(points))), spiral) == 0  # type: ignore[arg-type]


def test_images_survive_the_results_file() -> None:
    pixels = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 256
    again = unpack(pack(pixels.astype(np.uint8)))
    assert np.abs(again.astype(int) - pixels).max() <= 4
