"""A short rendered drive past boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from striate.robot.plane import GroundPlane
from striate.robot.world import Box, View, camera_pose
from tests.robot.scenes import CAMERA, world, write_sequence

PLANE = GroundPlane.from_angles(0.5, 1, 1.65)
BOXES = (Box(-1.5, 16, 2, 2, 1.5), Box(4, 15, 2, 2, 1.5), Box(2, 26, 2, 2, 1.5), Box(-4, 10, 1.5, 2, 1.5))
STEP = 2.0
POSES = [camera_pose(PLANE, z=STEP * frame) for frame in range(5)]


def drive() -> list[View]:
    scene = world(BOXES)
    return [scene.view(CAMERA, pose) for pose in POSES]


def write_drive(folder: Path, views: list[View], *, poses: bool = True) -> Path:
    """The drive as a folder in KITTI's form."""
    write_sequence(folder, [(view.left, view.right) for view in views])
    if poses:
        rows = np.array(POSES[: len(views)])[:, :3].reshape(-1, 12)
        np.savetxt(folder / "poses.txt", rows)
    return folder


def frames_of(clip: Image.Image) -> int:
    """Number of frames of an open GIF."""
    return sum(1 for _ in ImageSequence.Iterator(clip))
