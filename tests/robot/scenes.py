"""Scenes with known geometry, and the folders that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from striate.robot.calibration import Calibration
from striate.robot.plane import GroundPlane
from striate.robot.world import Box, View, World, camera_pose, noise_texture

# KITTI's camera at the working size.
CAMERA = Calibration(fx=357.6, fy=359.3, cx=304.1, cy=92.8, baseline=0.537, size=(188, 620))
BOXES = (
    Box(-3, 12, 1.5, 1.5, 1.5),
    Box(2.5, 20, 2, 4, 1.6),
    Box(6, 15, 3, 3, 4),
    Box(-8, 25, 4, 4, 3),
)


def world(boxes: Sequence[Box] = BOXES, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    return World(boxes, [noise_texture(rng, mean=0.4, contrast=0.1), noise_texture(rng, mean=0.6)])


def seen(plane: GroundPlane, boxes: Sequence[Box] = BOXES, seed: int = 0) -> View:
    return world(boxes, seed).view(CAMERA, camera_pose(plane))


def disparity_of(view: View) -> np.ndarray:
    """The exact disparities of a view; NaN in the sky."""
    return np.where(view.surface >= 0, CAMERA.fx * CAMERA.baseline / view.depth, np.nan).astype(np.float32)


def calib_text(camera: Calibration = CAMERA, names: tuple[str, str] = ("P0", "P1")) -> str:
    left = [camera.fx, 0, camera.cx, 0, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0]
    right = [*left[:3], -camera.fx * camera.baseline, *left[4:]]
    return "".join(
        f"{name}: {' '.join(f'{number:.9e}' for number in row)}\n"
        for name, row in zip(names, (left, right), strict=True)
    )


def write_sequence(
    folder: Path, pairs: Sequence[tuple[np.ndarray, np.ndarray | None]], calibration: str | None = None
) -> Path:
    """Write pairs of (1 or 3, height, width) images, 0–1, as a folder in KITTI's form."""
    for side in ("left", "right"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    (folder / "calib.txt").write_text(calib_text() if calibration is None else calibration)
    for number, pair in enumerate(pairs):
        for side, image in zip(("left", "right"), pair, strict=True):
            if image is not None:
                pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
                Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(
                    folder / side / f"{number:06d}.png"
                )
    return folder
