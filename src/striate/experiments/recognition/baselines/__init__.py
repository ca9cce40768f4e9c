"""Reimplementations of systems that competed with learned features, for comparison on the same images."""

from striate.experiments.recognition.baselines.images import grey_up_to
from striate.experiments.recognition.baselines.v1_like import principal_products, v1_like_features

__all__ = ["grey_up_to", "principal_products", "v1_like_features"]
