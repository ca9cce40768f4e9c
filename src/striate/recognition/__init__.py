"""A hierarchy and a classifier: pictures in, classes out; protocols, and honest measurement."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from striate.recognition.image_classifier import ImageClassifier, Prediction
from striate.recognition.learning_curve import CurvePoint, learning_curve
from striate.recognition.logistic_regression import LogisticRegression
from striate.recognition.rejection import ConformalRejection, strangeness

if TYPE_CHECKING:
    from striate.recognition.evaluation import Evaluation, evaluate_classifier, evaluate_features
    from striate.recognition.metrics import accuracy, area_under_roc, confusion_matrix, mean_class_accuracy
    from striate.recognition.presets import Choice, Description, choose, describe
    from striate.recognition.training import Split, TrainingResult, split_images, train_and_evaluate

__all__ = [
    "Choice",
    "ConformalRejection",
    "CurvePoint",
    "Description",
    "Evaluation",
    "ImageClassifier",
    "LogisticRegression",
    "Prediction",
    "Split",
    "TrainingResult",
    "accuracy",
    "area_under_roc",
    "choose",
    "confusion_matrix",
    "describe",
    "evaluate_classifier",
    "evaluate_features",
    "learning_curve",
    "mean_class_accuracy",
    "split_images",
    "strangeness",
    "train_and_evaluate",
]

# What prediction does not need is loaded when it is first used.
_HOME = {
    "Choice": "presets",
    "Description": "presets",
    "Evaluation": "evaluation",
    "Split": "training",
    "TrainingResult": "training",
    "accuracy": "metrics",
    "area_under_roc": "metrics",
    "choose": "presets",
    "confusion_matrix": "metrics",
    "describe": "presets",
    "evaluate_classifier": "evaluation",
    "evaluate_features": "evaluation",
    "mean_class_accuracy": "metrics",
    "split_images": "training",
    "train_and_evaluate": "training",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'striate.recognition' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"striate.recognition.{_HOME[name]}"), name)
