"""Classifiers on features of a hierarchy, and the evaluation of what they predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import lazy_names
from striate.recognition.image_classifier import ImageClassifier
from striate.recognition.learning_curve import CurvePoint, learning_curve
from striate.recognition.predictions import Prediction, Predictions
from striate.recognition.rejection import ConformalRejection, strangeness
from striate.recognition.softmax_classifier import SoftmaxClassifier

if TYPE_CHECKING:
    from striate.recognition.ablation import Ablation, ablate
    from striate.recognition.evaluation import Evaluation, evaluate_classifier, evaluate_features
    from striate.recognition.incremental import EVERYTHING_ELSE, Answer, HeldOut, IncrementalClassifier
    from striate.recognition.kernel_svm import KernelSVM
    from striate.recognition.metrics import accuracy, area_under_roc, confusion_matrix, mean_class_accuracy
    from striate.recognition.pyramid_match import PyramidMatchSVM
    from striate.recognition.refinement import Refined, refine
    from striate.recognition.refinement_options import EpochRecord, RefinementOptions
    from striate.recognition.training import Split, TrainingResult, split_images, train_and_evaluate

__all__ = [
    "EVERYTHING_ELSE",
    "Ablation",
    "Answer",
    "ConformalRejection",
    "CurvePoint",
    "EpochRecord",
    "Evaluation",
    "HeldOut",
    "ImageClassifier",
    "IncrementalClassifier",
    "KernelSVM",
    "SoftmaxClassifier",
    "Prediction",
    "Predictions",
    "PyramidMatchSVM",
    "Refined",
    "RefinementOptions",
    "Split",
    "TrainingResult",
    "ablate",
    "accuracy",
    "area_under_roc",
    "confusion_matrix",
    "evaluate_classifier",
    "evaluate_features",
    "learning_curve",
    "mean_class_accuracy",
    "refine",
    "split_images",
    "strangeness",
    "train_and_evaluate",
]

# Modules that prediction does not need are imported when they are first used.
_HOME = {
    "Ablation": "striate.recognition.ablation",
    "ablate": "striate.recognition.ablation",
    "Evaluation": "striate.recognition.evaluation",
    **dict.fromkeys(
        ("EVERYTHING_ELSE", "Answer", "HeldOut", "IncrementalClassifier"), "striate.recognition.incremental"
    ),
    "KernelSVM": "striate.recognition.kernel_svm",
    "PyramidMatchSVM": "striate.recognition.pyramid_match",
    "EpochRecord": "striate.recognition.refinement_options",
    "Refined": "striate.recognition.refinement",
    "RefinementOptions": "striate.recognition.refinement_options",
    "refine": "striate.recognition.refinement",
    "Split": "striate.recognition.training",
    "TrainingResult": "striate.recognition.training",
    "accuracy": "striate.recognition.metrics",
    "area_under_roc": "striate.recognition.metrics",
    "confusion_matrix": "striate.recognition.metrics",
    "evaluate_classifier": "striate.recognition.evaluation",
    "evaluate_features": "striate.recognition.evaluation",
    "mean_class_accuracy": "striate.recognition.metrics",
    "split_images": "striate.recognition.training",
    "train_and_evaluate": "striate.recognition.training",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
