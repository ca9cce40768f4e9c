"""Base class of learners of patches: their scaling, optimal codes, and reconstructions in the patches' own scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from striate.coding import infer
from striate.coding.estimator import CodeEstimator
from striate.errors import UsageError
from striate.learning._rows import chunks
from striate.learning._scale import at_scale, centered, deviation_of
from striate.parameters import Boolean, Integer, Real, Rule, Seed, check_parameters, parameter
from striate.samples import estimator_samples
from striate.stored import array, field, with_parameters

__all__ = ["NO_SPARSITY", "ScaledPatches"]

NO_SPARSITY = 1e-9  # used instead of 0, which solvers do not accept


class ScaledPatches(CodeEstimator):
    """A learner of a dictionary, `components_`, for patches that lose their means and are divided by one scale."""

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1),
        "sparsity": Real(low=0),
        "remove_mean": Boolean(),
        "random_state": Seed(),
    }

    scale_: float

    def infer(self, X: np.ndarray, *, tolerance: float | None = None) -> np.ndarray:
        """The optimal code: minimizes the energy that the model was fitted with.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            Raw patches.
        tolerance : float, optional
            Tolerance of the duality gap, as in `striate.coding.infer`: by default 1e-4 for float32, 1e-6 for float64.

        Returns
        -------
        ndarray (n_samples, n_components), dtype of `X`
            Inactive units are exactly 0.
        """
        X = self._checked(X)
        codes = np.empty((len(X), len(self.components_)), dtype=X.dtype)
        for rows in chunks(len(X)):
            codes[rows] = self._infer_scaled(self.scaled(X[rows]), tolerance)
        return codes

    def scaled(self, patches: np.ndarray) -> np.ndarray:
        """Patches in the form that the encoder and the dictionary use: mean removed, divided by `scale_`.

        Parameters
        ----------
        patches : ndarray (n_samples, n_features), float32 or float64
            Raw patches.

        Returns
        -------
        ndarray (n_samples, n_features), dtype of `patches`
            A new array.
        """
        return at_scale(patches, self.scale_, centered if parameter(self, "remove_mean") else None)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The patches that codes represent, ``zD``, in the scale of the raw patches.

        Parameters
        ----------
        X : ndarray (n_samples, n_components), float
            Codes, predicted or optimal.

        Returns
        -------
        ndarray (n_samples, n_features), dtype of `X`
            With `remove_mean`, patches without their mean, since codes do not hold it.
        """
        return self.scale_ * super().inverse_transform(X)

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        learner: Self = with_parameters(cls, header)
        learner._restore(arrays, header)
        return learner

    def _restore(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        # Copies: arrays read from a file may be read-only, and further learning changes them in place.
        self.components_ = np.array(array(arrays, "components", (None, None)))
        self.scale_ = field(header, "scale", Real(above=0))
        self.n_features_in_ = self.components_.shape[1]

    def _infer_scaled(self, patches: np.ndarray, tolerance: float | None) -> np.ndarray:
        codes: np.ndarray = infer(
            patches, self.components_, parameter(self, "sparsity") or NO_SPARSITY, tolerance=tolerance
        )
        return codes

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_parameters(self, self._rules)
        return self._samples(X, reset=False)

    def _samples(self, X: Any, *, reset: bool) -> np.ndarray:
        samples: np.ndarray = estimator_samples(self, X, reset=reset, default=np.float32)
        if reset and samples.shape[1] == 1 and parameter(self, "remove_mean"):
            raise UsageError(
                f"{type(self).__name__}: n_features = 1, and a single value minus its mean is always 0: give "
                "patches of more values, or set remove_mean=False"
            )
        return samples

    def _set_scale(self, patches: np.ndarray) -> None:
        """Set the scale, a single number: the standard deviation of all patches after mean removal."""
        center = centered if parameter(self, "remove_mean") else None
        self.scale_ = deviation_of(lambda: (patches[rows] for rows in chunks(len(patches))), center)
