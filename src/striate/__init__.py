"""Learns the visual features of your own images, without labels, on the machine you have.

The folders follow an image's way through the system: ``images``, ``coding``, ``encoders``, ``learning``,
``hierarchy``, ``recognition``, ``retrieval``; then what is shown and measured: ``analysis``, ``figures``, ``report``,
``experiments``; and the commands, ``cli``.

Public names are loaded when they are first used, so that ``import striate`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.coding import PreparedDictionary, SparseCoder, infer
    from striate.hierarchy import Hierarchy
    from striate.images import as_images, load_mnist_digits, read_image
    from striate.learning import PSD, RBM, RandomFilters, SparseCoding
    from striate.recognition import ImageClassifier, SoftmaxClassifier

__version__ = "0.1.0"

__all__ = [
    "load_mnist_digits",
    "read_image",
    "as_images",
    "infer",
    "PreparedDictionary",
    "SparseCoder",
    "SparseCoding",
    "PSD",
    "RBM",
    "RandomFilters",
    "Hierarchy",
    "ImageClassifier",
    "SoftmaxClassifier",
    "__version__",
]

_HOME = {
    "load_mnist_digits": "striate.images",
    "read_image": "striate.images",
    "as_images": "striate.images",
    "infer": "striate.coding",
    "PreparedDictionary": "striate.coding",
    "SparseCoder": "striate.coding",
    "SparseCoding": "striate.learning",
    "PSD": "striate.learning",
    "RBM": "striate.learning",
    "RandomFilters": "striate.learning",
    "Hierarchy": "striate.hierarchy",
    "ImageClassifier": "striate.recognition",
    "SoftmaxClassifier": "striate.recognition",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
