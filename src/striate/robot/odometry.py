"""The camera's motion from frame to frame, where no poses are given: visual odometry by matched features (OpenCV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.images import to_grey
from striate.parameters import Integer, Real, checked
from striate.robot.calibration import Calibration
from striate.robot.stereo import opencv

__all__ = ["VisualOdometry"]

_FARTHEST = 60.0  # meters: beyond, stereo says little about the distance
_ERROR = 1.5  # pixels by which a point may miss
_N_TRIALS = 300


@dataclass(frozen=True)
class VisualOdometry:
    """Matches corners of two frames, whose distances stereo knows in the first one: ``VisualOdometry()(…)``.

    Parameters
    ----------
    n_features : int, default 1500
        Corners that are described in each frame (ORB).
    least : int, default 20
        Matches that must agree on one motion.
    fastest : float, default 5
        The longest way between two frames, in meters; a longer one is an error.
    """

    n_features: int = 1500
    least: int = 20
    fastest: float = 5.0

    def __post_init__(self) -> None:
        rules = {"n_features": Integer(low=50), "least": Integer(low=6), "fastest": Real(above=0)}
        for name, rule in rules.items():
            object.__setattr__(self, name, checked(f"{name} of a visual odometry", getattr(self, name), rule))

    def __call__(
        self,
        before: NDArray[np.float32],
        disparity: NDArray[np.float32],
        now: NDArray[np.float32],
        calibration: Calibration,
    ) -> NDArray[np.float64] | None:
        """The motion between two frames.

        Parameters
        ----------
        before, now : (1 or 3, height, width) float32 array
            Left images of two frames, 0–1.
        disparity : (height, width) float32 array
            Of the frame before.
        calibration : Calibration

        Returns
        -------
        (4, 4) float64 array or None
            From the coordinates of the camera now to those of the camera before, in meters: the pose of a frame is the
            pose of the one before times this. None where too few features agree. The same bits for the same images.

        Raises
        ------
        UsageError
            If OpenCV is not installed.
        """
        cv2 = opencv("visual odometry needs OpenCV")
        places, found = self._matches(cv2, before, now)
        if len(places) < self.least:
            return None
        column, row = np.rint(places).astype(np.int64).T
        depth = calibration.depth(disparity)[row, column]
        with np.errstate(invalid="ignore"):
            known = depth < _FARTHEST
        if np.count_nonzero(known) < self.least:
            return None
        matrix = np.array([[calibration.fx, 0, calibration.cx], [0, calibration.fy, calibration.cy], [0, 0, 1]])
        rays = (places[known].astype(np.float64) - [calibration.cx, calibration.cy]) / [calibration.fx, calibration.fy]
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * depth[known, None].astype(np.float64)
        good, turn, way, inliers = cv2.solvePnPRansac(
            points, found[known].astype(np.float64), matrix, None,
            iterationsCount=_N_TRIALS, reprojectionError=_ERROR, confidence=0.9999,
        )  # fmt: skip
        if not good or inliers is None or len(inliers) < self.least:
            return None
        own = inliers[:, 0]
        turn, way = cv2.solvePnPRefineLM(points[own], found[known][own].astype(np.float64), matrix, None, turn, way)
        motion = np.eye(4)
        motion[:3, :3] = cv2.Rodrigues(turn)[0]
        motion[:3, 3] = way[:, 0]
        inverse = np.linalg.inv(motion).astype(np.float64)
        if not np.isfinite(inverse).all() or np.linalg.norm(inverse[:3, 3]) > self.fastest:
            return None
        return inverse

    def _matches(
        self, cv2: Any, before: NDArray[np.float32], now: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Columns and rows of matching corners before and now, (n_matches, 2) each."""
        finder = cv2.ORB_create(
            nfeatures=self.n_features, scaleFactor=1.2, nlevels=6, edgeThreshold=15, fastThreshold=8
        )
        corners, words = [], []
        for image in (before, now):
            grey = np.rint(np.clip(to_grey(image)[0], 0, 1) * 255).astype(np.uint8)
            keys, descriptions = finder.detectAndCompute(grey, None)
            corners.append(np.array([key.pt for key in keys], np.float32).reshape(-1, 2))
            words.append(descriptions)
        nothing = np.empty((0, 2), np.float32)
        if any(description is None for description in words):
            return nothing, nothing
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(*words)
        if not pairs:
            return nothing, nothing
        first, second = np.array([(pair.queryIdx, pair.trainIdx) for pair in pairs]).T
        return corners[0][first], corners[1][second]
