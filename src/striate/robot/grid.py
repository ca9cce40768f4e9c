"""A map of the ground: class probabilities of many frames, averaged in the world's coordinates, and costs from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.robot.labels import CLASSES, obstacle_share
from striate.robot.plane import GroundPlane

__all__ = ["CostMap", "GroundGrid", "GroundPose", "ground_pose"]


class GroundPose(NamedTuple):
    """Where a robot is on the ground of the world.

    Attributes
    ----------
    x, z : float
        Meters.
    heading : float
        Radians, clockwise as seen from above; at 0 it looks along z.
    """

    x: float
    z: float
    heading: float

    def to_world(self, places: NDArray[np.floating]) -> NDArray[np.float64]:
        """Places (2, ...), meters to the right of the robot and ahead of it, in the world's coordinates."""
        cosine, sine = np.cos(self.heading), np.sin(self.heading)
        right, ahead = np.asarray(places, np.float64)
        return np.stack([self.x + cosine * right + sine * ahead, self.z - sine * right + cosine * ahead])


def ground_pose(pose: NDArray[np.float64], plane: GroundPlane) -> GroundPose:
    """Where a camera is on the ground.

    Parameters
    ----------
    pose : (4, 4) float64 array
        From its coordinates to the world's, which has y down.
    plane : GroundPlane
        The ground as the camera sees it.
    """
    ahead = pose[:3, :3] @ plane.leveling()[2]  # the level direction straight ahead, in camera coordinates
    return GroundPose(float(pose[0, 3]), float(pose[2, 3]), float(np.arctan2(ahead[0], ahead[2])))


class CostMap(NamedTuple):
    """Costs of the ground around a robot, in the world's coordinates, like the rolling maps of ROS.

    Attributes
    ----------
    cost : (n_z, n_x) float32 array
        Probability that a robot cannot drive there, 0–1; NaN where nothing is known. Rows go along z, columns along x.
    weight : (n_z, n_x) float32 array
        How much is known: the sum of the weights of all observations, of which old ones are forgotten.
    cell : float
        Side of a cell, in meters.
    corner : (float, float)
        Smallest x and z of the first cell, in meters.
    pose : GroundPose
        Of the robot.
    """

    cost: NDArray[np.float32]
    weight: NDArray[np.float32]
    cell: float
    corner: tuple[float, float]
    pose: GroundPose

    @property
    def places(self) -> NDArray[np.float64]:
        """Centers of the cells, (2, n_z, n_x): x and z in meters."""
        n_z, n_x = self.cost.shape
        x = self.corner[0] + (np.arange(n_x) + 0.5) * self.cell
        z = self.corner[1] + (np.arange(n_z) + 0.5) * self.cell
        return np.stack(np.meshgrid(x, z))

    def at(self, x: NDArray[np.floating] | float, z: NDArray[np.floating] | float) -> NDArray[np.float32]:
        """Costs at places of the world; NaN where nothing is known, and outside of the map."""
        row = np.floor((np.asarray(z, np.float64) - self.corner[1]) / self.cell).astype(np.int64)
        column = np.floor((np.asarray(x, np.float64) - self.corner[0]) / self.cell).astype(np.int64)
        n_z, n_x = self.cost.shape
        inside = (row >= 0) & (row < n_z) & (column >= 0) & (column < n_x)
        return np.where(inside, self.cost[np.where(inside, row, 0), np.where(inside, column, 0)], np.float32(np.nan))


class GroundGrid:
    """Averages what many frames say about each place of the ground.

    The grid lies in the world's coordinates and moves with the robot by whole cells, so that nothing is ever
    interpolated, and what is out of reach is forgotten.

    Parameters
    ----------
    reach : float, default 64
        Half of the grid's side, in meters.
    cell : float, default 0.5
        Side of a cell, in meters.
    keep : float, default 0.9
        Share of the weight of old observations that is kept from frame to frame: at 0.9, the last ten frames count.
    least_weight : float, default 0.2
        Cells with less are unknown.
    """

    def __init__(self, *, reach: float = 64.0, cell: float = 0.5, keep: float = 0.9, least_weight: float = 0.2) -> None:
        self.reach = checked("reach of a ground grid", reach, Real(above=0, high=1000))
        self.cell = checked("cell of a ground grid", cell, Real(above=0, high=10))
        self.keep = checked("keep of a ground grid", keep, Real(low=0, high=1))
        self.least_weight = checked("least_weight of a ground grid", least_weight, Real(above=0))
        self._side = max(2, 2 * round(self.reach / self.cell))
        self._sums = np.zeros((self._side, self._side, len(CLASSES)))  # rows along z, columns along x
        # Number of the first row and column, in cells of the world.
        self._first = (-self._side // 2, -self._side // 2)
        self._pose = GroundPose(0.0, 0.0, 0.0)

    def update(
        self,
        pose: GroundPose,
        places: NDArray[np.floating],
        probabilities: NDArray[np.floating],
        weights: NDArray[np.floating] | float = 1.0,
    ) -> None:
        """Add what a frame says; what earlier frames said loses weight. A frame that says nothing is added as well.

        Parameters
        ----------
        pose : GroundPose
            Of the robot in this frame.
        places : (2, n_observations) float array
            Meters to the right of the robot, and ahead of it.
        probabilities : (n_observations, 5) float array
            Of `CLASSES`. The observations of one frame count with their mean in each cell, so that many windows on one
            cell are no surer than one.
        weights : (n_observations,) float array or float, default 1
            How much each is worth.

        Raises
        ------
        UsageError
            If the shapes do not agree, or a number is not finite.
        """
        places = np.asarray(places, np.float64)
        given = np.asarray(probabilities, np.float64)
        if places.ndim != 2 or places.shape[0] != 2 or given.shape != (places.shape[1], len(CLASSES)):
            raise UsageError(
                f"{places.shape} places and {given.shape} probabilities: a grid needs (2, n) and (n, {len(CLASSES)})"
            )
        worth = np.broadcast_to(np.asarray(weights, np.float64), given.shape[:1])
        if not (
            np.isfinite(places).all()
            and np.isfinite(given).all()
            and np.isfinite(worth).all()
            and np.isfinite(pose).all()
        ):
            raise UsageError("places, probabilities and weights of a ground grid must be finite")
        self._pose = pose
        self._follow(pose)
        self._sums *= self.keep
        x, z = pose.to_world(places)
        row = np.floor(z / self.cell).astype(np.int64) - self._first[0]
        column = np.floor(x / self.cell).astype(np.int64) - self._first[1]
        inside = (row >= 0) & (row < self._side) & (column >= 0) & (column < self._side) & (worth > 0)
        cell = row[inside] * self._side + column[inside]
        cells, which, count = np.unique(cell, return_inverse=True, return_counts=True)
        for number in range(len(CLASSES)):
            sums = np.bincount(which, (worth * given[:, number])[inside], len(cells))
            self._sums.reshape(-1, len(CLASSES))[cells, number] += sums / count

    def clear(self) -> None:
        """Forget everything: nobody knows where the things in the map are now."""
        self._sums[:] = 0

    def cost_map(self) -> CostMap:
        """Costs around the robot, as it was at the last update."""
        weight = self._sums.sum(axis=2)
        known = weight >= self.least_weight
        cost = np.where(known, obstacle_share(self._sums) / np.where(known, weight, 1), np.nan)
        row, column = self._first
        corner = (column * self.cell, row * self.cell)
        return CostMap(cost.astype(np.float32), weight.astype(np.float32), self.cell, corner, self._pose)

    def _follow(self, pose: GroundPose) -> None:
        """Move the grid so that the robot is near its middle."""
        wanted = tuple(round(at / self.cell) - self._side // 2 for at in (pose.z, pose.x))
        down, right = wanted[0] - self._first[0], wanted[1] - self._first[1]
        if max(abs(down), abs(right)) < self._side // 8:
            return
        moved = np.zeros_like(self._sums)
        n = self._side
        if max(abs(down), abs(right)) < n:
            kept = self._sums[max(0, down) : n + min(0, down), max(0, right) : n + min(0, right)]
            moved[max(0, -down) : n - max(0, down), max(0, -right) : n - max(0, right)] = kept
        self._sums, self._first = moved, (wanted[0], wanted[1])
