"""Sparse codes for a given dictionary: solvers, certificates and regularization paths."""

from typing import TYPE_CHECKING

from striate.coding.certificate import Certificate, certify
from striate.coding.convolutional import (
    PreparedFilters,
    SparseMaps,
    certify_convolutional,
    denoise,
    infer_convolutional,
    infer_convolutional_with_prediction,
    inpaint,
    natural_filters,
)
from striate.coding.objective import energy
from striate.coding.path import Path, regularization_path
from striate.coding.prediction import infer_with_prediction
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.coding.proximal import fista
from striate.coding.solving import Inference, infer
from striate.coding.sparsity import find_sparsity
from striate.coding.topographic import Sheet, certify_topographic, infer_topographic, topographic_energy
from striate.coding.until import infer_until
from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.coding.sparse_coder import SparseCoder

__all__ = [
    "Certificate",
    "Inference",
    "Path",
    "PreparedDictionary",
    "PreparedFilters",
    "Sheet",
    "SparseCoder",
    "SparseMaps",
    "certify",
    "certify_convolutional",
    "certify_topographic",
    "denoise",
    "energy",
    "find_sparsity",
    "fista",
    "infer",
    "infer_convolutional",
    "infer_convolutional_with_prediction",
    "infer_topographic",
    "infer_until",
    "infer_with_prediction",
    "inpaint",
    "natural_filters",
    "regularization_path",
    "topographic_energy",
]

# Loaded at first use, because its base classes are scikit-learn's, which takes half a second to load.
_HOME = {"SparseCoder": "striate.coding.sparse_coder"}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
