"""A classifier of images that is trained: what it predicts, and the filters that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.figures.drawn import DrawnEstimator, Shown
from striate.hierarchy import Hierarchy, Paths
from striate.hierarchy.workers import batches_in_workers
from striate.images import Preprocessing, Skipped, as_images
from striate.images.collection import as_fractions
from striate.parameters import Integer, checked
from striate.recognition.auto import take_columns
from striate.recognition.labels import class_names, labels_of, name_of
from striate.recognition.predictions import Predictions
from striate.recognition.rejection import ConformalRejection
from striate.recognition.softmax_classifier import SoftmaxClassifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sklearn.utils import Tags

__all__ = ["TrainedClassifier"]


class TrainedClassifier(DrawnEstimator, ClassifierMixin, TransformerMixin, BaseEstimator):
    """The part of `ImageClassifier` that only needs what `fit` has found."""

    feature_cache: bool
    preprocessing_: Preprocessing
    hierarchy_: Hierarchy
    classifier_: SoftmaxClassifier
    rejection_: ConformalRejection | None
    classes_: NDArray[Any]
    _kept: tuple[int, ...] | None = None  # of the paths of the hierarchy; None for all features

    def used(self, features: NDArray[Any]) -> NDArray[Any]:
        """Those columns of features (n, n_features) of all learned paths that the classifier uses."""
        if self._kept is None:
            return features
        columns = self._path_columns()
        return take_columns(features, [columns[number] for number in self._kept])

    def plot_filters(self, *, columns: int | None = None) -> Figure:
        """Draw the filters of the first stage, each scaled to its largest weight; the report shows all stages.

        Parameters
        ----------
        columns : int, optional
            Filters per row; by default about as many as there are rows.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UsageError
            If the hierarchy has no filter bank, as with sparse codes of SIFT.
        """
        check_is_fitted(self, "hierarchy_")
        shown = self._shown()
        if shown is None:
            raise UsageError(f"{self.hierarchy_} has no learned filters to draw")
        return shown.draw(columns)

    def _shown(self) -> Shown | None:
        drawn = [layer.drawn_filters for layer in self.hierarchy_] if hasattr(self, "hierarchy_") else []
        filters = next((one for one in drawn if one is not None), None)
        if filters is None:
            return None
        n, _, height, width = filters.shape
        caption = f"{n:,} filters of {height}×{width}"
        return Shown(filters, caption, "yuv" if self.preprocessing_.color == "yuv" else "rgb")

    def transform(self, images: Any) -> NDArray[np.float32]:
        """Features of images, float32 (n_images, n_features); raises UnreadableImage if one cannot be read."""
        check_is_fitted(self, "hierarchy_")
        n_features = int(np.prod(self.hierarchy_.output_shape(self.preprocessing_.shape)))
        batches = batches_in_workers(
            as_fractions(as_images(images)), self.preprocessing_, self.hierarchy_, cache=self.feature_cache
        )
        return np.concatenate([np.empty((0, n_features), np.float32), *(rows for _, rows in batches)])

    def decision_function(self, images: Any) -> NDArray[np.float32]:
        """Logits, float32 (n_images, n_classes); for two classes, as in scikit-learn, their difference, (n_images,)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.decision_function(self.used(self.transform(images)))

    def predict_proba(self, images: Any) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n_images, n_classes), classes in the order of `classes_`."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict_proba(self.used(self.transform(images)))

    def predict(self, images: Any) -> NDArray[Any]:
        """The most probable class of each image, (n_images,)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict(self.used(self.transform(images)))

    def is_unknown(self, images: Any) -> NDArray[np.bool_]:
        """Which images resemble no class, bool (n_images,).

        Of images that belong to a class, at most the fraction `unknown` is called unknown, on average. `classify`
        returns this together with classes and probabilities in one pass over the images.

        Raises
        ------
        UsageError
            If the classifier was trained without ``unknown``.
        """
        check_is_fitted(self, "classifier_")
        if self.rejection_ is None:
            raise UsageError('this classifier cannot answer "unknown": train it with unknown=0.05 (--unknown 0.05).')
        return self.rejection_.is_unknown(self._logits(self.transform(images)))

    def classify(self, images: Any, *, n_top: int = 5, skipped: list[Skipped] | None = None) -> Predictions:
        """Classes, probabilities and which images are unknown, in one pass over the images.

        Parameters
        ----------
        images : anything that `striate.as_images` takes
        n_top : int
            Number of most probable classes that each prediction lists.
        skipped : list of Skipped, optional
            Images that cannot be read are appended here and left out; without this list, the first of them is an error.

        Returns
        -------
        Predictions
            A sequence with a `Prediction` for each image; its arrays `labels`, `probabilities` and `unknown` are those
            of `predict`, `predict_proba` and `is_unknown`.
        """
        check_is_fitted(self, "classifier_")
        n_top = checked("n_top", n_top, Integer(low=1))
        images = as_fractions(as_images(images))
        no_features = np.empty((0, int(np.prod(self.hierarchy_.output_shape(self.preprocessing_.shape)))), np.float32)
        parts = [self.classify_features(no_features, [], n_top=n_top)]
        for found, rows in batches_in_workers(
            images, self.preprocessing_, self.hierarchy_, skipped=skipped, cache=self.feature_cache
        ):
            parts.append(self.classify_features(rows, [images.names[index] for index in found], n_top=n_top))
        return Predictions.joined(parts)

    def classify_features(self, features: NDArray[np.float32], names: Sequence[str], *, n_top: int = 5) -> Predictions:
        """`classify` for features (n, n_features) that were computed before, and the names of their images."""
        check_is_fitted(self, "classifier_")
        n_top = checked("n_top", n_top, Integer(low=1))
        if len(names) != len(features):
            raise UsageError(f"there are {len(features)} features and {len(names)} names; give one name for each")
        unknown = np.zeros(len(features), bool)
        if not len(features):
            probabilities = np.empty((0, len(self.classes_)), np.float32)
        else:
            probabilities = self.classifier_.predict_proba(self.used(features))
            if self.rejection_ is not None:
                unknown = self.rejection_.is_unknown(self._logits(features))
        return Predictions(list(names), self.classes_, probabilities, unknown, n_top)

    def score(self, images: Any, labels: Sequence[Any] | NDArray[Any] | None = None) -> float:
        """Accuracy on those images that have a label."""
        check_is_fitted(self, "classifier_")
        images = as_fractions(as_images(images, labels))
        images = images.subset(images.labeled)
        named = np.array([name_of(name) for name in labels_of(images)])
        found = self._logits(self.transform(images)).argmax(axis=1)
        names = np.array(class_names(self.classes_))
        return float(np.mean(names[found] == named))

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn: images have three axes or more, and features are float32."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _path_columns(self) -> list[slice]:
        (paths,) = self.hierarchy_
        assert isinstance(paths, Paths)
        return paths.columns(self.preprocessing_.shape)

    def _logits(self, features: NDArray[np.float32]) -> NDArray[Any]:
        if not len(features):
            return np.empty((0, len(self.classes_)), np.float32)
        return self.classifier_.logits(self.used(features))
