"""Which way up: the orientation in a file's metadata, which is read with distrust."""

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
        An Exif block, with or without its six bytes of introduction.
    xmp : bytes or None
        XMP, which counts where Exif says nothing.

    Returns
    -------
    int
        1–8; 1, upright, where there is none or the metadata is damaged: pixels that are sound are not thrown away for
        it.
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
