"""The competition of its day, by ourselves: what a hierarchy of learned features has to beat on the same pictures."""

from striate.recognition.baselines.dense_sift import DenseSIFT
from striate.recognition.baselines.kmeans_features import KMeansFeatures
from striate.recognition.baselines.pictures import grey_up_to
from striate.recognition.baselines.sparse_pyramid import SparsePyramid

__all__ = ["DenseSIFT", "KMeansFeatures", "SparsePyramid", "grey_up_to"]
