"""Similarity of the pixels of two aligned images, in the places where they agree least.

Forms that are filled in differently agree except for a few words, and photographs of two faces agree in their outlines.
Small versions are therefore used to align the images, and then each place of a larger version is compared with its
counterpart: the places with the least agreement decide whether one image is a copy of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage
from striate.images import local_contrast_normalization, read_image, to_grey

__all__ = ["Sketch", "View", "agreement", "is_flat", "sketch", "sketch_of", "viewed"]

View = Literal["as it is", "mirrored", "without border"]
"""The form in which an image is compared."""

SIDE = 384
"""Side of the larger version in pixels: large enough to distinguish the words of a form."""

_SMALL = 48
# Enlargements of up to a tenth, since a copy may have been cut by this much.
_SMALL_SIDES = (48, 49, 50, 51, 52, 53)
_UNLIKE = 0.3  # correlation of small versions below which images have nothing in common
_STEPS = 6  # iterations of the exact alignment, at each of two scales
_BLUR = 1.0  # pixels; removes the traces of resampling
_WINDOW = 16  # pixels of a place
_FAINT = 0.2  # structure, in standard deviations of the whole image, below which a place is empty
_WORST = 0.01  # fraction of the places, those with the least agreement, that is used
_FEWEST = 0.002  # fraction of the places that may have been overwritten
_OUTSTANDING = 25.0  # times the disagreement of nine in ten places, at which the similarity is 0
_NOISE = 0.01  # disagreement that is always present
_FLAT = 0.002  # standard deviation of an image without structure: half a level of 8 bits
_SAME_COLOR = 2.5 / 255  # difference of mean colors that compression makes
_PLAIN = 0.04  # range of values in a border, and their largest difference between neighboring rows
_LEAST_KEPT = 0.4  # minimum fraction of each side without the border
_LEAST_CUT = 0.01


@dataclass(frozen=True)
class Sketch:
    """A reduced image, for comparison with others.

    Parameters
    ----------
    small : tuple of float32 (side, side)
        Versions of increasing side, starting at 48, with normalized local contrast; empty if the image has no
        structure.
    grey : float16 (side, side)
        The larger version.
    color : float32 (3,)
        The mean of each channel.
    """

    small: tuple[NDArray[np.float32], ...]
    grey: NDArray[np.float16]
    color: NDArray[np.float32]

    @property
    def flat(self) -> bool:
        """Whether the image is of one color, so that only the color can be compared."""
        return not self.small


def sketch(path: Path, view: View = "as it is") -> Sketch | None:
    """Read an image for comparison; None if it cannot be read, or has no border to remove."""
    try:
        image = viewed(read_image(path, color=True, at_least=2 * SIDE), view)
    except UnreadableImage:
        return None
    return None if image is None else sketch_of(image)


def viewed(image: NDArray[np.float32], view: View) -> NDArray[np.float32] | None:
    """An image (channels, height, width) in a view; None if it has no border to remove."""
    if view == "mirrored":
        return np.ascontiguousarray(image[:, :, ::-1])
    if view == "as it is":
        return image
    height, width = image.shape[1:]
    top, bottom = _border(image), _border(image[:, ::-1])
    if height - top - bottom < _LEAST_KEPT * height:
        return None
    across = image[:, top : height - bottom].transpose(0, 2, 1)
    left, right = _border(across), _border(across[:, ::-1])
    if width - left - right < _LEAST_KEPT * width:
        return None
    if max((top + bottom) / height, (left + right) / width) < _LEAST_CUT:
        return None
    return np.ascontiguousarray(image[:, top : height - bottom, left : width - right])


def _border(image: NDArray[np.float32]) -> int:
    """The number of first rows that are all of the same single color."""
    low, high = image.min(axis=2), image.max(axis=2)
    plain = ((high - low) <= _PLAIN) & (np.abs(low - low[:, :1]) <= _PLAIN)
    return int(np.argmin(np.append(plain.all(axis=0), False)))


def sketch_of(image: NDArray[np.float32]) -> Sketch:
    """The sketch of an image (channels, height, width)."""
    color = np.broadcast_to(image.mean(axis=(1, 2)), (3,)).astype(np.float32)
    side = min(SIDE, max(_SMALL, max(image.shape[1:]) // 16 * 16))
    if is_flat(image):
        return Sketch((), np.zeros((1, 1), np.float16), color)
    grey = to_grey(image)[0]
    small = tuple(local_contrast_normalization(_resized(grey, side)[np.newaxis])[0] for side in _SMALL_SIDES)
    # Half precision keeps more than 8 bits, also of a dark image.
    return Sketch(small, _resized(grey, side).astype(np.float16), color)


def is_flat(image: NDArray[np.float32]) -> bool:
    """Whether an image (channels, height, width) is of one color, so that its code carries no information."""
    return max(float(_resized(channel, _SMALL).std()) for channel in image) < _FLAT


def _resized(image: NDArray[Any], side: int) -> NDArray[np.float32]:
    """The image resized to a square; copies are distorted in the same way."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), np.float32)


def agreement(first: Sketch, second: Sketch) -> float:
    """Similarity of two images in the places where they agree least, −1 to 1.

    Images of one color have similarity 1 if their colors are equal, and 0 to all other images.
    """
    if first.flat or second.flat:
        same = first.flat and second.flat and float(np.abs(first.color - second.color).max()) <= _SAME_COLOR
        return float(same)
    correlation, place = _coarse_place(first, second)
    if correlation < _UNLIKE:
        return correlation
    one, other = _at_one_size(first.grey, second.grey)
    places = [place, _refined(one, other, place)]
    return max(_least_agreement(one, other, some) for some in places)


Place = tuple[float, float, float, float]


def _coarse_place(first: Sketch, second: Sketch) -> tuple[float, Place]:
    """The coarse alignment of two images: y₂ = a y₁ + b and x₂ = c x₁ + d, with coordinates from 0 to 1."""
    best: tuple[float, Place] = (-2.0, (1.0, 0.0, 1.0, 0.0))
    for turned, (window, others) in enumerate(((first.small[0], second.small), (second.small[0], first.small))):
        centered = (window - window.mean()).reshape(-1)
        norm = float(np.linalg.norm(centered))
        for other in others:
            windows = np.lib.stride_tricks.sliding_window_view(other, window.shape)
            n = windows.shape[0]
            flat = windows.reshape(n * n, -1)
            products = flat @ centered / np.maximum(flat.std(axis=1) * np.sqrt(window.size) * norm, 1e-12)
            at = int(products.argmax())
            if products[at] > best[0] + 1e-6:
                side = len(other)
                (y, x), scale = divmod(at, n), _SMALL / side
                place = (scale, y / side, scale, x / side)
                if turned:
                    place = (1 / scale, -y / _SMALL, 1 / scale, -x / _SMALL)
                best = (float(products[at]), place)
    return best


def _at_one_size(one: NDArray[Any], other: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
    side = min(len(one), len(other))
    return tuple(image.astype(np.float32) if len(image) == side else _resized(image, side) for image in (one, other))


def _warped(image: NDArray[np.float32], place: Place) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The image warped to the alignment, and which pixels are inside it."""
    from scipy.ndimage import affine_transform

    n = len(image)
    a, b, c, d = place
    offsets = [n * b + 0.5 * a - 0.5, n * d + 0.5 * c - 0.5]
    result = affine_transform(image, [a, c], offsets, order=1, mode="nearest")
    rows, columns = (scale * np.arange(n) + offset for scale, offset in ((a, offsets[0]), (c, offsets[1])))
    inside = ((rows > -0.5) & (rows < n - 0.5))[:, np.newaxis] & ((columns > -0.5) & (columns < n - 0.5))
    return result, inside


def _refined(one: NDArray[np.float32], other: NDArray[np.float32], place: Place) -> Place:
    """The alignment of least squared difference, up to brightness and contrast, by Gauss–Newton steps."""
    from scipy.ndimage import gaussian_filter

    for side in (min(len(one), SIDE // 4), min(len(one), SIDE // 2)):
        n = side
        coordinate = (np.arange(n, dtype=np.float32) + 0.5) / n
        target, moving = (gaussian_filter(_resized(image, n), 1.0) for image in (one, other))
        for _ in range(_STEPS):
            image, inside = _warped(moving, place)
            if inside.mean() < 0.5:
                return place
            rows, columns = np.gradient(image)
            rows, columns = rows * (n / place[0]), columns * (n / place[2])
            design: NDArray[np.float64] = np.stack(
                [rows * coordinate[:, np.newaxis], rows, columns * coordinate, columns, image, np.ones_like(image)]
            )[:, inside].astype(np.float64)
            # target = gain · (image + gradient · step) + bias
            normal = design @ design.T
            normal[np.diag_indices(6)] *= 1 + 1e-6
            solution = np.linalg.lstsq(normal, design @ target[inside], rcond=None)[0]
            if abs(solution[4]) < 1e-6:
                return place
            step = solution[:4] / solution[4]
            step = step.clip(-2 / _SMALL, 2 / _SMALL)
            place = tuple(float(old + new) for old, new in zip(place, step, strict=True))  # type: ignore[assignment]
            if np.abs(step).max() < 0.02 / n:
                break
    return place


def _least_agreement(one: NDArray[np.float32], other: NDArray[np.float32], place: Place) -> float:
    """Agreement of the places that agree least, and how much they stand out from the others.

    The agreement of a place is its covariance with its counterpart, divided by the mean of their variances (the part of
    SSIM for structure and contrast). Compressed or resampled images agree a little less everywhere; overwritten images
    disagree only in a few places.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    image, inside = _warped(other, place)
    size = min(_WINDOW, len(one) // 6)
    first, second = (gaussian_filter(some, _BLUR).astype(np.float64) for some in (one, image))
    first -= first[inside].mean()
    second -= second[inside].mean()
    second *= float((first * second)[inside].sum()) / max(float(np.square(second[inside]).sum()), 1e-300)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(uniform_filter(values, size, mode="nearest"))

    whole = mean(inside.astype(np.float64)) > 0.999
    half = size // 2
    whole[:half] = whole[len(whole) - half :] = whole[:, :half] = whole[:, len(whole) - half :] = False
    means = mean(first), mean(second)
    variances = [mean(np.square(some)) - np.square(its) for some, its in zip((first, second), means, strict=True)]
    least = _FAINT**2 * float(np.square(first[inside]).mean())
    busy = whole & (np.maximum(*variances) > least)
    if not busy.any():
        return 0.0
    covariance = mean(first * second) - means[0] * means[1]
    differences = np.sort(1 - ((2 * covariance + least) / (variances[0] + variances[1] + least))[busy])[::-1]

    def worst(share: float) -> float:
        return float(differences[: max(1, int(share * len(differences)))].mean())

    outstanding = worst(_FEWEST) / (float(differences[len(differences) // 10]) + _NOISE)
    return 1 - max(worst(_WORST), outstanding / _OUTSTANDING, 0.0)
