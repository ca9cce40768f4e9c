"""Choose preprocessing, architecture and learners for an unknown collection, with the reasons."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from striate.errors import UnreadableImage, UsageError
from striate.hierarchy import DenseSIFT, Hierarchy, PyramidPooling, SparseCodes
from striate.images import ImageCollection, Preprocessing
from striate.images.preprocessing import contrast_range, white_of
from striate.learning import PSD

# Numbers of images whose headers are read, and that are decoded, to describe a collection.
N_HEADERS = 400
N_DECODED = 60
# Images with a longer side up to this are small: strokes in them are a few pixels wide.
SMALL = 40
# Of these, from this side on, a filter of 9×9 is no more than a third of the image.
LARGE_FILTERS = 24
MEDIUM = 100
# The paper's canvas for photographs (Jarrett et al. 2009).
PHOTOGRAPH = 151
# Yang et al. 2009 used photographs of at most 300 pixels; smaller ones have too few descriptors.
LONGEST_FOR_SIFT, SHORTEST_FOR_SIFT = 300, 64
# Sparse codes of a photograph take some 75 ms of a core: more photographs than this would take longer than 20 minutes.
MANY_PHOTOGRAPHS = 30_000
# More labeled images than this teach the classifier what more features would.
MANY = 20_000
# Features of all labeled images together stay below 1 GB: float32 numbers.
MAX_FEATURE_FLOATS = 1 << 28


System = Literal["auto", "hierarchy", "scspm"]
"""Systems by name: stages of learned filters; sparse codes of SIFT over a spatial pyramid."""


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


@dataclass(frozen=True)
class Choice:
    """A preprocessing, an architecture, the reasons, one sentence each, and one learner per filter bank."""

    preprocessing: Preprocessing
    hierarchy: Hierarchy
    reasons: tuple[str, ...]
    learners: tuple[PSD, ...]


def describe(images: ImageCollection) -> Description:
    """Read the headers of some hundred images, evenly spread, and decode some of them.

    Raises
    ------
    UsageError
        If none of them can be read.
    """
    sizes = []
    for index in _spread(len(images), N_HEADERS):
        try:
            sizes.append(images.size_of(index))
        except UnreadableImage:
            continue
    looked_at = []
    for index in _spread(len(images), N_DECODED):
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


def choose(
    seen: Description,
    *,
    system: System = "auto",
    preprocessing: Preprocessing | None = None,
    hierarchy: Hierarchy | None = None,
) -> Choice:
    """The `auto` preset: canvas, color, contrast, filters and pooling for a collection.

    Photographs get sparse codes of SIFT over a spatial pyramid (Yang et al. 2009), the best of the frozen systems on
    Caltech-101, unless their number would make it too slow; then the two stages of Jarrett et al. 2009. Smaller
    images get smaller windows, so that a few positions remain after each pooling.

    Parameters
    ----------
    seen : Description
    system : "auto", "hierarchy" or "scspm"
    preprocessing, hierarchy : optional
        Given by the caller instead of chosen; a hierarchy is chosen for the canvas of a given preprocessing.
    """
    reasons: list[str] = []
    if hierarchy is not None:  # the given one decides
        system = "scspm" if _takes_sift(hierarchy) else "hierarchy"
    elif system == "auto":
        are_photographs = seen.longest > MEDIUM and seen.n_images <= MANY_PHOTOGRAPHS
        suits_sift = preprocessing is None or preprocessing.contrast == "none"
        system = "scspm" if are_photographs and suits_sift else "hierarchy"
    if preprocessing is None:
        choose_preprocessing = _preprocessing_for_sift if system == "scspm" else _choose_preprocessing
        preprocessing = choose_preprocessing(seen, reasons)
    else:
        height, width = preprocessing.canvas
        reasons.append(
            f"the preprocessing was given: a canvas of {width}×{height}, {preprocessing.color}, "
            f"{preprocessing.contrast} contrast"
        )
    if hierarchy is not None:
        reasons.append(f"the architecture was given: {hierarchy}")
    elif system == "scspm":
        hierarchy = Hierarchy(f"SIFT16x16/6 - 1024SC - {PyramidPooling.notation}")
        reasons.append(
            "SIFT every 6 pixels, its sparse codes by a dictionary learned here, their maxima over a pyramid"
        )
    else:
        hierarchy = _choose_hierarchy(seen, preprocessing, reasons)
    n_features = int(np.prod(hierarchy.output_shape(preprocessing.shape)))
    n_maps = [bank.n_maps for bank in hierarchy.filter_banks]
    if n_maps:
        maps = " and ".join(map(str, n_maps))
        reasons.append(f"filter banks with {maps} maps: {n_features:,} features per image")
    if n_features * seen.n_labeled > MAX_FEATURE_FLOATS:
        reasons.append(
            f"features of {seen.n_labeled:,} labeled images take {4e-9 * n_features * seen.n_labeled:.1f} GB: "
            "a run with a checkpoint keeps them on disk"
        )
    # Features of later stages are already sparse and smooth: a lower sparsity, fewer batches, ten steps.
    first, later = PSD(sparsity=2.0, max_batches=1500), PSD(sparsity=0.3, max_batches=300, n_inference_steps=10)
    learners = (first, *[later] * (len(n_maps) - 1)) if n_maps else ()
    return Choice(preprocessing, hierarchy, tuple(reasons), learners)


def classifier_options(hierarchy: Hierarchy) -> dict[str, Any]:
    """Options of `SoftmaxClassifier` that suit a hierarchy's features.

    Maxima of sparse codes have one common unit, and are 0 if no unit is active: standardizing each feature would
    enlarge rare ones too much. On validation images of 51 classes of Caltech-101, accuracy was 2.6 points higher
    without it. For pooled responses of filters, two weights per feature are better.
    """
    if any(isinstance(layer, SparseCodes) for layer in hierarchy):
        return {"standardize": "together"}
    return {"split": True}


def _takes_sift(hierarchy: Hierarchy) -> bool:
    return bool(len(hierarchy)) and isinstance(hierarchy.layers[0], DenseSIFT)


def _preprocessing_for_sift(seen: Description, reasons: list[str]) -> Preprocessing:
    """Grey images as they are; `reasons` gets a sentence."""
    side = min(max(seen.longest, SHORTEST_FOR_SIFT), LONGEST_FOR_SIFT)
    size = f"typically {seen.width}×{seen.height} pixels"
    reasons.append(f"descriptors normalize themselves: grey images as they are ({size}), on a canvas of {side}×{side}")
    _say_white(seen, reasons)
    return Preprocessing(canvas=(side, side), contrast="none", white=seen.white)


def _say_white(seen: Description, reasons: list[str]) -> None:
    if seen.white != 1:
        reasons.append(f"images use a range of {seen.white:.3g} instead of 0–1: they are first divided by it")


def _choose_preprocessing(seen: Description, reasons: list[str]) -> Preprocessing:
    """Canvas, color and contrast; `reasons` gets a sentence for each."""
    border = 0
    if seen.longest <= SMALL:
        longest = max(seen.longest, 16)
        # The size is kept, unless one side would be too short for two stages.
        as_they_are = seen.one_size and min(seen.height, seen.width) >= 16
        canvas = (seen.height, seen.width) if as_they_are else (longest, longest)
        # Zeros around the image, so that filters cover strokes at its edge.
        border = 5 if longest >= LARGE_FILTERS else 4
        kind = "small (typically {0}×{1} pixels)"
    elif seen.longest <= MEDIUM:
        canvas = (seen.longest, seen.longest)
        kind = "of medium size (typically {0}×{1} pixels)"
    else:
        canvas = (PHOTOGRAPH, PHOTOGRAPH)
        kind = "photographs or of their size (typically {0}×{1} pixels)"
    reasons.append(f"images are {kind.format(seen.width, seen.height)}: a canvas of {canvas[1]}×{canvas[0]}")
    color: Literal["grey", "yuv"] = "yuv" if seen.colored and seen.longest <= MEDIUM else "grey"
    if color == "yuv":
        reasons.append("images are small and colored: luma and two chroma channels")
    elif seen.colored:
        reasons.append("in photographs of this size shape tells more than color: grey")
    else:
        reasons.append("images have no color: grey")
    contrast: Literal["ground", "local"] = "ground" if seen.plain_ground else "local"
    if seen.plain_ground:
        reasons.append("most of each image is a plain ground, which is brought to zero; contrast is kept")
    else:
        reasons.append("light varies over the images: local contrast normalization")
    _say_white(seen, reasons)
    return Preprocessing(canvas=canvas, color=color, contrast=contrast, border=border, white=seen.white)


def _choose_hierarchy(seen: Description, preprocessing: Preprocessing, reasons: list[str]) -> Hierarchy:
    """Two stages that fit the canvas; `reasons` gets a sentence."""
    longest, shortest = max(preprocessing.canvas), min(preprocessing.canvas)
    side = shortest + 2 * preprocessing.border
    if longest <= SMALL:
        # The side of the filters is about a quarter of the image's.
        size, pool = (9, 5) if longest >= LARGE_FILTERS else (5, 4)
        first = f"64F{size}x{size} - Rabs - N7x7 - PA{pool}x{pool}/2"
        after = (side - size + 1 - pool) // 2 + 1
        second_size = 5 if after >= 9 else 3
        left = after - second_size + 1
        second_pool = min(5, left) if left >= 5 else max(2, left - 1)
        n_second = 512 if seen.n_labeled <= MANY else 256
        second = f"{n_second}F{second_size}x{second_size} - Rabs - N5x5 - PA{second_pool}x{second_pool}/2"
        reasons.append(f"filters of {size}×{size}, as suits small images, pooled over {pool}×{pool}")
    elif longest <= MEDIUM:
        first = "64F7x7 - Rabs - N - PA8x8/4"
        after = (side - 6 - 8) // 4 + 1
        second_size = 5 if after >= 10 else 3
        left = after - second_size + 1
        second_pool = max(2, left // 2)
        second = (
            f"256F{second_size}x{second_size} - Rabs - N5x5 - PA{second_pool}x{second_pool}/{max(1, second_pool // 2)}"
        )
        reasons.append("filters of 7×7, as suits images of medium size, pooled over 8×8")
    else:
        first = "64F9x9 - Rabs - N - PA10x10/5"
        second = "256F5x5 - Rabs - N - PA6x6/4"
        reasons.append("filters of 9×9, pooled over 10×10, as Jarrett et al. 2009 had them for photographs")
    return Hierarchy(f"{first} - {second}")


def _spread(n: int, at_most: int) -> list[int]:
    """Indices evenly over ``range(n)``."""
    return np.unique(np.linspace(0, n - 1, min(n, at_most)).round().astype(int)).tolist()


def _is_colored(image: np.ndarray, white: float) -> bool:
    """Whether the channels differ by more than compression does, on average over the image."""
    return len(image) == 3 and float(np.abs(image - image.mean(axis=0)).mean()) > 0.01 * white


def _has_plain_ground(image: np.ndarray, white: float) -> bool:
    """Whether more than half of the pixels are within 2 % of the outline's median."""
    grey = image.mean(axis=0)
    outline = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    return float((np.abs(grey - np.median(outline)) < 0.02 * white).mean()) > 0.5
