"""The competition of its day, by ourselves: what a hierarchy of learned features has to beat on the same pictures."""

from striate.recognition.baselines.kmeans_features import KMeansFeatures
from striate.recognition.baselines.pictures import grey_up_to

__all__ = ["KMeansFeatures", "grey_up_to"]
