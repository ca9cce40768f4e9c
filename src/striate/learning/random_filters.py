"""Random filters, the baseline that learned filters must beat (protocol R of Jarrett et al., ICCV 2009)."""

from __future__ import annotations

import numpy as np

from striate.learning._fixed_filters import FixedFilters
from striate.parameters import parameter
from striate.randomness import RandomState, generator_from

__all__ = ["RandomFilters"]


class RandomFilters(FixedFilters):
    """Gaussian filters of zero mean and unit norm, with the interface of a learner.

    Only the scale of the patches is taken from the data. The gain is 1 and the bias 0.

    Parameters
    ----------
    n_components : int, default 256
        The number of filters.
    sparsity : float, default 1.0
        Weight of the L1 term for `infer`, as in `PSD`.
    remove_mean : bool, default True
        Whether each patch (all its channels together) loses its mean.
    random_state : int, Generator, RandomState or None
        Seed of the filters.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The filters, of unit norm.
    encoder_ : ndarray (n_components, n_features)
        The filters times one number, so that their products with scaled patches have a root mean square of ¼.
    encoder_bias_, gain_ : ndarray (n_components,)
    scale_ : float
        The number that patches are divided by.

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

    def _choose(self, patches: np.ndarray, n_components: int) -> np.ndarray:
        return generator_from(parameter(self, "random_state")).standard_normal((n_components, patches.shape[1]))
