"""Drives that a robot's eye is measured on: two of KITTI's, and a generated one at the quick scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from striate.experiments.engine.unit import Context
from striate.robot import (
    Box,
    Calibration,
    GroundPlane,
    StereoSequence,
    World,
    camera_pose,
    noise_texture,
)

__all__ = ["CAMERA", "FIRST_JUDGED", "FOLDERS", "N_LEARNED", "read_sequence"]

#: By the name that figures use: folders of the data set "stereo".
FOLDERS = {"village": "kitti-grey", "street": "kitti-00"}

N_LEARNED = 5  # frames at the beginning of a drive, from which features are learned

#: The first frame that is judged. Settings were chosen on frames of the village before its 20th; in the other drives,
#: what features were learned from is left out.
FIRST_JUDGED = {"village": 20, "street": N_LEARNED}

CAMERA = Calibration(fx=357.6, fy=359.3, cx=304.1, cy=92.8, baseline=0.537, size=(188, 620))
"""KITTI's, at the working size."""

_N_GENERATED = 9
_STEP = 2.0  # meters between generated frames


def read_sequence(name: str, context: Context) -> StereoSequence:
    """A drive by its name in `FOLDERS`; at the quick scale, a short one past boxes, at half of the size."""
    if context.scale == "full":
        return StereoSequence(context.data("stereo") / FOLDERS[name])
    folder = context.working_folder() / "drive"
    if not (folder / "poses.txt").exists():
        _generate(folder, context.seed)
    return StereoSequence(folder, width=CAMERA.size[1] // 2)


def _generate(folder: Path, seed: int) -> None:
    """Write a straight drive past boxes, in KITTI's form."""
    rng = np.random.default_rng(seed)
    camera = CAMERA.scaled((CAMERA.size[0] // 2, CAMERA.size[1] // 2))
    plane = GroundPlane.from_angles(0.5, 1, 1.65)
    boxes = [
        Box(side * rng.uniform(2, 5), z, rng.uniform(1, 3), rng.uniform(1, 3), rng.uniform(1, 2))
        for z in range(9, 50, 5)
        for side in (-1, 1)
    ]
    world = World(boxes, [noise_texture(rng, mean=0.4, contrast=0.1), noise_texture(rng, mean=0.6)])
    poses = [camera_pose(plane, z=_STEP * frame) for frame in range(_N_GENERATED)]
    for side in ("left", "right"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    for number, pose in enumerate(poses):
        view = world.view(camera, pose)
        for side, image in (("left", view.left), ("right", view.right)):
            pixels = np.rint(255 * np.clip(image[0], 0, 1)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / side / f"{number:06d}.png")
    rows = [
        [camera.fx, 0, camera.cx, aside, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0]
        for aside in (0.0, -camera.fx * camera.baseline)
    ]
    lines = [f"P{number}: {' '.join(map(str, row))}\n" for number, row in enumerate(rows)]
    (folder / "calib.txt").write_text("".join(lines), encoding="utf-8")
    np.savetxt(folder / "poses.txt", np.array(poses)[:, :3].reshape(-1, 12))
