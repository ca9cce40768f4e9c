"""Gabor filters, similar to those learned from natural images (protocol G of Jarrett et al., ICCV 2009)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, sqrt
from typing import ClassVar

import numpy as np

from striate.errors import UsageError
from striate.learning._fixed_filters import FixedFilters
from striate.parameters import Integer, Rule, parameter
from striate.randomness import RandomState

__all__ = ["GaborFilters", "gabor_family", "gabor_pair"]

# Standard deviation of the envelope in wavelengths: a bandwidth of 1.4 octaves, that of the median simple cell.
ENVELOPE = 0.42
SHORTEST = 3.0  # pixels; shorter waves are aliased


class GaborFilters(FixedFilters):
    """A family of Gabor filters of zero mean and unit norm, with the interface of a learner.

    Orientations are evenly spaced over half a turn, each with an even and an odd phase; wavelengths are evenly spaced
    on a logarithmic scale from 3 pixels to the side of the patch: 64 filters of 9×9 have 8 orientations, 2 phases and
    4 wavelengths. Only the scale of the patches is taken from the data.

    Parameters
    ----------
    n_components : int, default 64
        The number of filters, a multiple of twice the number of orientations.
    sparsity : float, default 1.0
        Weight of the L1 term for `infer`, as in `PSD`.
    n_orientations : int, default 8
    remove_mean : bool, default True
        Whether each patch loses its mean.
    random_state : ignored
        Present for the interface of learners that draw random numbers.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The filters, of unit norm.
    encoder_ : ndarray (n_components, n_features)
        The filters times one number, so that their products with scaled patches have a root mean square of ¼.
    encoder_bias_, gain_ : ndarray (n_components,)
    scale_ : float
        What patches are divided by.

    Raises
    ------
    UsageError
        In `fit`, if patches are not square with one channel, or `n_components` is not a multiple of twice
        `n_orientations`.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for object recognition?",
    ICCV 2009, section 3; the bandwidth: De Valois, Albrecht, Thorell, Vision Research 22, 1982.

    Examples
    --------
    >>> import numpy as np
    >>> patches = np.random.default_rng(0).standard_normal((60, 81), dtype=np.float32)
    >>> GaborFilters(n_components=64).fit_transform(patches).shape
    (60, 64)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {**FixedFilters._rules, "n_orientations": Integer(low=1)}

    def __init__(
        self,
        n_components: int = 64,
        *,
        sparsity: float = 1.0,
        n_orientations: int = 8,
        remove_mean: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.n_orientations = n_orientations
        self.remove_mean = remove_mean
        self.random_state = random_state

    def _choose(self, patches: np.ndarray, n_components: int) -> np.ndarray:
        side = isqrt(patches.shape[1])
        if side * side != patches.shape[1]:
            raise UsageError(
                f"Gabor filters are for square patches of one channel, but these have {patches.shape[1]} values: "
                f"make the images gray"
            )
        n_orientations = parameter(self, "n_orientations")
        n_wavelengths, rest = divmod(n_components, 2 * n_orientations)
        if rest or n_wavelengths < 1:
            raise UsageError(
                f"{n_components} filters cannot be divided into {n_orientations} orientations in two phases: "
                f"n_components must be a multiple of {2 * n_orientations}"
            )
        return gabor_family(side, n_orientations, n_wavelengths).reshape(n_components, -1)


def gabor_family(side: int, n_orientations: int, n_wavelengths: int) -> np.ndarray:
    """Gabor functions on a grid of pixels.

    Parameters
    ----------
    side : int
        Side of the raster in pixels.
    n_orientations, n_wavelengths : int

    Returns
    -------
    float64 (2 · n_orientations · n_wavelengths, side, side)
        Wavelengths outermost, shortest first, then orientations, then the even and the odd phase; of unit height.
    """
    longest = max(float(side), SHORTEST)
    wavelengths = np.geomspace(SHORTEST, longest, n_wavelengths) if n_wavelengths > 1 else [sqrt(SHORTEST * longest)]
    family: list[np.ndarray] = []
    for wavelength in wavelengths:
        for orientation in np.pi * np.arange(n_orientations) / n_orientations:
            family += gabor_pair(side, wavelength, orientation, ENVELOPE * wavelength)
    return np.array(family)


def gabor_pair(side: int, wavelength: float, orientation: float, envelope: float) -> tuple[np.ndarray, np.ndarray]:
    """The even and the odd Gabor function, float64 (side, side), of height 1 in the middle of the grid.

    Parameters
    ----------
    side : int
        Side of the raster in pixels.
    wavelength, envelope : float
        Length of the wave, and standard deviation of its Gaussian envelope, in pixels.
    orientation : float
        Direction of the wave vector, in radians from the horizontal.
    """
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    window = np.exp(-(x**2 + y**2) / (2 * envelope**2))
    phase = 2 * np.pi * (x * np.cos(orientation) + y * np.sin(orientation)) / wavelength
    return window * np.cos(phase), window * np.sin(phase)
