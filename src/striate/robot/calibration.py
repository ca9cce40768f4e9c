"""Calibration of a rectified stereo pair, read from KITTI's ``calib.txt`` and scaled with the images.

Camera coordinates have x to the right, y down and z forward, in meters. Pixel coordinates count from the center of the
first pixel, so that the image covers −½ to width − ½.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError, one_line
from striate.parameters import Integer, IntegerTuple, Real, checked

__all__ = ["Calibration", "read_calibration", "working_size"]

_PAIRS = {True: ("P2", "P3"), False: ("P0", "P1")}  # KITTI's color cameras, and its grey ones
_FORM = 'lines such as "P0: …" with the 12 numbers of a 3×4 projection matrix, row by row'


@dataclass(frozen=True)
class Calibration:
    """Two pinhole cameras that look in one direction, side by side.

    Parameters
    ----------
    fx, fy : float
        Focal lengths, in pixels.
    cx, cy : float
        The pixel straight ahead of the camera: column and row.
    baseline : float
        Distance from the left camera to the right one, in meters.
    size : (int, int)
        Height and width of the images that these numbers belong to, in pixels.

    Raises
    ------
    UsageError
        If a length is not positive, or the pixel straight ahead is outside the image.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    baseline: float
    size: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked("size of a calibration", self.size, IntegerTuple(2, low=1)))
        for name in ("fx", "fy", "baseline"):
            object.__setattr__(self, name, checked(f"{name} of a calibration", getattr(self, name), Real(above=0)))
        for name, side in (("cy", self.size[0]), ("cx", self.size[1])):
            object.__setattr__(self, name, checked(f"{name} of a calibration", getattr(self, name), Real()))
            if not 0 <= getattr(self, name) <= side - 1:
                raise UsageError(
                    f"the calibration looks straight ahead at {name} = {getattr(self, name):g}, outside an image of "
                    f"{self.size[1]}×{self.size[0]} pixels: it belongs to images of another size"
                )

    def scaled(self, size: tuple[int, int]) -> Calibration:
        """The calibration of the same images, resized.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels; the two axes may be scaled differently.
        """
        size = checked("size", size, IntegerTuple(2, low=1))
        down, right = (new / old for new, old in zip(size, self.size, strict=True))
        return replace(
            self,
            fx=self.fx * right,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * right - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
            size=size,
        )

    def depth(self, disparity: NDArray[np.floating]) -> NDArray[np.float32]:
        """Distance along the optical axis, in meters; NaN where the disparity is not positive.

        Parameters
        ----------
        disparity : float array
            Pixels between the places of a point in the left image and in the right one.
        """
        known = disparity > 0
        return np.where(known, self.fx * self.baseline / np.where(known, disparity, 1), np.nan).astype(np.float32)

    def points(self, depth: NDArray[np.floating]) -> NDArray[np.float32]:
        """Camera coordinates of every pixel of an image.

        Parameters
        ----------
        depth : (height, width) float array
            Meters along the optical axis.

        Returns
        -------
        (3, height, width) float32 array
            x, y and z in meters; NaN where the depth is.
        """
        height, width = depth.shape
        across = ((np.arange(width) - self.cx) / self.fx).astype(np.float32)
        down = ((np.arange(height) - self.cy) / self.fy).astype(np.float32)
        depth = depth.astype(np.float32)
        return np.stack([depth * across, depth * down[:, None], depth])

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Rows and columns at which points in front of the left camera are seen.

        Parameters
        ----------
        points : (3, ...) float array
            Camera coordinates in meters.

        Returns
        -------
        rows, columns : (...) float arrays
            NaN for points that are not in front of the camera.
        """
        x, y, z = points
        ahead = np.where(z > 0, z, np.nan)
        return self.fy * y / ahead + self.cy, self.fx * x / ahead + self.cx


def read_calibration(path: str | os.PathLike[str], size: tuple[int, int], *, color: bool = False) -> Calibration:
    """Read the calibration of a stereo pair from a file in KITTI's form.

    Parameters
    ----------
    path : str or path
        A text file with a line for each camera: ``P0:`` and ``P1:`` for a pair of grey cameras, ``P2:`` and ``P3:``
        for one of color cameras, each followed by the 12 numbers of a 3×4 projection matrix. Other lines are ignored.
    size : (int, int)
        Height and width of the images.
    color : bool, default False
        Which pair to take where the file has both: that of the color cameras, or that of the grey ones.

    Returns
    -------
    Calibration

    Raises
    ------
    UsageError
        If the file cannot be read, or does not describe a rectified pair, left camera first, of images of this size.
    """
    name = one_line(os.fspath(path))
    matrices = _matrices(Path(path), name)
    for left, right in (_PAIRS[bool(color)], _PAIRS[not color]):
        if left in matrices and right in matrices:
            return _pair(matrices[left], matrices[right], checked("size", size, IntegerTuple(2, low=1)), name)
    raise UsageError(f"{name}: has neither P0 and P1 nor P2 and P3; a calibration in KITTI's form has {_FORM}")


def _matrices(path: Path, name: str) -> dict[str, NDArray[np.float64]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{name}: does not exist; without a calibration, disparities cannot become meters") from None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{name}: cannot be read as text; a calibration in KITTI's form has {_FORM}") from None
    found = {}
    for line in text.splitlines():
        key, _, numbers = line.partition(":")
        if key.strip() not in ("P0", "P1", "P2", "P3"):
            continue
        try:
            values = [float(word) for word in numbers.split()]
        except ValueError:
            values = []
        if len(values) != 12 or not all(map(math.isfinite, values)):
            raise UsageError(
                f"{name}: {key.strip()} is not 12 finite numbers; a calibration in KITTI's form has {_FORM}"
            )
        found[key.strip()] = np.array(values).reshape(3, 4)
    return found


def _pair(left: NDArray[np.float64], right: NDArray[np.float64], size: tuple[int, int], name: str) -> Calibration:
    fx, fy = float(left[0, 0]), float(left[1, 1])
    if not (fx > 0 and fy > 0):
        raise UsageError(f"{name}: the focal length of the left camera is not positive; {_FORM} are needed")
    if np.abs(left[:, :3] - right[:, :3]).max() > 1e-3 * fx:
        raise UsageError(f"{name}: the two cameras differ in focal length or center; rectify the images first")
    baseline = float(left[0, 3] - right[0, 3]) / fx
    if not baseline > 0:
        raise UsageError(f"{name}: the second camera is not to the right of the first; exchange left and right")
    try:
        return Calibration(fx, fy, float(left[0, 2]), float(left[1, 2]), baseline, size)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def working_size(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Height and width at which images are worked on.

    Parameters
    ----------
    size : (int, int)
        Height and width of the stored images.
    width : int
        Images are reduced to this width, never enlarged. Their height is rounded to a multiple of 4, which makes
        1226×370 and 1241×376, the sizes of KITTI's sequences, 620×188 both.
    """
    height, stored = size
    width = checked("width", width, Integer(low=64, high=1 << 13))
    if stored <= width:
        return size
    return max(4, 4 * round(height * width / stored / 4)), width
