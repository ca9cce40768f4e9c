"""All figures that striate draws: filter mosaics, maps, curves.

Drawings are matplotlib figures, made without pyplot (no global state, no display); `to_svg` turns one into an element
of a page, with the colors of that page. Mosaics are arrays; `encode_png` turns one into a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.figures.architecture import draw_architecture
    from striate.figures.confusion import ConfusedPair, confused_pairs, draw_confusion
    from striate.figures.curves import AccuracyPoint, accuracy_curve, energy_curve
    from striate.figures.descriptors import descriptor_images
    from striate.figures.drawn import as_filters
    from striate.figures.filters import draw_filters
    from striate.figures.maps import (
        draw_curves,
        draw_distances,
        draw_orientation_key,
        draw_orientation_map,
        orientation_colors,
    )
    from striate.figures.mosaic import encode_png, filter_mosaic, project_to_pixels
    from striate.figures.plane import draw_points, draw_surface, surface_pixels, write_animation
    from striate.figures.reconstructions import draw_reconstructions
    from striate.figures.svg import to_svg

__all__ = [
    "draw_filters",
    "filter_mosaic",
    "project_to_pixels",
    "descriptor_images",
    "encode_png",
    "accuracy_curve",
    "energy_curve",
    "AccuracyPoint",
    "draw_confusion",
    "confused_pairs",
    "ConfusedPair",
    "draw_architecture",
    "draw_reconstructions",
    "surface_pixels",
    "draw_surface",
    "draw_points",
    "write_animation",
    "orientation_colors",
    "draw_orientation_map",
    "draw_orientation_key",
    "draw_curves",
    "draw_distances",
    "to_svg",
    "as_filters",
]

# Learners and classifiers import this folder to draw themselves; only what is drawn loads more than arrays need.
_NAMES = {
    "architecture": "draw_architecture",
    "confusion": "ConfusedPair confused_pairs draw_confusion",
    "curves": "AccuracyPoint accuracy_curve energy_curve",
    "descriptors": "descriptor_images",
    "drawn": "as_filters",
    "filters": "draw_filters",
    "maps": "draw_curves draw_distances draw_orientation_key draw_orientation_map orientation_colors",
    "mosaic": "encode_png filter_mosaic project_to_pixels",
    "plane": "draw_points draw_surface surface_pixels write_animation",
    "reconstructions": "draw_reconstructions",
    "svg": "to_svg",
}
_HOME = homes(__name__, _NAMES)

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
