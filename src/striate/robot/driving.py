"""Drives a simulated robot through a `World` to its goal, on the costs of whatever sees for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.randomness import RandomState, generator_from
from striate.robot.grid import CostMap, GroundPose
from striate.robot.planning import Planner, pure_pursuit
from striate.robot.world import Box

__all__ = ["Course", "DriveResult", "Driver", "IdealSight", "random_course"]

Perception = Callable[[GroundPose], CostMap]


class Course(NamedTuple):
    """Where a robot starts, where it has to go, and what is in its way.

    Attributes
    ----------
    boxes : tuple of Box
    start : GroundPose
    goal : (float, float)
        x and z, in meters.
    """

    boxes: tuple[Box, ...]
    start: GroundPose
    goal: tuple[float, float]


class DriveResult(NamedTuple):
    """How a drive went.

    Attributes
    ----------
    reached : bool
    time : float
        Seconds to the goal (Time to Finish); of a drive that did not reach it, the time limit.
    distance : float
        Meters driven (Distance Run).
    response_distance : float
        Obstacle Response Distance: how far the first obstacle on the straight way was when the planned path avoided it
        for the first time, in meters; 0 if the robot ran into it first, and NaN where the straight way is free.
    n_bumps : int
        Times that the robot ran into something.
    track : (2, n_steps) float64 array
        x and z, in meters.
    """

    reached: bool
    time: float
    distance: float
    response_distance: float
    n_bumps: int
    track: NDArray[np.float64]


class IdealSight:
    """Sees without error what no obstacle hides, up to some range: stereo's, or that of an ideal far sight.

    Parameters
    ----------
    boxes : tuple of Box
    reach : float
        Meters.
    view : float, default 90
        Degrees from the left border of the view to the right one.
    side : float, default 140
        Of the map, in meters; its middle is that of the course.
    cell : float, default 0.5
        Meters.
    center : (float, float), default (0, 30)
        x and z of the map's middle.
    """

    def __init__(
        self,
        boxes: tuple[Box, ...],
        reach: float,
        *,
        view: float = 90.0,
        side: float = 140.0,
        cell: float = 0.5,
        center: tuple[float, float] = (0.0, 30.0),
    ) -> None:
        self.reach = checked("reach of a sight", reach, Real(above=0))
        self.view = np.deg2rad(checked("view of a sight", view, Real(above=0, high=360)))
        self._cell = checked("cell of a sight", cell, Real(above=0))
        n_cells = max(2, round(checked("side of a sight", side, Real(above=0)) / cell))
        self._corner = (center[0] - n_cells * cell / 2, center[1] - n_cells * cell / 2)
        self._cost = np.full((n_cells, n_cells), np.nan, np.float32)
        self._walls = _occupied(boxes, self._corner, cell, n_cells)

    def __call__(self, pose: GroundPose) -> CostMap:
        """What is known after another look, together with all that was seen before."""
        n_rays = max(16, int(self.view * self.reach / self._cell * 2))
        bearing = pose.heading + np.linspace(-self.view / 2, self.view / 2, n_rays)
        steps = np.arange(0, self.reach, self._cell / 2)
        x = pose.x + np.sin(bearing)[:, None] * steps
        z = pose.z + np.cos(bearing)[:, None] * steps
        row = np.floor((z - self._corner[1]) / self._cell).astype(np.int64)
        column = np.floor((x - self._corner[0]) / self._cell).astype(np.int64)
        inside = (row >= 0) & (row < len(self._cost)) & (column >= 0) & (column < len(self._cost))
        row, column = np.where(inside, row, 0), np.where(inside, column, 0)
        wall = self._walls[row, column] & inside
        hidden = np.cumsum(wall, axis=1) - wall > 0  # a ray ends in the first wall
        seen = inside & ~hidden
        self._cost[row[seen], column[seen]] = self._walls[row[seen], column[seen]]
        weight = np.isfinite(self._cost).astype(np.float32)
        return CostMap(self._cost.copy(), weight, self._cell, self._corner, pose)


def _occupied(boxes: tuple[Box, ...], corner: tuple[float, float], cell: float, n_cells: int) -> NDArray[np.bool_]:
    """Cells of which a box has a part."""
    walls = np.zeros((n_cells, n_cells), np.bool_)
    for box in boxes:
        across = np.array([box.x - box.width / 2, box.x + box.width / 2])
        ahead = np.array([box.z - box.depth / 2, box.z + box.depth / 2])
        (left, right), (near, far) = (
            np.clip(np.floor((ends - start) / cell).astype(int), 0, n_cells - 1)
            for ends, start in ((across, corner[0]), (ahead, corner[1]))
        )
        walls[near : far + 1, left : right + 1] = True
    return walls


@dataclass(frozen=True)
class Driver:
    """Looks and steers in every step, and plans once a second: ``Driver()(course, sight)``.

    Parameters
    ----------
    planner : Planner
    speed : float, default 1.2
        Meters per second: that of the LAGR robot.
    step : float, default 0.25
        Seconds between two looks.
    replan : float, default 1
        Seconds between two plans; after the robot ran into something it plans at once.
    sharpest : float, default 1.5
        Largest curvature, in 1/m. A robot whose path leads backward turns on the spot.
    turning : float, default 1
        Radians per second, on the spot.
    patience : float, default 300
        Seconds after which a drive ends.
    arrived : float, default 1
        Meters from the goal at which it is reached.
    """

    planner: Planner = field(default_factory=Planner)
    speed: float = 1.2
    step: float = 0.25
    replan: float = 1.0
    sharpest: float = 1.5
    turning: float = 1.0
    patience: float = 300.0
    arrived: float = 1.0

    def __post_init__(self) -> None:
        for name in ("speed", "step", "replan", "sharpest", "turning", "patience", "arrived"):
            object.__setattr__(self, name, checked(f"{name} of a driver", getattr(self, name), Real(above=0)))

    def __call__(self, course: Course, sight: Perception) -> DriveResult:
        """Drive a course.

        Parameters
        ----------
        course : Course
        sight : callable
            Takes the robot's `GroundPose` and returns a `CostMap` in the course's coordinates: an `IdealSight`, or a
            `RobotEye` that is shown what the world's camera sees from there.

        Returns
        -------
        DriveResult

        Raises
        ------
        UsageError
            If the course starts in an obstacle.
        """
        pose, radius = course.start, self.planner.radius
        if _touches(course.boxes, pose.x, pose.z, radius):
            raise UsageError("the course starts in an obstacle")
        block = _first_block(course, radius)
        response = float("nan") if block is None else 0.0
        bumps: list[tuple[float, float]] = []
        track, distance, time, planned = [(pose.x, pose.z)], 0.0, 0.0, -np.inf
        path = np.empty((2, 0))
        while time < self.patience:
            if np.hypot(course.goal[0] - pose.x, course.goal[1] - pose.z) <= self.arrived:
                return DriveResult(True, time, distance, response, len(bumps), np.array(track).T)
            costs = sight(pose)
            if time >= planned + self.replan:
                path, planned = self.planner(_with_bumps(costs, bumps, radius), course.goal), time
                if block is not None and response == 0.0 and not bumps and not _crosses(path, block, costs.cell / 2):
                    response = _distance(block, pose.x, pose.z)
            moved = self._moved(pose, path)
            if _touches(course.boxes, moved.x, moved.z, radius):
                ahead = np.array([np.sin(moved.heading), np.cos(moved.heading)]) * (radius + 0.25)
                bumps.append((pose.x + ahead[0], pose.z + ahead[1]))
                # It backs off, and turns away from what it touched.
                back = pose.to_world(np.array([0.0, -self.speed * self.step]))
                free = not _touches(course.boxes, float(back[0]), float(back[1]), radius)
                moved = GroundPose(float(back[0]), float(back[1]), pose.heading) if free else pose
                planned = -np.inf
            distance += float(np.hypot(moved.x - pose.x, moved.z - pose.z))
            pose, time = moved, time + self.step
            track.append((pose.x, pose.z))
        return DriveResult(False, self.patience, distance, response, len(bumps), np.array(track).T)

    def _moved(self, pose: GroundPose, path: NDArray[np.float64]) -> GroundPose:
        """Where the robot is after a step along the path."""
        nearest = int(np.hypot(path[0] - pose.x, path[1] - pose.z).argmin())
        ahead = path[:, min(nearest + 3, path.shape[1] - 1)] - [pose.x, pose.z]
        wanted = np.arctan2(ahead[0], ahead[1]) - pose.heading
        off = float((wanted + np.pi) % (2 * np.pi) - np.pi)
        if abs(off) > np.pi / 3:
            return pose._replace(heading=pose.heading + float(np.clip(off, -1, 1)) * self.turning * self.step)
        curvature = float(np.clip(pure_pursuit(pose, path), -self.sharpest, self.sharpest))
        way = self.speed * self.step
        heading = pose.heading + curvature * way / 2
        return GroundPose(
            pose.x + way * float(np.sin(heading)), pose.z + way * float(np.cos(heading)), pose.heading + curvature * way
        )


def random_course(random_state: RandomState, *, dead_end: bool = True, n_boxes: int = 12) -> Course:
    """A course of 60 m with scattered boxes and a dead end on the straight way: a bay that opens to the robot.

    Parameters
    ----------
    random_state : int, Generator, RandomState or None
    dead_end : bool, default True
        Its back wall is 20–35 m ahead, 10–16 m wide, and its side walls are 6–12 m long.
    n_boxes : int, default 12
        Scattered on either side.
    """
    rng = generator_from(random_state)
    start, goal = GroundPose(0.0, 0.0, 0.0), (0.0, 60.0)
    boxes = []
    if dead_end:
        middle, back = rng.uniform(-2, 2), rng.uniform(20, 35)
        width, length = rng.uniform(10, 16), rng.uniform(6, 12)
        boxes.append(Box(middle, back, width, 0.6, 1.5))
        boxes += [Box(middle + side * width / 2, back - length / 2, 0.6, length, 1.5) for side in (-1, 1)]
    for _ in range(n_boxes):
        width, depth = rng.uniform(0.6, 3, 2)
        box = Box(rng.uniform(-20, 20), rng.uniform(6, 54), width, depth, rng.uniform(0.6, 2.5))
        if min(_distance(box, start.x, start.z), _distance(box, *goal)) > 4:
            boxes.append(box)
    return Course(tuple(boxes), start, goal)


def _distance(box: Box, x: float, z: float) -> float:
    """From a place to a box, in meters."""
    return float(np.hypot(max(0.0, abs(x - box.x) - box.width / 2), max(0.0, abs(z - box.z) - box.depth / 2)))


def _touches(boxes: tuple[Box, ...], x: float, z: float, radius: float) -> bool:
    return any(_distance(box, x, z) < radius for box in boxes)


def _crosses(path: NDArray[np.float64], box: Box, radius: float) -> bool:
    return any(_distance(box, float(x), float(z)) <= radius for x, z in path.T)


def _first_block(course: Course, radius: float) -> Box | None:
    """The first box on the straight way."""
    n_points = 2 + int(10 * np.hypot(course.goal[0] - course.start.x, course.goal[1] - course.start.z))
    along = np.linspace(0, 1, n_points)
    x = course.start.x + along * (course.goal[0] - course.start.x)
    z = course.start.z + along * (course.goal[1] - course.start.z)
    for here in zip(x, z, strict=True):
        for box in course.boxes:
            if _distance(box, *here) < radius:
                return box
    return None


def _with_bumps(costs: CostMap, bumps: list[tuple[float, float]], radius: float) -> CostMap:
    """The map with what the robot ran into."""
    if not bumps:
        return costs
    cost = costs.cost.copy()
    x, z = costs.places
    for bump in bumps:
        cost[np.hypot(x - bump[0], z - bump[1]) <= max(radius / 2, costs.cell)] = 1
    return costs._replace(cost=cost)
