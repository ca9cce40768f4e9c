"""Frames as they come from a page: small JPEG files, checked before they are decoded; and pictures that go back."""

from __future__ import annotations

import io
import os

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage
from striate.images import read_image
from striate.images.color import to_rgb
from striate.images.jpeg import SIGNATURE, JpegFile
from striate.images.opening import Refused
from striate.images.raster import assemble

__all__ = ["FRAME_SIDE", "MOST_BYTES", "MOST_SIDE", "decode_frame", "encode_frame", "read_sample", "thumbnail"]

FRAME_SIDE = 192
"""Side of the frames that are sent, in pixels: what features of 143 × 143 pixels need, and a little more."""

MOST_SIDE = 320
"""Frames of more pixels are refused before they are decoded."""

MOST_BYTES = 256 * 1024
"""Longer messages are refused; a frame of 192 × 192 pixels has about 10,000 bytes."""


def decode_frame(jpeg: bytes) -> NDArray[np.float32]:
    """Decode a frame.

    The result is bit for bit what `read_sample` gives for a file of these bytes, so that a session that is started
    again learns what the last one had learned.

    Parameters
    ----------
    jpeg : bytes

    Returns
    -------
    (3, height, width) float32 array
        0–1.

    Raises
    ------
    UnreadableImage
        If it is no JPEG, is damaged, or has more than `MOST_SIDE` pixels on a side. Sizes are checked before pixels
        are decoded.
    """
    try:
        if not jpeg.startswith(SIGNATURE):
            raise Refused("is not a JPEG")
        source = JpegFile(io.BytesIO(jpeg))
        if max(source.width, source.height) > MOST_SIDE:
            size = f"{source.width}×{source.height}"
            raise Refused(f"has {size} pixels: send at most {MOST_SIDE}×{MOST_SIDE}")
        if source.orientation != 1:
            raise Refused("is not upright: turn it before it is sent")
        return to_rgb(assemble(source.raster(None, grey=False), 1, grey=False))
    except Refused as refusal:
        raise UnreadableImage("the frame", str(refusal)) from None
    except Exception as error:  # decoders meet damaged bytes in many ways
        raise UnreadableImage("the frame", "is damaged") from error


def read_sample(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Decode the file of a sample, of any format and size that striate reads.

    Returns
    -------
    (3, height, width) float32 array
        0–1. Large images are reduced by a whole factor; frames are not, so that they equal those of `decode_frame`.

    Raises
    ------
    UnreadableImage
    """
    return read_image(path, color=True, at_least=FRAME_SIDE)


def thumbnail(picture: str | os.PathLike[str] | bytes, side: int = 144) -> bytes:
    """The middle square of a file of a sample, or of a frame, as a JPEG of at most `side` pixels.

    Raises
    ------
    UnreadableImage
    """
    if isinstance(picture, bytes):
        return encode_frame(decode_frame(picture), side)
    return encode_frame(read_image(picture, color=True, at_least=2 * side), side)


def encode_frame(image: NDArray[np.float32], side: int = FRAME_SIDE) -> bytes:
    """The middle square of an image, as a JPEG of at most `side` pixels.

    Parameters
    ----------
    image : (3, height, width) float32 array
        0–1; values beyond are cut.
    side : int, default=`FRAME_SIDE`
    """
    from PIL import Image

    height, width = image.shape[1:]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    square = image[:, top : top + least, left : left + least]
    pixels = np.rint(255 * np.clip(square, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if least > side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()
