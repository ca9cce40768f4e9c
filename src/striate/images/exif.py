"""The orientation of an image, from metadata that may be damaged."""

from __future__ import annotations

import re

from PIL import Image

ORIENTATION = 274
"""The tag of EXIF and TIFF."""


def orientation_in(exif: bytes | None, xmp: bytes | None = None) -> int:
    """The orientation that metadata states.

    Parameters
    ----------
    exif : bytes or None
        An Exif block, with or without its header of six bytes.
    xmp : bytes or None
        XMP, which is used when Exif states no orientation.

    Returns
    -------
    int
        1–8; 1 (upright) when there is none or the metadata is damaged, since the pixels may be sound.
    """
    orientation: object = None
    if exif:
        try:
            block = Image.Exif()
            block.load(exif)
            orientation = block.get(ORIENTATION)
        except Exception:
            orientation = None
    if orientation is None and xmp:
        match = re.search(rb"tiff:Orientation(?:=\"|>)([1-8])", xmp)
        orientation = int(match[1]) if match else None
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
