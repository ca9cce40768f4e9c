"""A simulated robot drives to its goal: with stereo alone, with near-to-far learning, and knowing what it could see.

Fifty random courses of 60 m, each with a bay that is open to the robot on its straight way, and scattered boxes. Ground
and boxes have the texture of photographs (grass, brick), rendered for both cameras; the robot looks every 1.5 seconds.
Everything else is the library's: stereo, labels up to 12 m, windows, an online classifier, the map of the ground, the
planner and pure pursuit.

Near-to-far begins with features and a classifier from three practice courses, which are none of the fifty: a robot
knows what it learned yesterday. It learns on while it drives. The map keeps what it saw for longer than that of a car
does, since nothing moves in this world; that holds for both robots with cameras.

"Shuffled" is near to far whose predictions are exchanged among the windows of each frame: as many alarms, at wrong
places. A robot that sees obstacles everywhere also turns away early. It takes very long, and drives the first ten
courses only.

"Seeing all" is told without error what no box hides, up to 60 m: what no sight can do better.

Measures as in the literature: Time to Finish, Distance Run, and Obstacle Response Distance, which is how far the first
obstacle on the straight way was when a plan went around it for the first time; 0 if the robot ran into it before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.robot import (
    UNKNOWN,
    Bands,
    Calibration,
    CostMap,
    Course,
    Driver,
    FarSight,
    GroundGrid,
    GroundPlane,
    GroundPose,
    IdealSight,
    Look,
    NearToFar,
    RobotEye,
    Texture,
    View,
    WindowLabels,
    World,
    camera_pose,
    learn_features,
    random_course,
)

NAME = "robot-drive"
CLAIM = "A robot that sees far avoids dead ends that one with stereo alone drives into."
DATA = {"quick": (), "full": ()}

STEREO, FAR, SHUFFLED, ALL = "stereo alone", "near to far", "shuffled", "seeing all"
_PRACTICE = 1000  # number of the first course that is practiced on
CAMERA = Calibration(fx=280, fy=280, cx=239.5, cy=79.5, baseline=0.3, size=(160, 480))
_PLANE = GroundPlane.from_angles(6, 0, 1.3)
_LOOK = 6  # steps of the driver, of a quarter of a second
_KEEP = 0.98  # of the weight of what was seen, from look to look
_N_BOOTSTRAPS = 1000
_N_SHUFFLED = 10


def _values(results: Results, sight: str, name: str) -> NDArray[np.float64]:
    return np.array([found[name] for found in results.column(sight)], dtype=np.float64)


def _ratio(results: Results) -> Measurement:
    """Mean response distance with near to far over that with stereo alone, which counts as 1 m or more; bootstrap."""
    far, stereo = (_values(results, sight, "response") for sight in (FAR, STEREO))
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(far), size=(_N_BOOTSTRAPS, len(far)))
    spread = (far[drawn].mean(axis=1) / np.maximum(stereo[drawn].mean(axis=1), 1)).std(ddof=1)
    n = len(far)
    return Measurement(float(far.mean() / max(stereo.mean(), 1)), float(spread) if n > 1 else None, n)


def _shorter(name: str) -> Callable[[Results], list[float]]:
    return lambda results: (100.0 * (_values(results, FAR, name) < _values(results, STEREO, name))).tolist()


def _less(name: str, one: str, other: str) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        found = paired(_values(results, other, name).tolist(), _values(results, one, name).tolist())
        return holding(found, lambda mean, se: mean - 2 * se > 0)

    return measure


FIGURES = (
    Figure(
        what="Obstacle Response Distance, near to far over stereo alone",
        better="higher",
        goal=2.0,
        measure=_ratio,
    ),
    Figure(
        what="courses on which near to far finishes sooner than stereo alone",
        unit="%",
        better="higher",
        goal=70.0,
        measure=_shorter("time"),
    ),
    Figure(
        what="Distance Run, by how much it is shorter with near to far than with stereo alone",
        unit="m",
        better="higher",
        predicate="above 0 by two standard errors",
        measure=_less("distance", FAR, STEREO),
    ),
    Figure(
        what="Time to Finish, by how much it is shorter with near to far than with shuffled predictions",
        unit="s",
        better="higher",
        predicate="above 0 by two standard errors: it is where obstacles are seen that helps",
        measure=lambda results: _less("time", FAR, SHUFFLED)(results.select(shuffled=True)),
    ),
    Figure(
        what="Time to Finish, by how much it is shorter when seeing all than with near to far",
        unit="s",
        better="higher",
        predicate="above 0 by two standard errors: errors of the far sight cost time",
        measure=_less("time", ALL, FAR),
    ),
    Figure(
        what="times that near to far ran into something, per course",
        better="lower",
        goal=0.5,
        measure=lambda results: over(_values(results, FAR, "bumps").tolist()),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return the courses."""
    full = scale == "full"
    return [
        Unit(
            f"course {number}",
            {
                "course": number,
                "n_practiced": 3 if full else 1,
                "n_looks": 24 if full else 4,
                "extractor": "drlim + supervised" if full else "rbf",
                "patience": 240.0 if full else 4.0,
                "shuffled": number < _N_SHUFFLED,
            },
            drive,
            expected_seconds=120.0,
        )
        for number in range(50 if full else 1)
    ]


def drive(settings: Settings, context: Context) -> dict[str, Any]:
    """Drive one course with each sight."""
    course = random_course(np.random.default_rng((context.seed, settings["course"])))
    world = rendered(course)
    driver = Driver(patience=settings["patience"])
    practiced = practiced_far(settings["n_practiced"], settings["n_looks"], settings["extractor"], context.seed)
    sights: dict[str, Callable[[GroundPose], CostMap]] = {
        STEREO: Sight(world, None),
        FAR: Sight(world, copy.deepcopy(practiced)),
        ALL: IdealSight(course.boxes, 60),
    }
    if settings["shuffled"]:
        sights[SHUFFLED] = Sight(world, _Shuffled(copy.deepcopy(practiced), context.seed))
    found: dict[str, Any] = {}
    with context.progress.phase("drives", total=len(sights), unit="drives") as phase:
        for name, sight in sights.items():
            result = driver(course, sight)
            found[name] = {
                "reached": result.reached, "time": result.time, "distance": result.distance,
                "response": 0.0 if np.isnan(result.response_distance) else result.response_distance,
                "bumps": result.n_bumps, "track": np.round(result.track[:, ::4], 1),
            }  # fmt: skip
            phase.advance()
    return found | {"boxes": [list(box[:4]) for box in course.boxes]}


class Sight:
    """A robot's eye in a rendered world; `view` is what the cameras showed at the last look."""

    view: View
    _costs: CostMap

    def __init__(self, world: World, far: FarSight | None) -> None:
        self._world = world
        self.eye = RobotEye(CAMERA, far, grid=GroundGrid(keep=_KEEP))
        self._n_calls = 0

    def look(self, pose: GroundPose) -> Look:
        """What is seen from a place."""
        camera = camera_pose(_PLANE, pose.x, pose.z, pose.heading)
        self.view = self._world.view(CAMERA, camera)
        self._costs = self.eye.update(self.view.left, self.view.right, pose=camera)
        return self.eye.look_

    def __call__(self, pose: GroundPose) -> CostMap:
        """See `Driver`: between looks, the map stays as it is."""
        if self._n_calls % _LOOK == 0:
            self.look(pose)
        self._n_calls += 1
        return self._costs._replace(pose=pose)


class _Shuffled:
    """Says of each window what another one of the same frame looks like."""

    def __init__(self, far: FarSight, seed: int) -> None:
        self._far, self._rng = far, np.random.default_rng(seed)

    def see(self, bands: Bands, labels: WindowLabels) -> NDArray[np.floating]:
        return self._rng.permutation(self._far.see(bands, labels))


@lru_cache(maxsize=1)
def practiced_far(n_courses: int, n_looks: int, extractor: str, seed: int) -> NearToFar:
    """Features and a classifier from looks along the way through some courses, kept for the next course."""
    seen = []
    for number in range(n_courses):
        course = random_course(np.random.default_rng((seed, _PRACTICE + number)))
        sight = Sight(rendered(course), None)
        track = Driver(replan=5)(course, IdealSight(course.boxes, 60)).track
        for step in np.linspace(0, track.shape[1] - 2, n_looks).astype(int):
            way = track[:, step + 1] - track[:, step]
            here = GroundPose(float(track[0, step]), float(track[1, step]), float(np.arctan2(way[0], way[1])))
            look = sight.look(here)
            if look.bands is not None and look.windows is not None:
                known = np.flatnonzero(look.windows.label != UNKNOWN)
                label = look.windows.label[known].astype(np.int64)
                seen.append((look.bands.cut(known), look.bands.windows.height[known], label))
    windows, _, labels = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    far = NearToFar(learn_features(extractor, windows, labels, random_state=seed))
    for of_look in seen:
        far.learn(*of_look)
    return far


def rendered(course: Course) -> World:
    """The world of a course: grass, and boxes of brick."""
    from skimage.data import brick, grass

    pictures = [picture.astype(np.float32) / 255 for picture in (grass(), brick())]
    return World(course.boxes, [Texture(picture, meters) for picture, meters in zip(pictures, (4.0, 3.0), strict=True)])


def draw(results: Results, path: Path) -> None:
    """Draw the ways on the first courses, and each course's times."""
    canvas = new_canvas(14, 6)
    finished = list(results)
    panels = canvas.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.6])
    colors = {STEREO: "#b3541e", FAR: "#2a7f4f", ALL: "#4c5f8a"}
    for axes, unit in zip(panels[:4], finished, strict=False):
        found = results[unit.name]
        for x, z, width, depth in found["boxes"]:
            axes.add_patch(_rectangle(x, z, width, depth))
        for sight, color in colors.items():
            axes.plot(
                *np.asarray(found[sight]["track"]), color=color, lw=1.5, label=f"{sight}, {found[sight]['time']:.0f} s"
            )
        axes.plot(0, 60, "*", color="black", ms=9)
        axes.set(xlim=(-21, 21), ylim=(-6, 64), title=unit.name)
        axes.set_aspect("equal")
        axes.legend(fontsize=6, loc="lower left")
    for axes in panels[len(finished) : 4]:
        axes.set_axis_off()
    times = {sight: _values(results, sight, "time") for sight in colors}
    limit = max(float(of_sight.max()) for of_sight in times.values()) * 1.05
    for sight in (FAR, ALL):
        panels[4].plot(times[STEREO], times[sight], "o", ms=4, color=colors[sight], label=sight)
    panels[4].plot([0, limit], [0, limit], color="0.6", lw=1)
    panels[4].set(xlabel=f"Time to Finish, {STEREO} (s)", ylabel="Time to Finish (s)", xlim=(0, limit), ylim=(0, limit))
    panels[4].set_aspect("equal")
    panels[4].legend(fontsize=8)
    save_canvas(canvas, path)


def _rectangle(x: float, z: float, width: float, depth: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - width / 2, z - depth / 2), width, depth, color="0.3", linewidth=0)
