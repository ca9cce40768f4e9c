"""Filter bank, rectification, normalization and pooling make a stage; stages stacked make a hierarchy.

Inside a hierarchy, the feature maps of an image are float32 ``(height, width, n_maps)``. `striate.hierarchy.layer`
defines layers and describes how to write one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.hierarchy.border import Border
from striate.hierarchy.dense_sift import DenseSIFT
from striate.hierarchy.feature_cache import FeatureCache
from striate.hierarchy.feature_files import FeatureFile, read_feature_files, write_feature_files
from striate.hierarchy.features import Features, extract_features, feature_batches, small_pixels
from striate.hierarchy.filter_bank import FilterBank, connection_sets
from striate.hierarchy.grey import Grey
from striate.hierarchy.grid_pooling import GridPooling
from striate.hierarchy.hierarchy import Hierarchy
from striate.hierarchy.high_pass import HighPass
from striate.hierarchy.input_contrast import InputContrast
from striate.hierarchy.layer import Layer, LearnedStage, Operations, Source, register_layer
from striate.hierarchy.macrofeatures import Macrofeatures
from striate.hierarchy.mirrored import Mirrored
from striate.hierarchy.normalization import LocalContrastNormalization
from striate.hierarchy.notation import format_notation, parse_notation
from striate.hierarchy.oriented_gradients import OrientedGradients
from striate.hierarchy.patch_dictionary import PatchDictionary
from striate.hierarchy.paths import Paths
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.pyramid_pooling import PyramidPooling
from striate.hierarchy.rectification import Rectification
from striate.hierarchy.sheet_pooling import SheetPooling
from striate.hierarchy.sparse_codes import SparseCodes
from striate.hierarchy.square_root import SquareRoot
from striate.hierarchy.standardize import Standardize
from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.hierarchy.description import Description, describe
    from striate.hierarchy.greedy import learn_filters
    from striate.hierarchy.presets import Choice, choose
    from striate.hierarchy.protocols import protocol

__all__ = [
    "Border",
    "Choice",
    "DenseSIFT",
    "Description",
    "FeatureCache",
    "Features",
    "FilterBank",
    "Grey",
    "GridPooling",
    "Hierarchy",
    "HighPass",
    "InputContrast",
    "Layer",
    "LearnedStage",
    "LocalContrastNormalization",
    "Macrofeatures",
    "Mirrored",
    "Operations",
    "OrientedGradients",
    "PatchDictionary",
    "Paths",
    "Pooling",
    "PyramidPooling",
    "Rectification",
    "Source",
    "SheetPooling",
    "SparseCodes",
    "SquareRoot",
    "Standardize",
    "choose",
    "connection_sets",
    "describe",
    "extract_features",
    "feature_batches",
    "FeatureFile",
    "read_feature_files",
    "write_feature_files",
    "format_notation",
    "learn_filters",
    "parse_notation",
    "protocol",
    "register_layer",
    "small_pixels",
]

# Learning loads scikit-learn and numba; prediction needs neither.
_HOME = {
    "learn_filters": "striate.hierarchy.greedy",
    "Choice": "striate.hierarchy.presets",
    "Description": "striate.hierarchy.description",
    "choose": "striate.hierarchy.presets",
    "describe": "striate.hierarchy.description",
    "protocol": "striate.hierarchy.protocols",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
