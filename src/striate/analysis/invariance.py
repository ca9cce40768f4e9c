"""How far the features of a patch move when the patch does: distances against translation and rotation.

References
----------
Kavukcuoglu, Ranzato, Fergus, LeCun, "Learning invariant features through topographic filter maps", CVPR 2009, figure 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis.orientation_map import Floats
from striate.errors import UsageError
from striate.images import to_grey
from striate.parameters import Integer, Real, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_samples

__all__ = ["InvarianceCurve", "PatchPlaces", "cut_patches", "invariance_curve", "patch_places"]

Describe = Callable[[NDArray[np.float32]], Any]


@dataclass(frozen=True, eq=False)
class PatchPlaces:
    """Centers of patches, (n_patches,) each: the number of the image, and the pixel's row and column."""

    image: NDArray[np.intp]
    row: NDArray[np.intp]
    column: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class InvarianceCurve:
    """Distances between the features of patches and of the same patches moved.

    Attributes
    ----------
    shifts : ndarray (n_shifts,), float64
        Pixels to the right.
    distances : ndarray (n_patches, n_shifts), float64
        Relative to the mean distance between patches of different images: 0 is the same, 1 unrelated.
    mean, standard_error : ndarray (n_shifts,), float64
        Over the patches.
    """

    shifts: Floats
    distances: Floats
    mean: Floats
    standard_error: Floats


def patch_places(
    images: Sequence[NDArray[Any]],
    n_patches: int,
    *,
    size: int = 16,
    reach: int = 16,
    min_std: float = 0.05,
    random_state: RandomState = None,
) -> PatchPlaces:
    """Draw places of patches that have structure, and that remain inside of their images when they move.

    Parameters
    ----------
    images : sequence of float (channels, height, width), 0–1
        Color is converted to grey. Images that are too small are left out.
    n_patches : int
    size : int, default 16
        Side of a patch in pixels.
    reach : int, default 16
        The longest shift in pixels. There is room for any rotation.
    min_std : float, default 0.05
        A patch counts if its standard deviation is above this.
    random_state : int, Generator, RandomState or None

    Raises
    ------
    UsageError
        If no image is large enough, or too few patches have structure.
    """
    n_patches = checked("n_patches", n_patches, Integer(low=2))
    size = checked("size", size, Integer(low=2))
    reach = checked("reach", reach, Integer(low=0))
    min_std = checked("min_std", min_std, Real(low=0))
    rng = generator_from(random_state)
    greys = [to_grey(image)[0] for image in images]
    border = int(np.ceil(size / np.sqrt(2))) + 2  # a rotated square's corner, and room for interpolation
    rooms = [(grey.shape[0] - 2 * border, grey.shape[1] - 2 * border - reach) for grey in greys]
    usable = [i for i, room in enumerate(rooms) if min(room) > 0]
    if not usable:
        raise UsageError(f"no image has room for patches of {size} pixels that move by {reach}: give larger images")
    found: list[tuple[int, int, int]] = []
    for _ in range(100 * n_patches):
        i = int(rng.choice(usable))
        row, column = (border + int(rng.integers(length)) for length in rooms[i])
        top, left = row - size // 2, column - size // 2
        if greys[i][top : top + size, left : left + size].std() > min_std:
            found.append((i, row, column))
        if len(found) == n_patches:
            break
    else:
        raise UsageError(f"only {len(found)} of {n_patches} patches have structure: lower min_std, or n_patches")
    image, rows, columns = np.array(found, dtype=np.intp).T
    return PatchPlaces(image, rows, columns)


def cut_patches(
    images: Sequence[NDArray[Any]], places: PatchPlaces, *, size: int = 16, shift: float = 0.0, rotation: float = 0.0
) -> NDArray[np.float32]:
    """Patches around places, moved to the right and rotated about their own centers, by cubic splines.

    Parameters
    ----------
    images : sequence of float (1, height, width)
        Prepared in any way that keeps the size; those of `patch_places` in number.
    places : PatchPlaces
    size : int, default 16
    shift : float, default 0
        Pixels; any fraction.
    rotation : float, default 0
        Degrees, by which the patch's window turns clockwise.

    Returns
    -------
    float32 (n_patches, size, size)
    """
    return _cut(_splines(images, places), places, size, shift, rotation)


def _splines(images: Sequence[NDArray[Any]], places: PatchPlaces) -> dict[int, Floats]:
    """Coefficients of the images that have places."""
    from scipy.ndimage import spline_filter

    return {int(i): spline_filter(np.asarray(images[i], np.float64)[0]) for i in np.unique(places.image)}


def _cut(
    splines: Mapping[int, Floats], places: PatchPlaces, size: int, shift: float, rotation: float
) -> NDArray[np.float32]:
    from scipy.ndimage import map_coordinates

    size = checked("size", size, Integer(low=2))
    shift, angle = checked("shift", shift, Real()), np.radians(checked("rotation", rotation, Real()))
    down, across = np.indices((size, size)) - (size - 1) / 2
    middle = (size - 1) / 2 - size // 2  # of an even patch, half a pixel before its place
    rows = middle + np.cos(angle) * down + np.sin(angle) * across
    columns = middle + shift + np.cos(angle) * across - np.sin(angle) * down
    patches = np.empty((len(places), size, size), np.float32)
    for i, smooth in splines.items():
        chosen = np.flatnonzero(places.image == i)
        at = [place[chosen, None, None] + offsets for place, offsets in ((places.row, rows), (places.column, columns))]
        patches[chosen] = map_coordinates(smooth, at, prefilter=False, mode="mirror")
    return patches


def invariance_curve(
    describe: Describe,
    images: Sequence[NDArray[Any]],
    places: PatchPlaces,
    *,
    size: int = 16,
    shifts: Iterable[float] = range(17),
    rotation: float = 0.0,
) -> InvarianceCurve:
    """Distance between the features of patches and of the same patches shifted and rotated.

    Several descriptions are compared on the same places, each with images prepared as it needs: their distances are
    paired, row by row.

    Parameters
    ----------
    describe : callable
        Features (n_patches, n_features) of patches, float32 (n_patches, size, size).
    images : sequence of float (1, height, width)
    places : PatchPlaces
        With a `reach` of at least the longest shift, from at least two images.
    size : int, default 16
    shifts : iterable of float, default 0 to 16
        Pixels to the right.
    rotation : float, default 0
        Degrees by which the moved patch is rotated.

    Returns
    -------
    InvarianceCurve

    Raises
    ------
    UsageError
        If features are not finite, or equal for all patches, or all places are in one image.
    """
    moves = np.array([checked("shifts", shift, Real()) for shift in shifts], np.float64)
    if not len(moves):
        raise UsageError("shifts are empty; give at least one")
    splines = _splines(images, places)
    still = _features(describe, _cut(splines, places, size, 0, 0))
    unrelated = _unrelated(still, places.image)
    distances = np.empty((len(places), len(moves)))
    for column, shift in enumerate(moves):
        moved = _features(describe, _cut(splines, places, size, float(shift), rotation))
        distances[:, column] = np.linalg.norm(moved - still, axis=1) / unrelated
    error = distances.std(axis=0, ddof=1) / np.sqrt(len(places))
    return InvarianceCurve(moves, distances, distances.mean(axis=0), error)


def _features(describe: Describe, patches: NDArray[np.float32]) -> Floats:
    found = as_samples(describe(patches), name="features")
    if len(found) != len(patches):
        raise UsageError(f"there are {len(found)} features of {len(patches)} patches; describe returns a row for each")
    return found.astype(np.float64)


def _unrelated(features: Floats, image: NDArray[np.intp]) -> float:
    """The mean distance between patches of different images."""
    from scipy.spatial.distance import cdist

    total, count = 0.0, 0
    for i in np.unique(image):
        others = image > i  # each pair once
        if others.any():
            distances = cdist(features[image == i], features[others])
            total, count = total + float(distances.sum()), count + distances.size
    if not count:
        raise UsageError("all patches are from one image: unrelated ones are from different images")
    if not total > 0:
        raise UsageError("the features are equal for all patches: they describe nothing")
    return total / count
