"""The base class of scikit-learn estimators that return codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.figures.drawn import DrawnUnits
from striate.samples import as_samples, estimator_samples, float_type, is_sparse

__all__ = ["CodeEstimator", "as_codes", "validated"]


def validated(estimator: BaseEstimator, X: Any, *, reset: bool, finite: bool = True, accept_sparse: Any = False) -> Any:
    """Samples as `estimator_samples` returns them, float32 or float64; sparse ones, if accepted, as CSR."""
    return estimator_samples(estimator, X, reset=reset, finite=finite, sparse=bool(accept_sparse))


def as_codes(values: Any, n_components: int) -> Any:
    """Codes for `inverse_transform`: finite, of `n_components` units, float32 or float64, dense or sparse."""
    if not is_sparse(values):
        return as_samples(values, name="codes", n_features=n_components)
    if values.ndim != 2 or values.shape[1] != n_components:
        raise UsageError(f"codes have shape {values.shape}, and (n_samples, {n_components}) is needed")
    codes = values.tocsr().astype(float_type(values.dtype), copy=False)
    if not np.isfinite(codes.data).all():
        raise UsageError("codes hold NaN or infinity; remove or mend them")
    return codes


class CodeEstimator(DrawnUnits, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer from signals to codes of the units in `components_`, (n_components, n_features)."""

    components_: NDArray[Any]

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """The reconstructions ``zD`` of codes, (n_samples, n_features); codes may be sparse, or have split signs.

        Raises
        ------
        UsageError
            If the number of columns differs from that of `transform`.
        """
        check_is_fitted(self)
        units, n_columns = self.components_, self._n_codes
        codes = as_codes(X, n_columns)
        if n_columns == 2 * len(units):
            codes = codes[:, : len(units)] - codes[:, len(units) :]
        return np.asarray(codes @ units.astype(codes.dtype, copy=False))

    @property
    def _n_features_out(self) -> int:
        return len(self.components_) * (2 if getattr(self, "split_sign", False) else 1)

    @property
    def _n_codes(self) -> int:
        """The number of columns that `inverse_transform` takes."""
        return self._n_features_out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
