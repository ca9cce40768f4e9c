"""Preprocessing of decoded images for the first filters: one size, one color space, normalized contrast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage, UsageError
from striate.images.canvas import fit_to_canvas
from striate.images.color import to_grey, to_rgb, to_yuv
from striate.images.normalization import local_contrast_normalization
from striate.parameters import Boolean, Choice, Integer, IntegerTuple, Real, checked
from striate.samples import evenly_spread
from striate.stored import field

# Chroma is not normalized locally: its mean is what tells colors apart. The factor brings the chroma of ordinary
# photographs (deviation about 0.1) to half the deviation of normalized luma, which is 1.
CHROMA_SCALE = 5.0

_RULES = {
    "canvas": IntegerTuple(2, low=1, high=1 << 14),
    "color": Choice("grey", "yuv", "rgb"),
    "contrast": Choice("local", "ground", "none"),
    "window": Integer(low=1, high=1 << 12),
    "border": Integer(low=0, high=1 << 12),
    "valid": Boolean(),
    "white": Real(low=1e-9, high=1e9),
}
_MOST_NUMBERS = 1 << 23  # per image; the maps of a stage are many times as large


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every image before the filters, in training and prediction; part of the model file.

    The image is converted to its color space, its longer side is scaled to the canvas, its contrast is normalized
    inside the image (never across its edge), and the rest of the canvas is zero. When the contrast is not normalized,
    the rest repeats the edge of the image, so that there is no gradient.

    Parameters
    ----------
    canvas : (int, int)
        Height and width in pixels; images keep their aspect ratio.
    color : "grey", "yuv" or "rgb"
        "rgb" is for layers that normalize the contrast of all channels together, such as `PatchDictionary`; it has no
        luma, and so no "local" contrast.
    contrast : "local", "ground" or "none"
        "local": local contrast normalization of the luma (Jarrett et al. 2009), for photographs. "ground": subtract
        the background, the median of the image's outline; for strokes on a plain background, where local
        normalization would amplify noise. "none": unchanged, 0–1, for descriptors that normalize themselves.
    window : int
        Side of the normalization's Gaussian window in pixels, odd; the paper uses 9.
    border : int
        Zeros around the canvas, in pixels, so that filters cover its edge.
    white : float
        Images are first divided by this value: the difference between black and white in a collection that uses only
        part of the range, such as 12-bit images in 16-bit files. 1 leaves them unchanged.
    valid : bool
        Keep only pixels whose whole normalization window is inside the image: 151×151 become 143×143, as in the paper.
        Otherwise windows are cut at the edge of the image, and its size stays.
    """

    canvas: tuple[int, int]
    color: Literal["grey", "yuv", "rgb"] = "grey"
    contrast: Literal["local", "ground", "none"] = "local"
    window: int = 9
    border: int = 0
    valid: bool = False
    white: float = 1.0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, checked(f"{name} of a preprocessing", getattr(self, name), rule))
        if self.window % 2 == 0:
            raise UsageError(f"window of a preprocessing is {self.window}; it must be odd, so that it has a center")
        if math.prod(self.shape) > _MOST_NUMBERS:
            raise UsageError(
                f"canvas of a preprocessing is {self.canvas}, which with its border makes {math.prod(self.shape):,} "
                f"numbers of each image; take a smaller one: at most {_MOST_NUMBERS:,}"
            )
        if self.color == "rgb" and self.contrast == "local":
            raise UsageError(
                "a preprocessing to 'rgb' has no luma, whose contrast 'local' would normalize: take the color 'yuv', "
                "or the contrast 'none' or 'ground'"
            )
        if self.valid and (self.contrast != "local" or min(self.canvas) < self.window):
            raise UsageError(
                f"valid is for local contrast on a canvas of at least the window, {self.window} pixels, "
                f"not for {self.contrast!r} contrast on {self.canvas}."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of every prepared image."""
        more = 2 * self.border - (self.window - 1 if self.valid else 0)
        height, width = self.canvas
        return (1 if self.color == "grey" else 3, height + more, width + more)

    @property
    def reading(self) -> dict[str, Any]:
        """How images are to be read, as keywords of `ImageCollection.read` and `stream`."""
        return {"color": self.color != "grey", "at_least": max(self.canvas)}

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Prepare one image.

        Parameters
        ----------
        image : float32 (1 or 3, height, width)
            Grey or RGB, 0–1.

        Returns
        -------
        float32, of `shape`

        Raises
        ------
        UnreadableImage
            For values far above `white`, which must have another unit than the rest of the collection.
        """
        if self.white != 1:
            image = image / np.float32(self.white)
        if (top := _brightest(image)) > _TOO_BRIGHT:
            raise UnreadableImage(
                "an image",
                f"its values reach {top * self.white:.5g}, where white is {self.white:.3g}: divide it by its own "
                "white, or train with images of the same unit",
            )
        image = _CONVERT[self.color](image)
        image, (top, left, height, width) = fit_to_canvas(image, self.canvas)
        content = image[:, top : top + height, left : left + width]
        if self.contrast == "none":
            sides = ((top, self.canvas[0] - top - height), (left, self.canvas[1] - left - width))
            return np.pad(content, [(0, 0), *((a + self.border, b + self.border) for a, b in sides)], mode="edge")
        content = self._normalize_locally(content) if self.contrast == "local" else content - _ground(content)
        prepared = np.zeros(self.shape, dtype=np.float32)
        if self.valid:
            lost = self.window // 2
            content = content[:, lost : height - lost, lost : width - lost]
            height, width = content.shape[1:]
        top, left = top + self.border, left + self.border
        prepared[:, top : top + height, left : left + width] = content
        return prepared

    def _normalize_locally(self, content: NDArray[np.float32]) -> NDArray[np.float32]:
        sigma = self.window * 1.591 / 9  # the paper's window, in proportion
        luma = local_contrast_normalization(content[:1], size=self.window, sigma=sigma)
        return luma if len(content) == 1 else np.concatenate([luma, CHROMA_SCALE * content[1:]])

    def to_state(self) -> dict[str, Any]:
        """JSON for the model file."""
        return asdict(self)

    @classmethod
    def from_state(cls, header: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_state`."""
        earlier: dict[str, Any] = {"valid": False, "white": 1.0}  # missing in files of earlier versions
        return cls(**{name: field(header, name, default=earlier.get(name, ...)) for name in _RULES})


_CONVERT = {"grey": to_grey, "yuv": to_yuv, "rgb": to_rgb}
_TOO_BRIGHT = 64  # times white; larger values must have another unit


def _brightest(image: NDArray[np.float32]) -> float:
    """The largest absolute value; without one pixel in a thousand, which may be hot, where it is suspicious."""
    top = max(float(image.max()), -float(image.min()))
    return top if top <= _TOO_BRIGHT else float(np.percentile(np.abs(image), 100 - _OUTLIERS, method="lower"))


_LOOKED_AT = 60  # images from which the range of a collection is computed
_OUTLIERS = 0.1  # percent of an image's pixels at either end that are ignored: dust, dead and hot pixels


def contrast_range(images: Sequence[NDArray[np.floating]] | NDArray[np.floating]) -> float:
    """The difference between the darkest and the brightest pixels of some images.

    Parameters
    ----------
    images : sequence of float (channels, height, width)
        Sixty of them, evenly spread, are used; one pixel in a thousand is ignored at either end.

    Returns
    -------
    float
        0 when all pixels are equal.
    """
    places = evenly_spread(len(images), _LOOKED_AT)
    # An end that no pixel has, between two of them, would let a single hot pixel count in a small image.
    low = min(float(np.percentile(images[place], _OUTLIERS, method="higher")) for place in places)
    high = max(float(np.percentile(images[place], 100 - _OUTLIERS, method="lower")) for place in places)
    return high - low


def white_of(found: float) -> float:
    """The value that the images of a collection are divided by, from its `contrast_range`; see `Preprocessing`.

    It is 1 when they use at least half of the range of 0–1, which leaves the images of usual collections unchanged.
    """
    return 1.0 if 0.5 <= found <= 2 or found <= 0 else min(max(found, 1e-9), 1e9)


def _ground(content: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each channel's outline, (channels, 1, 1)."""
    outline = np.concatenate([content[:, 0], content[:, -1], content[:, 1:-1, 0], content[:, 1:-1, -1]], axis=1)
    return np.median(outline, axis=1)[:, None, None].astype(np.float32)
