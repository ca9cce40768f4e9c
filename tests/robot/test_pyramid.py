from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.images import local_contrast_normalization
from striate.robot import WINDOW, BandPyramid, GroundPlane
from tests.robot.scenes import CAMERA, seen

LEVEL = GroundPlane.from_angles(0, 0, 1.65)
TILTED = GroundPlane.from_angles(1.5, -2.5, 1.5)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return seen(TILTED).left


def test_ranges_are_geometric_and_end_at_the_farthest() -> None:
    ranges = BandPyramid(nearest=5, farthest=40, bands_per_octave=3).ranges
    np.testing.assert_allclose(ranges, 5 * 2 ** (np.arange(10) / 3))


def test_bands_have_the_sizes_of_the_talk(picture: np.ndarray) -> None:
    bands = BandPyramid()(picture, CAMERA, TILTED).bands
    assert len(bands) >= 15
    for band in bands:
        assert 20 <= band.image.shape[1] <= 36
        assert 36 <= band.image.shape[2] <= 500
        assert band.image.shape == (1, *band.inside.shape)
        assert band.image.dtype == np.float32
        assert not band.image[:, ~band.inside].any()


@pytest.mark.parametrize("plane", [LEVEL, TILTED])
def test_an_object_has_the_same_height_at_every_distance(plane: GroundPlane) -> None:
    """The foot and the top of a pole of 1 m, at each range, by pinhole geometry alone."""
    bands = BandPyramid()(np.zeros((1, 188, 620), np.float32), CAMERA, plane)
    level = plane.leveling()
    for place, band in enumerate(bands.bands):
        pole = np.array([[1.0, 1.0], [plane.camera_height, plane.camera_height - 1], [band.range, band.range]])
        rows, columns = CAMERA.project(level.T @ pole)
        (foot, top), (first, second) = bands.to_band(place, rows, columns)
        assert foot == pytest.approx(band.ground_row, abs=1e-9)
        assert foot - top == pytest.approx(8, abs=1e-9)
        assert first == pytest.approx(second, abs=1e-9)
        across, ahead = bands.to_ground(place, first)
        assert across == pytest.approx(1)
        assert ahead == band.range


def test_the_way_back_to_the_image(picture: np.ndarray, rng: np.random.Generator) -> None:
    bands = BandPyramid()(picture, CAMERA, TILTED)
    for place in range(len(bands.bands)):
        rows, columns = rng.uniform(0, 188, 50), rng.uniform(0, 620, 50)
        back = bands.to_image(place, *bands.to_band(place, rows, columns))
        np.testing.assert_allclose(back, [rows, columns], atol=1e-6)


def test_a_bright_spot_is_found_within_half_a_pixel() -> None:
    """The map is that of the pixels, not only of the formula: spots in the image against the maxima in the bands."""
    y, x = np.mgrid[:188, :620]
    for row, column in ((100.0, 300.0), (97.3, 200.6), (110.0, 430.2)):
        for place in (6, 14):
            # Wider than a pixel of the band, which may be coarser than the image.
            width = max(1.5, 0.8 * CAMERA.fy / (8 * BandPyramid().ranges[place + 4]))
            spot = np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / width**2)[None].astype(np.float32)
            bands = BandPyramid()(spot, CAMERA, TILTED)
            found = np.maximum(0, bands.bands[place].image[0])
            peak = np.unravel_index(found.argmax(), found.shape)
            assert 2 <= peak[0] < found.shape[0] - 2
            cut = found[peak[0] - 2 : peak[0] + 3, peak[1] - 2 : peak[1] + 3]
            center = [float((cut * axis).sum() / cut.sum()) for axis in np.mgrid[-2:3, -2:3]]
            back = bands.to_image(place, peak[0] + center[0], peak[1] + center[1])
            assert np.hypot(back[0] - row, back[1] - column) < 0.5


def test_windows_know_where_they_are(picture: np.ndarray) -> None:
    bands = BandPyramid()(picture, CAMERA, TILTED)
    windows = bands.windows
    n_windows = len(windows.band)
    assert all(field.shape == (n_windows,) for field in windows)
    for which in range(0, n_windows, 997):
        band = bands.bands[windows.band[which]]
        row, column = windows.row[which] + 5.5, windows.column[which] + 12
        np.testing.assert_allclose(
            bands.to_image(windows.band[which], row, column),
            (windows.image_row[which], windows.image_column[which]),
            rtol=1e-5,
        )
        assert windows.range[which] == windows.z[which] == np.float32(band.range)
        # The window's center as a point over the ground: by the plane, not by the band.
        point = TILTED.leveling().T @ [
            windows.x[which], TILTED.camera_height - windows.height[which], windows.z[which],
        ]  # fmt: skip
        assert TILTED.height(point[:, None])[0] == pytest.approx(windows.height[which], abs=1e-5)
        rows, columns = CAMERA.project(point[:, None])
        assert (rows[0], columns[0]) == (
            pytest.approx(windows.image_row[which], abs=1e-3),
            pytest.approx(windows.image_column[which], abs=1e-3),
        )
    assert (windows.image_row > -0.5).all()
    assert (windows.image_row < 187.5).all()
    assert (windows.inside >= 0.5).all()
    assert (windows.column % 4 == 0).all()


def test_windows_are_parts_of_their_bands(picture: np.ndarray) -> None:
    bands = BandPyramid()(picture, CAMERA, TILTED)
    chosen = np.arange(0, len(bands.windows.band), 101)
    cut = bands.cut(chosen)
    assert cut.shape == (len(chosen), 1, *WINDOW)
    assert cut.dtype == np.float32
    for number, which in enumerate(chosen):
        row, column = bands.windows.row[which], bands.windows.column[which]
        image = bands.bands[bands.windows.band[which]].image
        np.testing.assert_array_equal(cut[number], image[:, row : row + 12, column : column + 25])
    mask = np.zeros(len(bands.windows.band), bool)
    mask[chosen] = True
    np.testing.assert_array_equal(bands.cut(mask), cut)


def test_windows_lie_on_the_maps_of_the_talks_network(picture: np.ndarray) -> None:
    """7×6 filters, four columns pooled, 6×5 filters: the last map has one number for each window."""
    bands = BandPyramid(row_step=1)(picture, CAMERA, TILTED)
    for place, band in enumerate(bands.bands):
        own = bands.windows.band == place
        _, height, width = band.image.shape
        last = (height - 6 - 5, (width - 5) // 4 - 4)
        assert (bands.windows.row[own] < last[0]).all()
        assert (bands.windows.column[own] // 4 < last[1]).all()
        if band.inside.all():
            assert np.count_nonzero(own) == last[0] * last[1]


def test_the_contrast_is_that_of_the_cut_band(picture: np.ndarray) -> None:
    bands = BandPyramid()(picture, CAMERA, TILTED)
    band = bands.bands[-1]
    rows, columns = np.mgrid[: band.inside.shape[0], : band.inside.shape[1]].astype(float)
    places = bands.to_image(len(bands.bands) - 1, rows, columns)
    low = [np.clip(np.floor(place), 0, side - 2).astype(int) for place, side in zip(places, (188, 620), strict=True)]
    part = [np.clip(place - first, 0, 1) for place, first in zip(places, low, strict=True)]
    sampled = sum(
        (part[0] if down else 1 - part[0]) * (part[1] if right else 1 - part[1])
        * picture[0, low[0] + down, low[1] + right]
        for down in (0, 1) for right in (0, 1)
    )  # fmt: skip
    expected = local_contrast_normalization(np.asarray(sampled, np.float32))
    np.testing.assert_allclose(band.image[0][band.inside], expected[band.inside], atol=1e-3)


def test_color_cameras_have_chroma(picture: np.ndarray) -> None:
    grey = BandPyramid()(picture, CAMERA, LEVEL).bands[5].image
    equal = BandPyramid()(np.repeat(picture, 3, 0), CAMERA, LEVEL).bands[5].image
    np.testing.assert_allclose(equal[:1], grey, atol=1e-4)
    assert np.abs(equal[1:]).max() < 1e-5
    red = np.concatenate([picture, 0.5 * picture, 0.5 * picture])
    assert BandPyramid()(red, CAMERA, LEVEL).bands[5].image[2].mean() > 0.1


def test_the_same_bits_every_time(picture: np.ndarray) -> None:
    first, second = (BandPyramid()(picture.copy(), CAMERA, TILTED) for _ in range(2))
    assert all((a.image == b.image).all() for a, b in zip(first.bands, second.bands, strict=True))


def test_what_no_pyramid_can_be() -> None:
    image = np.zeros((1, 188, 620), np.float32)
    with pytest.raises(UsageError, match=r"give \(1 or 3, 188, 620\)"):
        BandPyramid()(image[:, :100], CAMERA, LEVEL)
    with pytest.raises(UsageError, match="no ground between"):
        BandPyramid()(image, CAMERA, GroundPlane.from_angles(-20, 0, 1.65))
    with pytest.raises(UsageError, match="beyond farthest"):
        BandPyramid(nearest=10, farthest=5)
    with pytest.raises(UsageError, match="row_step of a pyramid"):
        BandPyramid(row_step=0)
