"""The ground as a plane in the camera's coordinates, and the level coordinates that it defines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["GroundPlane"]

_UP = np.array([0.0, -1.0, 0.0])  # y points down


@dataclass(frozen=True)
class GroundPlane:
    """All points whose height ``up · point + camera_height`` is zero.

    Parameters
    ----------
    up : (float, float, float)
        Unit vector, in camera coordinates (x right, y down, z forward): (0, −1, 0) for a camera that looks along the
        ground.
    camera_height : float
        Height of the left camera over the ground, in meters.
    """

    up: tuple[float, float, float]
    camera_height: float

    def __post_init__(self) -> None:
        up = np.asarray(self.up, dtype=np.float64)
        norm = np.linalg.norm(up) if up.shape == (3,) else 0.0
        if not (np.isfinite(norm) and norm > 0 and up[1] < 0 and self.camera_height > 0):
            raise UsageError(
                f"a ground plane with up = {self.up} and the camera {self.camera_height} m above it: up needs three "
                "numbers, the second negative, since y points down, and the height must be positive"
            )
        object.__setattr__(self, "up", tuple(float(number) for number in up / norm))
        object.__setattr__(self, "camera_height", float(self.camera_height))

    @classmethod
    def from_angles(cls, pitch: float, roll: float, camera_height: float) -> GroundPlane:
        """The ground under a tilted camera.

        Parameters
        ----------
        pitch : float
            Degrees by which the camera looks down.
        roll : float
            Degrees by which the camera is turned clockwise around its optical axis, as seen from behind it: the horizon
            then falls to the left in the image.
        camera_height : float
            Meters.
        """
        tilt, turn = np.deg2rad(pitch), np.deg2rad(roll)
        up = (-np.sin(turn) * np.cos(tilt), -np.cos(turn) * np.cos(tilt), -np.sin(tilt))
        return cls(up, camera_height)

    @property
    def pitch(self) -> float:
        """Degrees by which the camera looks down."""
        return float(np.rad2deg(np.arcsin(np.clip(-self.up[2], -1, 1))))

    @property
    def roll(self) -> float:
        """Degrees by which the camera is turned clockwise, as seen from behind it."""
        return float(np.rad2deg(np.arctan2(-self.up[0], -self.up[1])))

    def height(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Height over the plane, in meters, of points (3, ...) in camera coordinates."""
        x, y, z = points
        kind = points.dtype.type
        return kind(self.up[0]) * x + kind(self.up[1]) * y + kind(self.up[2]) * z + kind(self.camera_height)

    def leveling(self) -> NDArray[np.float64]:
        """The smallest rotation from camera coordinates to level ones, (3, 3).

        In level coordinates y points straight down, and z ahead, along the ground.
        """
        up = np.array(self.up)
        axis, cosine = np.cross(up, _UP), float(up @ _UP)
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        # Rodrigues' formula; 1 + cosine > 1, since up has a negative y.
        return np.eye(3) + cross + cross @ cross / (1 + cosine)

    def place(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Where points (3, ...) in camera coordinates are over the ground: (2, ...), meters to the right and ahead."""
        level = self.leveling().astype(points.dtype)[[0, 2]]
        places: NDArray[np.floating] = np.tensordot(level, points, 1)
        return places
