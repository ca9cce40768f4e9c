"""What estimators that give codes tell scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

__all__ = ["CodeEstimator"]


class CodeEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer from signals to codes of the units in `components_`, (n_components, n_features)."""

    components_: NDArray[Any]

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """The signals that codes stand for, ``zD``, (n_samples, n_features); codes may be sparse."""
        check_is_fitted(self)
        codes = X if hasattr(X, "toarray") else np.asarray(X)
        dtype = codes.dtype if codes.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        return np.asarray(codes.astype(dtype, copy=False) @ self.components_.astype(dtype, copy=False))

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
