"""Choose preprocessing, architecture and learners for an unknown collection, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from striate.coding import Sheet
from striate.hierarchy import (
    DenseSIFT,
    FilterBank,
    Hierarchy,
    Mirrored,
    OrientedGradients,
    PatchDictionary,
    Paths,
    PyramidPooling,
    SheetPooling,
    SparseCodes,
)
from striate.hierarchy.description import PHOTOGRAPH, Description
from striate.images import Preprocessing
from striate.learning import PSD

# Images with a longer side up to this are small: strokes in them are a few pixels wide.
SMALL = 40
# Of these, from this side on, a filter of 9×9 is no more than a third of the image.
LARGE_FILTERS = 24
MEDIUM = 100
# Yang et al. 2009 used photographs of at most 300 pixels; smaller ones have too few descriptors.
LONGEST_FOR_SIFT, SHORTEST_FOR_SIFT = 300, 64
# Seconds of one core that the sparse code of a descriptor takes, and the share of the allowed time for all of them.
SECONDS_PER_CODE, SHARE_OF_TIME = 35e-6, 0.6
# Side and distance of SIFT's patches. In photographs of 300 pixels, larger ones than those of Yang et al. (16, 6) are
# more accurate by 2 points and twice as fast, and both together by another 2 (training images of Caltech-101).
SMALL_SIFT, LARGE_SIFT = (16, 6), (32, 8)
SIDE_FOR_LARGE_SIFT = 250
# More labeled images than this teach the classifier what more features, and paths, would.
MANY, MANY_FOR_PATHS = 20_000, 10_000
# Patches and filters see photographs that are reduced to about this longer side.
SIDE_FOR_PATCHES, SIDE_FOR_FILTERS = 100, 150
# Averages over 4×4 windows, each of three of nine cells per side, that overlap by a cell, so that what moves a little
# changes cells by degrees. With all paths they gained 2.2 and 1.0 points over 4×4 cells that do not overlap on views of
# objects, with 5 and 10 labels per class. With 1, 5 and 10 they gained 2.0, −0.6 and 0.3 on digits (against 3×3 cells)
# and −0.5, −0.4 and 0.1 on color photographs of 32×32, which is within a standard error. 5×5 windows of eleven cells
# did no better with 1.6 times the features (development draws, means of three).
SOFT_GRID = "GA9 - PA3x3/2"
# Features of all labeled images together stay below 1 GB: float32 numbers.
MAX_FEATURE_FLOATS = 1 << 28


System = Literal["auto", "hierarchy", "scspm"]
"""Systems by name: stages of learned filters; sparse codes of SIFT over a spatial pyramid."""


@dataclass(frozen=True)
class Choice:
    """A preprocessing, an architecture, the reasons, one sentence each, and one learner per filter bank."""

    preprocessing: Preprocessing
    hierarchy: Hierarchy
    reasons: tuple[str, ...]
    learners: tuple[PSD, ...]


def choose(
    seen: Description,
    *,
    system: System = "auto",
    preprocessing: Preprocessing | None = None,
    hierarchy: Hierarchy | None = None,
    minutes: float = 5.0,
) -> Choice:
    """The `auto` preset: canvas, color, contrast, filters and pooling for a collection.

    Up to 10,000 labeled images get several paths side by side: whitened patches (Coates et al. 2011), two stages of
    learned filters (Jarrett et al. 2009), oriented gradients (Dalal and Triggs 2005), and, for photographs, sparse
    codes of SIFT over a spatial pyramid (Yang et al. 2009) unless their number would make it too slow. More labeled
    images get two stages. Smaller images get smaller windows, so that a few positions remain after each pooling.

    Parameters
    ----------
    seen : Description
    system : "auto", "hierarchy" or "scspm"
    preprocessing, hierarchy : optional
        Given by the caller instead of chosen; a hierarchy is chosen for the canvas of a given preprocessing. Paths are
        chosen only if neither is given.
    minutes : float
        About how long learning may take on two cores: paths of SIFT are left out if their codes took longer.
    """
    reasons: list[str] = []
    if hierarchy is not None:  # the given one decides
        system = "scspm" if _takes_sift(hierarchy) else "hierarchy"
    elif system == "auto" and preprocessing is None and seen.n_labeled <= MANY_FOR_PATHS:
        return _choose_paths(seen, minutes)
    elif system == "auto":
        suits_sift = preprocessing is None or preprocessing.contrast == "none"
        system = "scspm" if suits_sift and _suits_sift(seen, minutes) else "hierarchy"
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
    return Choice(preprocessing, hierarchy, tuple(reasons), _learners(len(n_maps)))


def _learners(n_banks: int) -> tuple[PSD, ...]:
    # Features of later stages are already sparse and smooth: a lower sparsity, fewer batches, ten steps.
    first, later = PSD(sparsity=2.0, max_batches=1500), PSD(sparsity=0.3, max_batches=300, n_inference_steps=10)
    return (first, *[later] * (n_banks - 1)) if n_banks else ()


def _choose_paths(seen: Description, minutes: float) -> Choice:
    """Several paths side by side, from which the classifier chooses by the labels."""
    reasons: list[str] = []
    prepared = _preprocessing_for_paths(seen, reasons)
    longest, shortest = max(prepared.canvas), min(prepared.canvas)
    grey = "GREY - " if prepared.color == "rgb" else ""
    step = "" if longest <= SMALL else "/2"
    # Of larger images, whose features are the most, only the cells that do not overlap were measured.
    grid, cells = ("GA4", "4×4 cells") if seen.longest > MEDIUM else (SOFT_GRID, "4×4 windows that overlap")
    reduced = _reduction(_factor(longest, SIDE_FOR_PATCHES))
    patches = f"{reduced}800WP6x6{step} - {grid} - ROOT - Z"
    reasons.append(f"whitened patches of 6×6 by 800 units, averaged over {cells}")
    factor = _factor(longest, SIDE_FOR_FILTERS)
    border = 0 if prepared.contrast == "ground" else _border(longest)
    side = shortest // factor + 2 * max(border, prepared.border)
    normalized = "" if prepared.contrast == "ground" else "LCN - " + (f"BORDER{border} - " if border else "")
    stages = _two_stages(longest // factor, side, seen.n_labeled, reasons)
    gradients = f"{grey}{reduced}HOG8 - Z"
    reasons.append("oriented gradients over 8×8 cells, for when labels are few")
    paths = [patches, f"{grey}{_reduction(factor)}{normalized}{stages} - Z", gradients]
    if seen.longest > MEDIUM:
        sizes = _sizes_of_sift(seen, minutes)
        for size, distance in sizes:
            paths.append(f"{grey}SIFT{size}x{size}/{distance} - 1024SC - {PyramidPooling.notation}")
            reasons.append(
                f"SIFT of {size}×{size} every {distance} pixels, its sparse codes by a dictionary learned here, over a "
                "pyramid"
            )
        if not sizes:
            needed = _seconds_of_sift(seen, *_preferred_sift(seen)) / SHARE_OF_TIME / 60
            reasons.append(f"no SIFT, which would need more time than the {minutes:g} minutes allowed: {needed:.0f}")
    hierarchy = Hierarchy("{" + " | ".join(paths) + "}")
    n_features = int(np.prod(hierarchy.output_shape(prepared.shape)))
    reasons.append(f"{len(paths)} paths side by side: {n_features:,} features per image")
    return Choice(prepared, hierarchy, tuple(reasons), _learners(len(hierarchy.filter_banks)))


def on_sheet(choice: Choice) -> Choice:
    """A choice of stages whose first filters are on a sheet, and pooled over it instead of rectified.

    A torus of 16×16 with pools of 6×6, every 2, has as many pools as the stage had filters, 64.
    """
    bank, _, *rest = choice.hierarchy
    assert isinstance(bank, FilterBank)
    filters = replace(bank, n_maps=256)
    reason = f"filters on a sheet: {filters.n_maps} of them, pooled with their neighbors into 64 maps"
    hierarchy = Hierarchy([filters, SheetPooling(Sheet((16, 16), 6, 2)), *rest])
    return replace(choice, hierarchy=hierarchy, reasons=(*choice.reasons, reason))


def mirrored(hierarchy: Hierarchy) -> Hierarchy:
    """The paths of `auto` with means over images and their mirror images, but for sparse codes, which would be slow."""
    (paths,) = hierarchy
    assert isinstance(paths, Paths)
    made = []
    for path in paths.hierarchies:
        if any(isinstance(layer, SparseCodes) for layer in path):
            made.append(path)
        else:
            made.append(Hierarchy([Mirrored(Hierarchy(path.layers[:-1])), path.layers[-1]]))
    return Hierarchy([Paths(made)])


def has_paths(hierarchy: Hierarchy) -> bool:
    """Whether a hierarchy is of several paths alone, as `auto` chooses them."""
    return len(hierarchy) == 1 and isinstance(hierarchy.layers[0], Paths)


def name_of_path(path: Hierarchy) -> str:
    """What a path sees, in words for a sentence."""
    layers = path.all_layers
    if any(isinstance(layer, SparseCodes) for layer in layers):
        sides = [layer.size for layer in layers if isinstance(layer, DenseSIFT)]
        return f"sparse codes of SIFT of {sides[0]}×{sides[0]}" if sides else "sparse codes"
    if any(isinstance(layer, OrientedGradients) for layer in layers):
        return "oriented gradients"
    return "whitened patches" if any(isinstance(layer, PatchDictionary) for layer in layers) else "stages of filters"


def _preprocessing_for_paths(seen: Description, reasons: list[str]) -> Preprocessing:
    """Images as they are, which each path prepares as it needs; plain grounds are brought to zero."""
    if seen.plain_ground and seen.longest <= MEDIUM:
        prepared = _choose_preprocessing(seen, reasons)
        return replace(prepared, color="rgb" if prepared.color == "yuv" else "grey")
    canvas = _canvas(seen)
    if seen.longest > MEDIUM:
        canvas = (_side_for_sift(seen),) * 2
    reasons.append(f"typically {seen.width}×{seen.height} pixels: a canvas of {canvas[1]}×{canvas[0]}")
    reasons.append("images are colored" if seen.colored else "images have no color: grey")
    _say_white(seen, reasons)
    return Preprocessing(canvas, color="rgb" if seen.colored else "grey", contrast="none", white=seen.white)


def _factor(longest: int, side: int) -> int:
    """By how much photographs are reduced to about a longer side."""
    return max(1, round(longest / side)) if longest > MEDIUM else 1


def _reduction(factor: int) -> str:
    """A layer that reduces images by the mean over squares of pixels."""
    return f"PA{factor}x{factor}/{factor} - " if factor > 1 else ""


def _suits_sift(seen: Description, minutes: float) -> bool:
    """Whether images are large enough for SIFT, and few enough to code them in time on two cores."""
    return seen.longest > MEDIUM and _seconds_of_sift(seen, *SMALL_SIFT) <= SHARE_OF_TIME * 60 * minutes


def _preferred_sift(seen: Description) -> tuple[int, int]:
    return LARGE_SIFT if seen.longest >= SIDE_FOR_LARGE_SIFT else SMALL_SIFT


def _sizes_of_sift(seen: Description, minutes: float) -> list[tuple[int, int]]:
    """The sizes of SIFT whose codes are found in time, the preferred one first."""
    sizes: list[tuple[int, int]] = []
    left = SHARE_OF_TIME * 60 * minutes
    for size in dict.fromkeys([_preferred_sift(seen), SMALL_SIFT]):
        left -= _seconds_of_sift(seen, *size)
        if left < 0:
            break
        sizes.append(size)
    return sizes


def _side_for_sift(seen: Description) -> int:
    """The side of the canvas, in pixels, on which descriptors are computed."""
    return min(max(seen.longest, SHORTEST_FOR_SIFT), LONGEST_FOR_SIFT)


def _seconds_of_sift(seen: Description, side: int, step: int) -> float:
    """About how long the codes of all images take on two cores."""
    return SECONDS_PER_CODE * ((_side_for_sift(seen) - side) // step + 1) ** 2 * seen.n_images / 2


def classifier_options(hierarchy: Hierarchy) -> dict[str, Any]:
    """Options of `SoftmaxClassifier` that suit a hierarchy's features.

    Maxima of sparse codes have one common unit, and are 0 if no unit is active: standardizing each feature would
    enlarge rare ones too much. On validation images of 51 classes of Caltech-101, accuracy was 2.6 points higher
    without it. For pooled responses of filters, two weights per feature are better. Paths are standardized already.
    """
    if has_paths(hierarchy):
        return {"standardize": "together", "kernel": "auto", "loss": "auto"}
    if any(isinstance(layer, SparseCodes) for layer in hierarchy):
        return {"standardize": "together"}
    return {"split": True}


def _takes_sift(hierarchy: Hierarchy) -> bool:
    return bool(len(hierarchy)) and isinstance(hierarchy.layers[0], DenseSIFT)


def _preprocessing_for_sift(seen: Description, reasons: list[str]) -> Preprocessing:
    """Grey images as they are; `reasons` gets a sentence."""
    side = _side_for_sift(seen)
    size = f"typically {seen.width}×{seen.height} pixels"
    reasons.append(f"descriptors normalize themselves: grey images as they are ({size}), on a canvas of {side}×{side}")
    _say_white(seen, reasons)
    return Preprocessing(canvas=(side, side), contrast="none", white=seen.white)


def _say_white(seen: Description, reasons: list[str]) -> None:
    if seen.white != 1:
        reasons.append(f"images use a range of {seen.white:.3g} instead of 0–1: they are first divided by it")


def _choose_preprocessing(seen: Description, reasons: list[str]) -> Preprocessing:
    """Canvas, color and contrast; `reasons` gets a sentence for each."""
    canvas = _canvas(seen)
    border = _border(max(canvas)) if seen.longest <= SMALL else 0
    if seen.longest <= SMALL:
        kind = "small (typically {0}×{1} pixels)"
    elif seen.longest <= MEDIUM:
        kind = "of medium size (typically {0}×{1} pixels)"
    else:
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


def _canvas(seen: Description) -> tuple[int, int]:
    """Height and width; small images keep their size, unless one side would be too short for two stages."""
    if seen.longest <= SMALL:
        as_they_are = seen.one_size and min(seen.height, seen.width) >= 16
        side = max(seen.longest, 16)
        return (seen.height, seen.width) if as_they_are else (side, side)
    side = seen.longest if seen.longest <= MEDIUM else PHOTOGRAPH
    return (side, side)


def _border(longest: int) -> int:
    """Zeros around small images, so that filters cover strokes at their edge."""
    if longest > SMALL:
        return 0
    return 5 if longest >= LARGE_FILTERS else 4


def _choose_hierarchy(seen: Description, preprocessing: Preprocessing, reasons: list[str]) -> Hierarchy:
    """Two stages that fit the canvas; `reasons` gets a sentence."""
    side = min(preprocessing.canvas) + 2 * preprocessing.border
    return Hierarchy(_two_stages(max(preprocessing.canvas), side, seen.n_labeled, reasons))


def _two_stages(longest: int, side: int, n_labeled: int, reasons: list[str]) -> str:
    """Notation of two stages for a canvas; `side` is its shorter one with borders. `reasons` gets a sentence."""
    if longest <= SMALL:
        # The side of the filters is about a quarter of the image's.
        size, pool = (9, 5) if longest >= LARGE_FILTERS else (5, 4)
        first = f"64F{size}x{size} - Rabs - N7x7 - PA{pool}x{pool}/2"
        after = (side - size + 1 - pool) // 2 + 1
        second_size = 5 if after >= 9 else 3
        left = after - second_size + 1
        second_pool = min(5, left) if left >= 5 else max(2, left - 1)
        n_second = 512 if n_labeled <= MANY else 256
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
    return f"{first} - {second}"
