"""Maps of orientation: what they accept, what filters keep, and what controls keep and destroy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.analysis import OrientationMap, column_spacing, find_pinwheels, gaussian_map, phase_randomized, shuffled
from striate.errors import UsageError


def wave(shape: tuple[int, int], *cycles: float) -> np.ndarray:
    """A complex wave of (vertical, horizontal) cycles across the sheet."""
    y, x = np.indices(shape)
    return np.asarray(np.exp(2j * np.pi * (cycles[0] * y / shape[0] + cycles[1] * x / shape[1])))


def test_an_angle_is_twice_the_orientation(rng: np.random.Generator) -> None:
    orientation = rng.uniform(0, np.pi, (5, 7))
    selectivity = rng.random((5, 7))
    found = OrientationMap.of(orientation, selectivity)
    np.testing.assert_allclose(found.responses, selectivity * np.exp(2j * orientation))
    np.testing.assert_allclose(found.orientation, orientation)
    np.testing.assert_allclose(found.selectivity, selectivity)
    turned = OrientationMap.of(orientation + np.pi, selectivity)
    np.testing.assert_allclose(turned.responses, found.responses)
    assert found.shape == (5, 7)
    tiny = OrientationMap.of(np.full((2, 2), -1e-18))
    assert ((tiny.orientation >= 0) & (tiny.orientation < np.pi)).all()


def test_what_has_no_orientation_is_outside() -> None:
    orientation = np.zeros((4, 4))
    orientation[1, 2] = np.nan
    found = OrientationMap.of(orientation)
    assert found.inside.sum() == 15
    assert np.isnan(found.orientation[1, 2])
    assert found.responses[1, 2] == 0
    responses = np.exp(2j * orientation)
    masked = OrientationMap(responses, mask=np.isfinite(responses))
    np.testing.assert_array_equal(masked.responses, found.responses)


@pytest.mark.parametrize("periodic", [True, False])
def test_a_filter_keeps_long_waves_and_removes_short_ones(periodic: bool) -> None:
    slow, fast = wave((60, 40), 2, 2), 0.5 * wave((60, 40), 0, 10)  # wavelengths of 17 and 4 pixels
    both = OrientationMap(3 + slow + fast, periodic)
    if periodic:
        np.testing.assert_allclose(both.filtered(shortest=8).responses, 3 + slow, atol=1e-4)
        np.testing.assert_allclose(both.filtered(longest=8).responses, fast, atol=1e-4)
        np.testing.assert_allclose(both.filtered(shortest=8, longest=60).responses, slow, atol=1e-4)
    else:  # near the border, reflection makes other waves of it
        inner = np.s_[12:-12, 12:-12]
        np.testing.assert_allclose(both.filtered(shortest=8).responses[inner], (3 + slow)[inner], atol=0.15)
    constant = OrientationMap(np.full((60, 40), 2j), periodic)
    np.testing.assert_allclose(constant.filtered(shortest=8).responses, 2j)


def test_a_filter_does_not_read_what_is_outside() -> None:
    mask = np.ones((40, 40), bool)
    mask[:9] = False
    responses = np.full((40, 40), 1 + 1j)
    responses[~mask] = np.nan
    found = OrientationMap(responses, mask=mask).filtered(shortest=6)
    np.testing.assert_allclose(found.responses[mask], 1 + 1j, rtol=1e-9)
    assert not found.responses[~mask].any()


def test_a_surrogate_has_the_spectrum_of_the_map() -> None:
    given = gaussian_map((40, 30), 7, random_state=0)
    found = phase_randomized(given, random_state=1)
    power = [np.abs(np.fft.fft2(one.responses)) for one in (given, found)]
    np.testing.assert_allclose(power[1], power[0], atol=1e-9)
    assert not np.allclose(found.responses, given.responses)
    assert found.periodic
    again = phase_randomized(given, random_state=1)
    np.testing.assert_array_equal(found.responses, again.responses)


def test_shuffled_units_are_the_same_units() -> None:
    given = gaussian_map((40, 30), 7, random_state=0)
    mask = np.ones((40, 30), bool)
    mask[3:9, 5:20] = False
    given = OrientationMap(given.responses, periodic=True, mask=mask)
    found = shuffled(given, random_state=1)
    np.testing.assert_array_equal(np.sort_complex(found.responses[mask]), np.sort_complex(given.responses[mask]))
    assert not found.responses[~mask].any()
    neighbors = (np.abs(np.mean(one.responses[20:] * one.responses[19:-1].conj())) for one in (given, found))
    before, after = neighbors
    assert after < 0.2 * before


def test_a_gaussian_map_has_its_spacing_and_power() -> None:
    found = gaussian_map((120, 90), 9, spread=0.1, random_state=3)
    assert np.mean(np.abs(found.responses) ** 2) == pytest.approx(1)
    assert column_spacing(found).spacing == pytest.approx(9, rel=0.02)
    assert find_pinwheels(found).charge.sum() == 0
    with pytest.raises(UsageError, match="has no wave"):
        gaussian_map((4, 4), 1e9, spread=1e-3)


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        (np.zeros((0, 0)), "each at least 2"),
        (np.zeros((1, 8)), "each at least 2"),
        (np.zeros(8), "each at least 2"),
        ("map", "complex numbers"),
        (None, "each at least 2"),
        ([[1, 2], [3]], "no table"),
        (np.full((3, 3), np.nan), "mask=np.isfinite"),
        (np.full((3, 3), np.inf * 1j), "mask=np.isfinite"),
    ],
)
def test_broken_maps(responses: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OrientationMap(responses)


def test_broken_masks_and_options() -> None:
    responses = np.ones((3, 3), complex)
    for mask, message in (
        (np.ones((3, 3)), "must be bool"),
        (np.ones((2, 3), bool), "must be bool"),
        (np.zeros((3, 3), bool), "leaves nothing"),
    ):
        with pytest.raises(UsageError, match=message):
            OrientationMap(responses, mask=mask)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="periodic"):
        OrientationMap(responses, "yes")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 0"):
        OrientationMap.of(np.zeros((3, 3)), np.full((3, 3), -1))
    with pytest.raises(UsageError, match=r"shape \(2, 3\)"):
        OrientationMap.of(np.zeros((3, 3)), np.ones((2, 3)))
    with pytest.raises(UsageError, match="shortest must be below"):
        OrientationMap(responses).filtered(shortest=9, longest=4)
    with pytest.raises(UsageError, match="an OrientationMap"):
        shuffled(responses)  # type: ignore[arg-type]
