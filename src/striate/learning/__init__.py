"""Learn filters without labels: one file per learner."""

from striate.learning._patch_learner import ConvolutionFilters, PatchLearner
from striate.learning.annealed_importance import LogPartition, annealed_log_partition, exact_log_partition
from striate.learning.convolutional_psd import ConvolutionalPSD, HeldOutMaps
from striate.learning.convolutional_sparse_coding import ConvolutionalSparseCoding
from striate.learning.deep_autoencoder import DeepAutoencoder
from striate.learning.drlim import DrLIM
from striate.learning.gabor_filters import GaborFilters
from striate.learning.k_svd import KSVD
from striate.learning.local_fields import HeldOutSheet, LocalFields
from striate.learning.online import OnlineLearner
from striate.learning.psd import PSD, HeldOut
from striate.learning.random_filters import RandomFilters
from striate.learning.rbm import RBM
from striate.learning.shards import learn_from_shards
from striate.learning.sparse_coding import HeldOutObjective, SparseCoding
from striate.learning.template_filters import TemplateFilters
from striate.learning.temporal_product import HeldOutSequences, ProductCodes, TemporalProduct
from striate.learning.topographic_psd import TopographicPSD
from striate.learning.topographic_sparse_coding import TopographicSparseCoding

__all__ = [
    "ConvolutionFilters",
    "ConvolutionalPSD",
    "ConvolutionalSparseCoding",
    "DeepAutoencoder",
    "DrLIM",
    "GaborFilters",
    "HeldOut",
    "HeldOutMaps",
    "HeldOutObjective",
    "HeldOutSequences",
    "HeldOutSheet",
    "KSVD",
    "LocalFields",
    "LogPartition",
    "OnlineLearner",
    "PSD",
    "PatchLearner",
    "ProductCodes",
    "RBM",
    "RandomFilters",
    "SparseCoding",
    "TemplateFilters",
    "TemporalProduct",
    "TopographicPSD",
    "TopographicSparseCoding",
    "annealed_log_partition",
    "exact_log_partition",
    "learn_from_shards",
]
