"""Templates: patches of the data themselves as filters, as in the second stage of HMAX."""

from __future__ import annotations

import numpy as np

from striate.learning._fixed_filters import FixedFilters
from striate.parameters import parameter
from striate.randomness import RandomState, generator_from

__all__ = ["TemplateFilters"]


class TemplateFilters(FixedFilters):
    """Patches drawn from the data, scaled to zero mean and unit norm, with the interface of a learner.

    Parameters
    ----------
    n_components : int, default 256
        The number of filters; if there are fewer patches, some are used more than once.
    sparsity : float, default 1.0
        Weight of the L1 term for `infer`, as in `PSD`.
    remove_mean : bool, default True
        Whether each patch (all its channels together) loses its mean.
    random_state : int, Generator, RandomState or None
        Seed for drawing the patches.

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
    Serre, Wolf, Poggio, "Object recognition with features inspired by visual cortex", CVPR 2005; protocol GT of
    Jarrett, Kavukcuoglu, Ranzato, LeCun, ICCV 2009, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> patches = np.random.default_rng(0).standard_normal((60, 25), dtype=np.float32)
    >>> TemplateFilters(n_components=16, random_state=0).fit_transform(patches).shape
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
        order = generator_from(parameter(self, "random_state")).permutation(len(patches))
        return patches[np.resize(order, n_components)].astype(np.float64)
