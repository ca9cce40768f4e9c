"""Finds the ground plane in a disparity map, and the ground's own ups and downs around it.

A plane is linear in disparity: with `r = (x/z, y/z, 1)` the ray of a pixel, `d = a · r` for all its points, where
`a = −fx·baseline/camera_height · up`. There the errors of stereo have the same size at every distance, which they have
not in meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.robot.calibration import Calibration
from striate.robot.plane import GroundPlane

__all__ = ["GroundFinder", "GroundFit", "local_ground"]

_INLIER = 0.75  # pixels of disparity
_N_SAMPLES = 4000  # pixels that take part
_LEAST_SAMPLES = 200
_LEAST_SHARE = 0.15  # of them on the plane
_PRIOR_WEIGHT = 0.1  # of the last plane, in shares of the samples
_N_REFITS = 5

_CELL = 1.0  # meters
_ACROSS, _AHEAD = 20.0, 40.0  # half the width, and the length, of the map of ups and downs, in meters
_LOW_QUANTILE = 0.2  # of the heights in a cell: grass has blades


class GroundFit(NamedTuple):
    """A ground plane, and how well it is supported.

    Attributes
    ----------
    plane : GroundPlane
    share : float
        Of the pixels nearer than the finder's range that are on the plane.
    error : float
        Median distance of these from the plane, in pixels of disparity.
    """

    plane: GroundPlane
    share: float
    error: float


@dataclass(frozen=True)
class GroundFinder:
    """Random sample consensus, a robust refit, and the plane of the last frame as a prior.

    Parameters
    ----------
    farthest : float, default 25
        Points beyond this range, in meters, take no part.
    n_trials : int, default 300
        Planes through three random pixels. With half of the pixels on the ground, 300 trials miss it with a
        probability below 1e-15.
    lowest, highest : float, default 0.2, 3
        The camera's height over the ground, in meters.
    steepest : float, default 15
        The most degrees of pitch and of roll.
    """

    farthest: float = 25.0
    n_trials: int = 300
    lowest: float = 0.2
    highest: float = 3.0
    steepest: float = 15.0

    def __post_init__(self) -> None:
        rules = {
            "farthest": Real(above=0),
            "n_trials": Integer(low=1, high=1 << 16),
            "lowest": Real(above=0),
            "highest": Real(above=0),
            "steepest": Real(above=0, below=60),
        }
        for name, rule in rules.items():
            object.__setattr__(self, name, checked(f"{name} of a ground finder", getattr(self, name), rule))

    def __call__(
        self,
        disparity: NDArray[np.float32],
        calibration: Calibration,
        *,
        prior: GroundPlane | None = None,
        random_state: RandomState = 0,
    ) -> GroundFit | None:
        """Find the ground.

        Parameters
        ----------
        disparity : (height, width) float32 array
            Pixels; NaN where it is not known.
        calibration : Calibration
        prior : GroundPlane, optional
            That of the last frame, which then counts like a tenth of the pixels.
        random_state : int, Generator, RandomState or None, default 0

        Returns
        -------
        GroundFit or None
            None where no plane within the bounds has enough points: there is no ground in sight, the images are no
            pair, or the calibration is wrong.
        """
        if disparity.shape != calibration.size:
            raise UsageError(f"a disparity of shape {disparity.shape} with a calibration for {calibration.size}")
        rng = generator_from(random_state)
        rays, found = self._samples(disparity, calibration, rng)
        if len(found) < _LEAST_SAMPLES:
            return None
        scale = calibration.fx * calibration.baseline
        planes = self._candidates(rays, found, scale, rng)
        if prior is not None:
            planes = np.concatenate([planes, [_coefficients(prior, scale)]])
        if not len(planes):
            return None
        errors = found - planes @ rays.T  # positive: nearer than the plane, above it
        # Nothing is below the ground: a plane through the bodies of cars has the road below it.
        score = np.count_nonzero(np.abs(errors) < _INLIER, axis=1) - np.count_nonzero(errors < -2 * _INLIER, axis=1)
        best = _refitted(
            planes[int(score.argmax())], rays, found, None if prior is None else _coefficients(prior, scale)
        )
        if not self._allowed(best[None], scale)[0]:
            return None
        error = np.abs(found - rays @ best)
        own = error < _INLIER
        share = float(own.mean())
        if share < _LEAST_SHARE:
            return None
        norm = float(np.linalg.norm(best))
        x, y, z = (-best / norm).tolist()
        return GroundFit(GroundPlane((x, y, z), scale / norm), share, float(np.median(error[own])))

    def _samples(
        self, disparity: NDArray[np.float32], calibration: Calibration, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rays (n_samples, 3) and disparities of random pixels that are near, and not too high to be ground."""
        rows, columns = np.nonzero(disparity > calibration.fx * calibration.baseline / self.farthest)
        # A road that rises by the steepest angle is still below this row.
        possible = rows > calibration.cy - calibration.fy * np.tan(np.deg2rad(self.steepest))
        rows, columns = rows[possible], columns[possible]
        if len(rows) > _N_SAMPLES:
            chosen = np.sort(rng.choice(len(rows), _N_SAMPLES, replace=False))
            rows, columns = rows[chosen], columns[chosen]
        across, down = (columns - calibration.cx) / calibration.fx, (rows - calibration.cy) / calibration.fy
        return np.stack([across, down, np.ones(len(rows))], axis=1), disparity[rows, columns].astype(np.float64)

    def _candidates(
        self, rays: NDArray[np.float64], found: NDArray[np.float64], scale: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Planes through three random points each, (n_planes, 3), those within the bounds."""
        chosen = rng.integers(0, len(found), (self.n_trials, 3))
        corners = rays[chosen]
        sound = np.abs(np.linalg.det(corners)) > 1e-4  # three pixels on a line define no plane
        planes = np.linalg.solve(corners[sound], found[chosen][sound][..., None])[..., 0]
        return planes[self._allowed(planes, scale)]

    def _allowed(self, planes: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
        norms = np.maximum(np.linalg.norm(planes, axis=1), 1e-12)
        up = -planes / norms[:, None]
        height = scale / norms
        most = np.tan(np.deg2rad(self.steepest))
        level = (up[:, 1] < 0) & (np.abs(up[:, 0]) <= -most * up[:, 1]) & (np.abs(up[:, 2]) <= -most * up[:, 1])
        return level & (height >= self.lowest) & (height <= self.highest)


def _coefficients(plane: GroundPlane, scale: float) -> NDArray[np.float64]:
    return -scale / plane.camera_height * np.array(plane.up)


def _refitted(
    plane: NDArray[np.float64], rays: NDArray[np.float64], found: NDArray[np.float64], prior: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Weighted least squares with Tukey's weights, which ignore what is clearly not on the plane."""
    for _ in range(_N_REFITS):
        error = found - rays @ plane
        weight = np.square(np.maximum(0, 1 - np.square(error / (2 * _INLIER))))
        gram, target = rays.T @ (weight[:, None] * rays), rays.T @ (weight * found)
        if prior is not None:
            # The last plane, as if the same pixels had been seen on it.
            share = _PRIOR_WEIGHT * len(found) / max(float(weight.sum()), 1.0)
            target = target + share * (gram @ prior)
            gram = gram * (1 + share)
        try:
            plane = np.linalg.solve(gram, target)
        except np.linalg.LinAlgError:  # all points on one line
            return plane
    return plane


def local_ground(heights: NDArray[np.floating], places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Height of the ground itself over the plane, below each point: roads are curved, grass is higher than asphalt.

    Parameters
    ----------
    heights : (n_points,) float array
        Over the plane, in meters.
    places : (2, n_points) float array
        Meters to the right, and ahead.

    Returns
    -------
    (n_points,) float32 array
        Meters, zero beyond 40 m and where no ground is seen. From cells of 1 m: the low points of those that are near
        the plane, smoothed, so that an obstacle stays one.
    """
    n_across, n_ahead = int(2 * _ACROSS / _CELL), int(_AHEAD / _CELL)
    column = np.floor((places[0] + _ACROSS) / _CELL)
    row = np.floor(places[1] / _CELL)
    inside = (column >= 0) & (column < n_across) & (row >= 0) & (row < n_ahead)
    cell = (row[inside] * n_across + column[inside]).astype(np.int64)
    own = heights[inside]
    near = np.abs(own) < 0.1 + 0.015 * places[1][inside]  # a slope that a plane cannot follow
    order = np.lexsort((own[near], cell[near]))
    cells, values = cell[near][order], own[near][order]
    which, first, count = np.unique(cells, return_index=True, return_counts=True)
    low = np.zeros(n_ahead * n_across)
    weight = np.zeros(n_ahead * n_across)
    enough = count >= 5
    low[which[enough]] = values[first[enough] + (_LOW_QUANTILE * (count[enough] - 1)).astype(np.int64)]
    weight[which[enough]] = np.minimum(count[enough], 50)
    shape = (n_ahead, n_across)
    smooth = gaussian_filter((low * weight).reshape(shape), 1.0, mode="constant")
    smooth /= gaussian_filter(weight.reshape(shape), 1.0, mode="constant") + 2.0
    local = np.zeros(len(heights), np.float32)
    local[inside] = smooth.ravel()[cell]
    return local
