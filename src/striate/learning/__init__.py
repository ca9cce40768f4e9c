"""Learn filters without labels: one file a learner."""

from striate.learning._patch_learner import ConvolutionFilters, PatchLearner
from striate.learning.psd import PSD, HeldOut
from striate.learning.random_filters import RandomFilters

__all__ = ["ConvolutionFilters", "HeldOut", "PSD", "PatchLearner", "RandomFilters"]
