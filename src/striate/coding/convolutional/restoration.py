"""Images without noise, and without holes, from convolutional codes in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.convolutional._arguments import checked_images
from striate.coding.convolutional._noise import noise_level
from striate.coding.convolutional._restoring import Estimate, Prior, estimate, rarity
from striate.coding.convolutional.natural_filters import natural_filters
from striate.coding.convolutional.prepared_filters import PreparedFilters, as_prepared_filters
from striate.errors import UsageError
from striate.parameters import Real, checked

__all__ = ["denoise", "inpaint"]

# Chosen on photographs of Berkeley's training part. Numbers are relative to the noise, and to the standard deviation
# of known pixels.
_SPARSITY_OF_NOISE, _SMOOTHNESS_OF_NOISE, _ORDER_OF_NOISE = 2.5, 16.0, 2
_PRIORS = (Prior(1e-4, 3), Prior(0.5, 2, 0.01), Prior(4.0, 2, 0.01))
_HIDDEN = 0.1  # share of known pixels on which priors are compared
_SEED = 0x5EED  # of the choice of these pixels; one that masks were hardly drawn with


def denoise(images: Any, filters: ArrayLike | PreparedFilters | None = None, *, noise: float | None = None) -> Any:
    """Images without white noise: a smooth part plus convolutional codes, with a sparsity for the noise.

    Filters cross the border of the image. The sparsity of a filter is proportional to the noise and to how rarely
    natural images use it, by their spectrum of 1/f².

    Parameters
    ----------
    images : float (height, width), (channels, height, width), (n_images, channels, height, width), or a list
        In any unit. Filters of one channel restore each channel alone.
    filters : float (n_maps, height, width), (n_maps, channels, height, width) or PreparedFilters, optional
        Learned from such images, for example units of a dictionary for patches without their mean. By default
        `natural_filters`, for photographs.
    noise : float, optional
        Standard deviation of the noise, in the unit of the images; 0 returns them as they are. By default it is
        estimated for each image from its second differences, of which fine texture makes it too large.

    Returns
    -------
    images : float32 or float64, of the shape of the images; a list for a list

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, and images below 3×3 pixels without `noise`.

    References
    ----------
    Wohlberg, "Convolutional sparse representations as an image model for impulse noise restoration", IVMSP 2016: the
    smooth part. Chen, Donoho, Saunders, "Atomic decomposition by basis pursuit", SIAM Review 2001: a sparsity
    proportional to the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import denoise
    >>> rng = np.random.default_rng(0)
    >>> image = np.tile(np.sin(np.arange(40) / 5), (30, 1))
    >>> noisy = image + 0.2 * rng.standard_normal(image.shape)
    >>> found = denoise(noisy, noise=0.2)
    >>> bool(np.std(found - image) < 0.4 * np.std(noisy - image))
    True
    """
    noise = checked("noise", noise, Real(low=0) | None)
    prepared = natural_filters() if filters is None else as_prepared_filters(filters)
    found = checked_images(images, None, _one_pixel(prepared), any_channels=True)
    restorer = _Restorer(prepared)
    return _assembled([restorer.without_noise(image, noise) for image in found.items], found.form)


def inpaint(images: Any, mask: Any, filters: ArrayLike | PreparedFilters | None = None) -> Any:
    """Images whose unknown pixels are filled in: a smooth part plus convolutional codes of the known pixels.

    Several priors, among them a smooth fill alone, are compared on known pixels that are hidden for this. The result is
    their mean, with the weights that predict the hidden pixels best. Holes are moved to choose these pixels, so that
    they lie together as the unknown ones do.

    Parameters
    ----------
    images : float (height, width), (channels, height, width), (n_images, channels, height, width), or a list
        In any unit; unknown pixels may be NaN. Filters of one channel fill each channel alone.
    mask : bool or float, of the shape of the image or (height, width)
        Not 0 where a pixel is known. For several images: one for all, or one for each in the same form; for a list,
        a list.
    filters : float (n_maps, height, width), (n_maps, channels, height, width) or PreparedFilters, optional
        Learned from such images, for example units of a dictionary for patches without their mean. By default
        `natural_filters`, for photographs.

    Returns
    -------
    images : float32 or float64, of the shape of the images; a list for a list
        Known pixels are returned as they are.

    Raises
    ------
    UsageError
        For NaN or infinity at known pixels, shapes that do not fit, and a channel of which nothing is known.

    References
    ----------
    Heide, Heidrich, Wetzstein, "Fast and flexible convolutional sparse coding", CVPR 2015. Wohlberg, "Convolutional
    sparse representations as an image model for impulse noise restoration", IVMSP 2016: the smooth part. Breiman,
    "Stacked regressions", Machine Learning 1996: the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import inpaint
    >>> rng = np.random.default_rng(0)
    >>> image = np.tile(np.sin(np.arange(40) / 5), (30, 1))
    >>> known = rng.random(image.shape) < 0.5
    >>> found = inpaint(np.where(known, image, np.nan), known)
    >>> bool(np.abs(found - image).mean() < 0.01)
    True
    """
    prepared = natural_filters() if filters is None else as_prepared_filters(filters)
    if mask is None:
        raise UsageError("mask: say which pixels are known")
    found = checked_images(images, mask, _one_pixel(prepared), any_channels=True)
    restorer = _Restorer(prepared)
    filled = []
    for number, (image, of_image) in enumerate(zip(found.items, found.masks, strict=True)):
        assert of_image is not None
        known = of_image > 0
        if not known.any(axis=(1, 2)).all():
            raise UsageError(f"image {number} has no known pixel: the mask is 0 everywhere, or in a whole channel")
        filled.append(restorer.without_holes(image, known))
    return _assembled(filled, found.form)


def _one_pixel(filters: PreparedFilters) -> tuple[int, ...]:
    """The shape of filters for which no image is too small, since filters may cross its border."""
    return filters.n_maps, filters.n_channels, 1, 1


def _assembled(images: list[NDArray[Any]], form: str) -> Any:
    if form == "grey":
        return images[0][0]
    return images[0] if form == "one" else np.stack(images) if form == "batch" else images


class _Restorer:
    """Restores one image (n_channels, height, width) after another."""

    def __init__(self, filters: PreparedFilters) -> None:
        self.filters = filters
        self.weights = rarity(filters)

    def without_noise(self, image: NDArray[Any], noise: float | None) -> NDArray[Any]:
        if noise is None:
            if min(image.shape[1:]) < 3:
                raise UsageError(f"the noise of an image of {image.shape[1]}×{image.shape[2]} pixels: give it")
            noise = noise_level(image.astype(np.float64))
        if noise == 0:
            return image.copy()
        prior = Prior(_SMOOTHNESS_OF_NOISE, _ORDER_OF_NOISE, _SPARSITY_OF_NOISE)
        parts = [self._denoised(part, noise, prior) for part in self._parts(image)]
        return np.concatenate(parts).astype(image.dtype)

    def _denoised(self, image: NDArray[Any], noise: float, prior: Prior) -> NDArray[np.float64]:
        center = image.mean(dtype=np.float64)
        scaled = (image.astype(np.float64) - center) / noise
        found = estimate(scaled, np.ones(image.shape, bool), self.filters, self.weights, prior)
        return found.image * noise + center

    def without_holes(self, image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
        parts = [self._filled(*both) for both in zip(self._parts(image), self._parts(known), strict=True)]
        return np.where(known, image, np.concatenate(parts).astype(image.dtype))

    def _filled(self, image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        values = image[known].astype(np.float64)
        center, scale = values.mean(), values.std()
        if scale == 0 or known.all():
            return np.full(image.shape, center)
        scaled = np.where(known, (image - center) / scale, 0)
        hidden = _hidden(known)
        trials = [self._estimate(scaled, known & ~hidden, prior) for prior in _PRIORS]
        shares = _mixture(np.stack([trial.image[hidden] for trial in trials]), scaled[hidden])
        filled = np.zeros_like(scaled)
        for share, trial, prior in zip(shares, trials, _PRIORS, strict=True):
            if share > 0:
                filled += share * self._estimate(scaled, known, prior, trial).image
        return filled * scale + center

    def _estimate(
        self, image: NDArray[np.float64], known: NDArray[np.bool_], prior: Prior, start: Estimate | None = None
    ) -> Estimate:
        return estimate(np.where(known, image, 0), known, self.filters, self.weights, prior, start)

    def _parts(self, image: NDArray[Any]) -> list[NDArray[Any]]:
        """What is restored together: all channels, or each alone if the filters have only one."""
        return [image] if self.filters.n_channels > 1 else list(image[:, np.newaxis])


def _hidden(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Known pixels that are hidden: as many as `_HIDDEN` says, chosen by the unknown ones moved by half an image."""
    _, height, width = known.shape
    candidates = known & ~np.roll(known, (height // 2, width // 2), axis=(1, 2))
    wanted = _HIDDEN * known.sum()
    if candidates.sum() < 0.1 * wanted:  # hardly any hole, or holes that return with this period
        candidates = known
    share = min(1.0, wanted / candidates.sum())
    hidden = candidates & (np.random.default_rng(_SEED).random(known.shape) < share)
    for channel, of_channel in zip(hidden, known, strict=True):
        if channel.sum() >= of_channel.sum():  # something must stay to compute with
            channel[:] = False
    return np.asarray(hidden)


def _mixture(trials: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares, at least 0 and with sum 1, with which trials (n_trials, n_pixels) predict the truth best."""
    from scipy.optimize import nnls

    n = len(trials)
    if not truth.size:
        return np.eye(n)[0]
    errors = trials - truth
    gram = errors @ errors.T
    # Shares of sum 1 with the least wᵀGw: w is proportional to the least squares of ‖Lᵀw‖² + (1 − Σw)².
    level = np.trace(gram) / n
    if level == 0:
        return np.full(n, 1 / n)
    root = np.linalg.cholesky(gram / level + 1e-6 * np.eye(n)).T
    found, _ = nnls(np.vstack([root, np.ones(n)]), np.append(np.zeros(n), 1.0))
    return np.asarray(found / found.sum())
