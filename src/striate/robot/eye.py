"""A robot's eye: from pairs of images to a map of costs, one frame at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Instance, Integer, checked
from striate.robot.calibration import Calibration
from striate.robot.grid import CostMap, GroundGrid, GroundPose, ground_pose
from striate.robot.ground import GroundFinder
from striate.robot.labels import CLASSES, FIRST_OBSTACLE, UNKNOWN, Labels, StereoLabeler, obstacle_share
from striate.robot.odometry import VisualOdometry
from striate.robot.plane import GroundPlane
from striate.robot.pyramid import BandPyramid, Bands
from striate.robot.sequence import camera_fault
from striate.robot.stereo import StereoMatcher
from striate.robot.window_labels import WindowLabels, label_windows

__all__ = ["FarSight", "Look", "RobotEye", "far_ground", "in_sight"]

_AT_GROUND = 0.2  # meters over the ground within which a window's center must be, for its place to be known
_FAR_WEIGHT = 0.5  # of a prediction at the end of stereo's range; it falls with the range
_Observations = tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]  # as GroundGrid.update has them
_N_DIRECTIONS = 1024  # from left to right, in which obstacles hide what is behind them
_EVERY = 2  # rows and columns of the pixels that enter the map


class FarSight(Protocol):
    """What sees beyond stereo: a classifier that learns from each frame's near windows."""

    def see(self, bands: Bands, labels: WindowLabels) -> NDArray[np.floating]:
        """Predict the windows of a frame, and then learn from those that have a label.

        Parameters
        ----------
        bands : Bands
        labels : WindowLabels
            By stereo, of the same windows.

        Returns
        -------
        (n_windows, 5) float array
            Probabilities of `CLASSES`; NaN where it cannot tell.
        """
        ...


class Look(NamedTuple):
    """What was found in one frame.

    Attributes
    ----------
    problems : tuple of str
        Why nothing is known, in whole sentences; empty when all went well.
    plane : GroundPlane or None
        None where no ground was found.
    disparity : (height, width) float32 array or None
    labels : Labels
        By stereo; everything is unknown where there are problems.
    bands : Bands or None
    windows : WindowLabels or None
        By stereo.
    probabilities : (n_windows, 5) float32 array or None
        By the classifier, if there is one.
    pose : GroundPose
    camera : (4, 4) float64 array
        From the left camera's coordinates to the world's.
    lost : bool
        Whether the motion since the frame before is unknown, so that the map begins anew.
    """

    problems: tuple[str, ...]
    plane: GroundPlane | None
    disparity: NDArray[np.float32] | None
    labels: Labels
    bands: Bands | None
    windows: WindowLabels | None
    probabilities: NDArray[np.float32] | None
    pose: GroundPose
    camera: NDArray[np.float64]
    lost: bool


@dataclass
class RobotEye:
    """Takes pairs of images and returns maps of costs: ``eye.update(left, right)``.

    It keeps what it has seen between calls, and so fits into a loop over a drive, or into a node of ROS.

    Parameters
    ----------
    calibration : Calibration
        Of the images' size.
    far : FarSight, optional
        What sees beyond stereo. Without it, the map ends at stereo's range.
    matcher, finder, labeler, pyramid, grid, odometry : optional
        The parts, each with its own parameters.
    random_state : int, default 0
        Of the search for the ground, in each frame.

    Attributes
    ----------
    look_ : Look
        What was found in the last frame.
    seconds_ : dict of str to float
        What the last frame took: "stereo" (disparity, motion, ground and labels), "bands" (with the labels of their
        windows), "far" and "map".

    Examples
    --------
    >>> from striate.robot import RobotEye, StereoSequence
    >>> sequence = StereoSequence("stereo/kitti-grey")  # doctest: +SKIP
    >>> eye = RobotEye(sequence.calibration)  # doctest: +SKIP
    >>> for frame in sequence:  # doctest: +SKIP
    ...     costs = eye.update(frame.left, frame.right, pose=frame.pose)
    """

    calibration: Calibration
    far: FarSight | None = None
    matcher: StereoMatcher = field(default_factory=StereoMatcher)
    finder: GroundFinder = field(default_factory=GroundFinder)
    labeler: StereoLabeler = field(default_factory=StereoLabeler)
    pyramid: BandPyramid = field(default_factory=BandPyramid)
    grid: GroundGrid = field(default_factory=GroundGrid)
    odometry: VisualOdometry = field(default_factory=VisualOdometry)
    random_state: int = 0

    def __post_init__(self) -> None:
        checked("calibration of a robot's eye", self.calibration, Instance(Calibration, words="a Calibration"))
        self.random_state = checked("random_state of a robot's eye", self.random_state, Integer(low=0))
        self._n_frames = 0
        self._pose: NDArray[np.float64] = np.eye(4)
        self._plane: GroundPlane | None = None
        self._before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None  # left image and disparity

    def update(
        self,
        left: NDArray[np.float32],
        right: NDArray[np.float32] | None = None,
        *,
        pose: NDArray[np.float64] | None = None,
    ) -> CostMap:
        """See the next frame.

        Parameters
        ----------
        left, right : (1 or 3, height, width) float32 array
            Grey, or red, green and blue, 0–1, of the calibration's size. None where there is no right image.
        pose : (4, 4) float64 array, optional
            From the left camera's coordinates to the world's. By default visual odometry follows the camera from the
            first frame on; where it loses its way, the map is cleared.

        Returns
        -------
        CostMap
            Where a frame has no stereo (a dead camera, no right image, images that are no pair, no ground in sight), it
            adds nothing: its problems are in `look_`, and what was known is forgotten with time.

        Raises
        ------
        UsageError
            If an image or a pose has a wrong shape, or OpenCV is not installed.
        """
        self._check(left, right, pose)
        began = time.perf_counter()
        problems = self._faults(left, right)
        disparity = None if problems or right is None else self.matcher(left, right)
        lost = self._follow(left, disparity, pose, dead=bool(camera_fault(left)))
        fit = None
        if disparity is not None:
            seed = np.random.default_rng((self.random_state, self._n_frames))
            fit = self.finder(disparity, self.calibration, prior=self._plane, random_state=seed)
            if fit is None:
                problems.append(
                    "No ground was found: none is in sight, the images are no pair, or the calibration is wrong."
                )
        self._n_frames += 1
        plane = None if fit is None else fit.plane
        # Of another frame, the plane is as good a guess for the heading, which needs no more.
        self._plane = plane or self._plane
        here = ground_pose(self._pose, self._plane or GroundPlane((0, -1, 0), 1.0))
        labels = self.labeler(disparity, self.calibration, plane)
        laps = [began, time.perf_counter()]
        bands = windows = probabilities = None
        if plane is not None:
            try:
                bands = self.pyramid(left, self.calibration, plane)
            except UsageError as error:  # a plane that puts all ranges outside of the image
                problems.append(f"{str(error)[0].upper()}{str(error)[1:]}.")
        if bands is not None:
            windows = label_windows(labels.points(_EVERY), bands)
        laps.append(time.perf_counter())
        if self.far is not None and bands is not None and windows is not None:
            probabilities = np.asarray(self.far.see(bands, windows), np.float32)
        laps.append(time.perf_counter())
        self.look_ = Look(
            tuple(problems), plane, disparity, labels, bands, windows, probabilities, here, self._pose, lost
        )
        self._add_to_grid(here)
        costs = self.grid.cost_map()
        laps.append(time.perf_counter())
        self.seconds_ = dict(zip(("stereo", "bands", "far", "map"), np.diff(laps).tolist(), strict=True))
        return costs

    def _check(
        self, left: NDArray[np.float32], right: NDArray[np.float32] | None, pose: NDArray[np.float64] | None
    ) -> None:
        for name, image in (("left", left), ("right", right)):
            if image is None:
                continue
            if image.ndim != 3 or image.shape[0] not in (1, 3) or image.shape[1:] != self.calibration.size:
                height, width = self.calibration.size
                raise UsageError(f"the {name} image has the shape {image.shape}; give (1 or 3, {height}, {width})")
        if pose is not None and (np.shape(pose) != (4, 4) or not np.isfinite(pose).all()):
            raise UsageError("a pose is a matrix (4, 4) of finite numbers")

    @staticmethod
    def _faults(left: NDArray[np.float32], right: NDArray[np.float32] | None) -> list[str]:
        if right is None:
            return ["There is no right image."]
        faults = {"left": camera_fault(left), "right": camera_fault(right)}
        return [f"The {side} image {fault}." for side, fault in faults.items() if fault]

    def _follow(
        self,
        left: NDArray[np.float32],
        disparity: NDArray[np.float32] | None,
        pose: NDArray[np.float64] | None,
        *,
        dead: bool,
    ) -> bool:
        """Find out where the camera is now; whether its way is lost."""
        before, self._before = self._before, None if disparity is None else (left, disparity)
        if pose is not None:
            self._pose = np.asarray(pose, np.float64)
            return False
        if self._n_frames == 0:
            return False
        motion = None if before is None or dead else self.odometry(*before, left, self.calibration)
        if motion is None:
            self.grid.clear()  # nobody knows where the things in the map are now
        else:
            self._pose = self._pose @ motion
        return motion is None

    def _add_to_grid(self, here: GroundPose) -> None:
        parts = [part for part in (self._near(), self._far()) if part is not None]
        places, probabilities, weights = zip(*parts, strict=True) if parts else ((), (), ())
        self.grid.update(
            here,
            np.concatenate([np.empty((2, 0)), *places], axis=1),
            np.concatenate([np.empty((0, len(CLASSES))), *probabilities]),
            np.concatenate([np.empty(0), *weights]),
        )

    def _near(self) -> _Observations | None:
        """What stereo says: the labels of pixels."""
        look = self.look_
        if look.plane is None or look.disparity is None:
            return None
        rows, columns = (axis * _EVERY for axis in np.nonzero(look.labels.label[::_EVERY, ::_EVERY] != UNKNOWN))
        points = self.calibration.points(self.calibration.depth(look.disparity))[:, rows, columns]
        probabilities = np.eye(len(CLASSES))[look.labels.label[rows, columns]]
        return look.plane.place(points), probabilities, look.labels.confidence[rows, columns]

    def _far(self) -> _Observations | None:
        """What the classifier says: the windows on the ground, each over the depth of its band."""
        bands, near, probabilities = self.look_.bands, self.look_.windows, self.look_.probabilities
        if bands is None or near is None or probabilities is None:
            return None
        windows = bands.windows
        far = windows.range > self.labeler.farthest
        obstacle = np.where(far, obstacle_share(probabilities) > 0.5, near.label >= FIRST_OBSTACLE)
        own = far_ground(bands, probabilities, self.labeler.farthest)
        # What is behind an obstacle is hidden by it, and looks like it.
        own = own[in_sight(bands, obstacle, self.pyramid.column_step)[own]]
        half = 0.5 / self.pyramid.bands_per_octave
        n_steps = 1 + int(np.ceil(self.pyramid.farthest * (2**half - 2**-half) / self.grid.cell))
        along = 2 ** np.linspace(-half, half, n_steps)
        places = np.stack([windows.x[own], windows.z[own]])[:, :, None] * along
        weights = np.repeat(_FAR_WEIGHT * self.labeler.farthest / windows.range[own], n_steps)
        return places.reshape(2, -1), np.repeat(probabilities[own], n_steps, axis=0), weights


def far_ground(bands: Bands, probabilities: NDArray[np.floating], nearest: float) -> NDArray[np.intp]:
    """Windows on the ground, farther than `nearest`, whose probabilities (n_windows, 5) are known."""
    windows = bands.windows
    on_ground = (windows.range > nearest) & (np.abs(windows.height) < _AT_GROUND)
    return np.flatnonzero(on_ground & np.isfinite(probabilities).all(axis=1))


def in_sight(bands: Bands, obstacle: NDArray[np.bool_], column_step: int) -> NDArray[np.bool_]:
    """Whether no nearer window on the ground, in the same direction, shows an obstacle.

    Parameters
    ----------
    bands : Bands
    obstacle : (n_windows,) bool array
        Windows that show one.
    column_step : int
        Distance of neighboring windows, in pixels of a band.

    Returns
    -------
    (n_windows,) bool array
    """
    windows = bands.windows
    tangent = (windows.x / windows.z).astype(np.float64)
    widest = 1e-9 + float(np.abs(tangent).max(initial=0))
    direction = np.minimum(_N_DIRECTIONS - 1, (tangent / widest + 1) / 2 * _N_DIRECTIONS).astype(np.int64)
    free = np.ones(_N_DIRECTIONS, np.bool_)
    seen = np.empty(len(tangent), np.bool_)
    wall = obstacle & (np.abs(windows.height) < _AT_GROUND)
    for place, band in enumerate(bands.bands):
        own = windows.band == place
        seen[own] = free[direction[own]]
        # A window speaks of the ground below its center, halfway to its neighbors.
        half = 0.5 * column_step / band.pixels / widest * _N_DIRECTIONS / 2
        for center in np.unique(direction[own & wall]):
            free[max(0, round(center - half)) : round(center + half) + 1] = False
    return seen
