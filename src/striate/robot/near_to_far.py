"""Near to far: a classifier that learns what stereo labels nearby, and predicts the windows beyond."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from striate.robot.features import COLUMN_STEP, BandFeatures
from striate.robot.labels import FIRST_OBSTACLE
from striate.robot.online_classifier import OnlineClassifier, Update
from striate.robot.pyramid import Bands
from striate.robot.window_labels import WindowLabels

__all__ = ["NearToFar", "features_of_bands", "with_even_prior"]


class NearToFar:
    """Features of windows and a classifier that learns online: the `far` of a `RobotEye`.

    The classifier knows of each window its features and its height over the ground.

    The classifier learns as if each class were as frequent. Of the five, three are obstacles; the probabilities that
    are returned are those for ground and obstacles that are as frequent as each other.

    Parameters
    ----------
    features : BandFeatures
        From `learn_features`.
    classifier : OnlineClassifier, optional
        Of one number more than `features` has. By default, with the default parameters.

    Attributes
    ----------
    features_ : (n_windows, n_features + 1) float32 array
        Of the last frame's windows; the last column is their height over the ground, in meters.
    update_ : Update
        What the last frame has taught.
    seconds_ : dict of str to float
        What the last frame took: "features" and "learning" (with the prediction).
    """

    features_: NDArray[np.float32]
    update_: Update
    seconds_: dict[str, float]

    def __init__(self, features: BandFeatures, classifier: OnlineClassifier | None = None) -> None:
        self.features = features
        self.classifier = classifier or OnlineClassifier(features.n_features + 1)

    def see(self, bands: Bands, labels: WindowLabels) -> NDArray[np.float32]:
        """Predict the windows of a frame, then learn from those that have a label; see `FarSight`.

        Before two classes were seen, the prediction is NaN.
        """
        began = time.perf_counter()
        self.features_ = _with_height(features_of_bands(self.features, bands), bands.windows.height)
        computed = time.perf_counter()
        probabilities = self.predict(self.features_)
        known = labels.label >= 0
        self.update_ = self.classifier.update(self.features_[known], labels.label[known].astype(np.int64))
        self.seconds_ = {"features": computed - began, "learning": time.perf_counter() - computed}
        return probabilities

    def learn(self, windows: NDArray[np.float32], height: NDArray[np.floating], label: NDArray[np.integer]) -> None:
        """Learn from windows that are no part of a frame, such as those of an earlier drive.

        Parameters
        ----------
        windows : (n_windows, channels, 12, 25) float32 array
            Their pixels, as `Bands.cut` returns them.
        height : (n_windows,) float array
            Over the ground, in meters, as in `Windows`.
        label : (n_windows,) int array
            Of `CLASSES`.
        """
        found = _with_height(self.features.of_windows(windows), height)
        self.update_ = self.classifier.update(found, label.astype(np.int64))

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict windows by their features, as `features_` has them, with what has been learned so far.

        Parameters
        ----------
        features : (n_windows, n_features + 1) float32 array

        Returns
        -------
        (n_windows, 5) float32 array
            NaN before two classes were seen.
        """
        if not self.classifier.is_ready:
            return np.full((len(features), self.classifier.n_classes), np.nan, np.float32)
        seen = self.classifier.buffer.counts > 0
        return with_even_prior(self.classifier.predict_proba(features), seen).astype(np.float32)


def _with_height(features: NDArray[np.float32], height: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.column_stack([features, height]).astype(np.float32, copy=False)


def with_even_prior(probabilities: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities where the classes of ground, and those of obstacles, have half of the prior each.

    Parameters
    ----------
    probabilities : (n_windows, 5) float64 array
        Of `CLASSES`, as if each were as frequent; 0 for those that were not seen.
    seen : (5,) bool array
        Classes that were seen.
    """
    shares = seen.astype(np.float64)
    for side in (slice(None, FIRST_OBSTACLE), slice(FIRST_OBSTACLE, None)):
        shares[side] /= max(1.0, shares[side].sum())
    evened = probabilities * shares
    return evened / evened.sum(axis=1, keepdims=True)


def features_of_bands(features: BandFeatures, bands: Bands) -> NDArray[np.float32]:
    """Features of all windows of bands, in their order, computed band by band.

    Parameters
    ----------
    features : BandFeatures
    bands : Bands
        Windows whose columns are not multiples of 4 are cut out one by one, which is much slower.

    Returns
    -------
    float32 (n_windows, n_features)
    """
    windows = bands.windows
    if (windows.column % COLUMN_STEP).any():
        return features.of_windows(bands.cut())
    found = np.empty((len(windows.band), features.n_features), np.float32)
    for place, band in enumerate(bands.bands):
        own = np.flatnonzero(windows.band == place)
        if not own.size:
            continue
        rows, columns = windows.row[own], windows.column[own] // COLUMN_STEP
        first = int(rows.min())
        step = int(np.gcd.reduce(rows - first)) or 1
        maps = features.of_band(band.image[:, first:], row_step=step)
        found[own] = maps[(rows - first) // step, columns]
    return found
