"""Sparse codes of whole images: a code map per filter, and the sum of the convolutions is the image."""

from striate.coding.convolutional.certificate import certify_convolutional
from striate.coding.convolutional.natural_filters import natural_filters
from striate.coding.convolutional.prediction import infer_convolutional_with_prediction
from striate.coding.convolutional.prepared_filters import PreparedFilters
from striate.coding.convolutional.restoration import denoise, inpaint
from striate.coding.convolutional.solving import infer_convolutional
from striate.coding.convolutional.sparse_maps import SparseMaps

__all__ = [
    "PreparedFilters",
    "SparseMaps",
    "certify_convolutional",
    "denoise",
    "infer_convolutional",
    "infer_convolutional_with_prediction",
    "inpaint",
    "natural_filters",
]
