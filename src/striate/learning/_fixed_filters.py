"""Base class of learners whose filters are fixed; only the scale is taken from the data."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from striate.checkpoint import Checkpoint
from striate.encoders import TanhEncoder
from striate.learning._patch_learner import PatchLearner
from striate.parameters import check_parameters, parameter
from striate.progress import Progress

__all__ = ["FixedFilters"]


class FixedFilters(PatchLearner):
    """Filters of zero mean and unit norm, from `_choose`; the encoder is the dictionary times one factor.

    The factor is chosen so that the arguments of tanh have a root mean square of `RESPONSE` over filters and patches.
    At 1, strong responses saturate: on Caltech-101 (validation, random filters) the accuracy is 1.5 points lower with
    one stage, and 3.5 points with two; between ¼ and 0.1 there is no difference.
    """

    RESPONSE: ClassVar[float] = 0.25

    _ENOUGH: ClassVar[int] = 10_000  # patches that are used to estimate a mean

    def fit(
        self,
        X: np.ndarray,
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str = "filters",
        progress: Progress | None = None,
        phase_name: str = "learning filters",
    ) -> Self:
        """Choose the filters, and estimate the scale from patches.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            Raw patches.
        y, checkpoint, checkpoint_name, progress, phase_name : ignored
            For the interface of other learners.

        Returns
        -------
        Self
            Itself.
        """
        check_parameters(self, self._rules)
        X = self._samples(X, reset=True)
        n_components = parameter(self, "n_components")
        self._set_scale(X)
        filters = self._choose(X, n_components)
        # Scaling by a power of two is exact, and keeps squares from overflow and underflow.
        filters = np.ldexp(filters, -np.frexp(np.abs(filters).max(axis=1, keepdims=True))[1])
        if X.shape[1] > 1:  # a single feature minus its mean is 0
            filters -= filters.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(filters, axis=1, keepdims=True)
        filters /= np.where(norms > 0, norms, 1)
        self.components_ = filters.astype(X.dtype)
        self.predictor_ = TanhEncoder().set_arrays(
            filters=self.components_ * X.dtype.type(self.RESPONSE / self._mean_response(X)),
            bias=np.zeros(n_components, dtype=X.dtype),
            gain=np.ones(n_components, dtype=X.dtype),
        )
        return self

    def partial_fit(self, X: np.ndarray, y: object = None) -> Self:
        """Fit at the first call; later patches change nothing.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
        y : ignored

        Returns
        -------
        Self
            Itself.
        """
        if hasattr(self, "components_"):
            self._checked(X)
            return self
        return self.fit(X)

    def _mean_response(self, patches: np.ndarray) -> float:
        """Root mean square of the filters' products with patches; 1 if all products are 0."""
        some = self.scaled(patches[: self._ENOUGH])
        mean = float(np.sqrt(np.square(some @ self.components_.T).mean(dtype=np.float64)))
        return mean if mean > 0 else 1.0

    def _choose(self, patches: np.ndarray, n_components: int) -> np.ndarray:
        """Filters (n_components, n_features), float64, a new array; any mean and norm."""
        raise NotImplementedError
