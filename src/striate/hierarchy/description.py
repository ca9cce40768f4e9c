"""What is known about a collection before anything is chosen: sizes, colors, background, labels."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np

from striate.errors import UnreadableImage, UsageError
from striate.images import ImageCollection
from striate.images.preprocessing import contrast_range, white_of
from striate.samples import evenly_spread

__all__ = ["PHOTOGRAPH", "Description", "describe"]

# Numbers of images whose headers are read, and that are decoded, to describe a collection.
N_HEADERS = 400
N_DECODED = 60
# The paper's canvas for photographs (Jarrett et al. 2009).
PHOTOGRAPH = 151


@dataclass(frozen=True)
class Description:
    """What is known about a collection before anything is chosen.

    Attributes
    ----------
    n_images, n_labeled, n_classes : int
    height, width : int
        Medians, in pixels.
    longest : int
        Median of the longer side.
    one_size : bool
        Whether all images that were examined have the same size.
    colored : bool
        Whether at least a tenth of them have visible color.
    plain_ground : bool
        Whether most of a typical image is a plain background, as for digits, icons and line drawings.
    white : float
        The difference between black and white that thresholds are relative to; 1 unless the images use less than half
        of the range of 0–1, as those of a camera of 12 bits in files of 16 do.
    """

    n_images: int
    n_labeled: int
    n_classes: int
    height: int
    width: int
    longest: int
    one_size: bool
    colored: bool
    plain_ground: bool
    white: float = 1.0


def describe(images: ImageCollection) -> Description:
    """Read the headers of some hundred images, evenly spread, and decode some of them.

    Raises
    ------
    UsageError
        If none of them can be read.
    """
    sizes = []
    for index in evenly_spread(len(images), N_HEADERS).tolist():
        try:
            sizes.append(images.size_of(index))
        except UnreadableImage:
            continue
    looked_at = []
    for index in evenly_spread(len(images), N_DECODED).tolist():
        try:
            image = images.read(index, at_least=PHOTOGRAPH)
        except UnreadableImage:
            continue
        looked_at.append(image)
    if not sizes or not looked_at:
        raise UsageError("none of the images that were tried can be read: see that the folder holds images.")
    white = white_of(contrast_range(looked_at))
    labels = images.labels or []
    return Description(
        n_images=len(images),
        n_labeled=sum(label != "" for label in labels),
        n_classes=len(images.classes),
        height=round(statistics.median(height for height, _, _ in sizes)),
        width=round(statistics.median(width for _, width, _ in sizes)),
        longest=round(statistics.median(max(height, width) for height, width, _ in sizes)),
        one_size=len({size[:2] for size in sizes}) == 1,
        colored=sum(_is_colored(image, white) for image in looked_at) >= 0.1 * len(looked_at),
        plain_ground=sum(_has_plain_ground(image, white) for image in looked_at) > 0.5 * len(looked_at),
        white=white,
    )


def _is_colored(image: np.ndarray, white: float) -> bool:
    """Whether the channels differ by more than compression does, on average over the image."""
    return len(image) == 3 and float(np.abs(image - image.mean(axis=0)).mean()) > 0.01 * white


def _has_plain_ground(image: np.ndarray, white: float) -> bool:
    """Whether more than half of the pixels are within 2 % of the outline's median."""
    grey = image.mean(axis=0)
    outline = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    return float((np.abs(grey - np.median(outline)) < 0.02 * white).mean()) > 0.5
