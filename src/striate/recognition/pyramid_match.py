"""Spatial pyramid matching: visual words, histograms over cells of the image, intersection kernel, SVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.hierarchy.hierarchy import real_images
from striate.hierarchy.pyramid_pooling import PYRAMID, cell_of
from striate.parameters import Integer, Real, Seed, check_parameters, checked
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition._intersection_kernel import sums_of_minima
from striate.recognition.kernel_svm import KernelSVM, checked_features
from striate.recognition.labels import label_array
from striate.samples import as_samples, check_finite, kernel_array

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ENOUGH_FOR_WORDS", "PyramidMatchSVM", "VisualWords", "intersection_kernel", "pyramid_histograms"]

ENOUGH_FOR_WORDS = 100_000  # descriptors that K-means is fitted to
_WORDS_AT_ONCE = 1 << 16  # descriptors whose distances to the words are in memory at a time

_WORDS = {"n_words": Integer(low=1), "random_state": Seed()}


class VisualWords(BaseEstimator):
    """Visual words: each local descriptor is assigned to the nearest center of K-means.

    Parameters
    ----------
    n_words : int, default 400
        Number of words. Lazebnik et al. used 200 and 400, with little difference in accuracy.
    random_state : int, Generator, RandomState or None
        Seed of the initial centers.

    Attributes
    ----------
    centers_ : float32 (n_words, n_features)
    """

    def __init__(self, n_words: int = 400, *, random_state: RandomState = None) -> None:
        self.n_words = n_words
        self.random_state = random_state

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:
        """Fit the words to descriptors (n, n_features); 100,000 descriptors are enough."""
        from sklearn.cluster import MiniBatchKMeans

        check_parameters(self, _WORDS)
        X = checked_features(self, X, reset=True)
        if len(X) < self.n_words:
            raise UsageError(
                f"{len(X)} descriptors are too few for {self.n_words} words: give more images or fewer words"
            )
        seed = int(generator_from(self.random_state).integers(2**31))
        means = MiniBatchKMeans(self.n_words, batch_size=4096, n_init=1, max_iter=100, random_state=seed).fit(X)
        self.centers_ = means.cluster_centers_.astype(np.float32)
        return self

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.int64]:
        """The word of each descriptor, (n,)."""
        check_is_fitted(self)
        X = checked_features(self, X, reset=False)
        half_norms = np.square(self.centers_).sum(axis=1) / 2
        words = np.empty(len(X), np.int64)
        for start in range(0, len(X), _WORDS_AT_ONCE):
            likeness = X[start : start + _WORDS_AT_ONCE] @ self.centers_.T - half_norms
            words[start : start + _WORDS_AT_ONCE] = likeness.argmax(axis=1)
        return words

    def of_maps(self, maps: NDArray[np.float32]) -> NDArray[np.int64]:
        """The word at each position of feature maps (n_images, n_maps, height, width): (n_images, height, width)."""
        n_images, n_maps, height, width = maps.shape
        words = [self.predict(image.reshape(n_maps, -1).T) for image in maps]
        return np.array(words, np.int64).reshape(n_images, height, width)


def pyramid_histograms(words: NDArray[np.integer], n_words: int) -> NDArray[np.float32]:
    """Histograms over the cells of a spatial pyramid, weighted so that their intersection is the pyramid match.

    Parameters
    ----------
    words : int (n_images, height, width)
    n_words : int

    Returns
    -------
    float32 (n_images, n_words · (1 + 4 + 16))
        Fractions of an image's words; levels of 1, 4 and 16 cells have weights ¼, ¼ and ½ (Lazebnik et al. 2006,
        equation 3).
    """
    n_words = checked("n_words", n_words, Integer(low=1))
    words = np.asarray(words)
    if words.ndim != 3 or words.dtype.kind not in "iu":
        raise UsageError(f"words must be integers (n_images, height, width), not {words.dtype} of shape {words.shape}")
    if words.size and not 0 <= words.min() <= words.max() < n_words:
        raise UsageError(f"words are numbered from 0 to {n_words - 1}, but go from {words.min()} to {words.max()}")
    n_images, height, width = words.shape
    if min(height, width) < PYRAMID[-1]:
        raise UsageError(
            f"a pyramid of {PYRAMID[-1]}×{PYRAMID[-1]} cells needs a position per cell, but maps are {height}×{width}"
        )
    parts = []
    for level, n_cells in enumerate(PYRAMID):
        cell = cell_of(height, n_cells)[:, None] * n_cells + cell_of(width, n_cells)
        bins = words + n_words * cell
        offset = n_words * n_cells**2 * np.arange(n_images)[:, None, None]
        counts = np.bincount((bins + offset).ravel(), minlength=n_images * n_words * n_cells**2)
        weight = 2.0 ** -(len(PYRAMID) - 1) if level == 0 else 2.0 ** -(len(PYRAMID) - level)
        parts.append(weight / (height * width) * counts.reshape(n_images, -1))
    return np.concatenate(parts, axis=1).astype(np.float32)


def intersection_kernel(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Histogram intersection of all pairs: ``Σ_k min(first[i, k], second[j, k])``.

    Parameters
    ----------
    first : float32 (n_first, n_bins), at least 0
    second : float32 (n_second, n_bins), at least 0

    Returns
    -------
    float32 (n_first, n_second)
        The kernel of histograms with themselves is positive semi-definite.
    """
    first, second = (kernel_array(_histograms(each), np.dtype(np.float32)) for each in (first, second))
    if first.shape[1] != second.shape[1]:
        raise UsageError(f"histograms of {first.shape[1]} and {second.shape[1]} bins cannot be compared")
    return sums_of_minima(first, second)


def _histograms(values: Any) -> NDArray[Any]:
    values = as_samples(values, name="histograms")
    if values.size and values.min() < 0:
        raise UsageError("histograms hold a number below 0; shares and counts are at least 0")
    return values


class PyramidMatchSVM(ClassifierMixin, BaseEstimator):
    """One-versus-rest support-vector machines with the pyramid match kernel on feature maps.

    Parameters
    ----------
    n_words : int, default 400
    C : float, default 10.0
        As in `KernelSVM`.
    random_state : int, Generator, RandomState or None
        Seed of the words.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    words_ : VisualWords
    machine_ : KernelSVM

    References
    ----------
    Lazebnik, Schmid, Ponce, "Beyond bags of features: spatial pyramid matching for recognizing natural scene
    categories", CVPR 2006.
    """

    def __init__(self, n_words: int = 400, *, C: float = 10.0, random_state: RandomState = None) -> None:
        self.n_words = n_words
        self.C = C
        self.random_state = random_state

    def fit(self, maps: NDArray[np.float32], y: ArrayLike, *, progress: Progress | None = None) -> Self:
        """Fit on feature maps (n_images, n_maps, height, width) and their classes (n_images,).

        The values of all maps at one position are a descriptor.

        Raises
        ------
        UsageError
            For fewer than two classes, labels that are missing or not one for each image, maps of another shape or with
            NaN, and a parameter out of range.
        """
        check_parameters(self, {**_WORDS, "C": Real(above=0)})
        maps = _checked_maps(maps)
        y = label_array(y, n_samples=len(maps), samples="images")
        if len(np.unique(y)) < 2:
            raise UsageError(f"all {len(y)} images are of one class: a classifier needs images of at least two classes")
        rng = generator_from(self.random_state)
        self.words_ = VisualWords(self.n_words, random_state=rng).fit(_some_descriptors(maps, rng))
        self._histograms = pyramid_histograms(self.words_.of_maps(maps), self.n_words)
        kernel = intersection_kernel(self._histograms, self._histograms)
        self.machine_ = KernelSVM(self.C).fit(kernel, y, progress=progress)
        self.classes_ = self.machine_.classes_
        return self

    def decision_function(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Decision values (n_images, n_classes); for two classes those of the second class, (n_images,)."""
        kernel = self._kernel(maps)  # first, since it refuses what is not fitted
        return self.machine_.decision_function(kernel)

    def predict(self, maps: NDArray[np.float32]) -> NDArray:
        """The class with the largest decision value, (n_images,)."""
        kernel = self._kernel(maps)  # first, since it refuses what is not fitted
        return self.machine_.predict(kernel)

    def _kernel(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Kernel of images with the training images."""
        check_is_fitted(self)
        histograms = pyramid_histograms(self.words_.of_maps(_checked_maps(maps)), self.words_.n_words)
        return intersection_kernel(histograms, self._histograms)

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn: feature maps have four axes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def _checked_maps(maps: Any) -> NDArray[Any]:
    maps = real_images(maps)
    if not len(maps):
        raise UsageError("there are no feature maps: give at least those of one image")
    maps = maps if maps.dtype in (np.float32, np.float64) else maps.astype(np.float32)
    check_finite(maps, "feature maps")
    return maps


def _some_descriptors(maps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    n_images, n_maps, height, width = maps.shape
    n_positions = n_images * height * width
    places = np.sort(rng.choice(n_positions, min(ENOUGH_FOR_WORDS, n_positions), replace=False))
    image, position = np.divmod(places, height * width)
    return maps.reshape(n_images, n_maps, -1)[image, :, position].astype(np.float32)
