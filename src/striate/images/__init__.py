"""Images from files, folders, arrays, built-in and downloaded data sets; patches; preprocessing.

`as_images` makes an `ImageCollection` from any of these sources; `stream` reads it in batches, in bounded memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.images.arrays import ImageArray, ImageList
from striate.images.canvas import fit_to_canvas
from striate.images.collection import ImageCollection
from striate.images.color import to_grey, to_rgb, to_yuv
from striate.images.decode import image_size, read_image
from striate.images.folder import ImageFiles, ImageFolder, file_identity
from striate.images.kinds import EXTENSIONS
from striate.images.manifest import ManifestImages, write_manifest
from striate.images.sources import as_images

# Imported here, not on demand: the function has the name of its module, and the module would hide it.
from striate.images.stream import Skipped, stream
from striate.images.tar import TarImages
from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.images.datasets import data_folder
    from striate.images.digits import load_mnist_digits
    from striate.images.normalization import gaussian_window, high_pass, local_contrast_normalization
    from striate.images.patches import extract_patches, sample_patches
    from striate.images.preprocessing import Preprocessing
    from striate.images.whitening import whiten

__all__ = [
    "ImageCollection",
    "ImageFolder",
    "ImageFiles",
    "TarImages",
    "ManifestImages",
    "write_manifest",
    "ImageArray",
    "ImageList",
    "as_images",
    "read_image",
    "load_mnist_digits",
    "data_folder",
    "image_size",
    "file_identity",
    "EXTENSIONS",
    "stream",
    "Skipped",
    "fit_to_canvas",
    "to_grey",
    "to_rgb",
    "to_yuv",
    "gaussian_window",
    "high_pass",
    "local_contrast_normalization",
    "whiten",
    "extract_patches",
    "sample_patches",
    "Preprocessing",
]

# Names that need SciPy or are rarely used are loaded at first use.
_HOME = {
    "load_mnist_digits": "striate.images.digits",
    "data_folder": "striate.images.datasets",
    "gaussian_window": "striate.images.normalization",
    "high_pass": "striate.images.normalization",
    "local_contrast_normalization": "striate.images.normalization",
    "extract_patches": "striate.images.patches",
    "sample_patches": "striate.images.patches",
    "whiten": "striate.images.whitening",
    "Preprocessing": "striate.images.preprocessing",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
