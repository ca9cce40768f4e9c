"""Learn filters without labels: one file a learner."""

from striate.learning._patch_learner import ConvolutionFilters, PatchLearner
from striate.learning.psd import PSD, HeldOut
from striate.learning.random_filters import RandomFilters
from striate.learning.sparse_coding import HeldOutObjective, SparseCoding

__all__ = ["ConvolutionFilters", "HeldOut", "HeldOutObjective", "PSD", "PatchLearner", "RandomFilters", "SparseCoding"]
