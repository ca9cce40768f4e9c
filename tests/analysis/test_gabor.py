from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

from striate.analysis import GaborFits, fit_gabor
from striate.analysis._gabor_search import SearchSpace, evaluate
from striate.errors import UsageError

Floats = NDArray[np.float64]


def known(rng: np.random.Generator, n: int, height: int = 12, width: int = 12) -> GaborFits:
    """Gabors well inside of the patch, with at least a cycle under the envelope: no two of them look the same."""
    frequency = rng.uniform(0.12, 0.35, n)
    return GaborFits(
        r_squared=np.ones(n),
        amplitude=rng.uniform(0.5, 2, n),
        x=rng.uniform(0.3, 0.6, n) * width,
        y=rng.uniform(0.3, 0.6, n) * height,
        orientation=rng.uniform(0, np.pi, n),
        frequency=frequency,
        phase=rng.uniform(-np.pi, np.pi, n),
        width_along=rng.uniform(0.35, 0.6, n) / frequency,
        width_across=rng.uniform(1.3, 2.5, n),
    )


def by_hand(height: int, width: int, x0: float, y0: float, wave: tuple[float, float], phase: float) -> Floats:
    """A Gabor of widths 2 (along the wave) and 3, from a wave vector and a loop over pixels."""
    drawn = np.empty((height, width))
    frequency = float(np.hypot(*wave))
    for row in range(height):
        for column in range(width):
            cycles = wave[0] * (column - x0) + wave[1] * (row - y0)
            beside = (wave[0] * (row - y0) - wave[1] * (column - x0)) / frequency
            envelope = np.exp(-((cycles / frequency / 2) ** 2 + (beside / 3) ** 2) / 2)
            drawn[row, column] = envelope * np.cos(2 * np.pi * cycles + phase)
    return drawn


def noisy(rng: np.random.Generator, truth: GaborFits, shape: tuple[int, int], share: float) -> Floats:
    """The Gabors with noise of this share of their energy."""
    drawn = truth.draw(shape)
    noise = rng.standard_normal(drawn.shape)
    noise *= np.sqrt(share * np.square(drawn).sum(axis=(1, 2)) / np.square(noise).sum(axis=(1, 2)))[:, None, None]
    return drawn + noise


def explained(filters: Floats, fits: GaborFits) -> Floats:
    """R² from its definition."""
    centred = filters - filters.mean(axis=(1, 2), keepdims=True)
    residual = centred - fits.draw((filters.shape[1], filters.shape[2]))
    return 1 - np.square(residual).sum(axis=(1, 2)) / np.square(centred).sum(axis=(1, 2))


def assert_same_gabors(fits: GaborFits, truth: GaborFits, tolerance: float) -> None:
    """Equal up to the wave's direction: half a turn of the orientation reverses the phase."""
    for name in ("amplitude", "x", "y", "frequency", "width_along", "width_across"):
        np.testing.assert_allclose(getattr(fits, name), getattr(truth, name), rtol=tolerance, atol=tolerance)
    turn = fits.orientation - truth.orientation
    half_turns = np.round(turn / np.pi)
    np.testing.assert_allclose(turn - half_turns * np.pi, 0, atol=tolerance)
    phase = np.where(half_turns % 2 == 0, fits.phase, -fits.phase)
    np.testing.assert_allclose(np.angle(np.exp(1j * (phase - truth.phase))), 0, atol=2 * tolerance)


@pytest.mark.parametrize("shape", [(12, 12), (9, 15), (20, 10)])
def test_exact_gabors_are_found_exactly(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    truth = known(rng, 30, *shape)
    fits = fit_gabor(truth.draw(shape), random_state=0)
    np.testing.assert_allclose(fits.r_squared, 1, atol=1e-8)
    assert_same_gabors(fits, truth, 1e-3)


def test_gabors_with_noise_are_recovered(rng: np.random.Generator) -> None:
    truth = known(rng, 60)
    filters = noisy(rng, truth, (12, 12), 0.005)
    fits = fit_gabor(filters, random_state=0)
    assert (fits.r_squared > 0.99).all()
    assert_same_gabors(fits, truth, 0.15)
    np.testing.assert_allclose(fits.r_squared, explained(filters, fits), atol=1e-12)


@pytest.mark.parametrize("wave", [(0.2, 0.0), (0.0, 0.2), (0.15, 0.1), (-0.15, 0.1)])
def test_parameters_mean_what_they_say(wave: tuple[float, float]) -> None:
    phase = 0.7
    fits = fit_gabor(3 * by_hand(14, 12, 5.0, 6.5, wave, phase)[np.newaxis], random_state=0)
    found = [float(values[0]) for values in (fits.x, fits.y, fits.width_along, fits.width_across, fits.amplitude)]
    np.testing.assert_allclose(found, [5.0, 6.5, 2.0, 3.0, 3.0], rtol=1e-3)
    direction = np.array([np.cos(fits.orientation[0]), np.sin(fits.orientation[0])]) * fits.frequency[0]
    sign = np.sign(direction @ wave)
    np.testing.assert_allclose(sign * direction, wave, atol=1e-4)
    assert sign * fits.phase[0] == pytest.approx(phase, abs=1e-3)


def test_angles_are_in_their_ranges(rng: np.random.Generator) -> None:
    fits = fit_gabor(rng.standard_normal((40, 64)), n_starts=6, random_state=0)
    assert ((fits.orientation >= 0) & (fits.orientation < np.pi)).all()
    assert (np.abs(fits.phase) <= np.pi).all()
    assert (fits.amplitude >= 0).all()


def test_bounds_are_kept(rng: np.random.Generator) -> None:
    height, width = 8, 12
    rows, columns = np.indices((height, width))
    checkerboard, slope = (rows + columns) % 2.0, columns + 0.5 * rows
    single = np.zeros((height, width))
    single[0, 0] = 1
    filters = np.concatenate([[checkerboard, slope, single], rng.standard_normal((20, height, width))])
    fits = fit_gabor(filters, random_state=0)
    rounding = 1e-9
    assert (fits.frequency >= 0.02 - rounding).all()
    assert (fits.frequency <= 0.5 + rounding).all()
    for widths in (fits.width_along, fits.width_across):
        assert (widths >= 0.5 - rounding).all()
        assert (widths <= 12 + rounding).all()
    for centre, side in ((fits.x, width), (fits.y, height)):
        assert (centre >= -0.5 - 0.2 * side).all()
        assert (centre <= side - 0.5 + 0.2 * side).all()
    np.testing.assert_allclose(fits.r_squared, explained(filters, fits), atol=1e-8)


def model(parameters: Floats, linear: Floats, space: SearchSpace) -> Floats:
    """a·C + b·S for logarithmic parameters, from the formula."""
    x0, y0, orientation = parameters[:3]
    frequency, along, across = np.exp(parameters[3:])
    u = (space.x - x0) * np.cos(orientation) + (space.y - y0) * np.sin(orientation)
    v = (space.y - y0) * np.cos(orientation) - (space.x - x0) * np.sin(orientation)
    envelope = np.exp(-(u**2) / (2 * along**2) - v**2 / (2 * across**2))
    angle = 2 * np.pi * frequency * u
    drawn: Floats = envelope * (linear[0] * np.cos(angle) + linear[1] * np.sin(angle))
    return drawn


def test_derivatives_agree_with_finite_differences(rng: np.random.Generator) -> None:
    space = SearchSpace.of((7, 9))
    points = space.random_points(8, rng)
    targets = rng.standard_normal((8, 63))
    targets -= targets.mean(axis=1, keepdims=True)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    fit = evaluate(points, targets, space)
    h = 1e-5
    for j in range(6):
        move = h * np.eye(6)[j]
        ahead, behind = (evaluate(points + sign * move, targets, space).cost for sign in (1, -1))
        np.testing.assert_allclose(fit.gradient[:, j], -(ahead - behind) / (4 * h), rtol=1e-5, atol=1e-8)
    for i, point in enumerate(points):
        # a, b and the cost against an ordinary least squares problem with a constant
        basis = np.stack([model(point, e, space) for e in np.eye(2)] + [np.ones(63)], axis=1)
        solution, residual, *_ = np.linalg.lstsq(basis, targets[i], rcond=None)
        np.testing.assert_allclose(fit.linear[i], solution[:2], rtol=1e-6)
        np.testing.assert_allclose(fit.cost[i], residual[0], rtol=1e-9)
        # Kaufman's Jacobian: differences at fixed a and b, without what the basis can make of them
        columns = [
            (model(point + h * e, fit.linear[i], space) - model(point - h * e, fit.linear[i], space)) / (2 * h)
            for e in np.eye(6)
        ]
        jacobian = np.stack(columns, axis=1)
        orthonormal, _ = np.linalg.qr(basis)
        jacobian -= orthonormal @ (orthonormal.T @ jacobian)
        wanted = jacobian.T @ jacobian
        np.testing.assert_allclose(fit.curvature[i], wanted, rtol=1e-5, atol=1e-7 * np.abs(wanted).max())


def test_another_library_finds_nothing_better_nearby(rng: np.random.Generator) -> None:
    filters = noisy(rng, known(rng, 6), (12, 12), 0.2)
    fits = fit_gabor(filters, random_state=0)
    y, x = np.indices((12, 12))
    for i, image in enumerate(filters):
        centred = image - image.mean()

        def residual(p: Floats, centred: Floats = centred) -> Floats:
            u = (x - p[1]) * np.cos(p[3]) + (y - p[2]) * np.sin(p[3])
            v = (y - p[2]) * np.cos(p[3]) - (x - p[1]) * np.sin(p[3])
            drawn = p[0] * np.exp(-(u**2) / (2 * p[6] ** 2) - v**2 / (2 * p[7] ** 2))
            drawn = drawn * np.cos(2 * np.pi * p[4] * u + p[5])
            return (centred - drawn + drawn.mean()).ravel()

        names = ("amplitude", "x", "y", "orientation", "frequency", "phase", "width_along", "width_across")
        start = np.array([getattr(fits, name)[i] for name in names])
        found = least_squares(residual, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        best = 1 - 2 * found.cost / np.square(centred).sum()
        assert fits.r_squared[i] == pytest.approx(best, abs=1e-6)


def test_white_noise_is_no_gabor(rng: np.random.Generator) -> None:
    fits = fit_gabor(rng.standard_normal((60, 144)), random_state=0)
    assert (fits.r_squared < 0.8).mean() > 0.95
    assert (fits.r_squared > 0).all()


def test_a_filter_without_energy_has_no_fit(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((4, 6, 6))
    filters[1], filters[2] = 0, 0.1
    fits = fit_gabor(filters, random_state=0)
    alone = fit_gabor(filters[[0, 3]], random_state=0)
    np.testing.assert_array_equal(np.isnan(fits.r_squared), [False, True, True, False])
    np.testing.assert_array_equal(fits.amplitude[1:3], 0)
    assert np.isnan(fits.frequency[1:3]).all()
    np.testing.assert_array_equal(fits.r_squared[[0, 3]], alone.r_squared)
    drawn = fits.draw((6, 6))
    np.testing.assert_array_equal(drawn[1:3], 0)
    assert np.isfinite(drawn).all()
    only = fit_gabor(np.zeros((2, 16)))
    assert np.isnan(only.r_squared).all()
    assert len(fit_gabor(np.empty((0, 16)))) == 0


@pytest.mark.parametrize("scale", [-1.0, 1e-3, 7.0, 1e200, 1e-200])
def test_scale_and_mean_do_not_matter(rng: np.random.Generator, scale: float) -> None:
    filters = noisy(rng, known(rng, 12), (12, 12), 0.1)
    fits = fit_gabor(filters, random_state=0)
    moved = fit_gabor(scale * (filters + 5.0), random_state=0)
    np.testing.assert_allclose(moved.r_squared, fits.r_squared, atol=1e-6)
    np.testing.assert_allclose(moved.amplitude, abs(scale) * fits.amplitude, rtol=1e-2)
    np.testing.assert_allclose(moved.frequency, fits.frequency, rtol=1e-2)


def test_rows_and_images_are_the_same(rng: np.random.Generator) -> None:
    images = rng.standard_normal((3, 6, 9))
    copy = images.copy()
    expected = fit_gabor(images, random_state=0).r_squared
    np.testing.assert_array_equal(fit_gabor(images.reshape(3, -1), (6, 9), random_state=0).r_squared, expected)
    np.testing.assert_array_equal(images, copy)
    square = rng.standard_normal((3, 49)).astype(np.float32)
    expected = fit_gabor(square.reshape(3, 7, 7), random_state=0).r_squared
    np.testing.assert_array_equal(fit_gabor(square, random_state=0).r_squared, expected)
    assert expected.dtype == np.float64


def test_turning_the_image_turns_the_fit(rng: np.random.Generator) -> None:
    images = noisy(rng, known(rng, 10), (12, 12), 0.05)
    fits, turned = (fit_gabor(each, random_state=0) for each in (images, images.transpose(0, 2, 1)))
    np.testing.assert_allclose(turned.r_squared, fits.r_squared, atol=1e-6)
    np.testing.assert_allclose(turned.x, fits.y, atol=0.02)
    np.testing.assert_allclose(np.sin(turned.orientation + fits.orientation - np.pi / 2), 0, atol=0.02)


def test_a_seed_gives_the_same_fits_whatever_stands_beside(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((50, 8, 8))  # more than a block
    first, again = fit_gabor(filters, random_state=3), fit_gabor(filters, random_state=np.random.default_rng(3))
    backwards = fit_gabor(filters[::-1], random_state=3)
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    np.testing.assert_allclose(backwards.r_squared[::-1], first.r_squared, atol=1e-6)


def test_more_starts_are_never_much_worse(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((20, 8, 8))
    one, many = (fit_gabor(filters, n_starts=n, random_state=0).r_squared for n in (1, 40))
    assert (many > one - 0.01).all()
    assert many.mean() > one.mean() + 0.01


@pytest.mark.parametrize(
    ("filters", "arguments", "message"),
    [
        (np.full((2, 16), np.nan), {}, "filter 0 .* not finite"),
        (np.where(np.arange(32).reshape(2, 16) == 20, np.inf, 1.0), {}, "filter 1 .* not finite"),
        (np.zeros((2, 20)), {}, "not a square"),
        (np.zeros((2, 20)), {"shape": (4, 4)}, "20 pixels, but"),
        (np.zeros((2, 4, 5)), {"shape": (5, 4)}, "4×5 pixels"),
        (np.zeros(16), {}, "n_filters"),
        (np.zeros((2, 9)), {}, "at least 4×4"),
        (np.zeros((2, 16), dtype=complex), {}, "real numbers"),
        (np.zeros((2, 16)), {"n_starts": 0}, "n_starts"),
    ],
)
def test_wrong_use(filters: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit_gabor(filters, **arguments)
