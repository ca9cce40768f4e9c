"""Random filters: what learned ones must beat (protocol R of Jarrett et al., ICCV 2009)."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.utils.validation import validate_data

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning._patch_learner import PatchLearner
from striate.progress import Progress
from striate.randomness import RandomState, generator_from

__all__ = ["RandomFilters"]


class RandomFilters(PatchLearner):
    """Gaussian filters of zero mean and unit norm, with the interface of a learner.

    Only the scale of the patches is taken from the data. Encoder and dictionary are the same filters; the
    gain is 1 and the bias 0.

    Parameters
    ----------
    n_components : int, default 256
        Filters.
    sparsity : float, default 1.0
        Weight of the L1 term for `infer`, as in `PSD`.
    remove_mean : bool, default True
        Whether every patch (all its channels together) loses its mean.
    random_state : int, Generator, RandomState or None
        Seed of the filters.

    Attributes
    ----------
    components_, encoder_ : ndarray (n_components, n_features)
    encoder_bias_, gain_ : ndarray (n_components,)
    scale_ : float
        What patches are divided by.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for object recognition?",
    ICCV 2009, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> patches = np.random.default_rng(0).standard_normal((60, 25), dtype=np.float32)
    >>> RandomFilters(n_components=16, random_state=0).fit_transform(patches).shape
    (60, 16)
    """

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: float = 1.0,
        remove_mean: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.remove_mean = remove_mean
        self.random_state = random_state

    def fit(
        self,
        X: np.ndarray,
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str = "random",
        progress: Progress | None = None,
        phase_name: str = "learning filters",
    ) -> Self:
        """Draw the filters, and take the scale from patches.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            Raw patches.
        y, checkpoint, checkpoint_name, progress, phase_name : ignored
            As in the learners that take time.

        Returns
        -------
        RandomFilters
            Itself.
        """
        if self.n_components < 1:
            raise UsageError(f"RandomFilters needs n_components >= 1; got {self.n_components}")
        X = validate_data(self, X, dtype=[np.float32, np.float64])
        self._set_scale(X)
        filters = generator_from(self.random_state).standard_normal((self.n_components, X.shape[1]))
        if X.shape[1] > 1:  # of one feature, nothing is left without the mean
            filters -= filters.mean(axis=1, keepdims=True)
        filters /= np.linalg.norm(filters, axis=1, keepdims=True)
        self.components_ = filters.astype(X.dtype)
        self.encoder_ = self.components_.copy()
        self.encoder_bias_ = np.zeros(self.n_components, dtype=X.dtype)
        self.gain_ = np.ones(self.n_components, dtype=X.dtype)
        return self

    def partial_fit(self, X: np.ndarray, y: object = None) -> Self:
        """Fit at the first call; later patches change nothing.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
        y : ignored

        Returns
        -------
        RandomFilters
            Itself.
        """
        if hasattr(self, "components_"):
            self._checked(X)
            return self
        return self.fit(X)
