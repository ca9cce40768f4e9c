"""Reimplementations of systems that competed with learned features, for comparison on the same images."""

from striate.experiments.recognition.baselines.changes import Changes
from striate.experiments.recognition.baselines.descriptors import hog, pixels, scattering
from striate.experiments.recognition.baselines.images import grey_up_to, square
from striate.experiments.recognition.baselines.small_cnn import SmallCNN
from striate.experiments.recognition.baselines.tuned_svm import Scaling, TunedSVM
from striate.experiments.recognition.baselines.v1_like import principal_products, v1_like_features

__all__ = [
    "SmallCNN",
    "Changes",
    "Scaling",
    "TunedSVM",
    "grey_up_to",
    "hog",
    "pixels",
    "principal_products",
    "scattering",
    "square",
    "v1_like_features",
]
