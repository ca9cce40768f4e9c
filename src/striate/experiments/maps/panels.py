"""Panels of a map of orientations: the map with its pinwheels, and fields of its middle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from striate.analysis import find_pinwheels, pinwheel_density
from striate.experiments.engine.drawing import pack, unpack
from striate.experiments.maps.orientation import as_map
from striate.figures import draw_orientation_map, filter_mosaic

__all__ = ["draw_map", "draw_mosaic", "mosaic"]

_SHOWN = 24  # units along a side of the mosaic


def mosaic(filters: NDArray[Any], shape: tuple[int, int]) -> dict[str, Any]:
    """Filters (n_filters, height, width) from the middle of a sheet, as a packed image."""
    rows, columns = (min(_SHOWN, n) for n in shape)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    sheet = filters.reshape(*shape, 1, *filters.shape[1:])[top : top + rows, left : left + columns]
    image = filter_mosaic(sheet.reshape(-1, *sheet.shape[2:]), columns=columns, scale=1)
    return {"shape": list(image.shape), "pixels": pack(image)}


def draw_map(axes: Any, numbers: Mapping[str, Any], *, title: str, periodic: bool = False) -> None:
    """Draw the map with its pinwheels: those of the plateau, or all if there is none."""
    given = as_map(numbers, periodic=periodic)
    found = pinwheel_density(given).pinwheels if numbers["density"] is not None else find_pinwheels(given)
    draw_orientation_map(
        axes, given.orientation, selectivity=given.selectivity, pinwheels=found, spacing=numbers["spacing"]
    )
    axes.set_title(title, fontsize=9)


def draw_mosaic(axes: Any, numbers: Mapping[str, Any], *, title: str) -> None:
    """Draw what `mosaic` has packed."""
    image = numbers["mosaic"]
    axes.imshow(unpack(image["pixels"], image["shape"]), cmap="gray", vmin=0, vmax=255, interpolation="none")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
