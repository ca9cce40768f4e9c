"""Draw a simulated robot on its way: python tools/drive_gif.py docs/robot.gif

The robot of `striate experiment robot-drive` on a course that is not measured there. Each image shows what the left
camera sees, with stereo's labels and predicted costs, and the map of costs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.experiments.robot.robot_drive import CAMERA, Sight, practiced_far, rendered
from striate.robot import CostMap, Driver, GroundPose, ReplayedFrame, StereoFrame, annotated, random_course, write_clip

COURSE = 2000
EVERY = 6  # steps of the driver: whenever the robot looks


def main(path: Path) -> None:
    """Drive once, and write the clip."""
    course = random_course(np.random.default_rng((0, COURSE)))
    sight = Sight(rendered(course), practiced_far(3, 24, "drlim + supervised", 0))
    drawn: list[NDArray[np.uint8]] = []
    n_calls = 0

    def see(pose: GroundPose) -> CostMap:
        nonlocal n_calls
        costs = sight(pose)
        if n_calls % EVERY == 0:
            look, view = sight.eye.look_, sight.view
            name = f"{n_calls * Driver.step:.0f} s"
            frame = StereoFrame(len(drawn), name, view.left, view.right, CAMERA, look.camera)
            drawn.append(annotated(ReplayedFrame(frame, look, costs, look.problems, {})))
        n_calls += 1
        return costs

    result = Driver()(course, see)
    write_clip(path, drawn)
    print(f"{path}: {len(drawn)} looks, {result.time:.0f} s, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
