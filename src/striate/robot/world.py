"""A small world to drive in: textured ground with boxes on it, seen by a stereo camera whose every distance is known.

World coordinates have x to the right, y down and z ahead, in meters; the ground is y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from striate.errors import UsageError
from striate.robot.calibration import Calibration
from striate.robot.plane import GroundPlane

__all__ = ["Box", "Texture", "View", "World", "camera_pose", "noise_texture"]

_SKY = 0.9
_PARTS = 6  # of the ground that a pixel shows, one behind another
_LONGEST = 64.0  # times its width


class Box(NamedTuple):
    """A box with sides along x and z.

    Attributes
    ----------
    x, z : float
        Its center, in meters.
    width, depth : float
        Extent along x and z, in meters.
    height : float
        Of its top over the ground, in meters.
    bottom : float, default 0
        Height of its lower side over the ground; above 0 the box floats, like a branch.
    texture : int, default 1
        Which of the world's textures it has.
    """

    x: float
    z: float
    width: float
    depth: float
    height: float
    bottom: float = 0.0
    texture: int = 1


class Texture:
    """A picture that repeats over a surface, mirrored, so that it has no seams.

    Parameters
    ----------
    picture : (height, width) or (channels, height, width) float array
        0–1; grey, or red, green and blue.
    meters : float
        Width of the picture on the surface.
    """

    def __init__(self, picture: NDArray[np.floating], meters: float) -> None:
        pixels = np.asarray(picture, dtype=np.float32)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        if pixels.ndim != 3 or len(pixels) not in (1, 3) or min(pixels.shape[1:]) < 2 or not meters > 0:
            raise UsageError(
                f"a texture of shape {pixels.shape}, {meters} m wide: give (1 or 3, height, width), over 0 m"
            )
        self.n_channels = len(pixels)
        self._per_meter = pixels.shape[2] / meters
        # Reduced copies, so that distant surfaces show means instead of single pixels.
        self._levels = [pixels]
        while min(self._levels[-1].shape[1:]) >= 4:
            last = self._levels[-1]
            last = last[:, : last.shape[1] // 2 * 2, : last.shape[2] // 2 * 2]
            blocks = last[:, ::2, ::2] + last[:, 1::2, ::2] + last[:, ::2, 1::2] + last[:, 1::2, 1::2]
            self._levels.append(blocks / np.float32(4))

    def __call__(
        self, down: NDArray[np.float64], across: NDArray[np.float64], footprint: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Brightness at places of the surface: (channels, n_places).

        Parameters
        ----------
        down, across, footprint : (n_places,) float64
            The place, and the size of a camera's pixel there, in meters.
        """
        wanted = np.log2(np.maximum(footprint * self._per_meter, 1)).clip(0, len(self._levels) - 1)
        lower = np.floor(wanted).astype(int)
        found = np.zeros((self.n_channels, len(down)), np.float32)
        for level in np.unique(np.concatenate([lower, np.minimum(lower + 1, len(self._levels) - 1)])):
            weight = np.maximum(0, 1 - np.abs(wanted - level))
            own = np.flatnonzero(weight)
            if not len(own):
                continue
            scale = self._per_meter / 2.0**level
            places = np.stack([down[own] * scale - 0.5, across[own] * scale - 0.5])
            for channel, pixels in enumerate(self._levels[level]):
                values = map_coordinates(pixels, places, order=1, mode="reflect", output=np.float32)
                found[channel, own] += weight[own].astype(np.float32) * values
        return found


def noise_texture(
    rng: np.random.Generator, *, mean: float = 0.5, contrast: float = 0.2, side: int = 256, meters: float = 4.0
) -> Texture:
    """Noise with structure at every scale, like gravel or leaves: its spectrum falls as in natural images.

    Parameters
    ----------
    rng : Generator
    mean, contrast : float
        Mean and standard deviation of its brightness, which is cut to 0–1.
    side : int
        Pixels.
    meters : float
        Width on the surface.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / frequency**0.7
    noise = np.fft.irfft2(spectrum, (side, side))
    return Texture(np.clip(mean + contrast * noise / noise.std(), 0, 1), meters)


class View(NamedTuple):
    """What a stereo camera sees.

    Attributes
    ----------
    left, right : (1 or 3, height, width) float32
        Images, 0–1.
    depth : (height, width) float32
        Of the left camera's pixels, meters along its optical axis; infinite in the sky.
    surface : (height, width) int16
        0 for ground, 1 + the number of the box, −1 for sky.
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32]
    depth: NDArray[np.float32]
    surface: NDArray[np.int16]


def camera_pose(plane: GroundPlane, x: float = 0.0, z: float = 0.0, heading: float = 0.0) -> NDArray[np.float64]:
    """Pose of a camera over the ground: (4, 4), from its coordinates to the world's.

    Parameters
    ----------
    plane : GroundPlane
        The ground as the camera sees it: its tilt and its height.
    x, z : float
        Where it stands, in meters.
    heading : float
        Radians, clockwise as seen from above; at 0 it looks along z.
    """
    cosine, sine = np.cos(heading), np.sin(heading)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]) @ plane.leveling()
    pose[:3, 3] = x, -plane.camera_height, z
    return pose


@dataclass(frozen=True)
class World:
    """Ground and boxes.

    Parameters
    ----------
    boxes : sequence of Box
    textures : sequence of Texture
        That of the ground first, then those that boxes name; all with the same number of channels.
    """

    boxes: Sequence[Box]
    textures: Sequence[Texture]

    def __post_init__(self) -> None:
        used = {0} | {box.texture for box in self.boxes}
        if not used <= set(range(len(self.textures))):
            raise UsageError(f"boxes use the textures {sorted(used)} of {len(self.textures)}")
        if len({texture.n_channels for texture in self.textures}) != 1:
            raise UsageError("some textures of a world are grey and some are in color: give all of them one form")

    @cached_property
    def _corners(self) -> NDArray[np.float64]:
        """Lower and upper corner of each box, (n_boxes, 2, 3)."""
        corners = [
            [
                [box.x - box.width / 2, -box.height, box.z - box.depth / 2],
                [box.x + box.width / 2, -box.bottom, box.z + box.depth / 2],
            ]
            for box in self.boxes
        ]
        return np.array(corners, dtype=np.float64).reshape(-1, 2, 3)

    def view(self, calibration: Calibration, pose: NDArray[np.float64]) -> View:
        """What a stereo camera at a pose, see `camera_pose`, sees."""
        left, depth, surface = self._seen(calibration, pose)
        aside = pose.copy()
        aside[:3, 3] += pose[:3, 0] * calibration.baseline
        return View(left, self._seen(calibration, aside)[0], depth, surface)

    def _seen(
        self, calibration: Calibration, pose: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int16]]:
        size = calibration.size
        rays = calibration.points(np.ones(size, np.float32)).reshape(3, -1).astype(np.float64)
        rays = pose[:3, :3] @ rays  # of unit length along the optical axis, so that distances are depths
        start = pose[:3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(rays[1] > 1e-9, -start[1] / rays[1], np.inf)
            surface = np.where(np.isfinite(depth), 0, -1).astype(np.int16)
            side = np.zeros(depth.shape, np.int8)  # the axis at right angles to the surface
            side[:] = 1
            for place, (low, high) in enumerate(self._corners):
                first = (low[:, None] - start[:, None]) / rays
                last = (high[:, None] - start[:, None]) / rays
                enters = np.fmax.reduce(np.minimum(first, last))
                leaves = np.fmin.reduce(np.maximum(first, last))
                hit = (enters < leaves) & (enters > 0) & (enters < depth)
                depth[hit], surface[hit] = enters[hit], place + 1
                side[hit] = np.argmax(np.minimum(first, last)[:, hit], axis=0)
        image = np.full((self.textures[0].n_channels, depth.size), _SKY, np.float32)
        image[:, surface == 0] = 0
        footprint = depth / calibration.fx
        for number in np.unique(surface[surface >= 0]):
            own = np.flatnonzero(surface == number)
            x, y, z = start[:, None] + depth[own] * rays[:, own]
            axis = side[own]
            across, down = np.where(axis == 0, z, x), np.where(axis == 1, z, y)
            texture = self.textures[0 if number == 0 else self.boxes[number - 1].texture]
            if number == 0:
                # Ground is seen at a flat angle: a pixel is longer than it is wide.
                length = footprint[own] * np.minimum(depth[own] / -start[1], _LONGEST)
                along = np.linalg.norm(rays[[0, 2]][:, own], axis=0)
                right, ahead = rays[0, own] / along, rays[2, own] / along
                for part in (np.arange(_PARTS) + 0.5) / _PARTS - 0.5:
                    farther = down + part * length * ahead
                    aside = across + part * length * right
                    found = texture(farther, aside, np.maximum(footprint[own], length / _PARTS))
                    image[:, own] += found / np.float32(_PARTS)
                continue
            # Each box has its own part of the texture.
            image[:, own] = texture(down + 1.7 * number, across + 2.3 * number, footprint[own])
        return image.reshape(-1, *size), depth.reshape(size).astype(np.float32), surface.reshape(size)
