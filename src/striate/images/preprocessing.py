"""From a decoded picture to what the first filters see: one size, one kind of color, normalized contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images.canvas import fit_to_canvas
from striate.images.color import to_grey, to_yuv
from striate.images.normalization import local_contrast_normalization

# Chroma is not normalized locally: its mean is what tells colors apart. The factor brings the chroma of ordinary
# photographs (deviation about 0.1) to half the deviation of normalized luma, which is 1.
CHROMA_SCALE = 5.0


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every picture, in training and ever after; a part of the model file.

    The picture is brought to its color, its longer side to the canvas, its contrast is normalized where the
    picture is (never across its edge), and the rest of the canvas is zero; where contrast is kept as it is, the rest
    goes on as the picture's edge, which makes no gradient there.

    Parameters
    ----------
    canvas : (int, int)
        Height and width in pixels; pictures keep their aspect ratio.
    color : "grey" or "yuv"
    contrast : "local", "ground" or "none"
        "local": local contrast normalization of the luma (Jarrett et al. 2009), for photographs. "ground": only the
        picture's ground, the median of its outline, is brought to zero: for strokes on a plain ground, whose
        emptiness local normalization would fill with noise. "none": as it is, 0–1, for descriptors that normalize
        themselves.
    window : int
        Side of the normalization's Gaussian window in pixels, odd; 9 is the paper's.
    border : int
        Zeros around the canvas, in pixels, so that filters reach what lies at its edge.
    valid : bool
        Keep only what the normalization's whole window covers: 151×151 become 143×143, as in the paper. Otherwise the
        windows at the picture's edge end there, and nothing is lost.
    """

    canvas: tuple[int, int]
    color: Literal["grey", "yuv"] = "grey"
    contrast: Literal["local", "ground", "none"] = "local"
    window: int = 9
    border: int = 0
    valid: bool = False

    def __post_init__(self) -> None:
        if self.color not in ("grey", "yuv") or self.contrast not in ("local", "ground", "none"):
            raise UsageError(
                f'color must be "grey" or "yuv", contrast "local", "ground" or "none", '
                f"not {self.color!r} and {self.contrast!r}."
            )
        if self.valid and (self.contrast != "local" or min(self.canvas) < self.window):
            raise UsageError(
                f"valid is for local contrast on a canvas of at least the window, {self.window} pixels, "
                f"not for {self.contrast!r} contrast on {self.canvas}."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of every picture that comes out."""
        more = 2 * self.border - (self.window - 1 if self.valid else 0)
        height, width = self.canvas
        return (1 if self.color == "grey" else 3, height + more, width + more)

    @property
    def reading(self) -> dict[str, Any]:
        """How pictures need to be read, as keywords of `ImageCollection.read` and `stream`."""
        return {"color": self.color == "yuv", "at_least": max(self.canvas)}

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Prepare one picture.

        Parameters
        ----------
        image : float32 (1 or 3, height, width)
            Grey or RGB, 0–1.

        Returns
        -------
        float32, of `shape`
        """
        image = to_grey(image) if self.color == "grey" else to_yuv(image)
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
        return cls(**{**header, "canvas": (header["canvas"][0], header["canvas"][1])})


def _ground(content: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each channel's outline, (channels, 1, 1)."""
    outline = np.concatenate([content[:, 0], content[:, -1], content[:, 1:-1, 0], content[:, 1:-1, -1]], axis=1)
    return np.median(outline, axis=1)[:, None, None].astype(np.float32)
