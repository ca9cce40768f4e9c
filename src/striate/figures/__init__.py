"""All figures that striate draws: filter mosaics, maps, curves.

Drawings are matplotlib figures, made without pyplot (no global state, no display); `to_svg` turns one into an element
of a page, with the colors of that page. Mosaics are arrays; `encode_png` turns one into a file.
"""

from __future__ import annotations

from striate.figures.architecture import draw_architecture
from striate.figures.confusion import ConfusedPair, confused_pairs, draw_confusion
from striate.figures.curves import AccuracyPoint, accuracy_curve, energy_curve
from striate.figures.descriptors import descriptor_images
from striate.figures.drawn import as_filters
from striate.figures.filters import draw_filters
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
    "to_svg",
    "as_filters",
]
