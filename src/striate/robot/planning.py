"""From a map of costs to steering: inflation by the robot's size, the cheapest path to the goal, and pure pursuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.robot.grid import CostMap, GroundPose

__all__ = ["Planner", "pure_pursuit"]

_BLOCKED = 1000.0  # times dearer than free ground: a robot that stands in an obstacle must still get out


@dataclass(frozen=True)
class Planner:
    """Finds the cheapest path over a map: ``Planner()(costs, goal)``.

    Parameters
    ----------
    radius : float, default 0.6
        Of the robot, in meters. No path comes nearer to an obstacle, if there is another one.
    margin : float, default 1.5
        Meters around the radius in which ground is dearer, up to three times, so that paths keep away from obstacles.
    threshold : float, default 0.5
        Costs from which a cell is an obstacle.
    unknown : float, default 0.3
        Cost of what is not known. Below the threshold, or a robot would never enter unknown ground; above that of what
        was seen to be clear, so that it prefers the latter.
    """

    radius: float = 0.6
    margin: float = 1.5
    threshold: float = 0.5
    unknown: float = 0.3

    def __post_init__(self) -> None:
        rules = {
            "radius": Real(low=0),
            "margin": Real(low=0),
            "threshold": Real(above=0, high=1),
            "unknown": Real(low=0, high=1),
        }
        for name, rule in rules.items():
            object.__setattr__(self, name, checked(f"{name} of a planner", getattr(self, name), rule))

    def inflated(self, costs: CostMap) -> NDArray[np.float64]:
        """Price of each cell per meter of way, at least 1.

        Parameters
        ----------
        costs : CostMap

        Returns
        -------
        (n_z, n_x) float64 array
        """
        cost = np.where(np.isfinite(costs.cost), costs.cost, np.float32(self.unknown)).astype(np.float64)
        price = 1 + 4 * cost
        wall = cost >= self.threshold
        if wall.any():
            # From the edges of cells, of which the nearest point may be half a cell nearer than the center.
            distance = (distance_transform_edt(~wall) - 0.5) * costs.cell
            price += 2 * np.clip(1 - (distance - self.radius) / max(self.margin, 1e-9), 0, 1)
            price[distance < self.radius] = _BLOCKED
        return price

    def __call__(self, costs: CostMap, goal: tuple[float, float]) -> NDArray[np.float64]:
        """The cheapest path from the robot to the goal.

        Parameters
        ----------
        costs : CostMap
        goal : (float, float)
            x and z, in meters. A goal outside of the map is replaced by the place of the map's edge that is nearest to
            it, on the way from the robot.

        Returns
        -------
        (2, n_points) float64 array
            x and z of the path, from the robot on.

        Raises
        ------
        UsageError
            If the robot is outside of the map.
        """
        price = self.inflated(costs)
        n_z, n_x = price.shape
        here = self._cell(costs, costs.pose.x, costs.pose.z)
        if not (0 <= here[0] < n_z and 0 <= here[1] < n_x):
            raise UsageError(f"the robot, at {costs.pose[:2]}, is outside of its map")
        there = self._cell(costs, *self._within(costs, goal))
        _, previous = dijkstra(_links(price), indices=here[0] * n_x + here[1], return_predecessors=True, directed=False)
        cells = [there[0] * n_x + there[1]]
        while previous[cells[-1]] >= 0:
            cells.append(int(previous[cells[-1]]))
        rows, columns = np.divmod(np.array(cells[::-1]), n_x)
        x = costs.corner[0] + (columns + 0.5) * costs.cell
        z = costs.corner[1] + (rows + 0.5) * costs.cell
        path: NDArray[np.float64] = np.stack([x, z])
        path[:, 0] = costs.pose.x, costs.pose.z
        return path

    @staticmethod
    def _cell(costs: CostMap, x: float, z: float) -> tuple[int, int]:
        return int(np.floor((z - costs.corner[1]) / costs.cell)), int(np.floor((x - costs.corner[0]) / costs.cell))

    @staticmethod
    def _within(costs: CostMap, goal: tuple[float, float]) -> tuple[float, float]:
        n_z, n_x = costs.cost.shape
        low = np.array(costs.corner) + 0.5 * costs.cell
        high = low + (np.array([n_x, n_z]) - 1) * costs.cell
        start, way = np.array(costs.pose[:2]), np.array(goal, np.float64) - costs.pose[:2]
        with np.errstate(divide="ignore", invalid="ignore"):
            limits = np.where(way > 0, (high - start) / way, np.where(way < 0, (low - start) / way, np.inf))
        x, z = np.clip(start + way * min(1.0, float(limits.min())), low, high)
        return float(x), float(z)


def _links(price: NDArray[np.float64]) -> coo_matrix:
    """Each cell with its eight neighbors: half of the way has the price of either."""
    number = np.arange(price.size).reshape(price.shape)
    first, second, length = [], [], []
    for down, right, way in ((0, 1, 1.0), (1, 0, 1.0), (1, 1, np.sqrt(2)), (1, -1, np.sqrt(2))):
        a = number[: price.shape[0] - down, max(0, -right) : price.shape[1] - max(0, right)].ravel()
        b = number[down:, max(0, right) : price.shape[1] + min(0, right)].ravel()
        first.append(a)
        second.append(b)
        length.append(way * (price.ravel()[a] + price.ravel()[b]) / 2)
    links = (np.concatenate(length), (np.concatenate(first), np.concatenate(second)))
    return coo_matrix(links, shape=(price.size, price.size)).tocsr()


def pure_pursuit(pose: GroundPose, path: NDArray[np.float64], *, lookahead: float = 2.0) -> float:
    """Curvature of the arc that leads to the path.

    Parameters
    ----------
    pose : GroundPose
    path : (2, n_points) float64 array
        x and z, from the robot on.
    lookahead : float, default 2
        Meters: the arc leads to the first point of the path that is this far from the robot. Short ones follow the path
        closely, and swing; long ones cut corners.

    Returns
    -------
    float
        1 / radius, in 1/m; positive to the right.

    References
    ----------
    Coulter, "Implementation of the pure pursuit path tracking algorithm", CMU-RI-TR-92-01, 1992.
    """
    lookahead = checked("lookahead", lookahead, Real(above=0))
    away = np.hypot(path[0] - pose.x, path[1] - pose.z)
    nearest = int(away.argmin())
    beyond = np.flatnonzero(away[nearest:] >= lookahead)
    x, z = path[:, nearest + beyond[0] if len(beyond) else -1] - [pose.x, pose.z]
    right = np.cos(pose.heading) * x - np.sin(pose.heading) * z
    distance = float(x**2 + z**2)
    return float(2 * right / distance) if distance > 0 else 0.0
