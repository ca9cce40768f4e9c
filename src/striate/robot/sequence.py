"""A drive as a folder: ``left/``, ``right/``, ``calib.txt`` and, if it is known, the motion in ``poses.txt``.

This is the form of KITTI's odometry sequences. Frames are read when they are asked for, one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index as as_integer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.errors import UnreadableImage, UsageError, one_line
from striate.images import EXTENSIONS, image_size, read_image
from striate.robot.calibration import Calibration, read_calibration, working_size

__all__ = ["StereoFrame", "StereoSequence", "camera_fault", "resized"]

_NO_CONTRAST = 0.02  # between the 2nd and the 98th percentile, of 0–1: five grey levels of a camera


@dataclass(frozen=True)
class StereoFrame:
    """What both cameras saw at one moment.

    Attributes
    ----------
    index : int
        Place in the sequence.
    name : str
        Name of the image files, without ending.
    left : (1 or 3, height, width) float32 array
        Grey, or red, green and blue, 0–1, at the working size; zero where it cannot be read.
    right : (1 or 3, height, width) float32 array or None
        None where there is none, or it cannot be read.
    calibration : Calibration
        Of the working size.
    pose : (4, 4) float64 array or None
        From the coordinates of the left camera to those of the world (the camera's at the first frame), in meters.
    problems : tuple of str
        Why the frame has no stereo, in whole sentences; empty when both cameras work.
    """

    index: int
    name: str
    left: NDArray[np.float32]
    right: NDArray[np.float32] | None
    calibration: Calibration
    pose: NDArray[np.float64] | None
    problems: tuple[str, ...] = ()

    @property
    def has_stereo(self) -> bool:
        """Whether there are two images, both of a working camera."""
        return self.right is not None and not self.problems


class StereoSequence(Sequence[StereoFrame]):
    """Frames of a stereo camera in a folder.

    Parameters
    ----------
    folder : str or path
        With ``left/`` and ``right/``, whose files of the same name (without the ending) are pairs, in the order of
        their names; ``calib.txt``, see `read_calibration`; and optionally ``poses.txt``, with one line for each frame:
        the 12 numbers of a 3×4 matrix, from the coordinates of the left camera to those of the world.
    width : int, default 620
        Width of the images that are worked on, in pixels; larger images are reduced. The default is half of KITTI's
        width, at which a frame is preprocessed in about a tenth of a second.

    Raises
    ------
    UsageError
        If images or calibration are missing or wrong, or there are not as many poses as frames. A missing or damaged
        *right* image is no error: its frame has no stereo, and says so in `StereoFrame.problems`.
    """

    def __init__(self, folder: str | os.PathLike[str], *, width: int = 620) -> None:
        self.folder = Path(folder)
        name = one_line(os.fspath(folder))
        self._left = _images_of(self.folder / "left")
        if not self._left:
            raise UsageError(f"{name}: has no images in left/; a stereo sequence has left/, right/ and calib.txt")
        self._right = _images_of(self.folder / "right")
        self._names = sorted(self._left)
        first = self._left[self._names[0]]
        try:
            height, stored_width, n_channels = image_size(first)
        except UnreadableImage as error:
            raise UsageError(f"the first image of a sequence gives its size: {error}") from None
        self.n_channels = n_channels
        self.stored_size = (height, stored_width)
        stored = read_calibration(self.folder / "calib.txt", self.stored_size, color=n_channels == 3)
        self.calibration = stored.scaled(working_size(self.stored_size, width))
        self.poses = _read_poses(self.folder / "poses.txt", len(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> StereoFrame:  # type: ignore[override]  # frames are read one at a time
        index = range(len(self))[as_integer(index)]
        name = self._names[index]
        left, left_problem = self._read(self._left[name], "left")
        right, right_problem = self._read(self._right.get(name), "right")
        if left is None:
            left = np.zeros((self.n_channels, *self.calibration.size), np.float32)
        return StereoFrame(
            index=index,
            name=name,
            left=left,
            right=right,
            calibration=self.calibration,
            pose=None if self.poses is None else self.poses[index],
            problems=tuple(problem for problem in (left_problem, right_problem) if problem),
        )

    def __iter__(self) -> Iterator[StereoFrame]:
        return (self[index] for index in range(len(self)))

    def _read(self, path: Path | None, side: str) -> tuple[NDArray[np.float32] | None, str]:
        if path is None:
            return None, f"There is no {side} image."
        try:
            image = read_image(path, color=self.n_channels == 3)
        except UnreadableImage as error:
            return None, f"The {side} image {error.reason}."
        if image.shape[1:] != self.stored_size:
            raise UsageError(
                f"{one_line(str(path))}: has {image.shape[2]}×{image.shape[1]} pixels, the first image "
                f"{self.stored_size[1]}×{self.stored_size[0]}; rectified images of one size are needed"
            )
        fault = camera_fault(image)
        return resized(image, self.calibration.size), f"The {side} image {fault}." if fault else ""


def camera_fault(image: NDArray[np.floating]) -> str:
    """What is wrong with a camera, by its image; an empty string if nothing is.

    Parameters
    ----------
    image : (channels, height, width) float array
        0–1.

    Returns
    -------
    str
        A predicate, such as "is black: the camera is dead or covered".
    """
    if not np.isfinite(image).all():
        return "holds values that are not finite"
    sample = image[:, ::4, ::4]  # a fault is everywhere
    low, high = np.percentile(sample, (2, 98), axis=(1, 2))
    if (high - low).max(initial=0) >= _NO_CONTRAST:
        return ""
    if high.max(initial=0) < 2 * _NO_CONTRAST:
        return "is black: the camera is dead or covered"
    return "shows nothing but one color: the camera is dead, covered or dazzled"


def resized(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The image at another size, with antialiasing; itself if it has that size.

    Parameters
    ----------
    image : (channels, height, width) float32 array
    size : (int, int)
        Height and width.
    """
    if image.shape[1:] == size:
        return image
    height, width = size
    # A triangular filter over the support of each new pixel: unlike Lanczos, it makes no false edges.
    planes = [Image.fromarray(channel).resize((width, height), Image.Resampling.BILINEAR) for channel in image]
    return np.stack([np.asarray(plane) for plane in planes])


def _images_of(folder: Path) -> dict[str, Path]:
    """The image files of a folder by name without ending."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in EXTENSIONS}


def _read_poses(path: Path, n_frames: int) -> NDArray[np.float64] | None:
    """(n_frames, 4, 4), or None if there is no such file."""
    if not path.exists():
        return None
    name = one_line(str(path))
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = np.array([[float(word) for word in line] for line in lines])
    except (OSError, ValueError):
        rows = np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != 12 or not np.isfinite(rows).all():
        raise UsageError(f"{name}: needs one line for each frame, the 12 finite numbers of a 3×4 matrix")
    if len(rows) != n_frames:
        raise UsageError(f"{name}: has {len(rows)} poses for {n_frames} left images; one pose for each is needed")
    poses = np.tile(np.eye(4), (n_frames, 1, 1))
    poses[:, :3] = rows.reshape(-1, 3, 4)
    turns = poses[:, :3, :3]
    if np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() > 1e-3 or (np.linalg.det(turns) < 0).any():
        raise UsageError(f"{name}: the first three columns of a pose are not a rotation")
    return poses
