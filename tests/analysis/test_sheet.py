"""Maps of filters that are known Gabors, by fits and by spectra."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from striate.analysis import sheet_maps
from striate.errors import UsageError

_METHODS: tuple[Literal["gabor", "spectrum"], ...] = ("gabor", "spectrum")


def gabors(bars: np.ndarray, frequency: float, phase: float, x: float = 7.5, y: float = 7.5) -> np.ndarray:
    """Gabors of 16×16 whose bars have these orientations, clockwise from the horizontal."""
    rows, columns = np.indices((16, 16))
    wave = bars[:, None, None] + np.pi / 2
    along = (columns - x) * np.cos(wave) + (rows - y) * np.sin(wave)
    envelope = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.5**2))
    return np.asarray(envelope * np.cos(2 * np.pi * frequency * along + phase))


@pytest.mark.parametrize("method", ["gabor", "spectrum"])
def test_what_filters_prefer_is_found(method: str) -> None:
    bars = np.linspace(0.05, np.pi - 0.05, 12)
    filters = gabors(bars, 0.2, 0.0, x=8.0, y=6.5)
    found = sheet_maps(filters, (3, 4), method=method, random_state=0)  # type: ignore[arg-type]
    coarse = 1 if method == "gabor" else 10
    turn = np.angle(np.exp(2j * (found.orientation.ravel() - bars))) / 2
    np.testing.assert_allclose(turn, 0, atol=0.005 * coarse)
    np.testing.assert_allclose(found.frequency, 0.2, atol=0.002 * coarse)
    np.testing.assert_allclose(found.x, 8.0, atol=0.01 * coarse)
    np.testing.assert_allclose(found.y, 6.5, atol=0.01 * coarse)
    np.testing.assert_allclose(np.abs(found.phase), 0, atol=0.02 * coarse)
    assert (found.selectivity > 0.8).all()
    np.testing.assert_allclose(found.orientation_map.orientation, found.orientation, atol=1e-9)


def test_both_ways_agree_on_the_phase() -> None:
    bars = np.linspace(0.1, 3.0, 8)  # none near π/2, where half a turn may reverse the wave
    for phase in (-2.0, 0.7, 1.6):
        filters = gabors(bars, 0.22, phase)
        one, other = (sheet_maps(filters, (1, 8), method=method, random_state=0) for method in _METHODS)
        np.testing.assert_allclose(np.angle(np.exp(1j * (one.phase - other.phase))), 0, atol=0.3)


def test_noise_is_not_selective_and_nothing_has_no_orientation(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((6, 16, 16))
    filters[2] = 0.3
    filters[4] = gabors(np.array([0.5]), 0.2, 1.0)[0]
    found = sheet_maps(filters, (2, 3), method="spectrum", periodic=True)
    selectivity = found.selectivity.ravel()
    assert selectivity[4] > 0.85
    assert selectivity[[0, 1, 3, 5]].max() < 0.3
    assert np.isnan([selectivity[2], found.phase[0, 2], found.x[0, 2]]).all()
    assert found.orientation_map.inside.sum() == 5
    assert found.orientation_map.periodic
    large = sheet_maps(1e200 * filters, (2, 3), method="spectrum")
    np.testing.assert_allclose(large.orientation, found.orientation)


def test_the_number_of_filters_is_that_of_the_sheet() -> None:
    with pytest.raises(UsageError, match="6 filters, but the sheet has 2×2 units"):
        sheet_maps(np.ones((6, 8, 8)), (2, 2))
    with pytest.raises(UsageError, match='"gabor" or "spectrum"'):
        sheet_maps(np.ones((4, 8, 8)), (2, 2), method="eye")  # type: ignore[arg-type]
