"""Pinwheels of maps with known ones, and densities of random fields that are known by formula."""

from __future__ import annotations

import numpy as np
import pytest

from striate.analysis import (
    OrientationMap,
    Pinwheels,
    column_spacing,
    find_pinwheels,
    gaussian_density,
    gaussian_map,
    nearest_distances,
    phase_randomized,
    pinwheel_density,
    shuffled,
)
from striate.errors import UsageError


def product(places: np.ndarray, charges: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map with a zero at each place, (n, 2) of x and y, of each charge."""
    y, x = np.indices(shape)
    z = np.ones(shape, complex)
    for (x0, y0), charge in zip(places, charges, strict=True):
        z *= (x - x0) + 1j * np.sign(charge) * (y - y0)
    return z


def test_known_pinwheels_are_found(rng: np.random.Generator) -> None:
    cells = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)
    places = 4 + 9 * cells + rng.uniform(0, 5, cells.shape)
    charges = rng.choice([-0.5, 0.5], len(places))
    found = find_pinwheels(OrientationMap(product(places, charges, (40, 50))))
    assert len(found) == len(places)
    order = [np.hypot(found.x - x, found.y - y).argmin() for x, y in places]
    assert sorted(order) == list(range(len(places)))
    np.testing.assert_array_equal(found.charge[order], charges)
    np.testing.assert_allclose(found.x[order], places[:, 0], atol=0.25)  # the map is curved between pixels
    np.testing.assert_allclose(found.y[order], places[:, 1], atol=0.25)
    assert found.area == 39 * 49


@pytest.mark.parametrize("place", [(12.3, 7.6), (12.0, 7.6), (12.0, 7.0), (12.5, 7.5)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_place_is_exact_where_the_map_is_linear(place: tuple[float, float], sign: int) -> None:
    y, x = np.indices((20, 20))
    z = (1 + 0.4j) * (x - place[0]) + sign * (0.3 + 2j) * (y - place[1])
    found = find_pinwheels(OrientationMap(z))
    np.testing.assert_allclose([found.x[0], found.y[0], found.charge[0]], [*place, sign / 2], atol=1e-12)
    assert len(found) == 1


def test_a_pinwheel_lies_where_both_contours_cross() -> None:
    from scipy.ndimage import map_coordinates

    given = gaussian_map((70, 50), 9, random_state=0)
    found = find_pinwheels(given)
    parts = (given.responses.real, given.responses.imag)
    at = [map_coordinates(part, [found.y, found.x], order=1, mode="grid-wrap") for part in parts]
    np.testing.assert_allclose(at, 0, atol=1e-12)


def test_a_torus_has_no_border() -> None:
    given = gaussian_map((40, 50), 10, random_state=0).responses
    found = find_pinwheels(OrientationMap(given, periodic=True))
    rolled = find_pinwheels(OrientationMap(np.roll(given, (7, 31), (0, 1)), periodic=True))
    assert len(found) == len(rolled)
    assert found.charge.sum() == 0
    one = sorted(zip(((found.x + 31) % 50).round(9), ((found.y + 7) % 40).round(9), found.charge, strict=True))
    assert one == sorted(zip(rolled.x.round(9), rolled.y.round(9), rolled.charge, strict=True))
    assert ((found.x >= 0) & (found.x < 50) & (found.y >= 0) & (found.y < 40)).all()
    # Without wrapping, those between the last and the first line are not seen, the others are the same.
    inner = (found.x < 49) & (found.y < 39)
    opened = find_pinwheels(OrientationMap(given))
    np.testing.assert_array_equal(opened.x, found.x[inner])
    assert len(opened) < len(found)


def test_charges_add_up_to_the_winding_of_the_border(rng: np.random.Generator) -> None:
    z = rng.standard_normal((30, 20)) + 1j * rng.standard_normal((30, 20))
    border = np.concatenate([z[0], z[1:, -1], z[-1, -2::-1], z[-2::-1, 0]])
    winding = np.angle(border[1:] / border[:-1]).sum() / (2 * np.pi)
    assert find_pinwheels(OrientationMap(z)).charge.sum() == pytest.approx(winding / 2)


def test_a_mirror_changes_charges_and_a_mask_leaves_out() -> None:
    given = gaussian_map((40, 40), 10, random_state=0).responses
    found, mirrored = (find_pinwheels(OrientationMap(z)) for z in (given, given[:, ::-1]))
    np.testing.assert_allclose(np.sort(39 - mirrored.x), np.sort(found.x))
    assert mirrored.charge.sum() == -found.charge.sum()
    mask = np.zeros((40, 40), bool)
    mask[:, 20:] = True
    half = find_pinwheels(OrientationMap(np.where(mask, given, np.nan), mask=mask))
    np.testing.assert_array_equal(half.x, found.x[found.x >= 20])
    assert half.area == 39 * 19


def test_maps_without_pinwheels() -> None:
    y, x = np.indices((30, 30))
    stripes = OrientationMap(np.exp(2j * np.pi * x / 6), periodic=True)
    for given in (stripes, OrientationMap(np.zeros((4, 4))), OrientationMap(np.ones((9, 9)))):
        found = find_pinwheels(given)
        assert len(found) == 0
        assert np.isnan(found.imbalance)
        assert len(nearest_distances(found).any) == 0
    density = pinwheel_density(stripes)
    assert np.isnan(density.density)
    assert "no pinwheels at any cut-off" in density.caveats
    flat = pinwheel_density(OrientationMap(np.ones((40, 40))))
    assert flat.caveats == ("the map is constant: it has no power at any frequency",)
    assert np.isnan([flat.density, flat.spacing]).all()
    small = pinwheel_density(OrientationMap(np.exp(1j * y[:6, :6])))
    assert "too small" in small.caveats[0]


def test_nearest_distances_beside_a_loop() -> None:
    for periodic in (False, True):
        z = gaussian_map((40, 50), 9, random_state=1).responses
        found = find_pinwheels(OrientationMap(z, periodic))
        distances = nearest_distances(found)
        for i in range(len(found)):
            step = np.abs(np.stack([found.x - found.x[i], found.y - found.y[i]]))
            if periodic:
                step = np.minimum(step, np.array([[50], [40]]) - step)
            away = np.hypot(*step)
            away[i] = np.inf
            same = found.charge == found.charge[i]
            expected = away.min(), away[same].min(), away[~same].min()
            np.testing.assert_allclose([distances.any[i], distances.equal[i], distances.opposite[i]], expected)


def test_a_pinwheel_alone_has_no_neighbor() -> None:
    nan = [np.nan, np.nan]
    two = Pinwheels(np.array([1.0, 4]), np.array([2.0, 6]), np.array([0.5, -0.5]), (9, 9), False, 64)
    distances = nearest_distances(two)
    np.testing.assert_array_equal([distances.any, distances.equal, distances.opposite], [[5, 5], nan, [5, 5]])
    assert two.imbalance == 0
    one = Pinwheels(np.array([1.0]), np.array([2.0]), np.array([0.5]), (9, 9), False, 64)
    assert np.isnan(nearest_distances(one).any)
    assert one.imbalance == 1


@pytest.mark.parametrize(("spacing", "spread"), [(8, 0.1), (12, 0.3)])
def test_random_fields_have_the_density_of_the_formula(spacing: float, spread: float) -> None:
    """π·⟨k²⟩/⟨k⟩² with the spectrum from which the fields are drawn."""
    shape, counts = (160, 160), []
    for seed in range(8):
        found = find_pinwheels(gaussian_map(shape, spacing, spread=spread, random_state=seed))
        counts.append(len(found) / found.area)
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    power = np.exp(-np.square((radius * spacing - 1) / spread) / 2)
    mean, squared = ((power * radius**n).sum() / power.sum() for n in (1, 2))
    expected = np.pi * squared / mean**2
    density = np.array(counts) / mean**2
    error = density.std(ddof=1) / np.sqrt(len(density))
    assert density.mean() == pytest.approx(expected, abs=3 * error)
    assert error < 0.02 * expected
    # The same from a field alone, by differences of neighbors.
    alone = [
        gaussian_density(gaussian_map(shape, spacing, spread=spread, random_state=seed), 1 / mean) for seed in (0, 1)
    ]
    assert alone == pytest.approx([expected] * 2, rel=0.03)


def test_squares_without_power_have_no_expected_density() -> None:
    assert np.isnan(gaussian_density(OrientationMap(np.zeros((8, 8))), 4))
    for periodic in (True, False):
        y, x = np.indices((60, 60))
        slanted = OrientationMap(np.exp(2j * np.pi * (x / 10 + y / 15)), periodic)
        expected = np.pi * (1 / 100 + 1 / 225) * 36
        assert gaussian_density(slanted, 6) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_spacing_is_that_of_the_ring(periodic: bool, noise: float, rng: np.random.Generator) -> None:
    for spacing in (7, 13):
        responses = gaussian_map((100, 100), spacing, spread=0.15, random_state=1).responses
        responses = responses + noise * (rng.standard_normal((100, 100)) + 1j * rng.standard_normal((100, 100)))
        found = column_spacing(OrientationMap(responses, periodic))
        assert found.spacing == pytest.approx(spacing, rel=0.05)
        assert not found.caveat
        assert found.frequency[found.fitted.argmax()] == pytest.approx(1 / spacing, rel=0.15)


def test_the_spacing_of_a_sheet_that_is_no_square() -> None:
    found = column_spacing(gaussian_map((60, 150), 10, spread=0.1, random_state=0))
    assert found.spacing == pytest.approx(10, rel=0.03)


@pytest.mark.parametrize("periodic", [True, False])
def test_noise_has_no_spacing_and_no_plateau(periodic: bool) -> None:
    given = gaussian_map((64, 64), 10, random_state=0)
    for seed in range(3):
        noise = shuffled(OrientationMap(given.responses, periodic), random_state=seed)
        assert "no peak" in column_spacing(noise).caveat
        assert "no peak" in pinwheel_density(noise).caveats[0]
        found = pinwheel_density(noise, spacing=10)
        assert np.isnan(found.density)
        assert "no plateau" in found.caveats[0]
        assert found.densities[0] > 5 * found.densities[-1]


def test_the_density_withstands_noise(rng: np.random.Generator) -> None:
    """Noise of the pixels adds many pairs to the raw count, but not to the plateau."""
    given = gaussian_map((96, 96), 12, spread=0.15, random_state=0)
    noise = 0.25 * (rng.standard_normal((96, 96)) + 1j * rng.standard_normal((96, 96)))
    noisy = OrientationMap(given.responses + noise, periodic=True)
    clean = pinwheel_density(given)
    found = pinwheel_density(noisy)
    assert not found.caveats
    assert len(find_pinwheels(noisy)) > 1.5 * len(find_pinwheels(given))
    assert found.density == pytest.approx(clean.density, abs=3 * clean.standard_error)
    assert found.plateau[1] >= 1.5 * found.plateau[0] * (1 - 1e-9)
    assert len(found.pinwheels) * found.spacing**2 / found.pinwheels.area == pytest.approx(found.density, rel=0.15)


def test_the_error_is_that_of_repeated_maps() -> None:
    found = [pinwheel_density(gaussian_map((48, 48), 6, random_state=seed)) for seed in range(12)]
    spread = np.std([one.density for one in found], ddof=1)
    claimed = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    assert 0.6 < claimed / spread < 1.7
    counted = pinwheel_density(gaussian_map((48, 48), 6, random_state=0), spacing=6)
    assert counted.spacing == 6
    assert 0 < counted.standard_error < found[0].density / 5


def test_a_surrogate_of_a_random_field_scores_like_it() -> None:
    given = gaussian_map((96, 96), 10, random_state=0)
    expected = pinwheel_density(given)
    control = pinwheel_density(phase_randomized(given, random_state=1), spacing=expected.spacing)
    assert control.density == pytest.approx(expected.density, abs=4 * expected.standard_error)
    by_formula = gaussian_density(expected.smoothed, expected.spacing)
    assert expected.density == pytest.approx(by_formula, abs=3 * expected.standard_error)


def test_what_is_too_small_says_so() -> None:
    few = pinwheel_density(gaussian_map((40, 40), 14, random_state=0))
    assert few.caveats[0] == "only 9 hypercolumns: at least 10 are needed for a density"
    fine = pinwheel_density(gaussian_map((60, 60), 3.5, random_state=0))
    assert "too fine" in fine.caveats[0]
    with pytest.raises(UsageError, match="n_blocks"):
        pinwheel_density(gaussian_map((40, 40), 8), n_blocks=1)
    with pytest.raises(UsageError, match="spacing"):
        pinwheel_density(gaussian_map((40, 40), 8), spacing=0.5)
    with pytest.raises(UsageError, match="from find_pinwheels"):
        nearest_distances(np.zeros((3, 2)))  # type: ignore[arg-type]
