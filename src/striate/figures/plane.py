"""Energies in the plane as pictures: black is low, white is high; and a film of a surface that is learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["draw_points", "draw_surface", "surface_pixels", "write_animation"]

_SHOWN = 50  # percentile of the energy that is white: what lies above is far from the data


def surface_pixels(energies: np.ndarray) -> np.ndarray:
    """Energies as gray values, 0 (black) for the lowest and 255 (white) from their 50th percentile on.

    Parameters
    ----------
    energies : float (size, size)
        The lowest row first, as `Grid.image` has it.

    Returns
    -------
    uint8 (size, size)
    """
    low, high = float(energies.min()), float(np.percentile(energies, _SHOWN))
    shown = (energies - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(shown, 0, 1)).astype(np.uint8)


def draw_surface(
    axes: Any, pixels: np.ndarray, extent: tuple[float, float, float, float], *, ticks: bool = False
) -> None:
    """Draw gray values, the lowest row first, into matplotlib axes.

    Parameters
    ----------
    axes : matplotlib Axes
    pixels : uint8 (size, size)
    extent : left, right, bottom, top
    ticks : bool
    """
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, origin="lower", extent=extent, interpolation="bilinear")
    if not ticks:
        axes.set_xticks([])
        axes.set_yticks([])


def draw_points(
    axes: Any, points: np.ndarray, extent: tuple[float, float, float, float], *, color: str = "#1c1b19"
) -> None:
    """Draw points, (n_points, 2), into matplotlib axes of a window."""
    axes.plot(*np.asarray(points).T, ".", color=color, markersize=1.8, markeredgewidth=0)
    axes.set_aspect("equal")
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_xticks([])
    axes.set_yticks([])


def write_animation(path: Path, frames: Sequence[np.ndarray], *, seconds: float = 0.35, hold: float = 2.0) -> None:
    """Write a GIF that loops.

    Parameters
    ----------
    path : Path
    frames : sequence of uint8 (height, width)
        The lowest row first.
    seconds : float
        A frame; the last one stays for `hold`.
    """
    from PIL import Image

    pictures = [Image.fromarray(frame[::-1]).quantize(32) for frame in frames]
    lengths = [round(1000 * seconds)] * (len(pictures) - 1) + [round(1000 * hold)]
    pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], duration=lengths, loop=0)
