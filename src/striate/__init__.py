"""Learns the visual features of your own images, without labels, on the machine you have.

The folders follow an image's way through the system: ``images``, ``coding``, ``encoders``, ``learning``, ``hierarchy``,
``recognition``, ``retrieval``, ``robot``; then ``analysis``, ``report``, ``experiments``, and the commands in ``cli``.
The public interface is what is listed below; docs/reference.md describes each name in one line.

Public names are loaded when they are first used, so that ``import striate`` takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.coding import (
        PreparedDictionary,
        PreparedFilters,
        Sheet,
        SparseCoder,
        SparseMaps,
        certify,
        certify_convolutional,
        certify_topographic,
        denoise,
        infer,
        infer_convolutional,
        infer_topographic,
        infer_until,
        inpaint,
        natural_filters,
        regularization_path,
    )
    from striate.encoders import LISTA, LCoD, LinearEncoder, ShrinkageEncoder, TanhEncoder
    from striate.errors import StriateError, UnreadableImage, UsageError
    from striate.hierarchy import Hierarchy, extract_features, learn_filters
    from striate.images import (
        Preprocessing,
        as_images,
        extract_patches,
        load_mnist_digits,
        read_image,
        sample_patches,
    )
    from striate.learning import (
        KSVD,
        PSD,
        RBM,
        ConvolutionalPSD,
        ConvolutionalSparseCoding,
        DeepAutoencoder,
        DrLIM,
        GaborFilters,
        LocalFields,
        RandomFilters,
        SparseCoding,
        TemplateFilters,
        TemporalProduct,
        TopographicPSD,
        TopographicSparseCoding,
    )
    from striate.progress import Progress
    from striate.recognition import ImageClassifier, IncrementalClassifier, SoftmaxClassifier, evaluate_classifier
    from striate.retrieval import ImageIndex, learn_encoder, near_copies, nearest_codes, nearest_vectors
    from striate.robot import RobotEye, StereoSequence

__version__ = "0.1.0"

__all__ = [
    # whole systems
    "ImageClassifier",
    "ImageIndex",
    # images and patches
    "as_images",
    "read_image",
    "load_mnist_digits",
    "Preprocessing",
    "extract_patches",
    "sample_patches",
    # codes of signals for a given dictionary
    "infer",
    "infer_until",
    "regularization_path",
    "certify",
    "PreparedDictionary",
    "SparseCoder",
    "infer_convolutional",
    "certify_convolutional",
    "denoise",
    "inpaint",
    "natural_filters",
    "PreparedFilters",
    "SparseMaps",
    "Sheet",
    "infer_topographic",
    "certify_topographic",
    # learners
    "SparseCoding",
    "KSVD",
    "ConvolutionalSparseCoding",
    "PSD",
    "ConvolutionalPSD",
    "LocalFields",
    "RBM",
    "DeepAutoencoder",
    "DrLIM",
    "RandomFilters",
    "GaborFilters",
    "TemplateFilters",
    "TemporalProduct",
    "TopographicPSD",
    "TopographicSparseCoding",
    # encoders that predict codes
    "TanhEncoder",
    "LinearEncoder",
    "ShrinkageEncoder",
    "LISTA",
    "LCoD",
    # hierarchies
    "Hierarchy",
    "learn_filters",
    "extract_features",
    # classification
    "SoftmaxClassifier",
    "IncrementalClassifier",
    "evaluate_classifier",
    # search
    "learn_encoder",
    "nearest_codes",
    "nearest_vectors",
    "near_copies",
    # a robot's eye
    "RobotEye",
    "StereoSequence",
    # progress and errors
    "Progress",
    "StriateError",
    "UsageError",
    "UnreadableImage",
    "__version__",
]

_NAMES = {
    "images": "as_images read_image load_mnist_digits Preprocessing extract_patches sample_patches",
    "coding": "infer infer_until regularization_path certify PreparedDictionary SparseCoder "
    "infer_convolutional certify_convolutional denoise inpaint natural_filters PreparedFilters SparseMaps "
    "Sheet infer_topographic certify_topographic",
    "encoders": "TanhEncoder LinearEncoder ShrinkageEncoder LISTA LCoD",
    "learning": "SparseCoding KSVD ConvolutionalSparseCoding PSD ConvolutionalPSD LocalFields RBM "
    "DeepAutoencoder DrLIM RandomFilters GaborFilters TemplateFilters "
    "TemporalProduct TopographicPSD TopographicSparseCoding",
    "hierarchy": "Hierarchy learn_filters extract_features",
    "recognition": "ImageClassifier SoftmaxClassifier IncrementalClassifier evaluate_classifier",
    "retrieval": "ImageIndex learn_encoder nearest_codes nearest_vectors near_copies",
    "robot": "RobotEye StereoSequence",
    "progress": "Progress",
    "errors": "StriateError UsageError UnreadableImage",
}
_HOME = homes(__name__, _NAMES)

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
