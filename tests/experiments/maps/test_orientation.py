"""Orientation maps of filters whose orientations are known, and the numbers that experiments store of them."""

from __future__ import annotations

import json

import numpy as np

from striate.experiments.maps.orientation import as_map, described, map_of, neighbor_difference


def gratings(orientations: np.ndarray, side: int = 15) -> np.ndarray:
    """Bars of known orientations in a round window, (n, side, side), each with a phase of its own."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angles = orientations.reshape(-1, 1, 1)
    across = -x * np.sin(angles) + y * np.cos(angles)
    phases = np.arange(angles.size).reshape(-1, 1, 1)
    return np.exp(-(x**2 + y**2) / 18) * np.cos(2 * np.pi * 0.2 * across + phases)


def test_the_map_of_gratings_is_that_of_their_bars() -> None:
    orientations = np.linspace(0, np.pi, 48, endpoint=False)
    found = map_of(gratings(orientations), (6, 8))
    apart = np.angle(found.responses.reshape(-1) * np.exp(-2j * orientations)) / 2
    assert np.abs(np.degrees(apart)).max() < 3
    assert found.selectivity.min() > 0.5
    assert map_of(gratings(orientations), (6, 8), margin=2).shape == (2, 4)


def test_neighbors_of_a_turning_map_differ_by_its_step() -> None:
    rows, columns = np.mgrid[:10, :12]
    found = map_of(gratings(np.radians(6.0 * (rows + columns)).reshape(-1)), (10, 12))
    assert abs(neighbor_difference(found) - 6) < 1


def test_numbers_of_a_map_are_stored_with_its_controls() -> None:
    rows, columns = np.mgrid[:30, :30]
    turning = 0.5 * np.angle(
        np.exp(2j * np.pi * rows / 9) + 1j * np.exp(2j * np.pi * columns / 9) + np.exp(-2j * np.pi * columns / 9)
    )
    numbers = json.loads(json.dumps(described(map_of(gratings(turning.reshape(-1)), (30, 30)), seed=0)))
    assert numbers["difference"] < 0.6 * numbers["shuffled difference"]
    assert 40 < numbers["shuffled difference"] < 50
    assert abs(numbers["spacing"] - 9) < 2
    assert len(numbers["surrogates"]) == 5
    assert as_map(numbers).shape == (30, 30)
