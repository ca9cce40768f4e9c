"""Pinwheels: points around which the orientations of a map turn by half a turn.

Orientation is not defined at such a point, so z = 0 there. The winding of z around each square of four neighboring
places, ±1 or 0, finds them, and the crossing of the zero contours of Re z and Im z within the square is their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis.orientation_map import Complexes, Floats, OrientationMap, checked_map
from striate.parameters import Instance, checked

__all__ = ["NearestDistances", "Pinwheels", "find_pinwheels", "nearest_distances"]


@dataclass(frozen=True, eq=False)
class Pinwheels:
    """The pinwheels of a map.

    Attributes
    ----------
    x, y : ndarray (n_pinwheels,), float64
        Places in pixels, counted from 0 at the center of the first one; x to the right, y down.
    charge : ndarray (n_pinwheels,), float64
        +½ where the orientation turns the same way as one goes around the point, −½ where it turns the other way.
    shape : (int, int)
        Height and width of the map.
    periodic : bool
    area : int
        The number of squares of four places that were searched: the map's area in pixels.
    """

    x: Floats
    y: Floats
    charge: Floats
    shape: tuple[int, int]
    periodic: bool
    area: int

    def __len__(self) -> int:
        return len(self.charge)

    @property
    def imbalance(self) -> float:
        """``|n₊ − n₋| / n``; NaN without pinwheels. On a torus it is 0 by topology, and says nothing."""
        n = len(self)
        return float(abs(np.sign(self.charge).sum()) / n) if n else np.nan


@dataclass(frozen=True, eq=False)
class NearestDistances:
    """From each pinwheel to the nearest other one, in pixels, float64 (n_pinwheels,); NaN where there is no such one.

    Attributes
    ----------
    any : to the nearest of either charge
    equal : to the nearest of its own charge
    opposite : to the nearest of the other charge
    """

    any: Floats
    equal: Floats
    opposite: Floats


def find_pinwheels(orientation_map: OrientationMap) -> Pinwheels:
    """Find all pinwheels of a map.

    Between the places, the map is continued linearly. Each square then has at most one pinwheel that counts (two of
    opposite charge within one square cancel), and the charges of all squares add up to the winding around the border,
    which is 0 on a torus. Noise makes pairs of pinwheels: measure a density with `pinwheel_density`, which smooths.

    Parameters
    ----------
    orientation_map : OrientationMap
        Squares with a corner outside of its mask are left out.

    Returns
    -------
    Pinwheels
        Row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.analysis import OrientationMap, find_pinwheels
    >>> y, x = np.mgrid[:20, :20]
    >>> found = find_pinwheels(OrientationMap((x - 12.3) - 1j * (y - 7.6)))
    >>> found.x.round(6), found.y.round(6), found.charge
    (array([12.3]), array([7.6]), array([-0.5]))

    References
    ----------
    Löwel, Schmidt, Kim, Wolf, Hoffsümmer, Singer, Bonhoeffer, "The layout of orientation and ocular dominance domains
    in area 17 of strabismic cats", European J. Neuroscience 1998, for the crossings of zero contours.
    """
    given = checked_map(orientation_map)
    z = given.responses
    corners = _corners(z, given.periodic)
    inside = np.logical_and.reduce(_corners(given.inside, given.periodic))
    # The steps along edges that two squares share cancel exactly: the charges of all squares add up to the border's.
    phase = np.angle(z)
    right, down = ((np.roll(phase, -1, axis) - phase + np.pi) % (2 * np.pi) - np.pi for axis in (1, 0))
    top, bottom = _corners(right, given.periodic)[0], _corners(right, given.periodic)[2]
    first, second = _corners(down, given.periodic)[0], _corners(down, given.periodic)[1]
    winding = np.rint((top + second - bottom - first) / (2 * np.pi)).astype(int)
    rows, columns = np.nonzero((winding != 0) & inside)
    across, along = _crossing(*(corner[rows, columns] for corner in corners))
    height, width = given.shape
    x, y = columns + across, rows + along
    if given.periodic:
        x, y = x % width, y % height
    return Pinwheels(x, y, winding[rows, columns] / 2, given.shape, given.periodic, int(inside.sum()))


def nearest_distances(pinwheels: Pinwheels) -> NearestDistances:
    """Distances from each pinwheel to its nearest neighbors, around the torus if the map is periodic.

    In an open map, those near the border have missed neighbors outside, so that the distances are a little too long;
    a control map of the same size is too.

    Parameters
    ----------
    pinwheels : Pinwheels
        From `find_pinwheels`. With fewer than two, all distances are NaN.

    References
    ----------
    Kaschube et al., Science 2010, figure 3.
    """
    from scipy.spatial import cKDTree

    found = checked("pinwheels", pinwheels, Instance(Pinwheels, words="Pinwheels from find_pinwheels"))
    points = np.stack([found.y, found.x], axis=1)
    box = found.shape if found.periodic else None

    def nearest(own: NDArray[np.bool_], others: NDArray[np.bool_]) -> Floats:
        """From each of `own` to the nearest of `others`, itself left out."""
        rank = 2 if (own & others).any() else 1
        if others.sum() < rank:
            return np.full(own.sum(), np.nan)
        distances, _ = cKDTree(points[others], boxsize=box).query(points[own], k=[rank])
        return np.asarray(distances[:, 0], np.float64)

    everyone, positive = np.ones(len(found), bool), found.charge > 0
    equal, opposite = np.full(len(found), np.nan), np.full(len(found), np.nan)
    for own in (positive, ~positive):
        if own.any():
            equal[own], opposite[own] = nearest(own, own), nearest(own, ~own)
    if not len(found):
        return NearestDistances(equal, equal, opposite)
    return NearestDistances(nearest(everyone, everyone), equal, opposite)


def _corners(values: NDArray[Any], periodic: bool) -> tuple[NDArray[Any], ...]:
    """Values at the corners of each square: top left, top right, bottom left, bottom right."""
    below = np.roll(values, -1, 0)
    found = values, np.roll(values, -1, 1), below, np.roll(below, -1, 1)
    return found if periodic else tuple(corner[:-1, :-1] for corner in found)


def _crossing(first: Complexes, right: Complexes, below: Complexes, last: Complexes) -> tuple[Floats, Floats]:
    """Where the bilinear function of the four corners is 0, as fractions of the square across and down.

    With z = a + b·s + c·t + d·s·t, s = −(a + c·t)/(b + d·t) must be real: a quadratic equation for t.
    """
    a, b, c, d = first, right - first, below - first, last - right - below + first
    constant, linear, square = (a * b.conj()).imag, (a * d.conj() + c * b.conj()).imag, (c * d.conj()).imag
    root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0))
    # Both roots without cancellation, and without division by a square term of 0.
    half = -(linear + np.where(linear >= 0, root, -root)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.stack([constant / half, half / square])
        slope = b + d * down
        across = -((a + c * down) * slope.conj()).real / np.abs(slope) ** 2
        outside = np.maximum(np.abs(across - 0.5), np.abs(down - 0.5))
    outside = np.where(np.isfinite(outside), outside, np.inf)
    best = outside.argmin(axis=0), np.arange(len(first))
    sound = np.isfinite(outside[best])
    s, t = (np.clip(np.where(sound, part[best], 0.5), 0, 1) for part in (across, down))
    return s, t
