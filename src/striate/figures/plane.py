"""Energies in the plane as images, black for low and white for high, and an animation of a surface being learned."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from striate.errors import UsageError
from striate.parameters import Boolean, Instance, Real, Text, checked
from striate.samples import as_array, as_samples
from striate.whole_file import whole_file

__all__ = ["draw_points", "draw_surface", "surface_pixels", "write_animation"]

_SHOWN = 50  # percentile of the energy from which on pixels are white: higher energies are far from the data


def surface_pixels(energies: ArrayLike) -> np.ndarray:
    """Energies as gray values, 0 (black) for the lowest and 255 (white) from their 50th percentile on.

    Parameters
    ----------
    energies : float (size, size)
        The lowest row first, as in `Grid.image`.

    Returns
    -------
    uint8 (size, size)
    """
    surface = as_array(energies, name="energies", axes=("height", "width"))
    if not surface.size:
        raise UsageError("energies are empty; give at least one")
    low, high = float(surface.min()), float(np.percentile(surface, _SHOWN))
    shown = (surface - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(shown, 0, 1)).astype(np.uint8)


def draw_surface(
    axes: Any, pixels: ArrayLike, extent: tuple[float, float, float, float], *, ticks: bool = False
) -> None:
    """Draw gray values, the lowest row first, into matplotlib axes.

    Parameters
    ----------
    axes : matplotlib Axes
    pixels : uint8 (size, size)
    extent : left, right, bottom, top
    ticks : bool
    """
    check_axes(axes)
    shown = as_array(pixels, name="pixels", axes=("height", "width"))
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, origin="lower", extent=_sides(extent), interpolation="bilinear")
    if not checked("ticks", ticks, Boolean()):
        axes.set_xticks([])
        axes.set_yticks([])


def draw_points(
    axes: Any, points: ArrayLike, extent: tuple[float, float, float, float], *, color: str = "#1c1b19"
) -> None:
    """Draw points, (n_points, 2), into matplotlib axes that show the extent (left, right, bottom, top)."""
    check_axes(axes)
    left, right, bottom, top = _sides(extent)
    shown = as_samples(points, name="points", n_features=2)
    axes.plot(*shown.T, ".", color=checked("color", color, Text()), markersize=1.8, markeredgewidth=0)
    axes.set_aspect("equal")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([])
    axes.set_yticks([])


def write_animation(
    path: str | os.PathLike[str], frames: Sequence[np.ndarray], *, seconds: float = 0.35, hold: float = 2.0
) -> None:
    """Write a GIF that loops.

    Parameters
    ----------
    path : str or os.PathLike
    frames : sequence of uint8 (height, width)
        The lowest row first.
    seconds : float
        Duration of a frame; the last one is shown for `hold` seconds.
    """
    from PIL import Image

    seconds = checked("seconds", seconds, Real(low=0.01, high=600))
    hold = checked("hold", hold, Real(low=0.01, high=600))
    frames = [np.asarray(frame) for frame in (frames if isinstance(frames, Iterable) else ())]
    if not frames or any(frame.dtype != np.uint8 or frame.ndim != 2 or not frame.size for frame in frames):
        raise UsageError("frames are no images: give at least one array of uint8 (height, width)")
    images = [Image.fromarray(frame[::-1]).quantize(32) for frame in frames]
    lengths = [round(1000 * seconds)] * (len(images) - 1) + [round(1000 * hold)]
    with whole_file(path) as file:
        images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=lengths, loop=0)


def check_axes(axes: Any) -> None:
    from matplotlib.axes import Axes

    checked("axes", axes, Instance(Axes, words="matplotlib axes"))


def _sides(extent: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, right, bottom, top = map(float, as_array(extent, name="sides of the extent", axes=(4,)))
    if not (left < right and bottom < top):
        raise UsageError(f"extent is {extent}; it must be left < right, bottom < top")
    return left, right, bottom, top
