"""Distance-normalized pyramid: bands of the image in which an object has the same height in pixels at every distance.

Each band belongs to a range. It is cut from the leveled image around the row at which the ground of this range is seen,
and scaled so that one meter at this range has the same number of pixels in every band. A classifier that is trained on
near bands, where stereo tells what there is, therefore works on far ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from striate.errors import UsageError
from striate.images import local_contrast_normalization, to_yuv
from striate.images.preprocessing import CHROMA_SCALE
from striate.parameters import Integer, Real, checked
from striate.robot.calibration import Calibration
from striate.robot.plane import GroundPlane

__all__ = ["WINDOW", "Band", "BandPyramid", "Bands", "Windows"]

WINDOW = (12, 25)
"""Height and width of the windows that are classified, in pixels of a band: the input of the talk's network."""

_BELOW = WINDOW[0] // 2  # rows below the ground's row, so that a window may be centered there
_ABOVE = 29  # rows above it: 36 in all, the most on the talk's slides
_LEAST_ROWS = 20
_WIDEST, _NARROWEST = 500, 36
_LEAST_INSIDE = 0.5  # share of a window that must be image

_RULES = {
    "nearest": Real(above=0),
    "farthest": Real(above=0, high=1000),
    "bands_per_octave": Real(above=0, high=64),
    "pixels_per_meter": Real(low=1, high=200),
    "row_step": Integer(low=1),
    "column_step": Integer(low=1),
}


class Windows(NamedTuple):
    """Windows of 12×25 pixels, band by band, then row by row; every field has shape (n_windows,).

    Attributes
    ----------
    band : int32
        Place of the band in `Bands.bands`.
    row, column : int32
        The window's first row and column in its band.
    range : float32
        Meters ahead, of the band.
    x, z : float32
        Ground below the window's center at this range, in level coordinates: meters to the right, and ahead.
    height : float32
        Of the center over the ground plane, in meters, at this range; negative below the ground's row.
    image_row, image_column : float32
        The center in the image, in pixels.
    inside : float32
        Share of the window that is image; the rest is zero.
    """

    band: NDArray[np.int32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    range: NDArray[np.float32]
    x: NDArray[np.float32]
    z: NDArray[np.float32]
    height: NDArray[np.float32]
    image_row: NDArray[np.float32]
    image_column: NDArray[np.float32]
    inside: NDArray[np.float32]


@dataclass(frozen=True)
class Band:
    """A part of the leveled image, at the scale of its range.

    Attributes
    ----------
    range : float
        Meters ahead.
    image : (1 or 3, height, width) float32 array
        Normalized luma, and for a color camera chroma; zero where the camera does not look.
    inside : (height, width) bool array
        Where the camera looks.
    pixels : float
        Pixels of the band per unit of the tangent of an angle: pixels per meter times range.
    ground_row : int
        The row at which the ground of this range is seen; it may be the last but six.
    ahead_column : float
        The column straight ahead.
    """

    range: float
    image: NDArray[np.float32]
    inside: NDArray[np.bool_]
    pixels: float
    ground_row: int
    ahead_column: float


class _Shape(NamedTuple):
    range: float
    pixels: float
    n_rows: int
    n_columns: int
    ground_row: int
    ahead_column: float


@dataclass(frozen=True)
class Bands:
    """The bands of one image, nearest first, with what is needed to find their pixels in the image and on the ground.

    Attributes
    ----------
    bands : tuple of Band
    windows : Windows
        All windows whose center is in the image, at the steps of the `BandPyramid`.
    calibration : Calibration
    plane : GroundPlane
    """

    bands: tuple[Band, ...]
    windows: Windows
    calibration: Calibration
    plane: GroundPlane

    @property
    def n_channels(self) -> int:
        """1 for a grey camera, 3 for a color camera."""
        return self.bands[0].image.shape[0]

    def cut(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.float32]:
        """The pixels of windows.

        Parameters
        ----------
        which : indices, mask or slice of `windows`
            Default: all. There are tens of thousands, of which each has 300 numbers per channel.

        Returns
        -------
        (n_windows, channels, 12, 25) float32 array
        """
        bands, rows, columns = (field[which] for field in self.windows[:3])
        cut = np.empty((len(bands), self.n_channels, *WINDOW), np.float32)
        for place in np.unique(bands):
            views = np.lib.stride_tricks.sliding_window_view(self.bands[place].image, WINDOW, axis=(1, 2))
            own = bands == place
            cut[own] = views[:, rows[own], columns[own]].swapaxes(0, 1)
        return cut

    def to_image(
        self, band: int, rows: NDArray[np.floating] | float, columns: NDArray[np.floating] | float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where pixels of a band are in the image that it was cut from.

        Parameters
        ----------
        band : int
            Place in `bands`.
        rows, columns : float or float array
            Pixels of the band; fractions are allowed.

        Returns
        -------
        rows, columns : float64 arrays
            Pixels of the image; they may be outside.
        """
        found = self.bands[band]
        return _to_image(self.calibration, self.plane, found, np.asarray(rows, float), np.asarray(columns, float))

    def to_band(
        self, band: int, rows: NDArray[np.floating] | float, columns: NDArray[np.floating] | float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where pixels of the image are in a band: the inverse of `to_image`."""
        found, cameras = self.bands[band], self.calibration
        across = (np.asarray(columns, float) - cameras.cx) / cameras.fx
        down = (np.asarray(rows, float) - cameras.cy) / cameras.fy
        turn = self.plane.leveling()
        x, y, z = (turn[axis, 0] * across + turn[axis, 1] * down + turn[axis, 2] for axis in range(3))
        ground = self.plane.camera_height / found.range
        return (y / z - ground) * found.pixels + found.ground_row, x / z * found.pixels + found.ahead_column

    def to_ground(self, band: int, columns: NDArray[np.floating] | float) -> tuple[NDArray[np.float64], float]:
        """Meters to the right of a band's columns, and meters ahead, on the ground at the band's range."""
        found = self.bands[band]
        return (np.asarray(columns, float) - found.ahead_column) * found.range / found.pixels, found.range


@dataclass(frozen=True)
class BandPyramid:
    """Cuts bands from images: ``BandPyramid()(image, calibration, plane)``.

    Parameters
    ----------
    nearest, farthest : float, default 4, 60
        Ranges of the bands, in meters. Bands whose ground is below the image are left out: a car's camera sees ground
        from about 6 m on.
    bands_per_octave : float, default 6
        Bands each time the range doubles. At 6, neighboring bands differ by 12 % in scale, and an object differs from
        its band's scale by at most 6 %.
    pixels_per_meter : float, default 8
        Scale of every band at its range. At 8, a window of 12×25 pixels shows 1.5×3.1 m: an obstacle with the ground
        that it stands on.
    row_step, column_step : int, default 2, 4
        Distance of neighboring windows in pixels of a band. The talk's network pools four columns, so that its features
        are 4 columns apart.

    References
    ----------
    Hadsell, Sermanet, Ben, Erkan, Scoffier, Kavukcuoglu, Muller, LeCun, "Learning long-range vision for autonomous
    off-road driving", Journal of Field Robotics 26(2), 2009.
    """

    nearest: float = 4.0
    farthest: float = 60.0
    bands_per_octave: float = 6.0
    pixels_per_meter: float = 8.0
    row_step: int = 2
    column_step: int = 4

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, checked(f"{name} of a pyramid", getattr(self, name), rule))
        if self.nearest > self.farthest:
            raise UsageError(f"nearest of a pyramid is {self.nearest}, beyond farthest, {self.farthest}")

    @property
    def ranges(self) -> NDArray[np.float64]:
        """Ranges of all bands, in meters, nearest first; the last one is `farthest`."""
        n_steps = int(np.floor(self.bands_per_octave * np.log2(self.farthest / self.nearest) + 1e-9))
        return self.farthest / 2 ** (np.arange(n_steps, -1, -1) / self.bands_per_octave)

    def __call__(self, image: NDArray[np.float32], calibration: Calibration, plane: GroundPlane) -> Bands:
        """Cut all bands from an image.

        Parameters
        ----------
        image : (1 or 3, height, width) float32 array
            Grey, or red, green and blue, 0–1, of the calibration's size.
        calibration : Calibration
        plane : GroundPlane
            The ground, which gives horizon, roll, and where each range is seen.

        Returns
        -------
        Bands

        Raises
        ------
        UsageError
            If the image has another size or number of channels, or no range of the pyramid has its ground in the image.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3) or image.shape[1:] != calibration.size:
            height, width = calibration.size
            raise UsageError(f"an image of shape {image.shape} for a pyramid: give (1 or 3, {height}, {width})")
        shapes = self._shapes(calibration, plane)
        if not shapes:
            raise UsageError(
                f"no ground between {self.nearest:g} and {self.farthest:g} m ahead is in the image, by the ground "
                f"plane (camera {plane.camera_height:.2f} m above it, looking down by {plane.pitch:.1f}°)"
            )
        bands, windows = [], []
        reduced = _octaves(image, max(_octave(shape, calibration) for shape in shapes))
        for place, shape in enumerate(shapes):
            rows, columns = np.arange(shape.n_rows, dtype=float)[:, None], np.arange(shape.n_columns, dtype=float)
            places = _to_image(calibration, plane, shape, rows, columns)
            band = _sampled(reduced, _octave(shape, calibration), shape, calibration, places)
            bands.append(band)
            windows.append(self._windows(place, band, calibration, plane))
        joined = Windows(*(np.concatenate(field) for field in zip(*windows, strict=True)))
        return Bands(tuple(bands), joined, calibration, plane)

    def _shapes(self, calibration: Calibration, plane: GroundPlane) -> list[_Shape]:
        """The bands that an image has, and where they are cut."""
        top, bottom, left, right = _tangents(calibration, plane)
        shapes = []
        for distance in self.ranges:
            pixels = self.pixels_per_meter * distance
            ground = plane.camera_height / distance
            n_columns = min(_WIDEST, int((right - left) * pixels))
            if not top < ground < bottom or n_columns < _NARROWEST:
                continue
            above = int(np.clip(np.ceil((ground - top) * pixels), _LEAST_ROWS - 1 - _BELOW, _ABOVE))
            # A band that is narrower than the image shows what is straight ahead, as far as the image goes.
            ahead = float(np.clip((n_columns - 1) / 2, n_columns - 0.5 - right * pixels, -left * pixels - 0.5))
            shapes.append(_Shape(float(distance), pixels, above + 1 + _BELOW, n_columns, above, ahead))
        return shapes

    def _windows(self, place: int, band: Band, calibration: Calibration, plane: GroundPlane) -> Windows:
        n_rows, n_columns = band.inside.shape
        # Counted from below, so that windows are centered on the ground's row in every band.
        tops = np.arange((n_rows - WINDOW[0]) % self.row_step, n_rows - WINDOW[0] + 1, self.row_step, dtype=np.int32)
        lefts = np.arange(0, n_columns - WINDOW[1] + 1, self.column_step, dtype=np.int32)
        row, column = (grid.ravel() for grid in np.meshgrid(tops, lefts, indexing="ij"))
        total = np.zeros((n_rows + 1, n_columns + 1), np.int64)
        total[1:, 1:] = band.inside.cumsum(0).cumsum(1)
        low, far = row + WINDOW[0], column + WINDOW[1]
        inside = (total[low, far] - total[row, far] - total[low, column] + total[row, column]) / np.prod(WINDOW)
        center_row, center_column = row + (WINDOW[0] - 1) / 2, column + (WINDOW[1] - 1) / 2
        image_row, image_column = _to_image(calibration, plane, band, center_row, center_column)
        height, width = calibration.size
        seen = (np.abs(image_row - (height - 1) / 2) <= height / 2) & (
            np.abs(image_column - (width - 1) / 2) <= width / 2
        )
        seen &= inside >= _LEAST_INSIDE
        n_seen = np.count_nonzero(seen)
        single = np.float32
        return Windows(
            band=np.full(n_seen, place, np.int32),
            row=row[seen],
            column=column[seen],
            range=np.full(n_seen, band.range, single),
            x=((center_column[seen] - band.ahead_column) * band.range / band.pixels).astype(single),
            z=np.full(n_seen, band.range, single),
            height=((band.ground_row - center_row[seen]) * band.range / band.pixels).astype(single),
            image_row=image_row[seen].astype(single),
            image_column=image_column[seen].astype(single),
            inside=inside[seen].astype(single),
        )


def _tangents(calibration: Calibration, plane: GroundPlane) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of the leveled image, as tangents of angles from straight ahead."""
    height, width = calibration.size
    rows = np.array([-0.5, height - 0.5, (height - 1) / 2, (height - 1) / 2])
    columns = np.array([(width - 1) / 2, (width - 1) / 2, -0.5, width - 0.5])
    rays = np.stack([(columns - calibration.cx) / calibration.fx, (rows - calibration.cy) / calibration.fy, np.ones(4)])
    x, y, z = plane.leveling() @ rays
    return float(y[0] / z[0]), float(y[1] / z[1]), float(x[2] / z[2]), float(x[3] / z[3])


def _to_image(
    calibration: Calibration,
    plane: GroundPlane,
    band: Band | _Shape,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    across = (columns - band.ahead_column) / band.pixels
    down = (rows - band.ground_row) / band.pixels + plane.camera_height / band.range
    turn = plane.leveling().T  # from level coordinates to the camera's
    x, y, z = (turn[axis, 0] * across + turn[axis, 1] * down + turn[axis, 2] for axis in range(3))
    return calibration.fy * y / z + calibration.cy, calibration.fx * x / z + calibration.cx


def _octave(shape: _Shape, calibration: Calibration) -> int:
    """How often the image is halved before the band is sampled from it, without aliasing."""
    return max(0, round(np.log2(calibration.fy / shape.pixels)))


def _octaves(image: NDArray[np.float32], n_octaves: int) -> list[NDArray[np.float32]]:
    """The image, halved 0, 1, … `n_octaves` times by means of 2×2 pixels; an odd last row or column is repeated."""
    reduced = [np.ascontiguousarray(image, dtype=np.float32)]
    for _ in range(n_octaves):
        last = reduced[-1]
        height, width = last.shape[1:]
        last = np.pad(last, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        blocks = last[:, ::2, ::2] + last[:, 1::2, ::2] + last[:, ::2, 1::2] + last[:, 1::2, 1::2]
        reduced.append(blocks / np.float32(4))
    return reduced


def _sampled(
    reduced: list[NDArray[np.float32]],
    octave: int,
    shape: _Shape,
    calibration: Calibration,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Band:
    rows, columns = places
    height, width = calibration.size
    inside = (rows >= -0.5) & (rows <= height - 0.5) & (columns >= -0.5) & (columns <= width - 0.5)
    scale = 2.0**octave
    coordinates = np.stack([(rows + 0.5) / scale - 0.5, (columns + 0.5) / scale - 0.5])
    sampled = np.stack([
        map_coordinates(channel, coordinates, order=1, mode="nearest", output=np.float32) for channel in reduced[octave]
    ])  # fmt: skip
    if len(sampled) == 3:
        sampled = to_yuv(sampled)
        sampled[1:] *= np.float32(CHROMA_SCALE)
    sampled[:1] = local_contrast_normalization(sampled[:1])
    sampled *= inside
    return Band(shape.range, sampled, inside, shape.pixels, shape.ground_row, shape.ahead_column)
