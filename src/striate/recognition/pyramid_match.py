"""Spatial pyramid matching: words, histograms over an image's halves and quarters, intersection, support vectors."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition._intersection_kernel import sums_of_minima
from striate.threads import map_ordered

__all__ = ["PyramidMatchSVM", "VisualWords", "intersection_kernel", "pyramid_histograms"]

LEVELS = (1, 2, 4)  # cells a side
_FOR_WORDS = 100_000  # descriptors that K-means sees
_WORDS_AT_ONCE = 1 << 16  # descriptors whose distances to the words are in memory


class VisualWords(BaseEstimator):
    """Words: the nearest of the centers that K-means found among local descriptors.

    Parameters
    ----------
    n_words : int, default 400
        Lazebnik et al. used 200 and 400, which differ little.
    random_state : int, Generator, RandomState or None
        Draws the descriptors that K-means sees, and its first centers.

    Attributes
    ----------
    centers_ : float32 (n_words, n_features)
    """

    def __init__(self, n_words: int = 400, *, random_state: RandomState = None) -> None:
        self.n_words = n_words
        self.random_state = random_state

    def fit(self, maps: NDArray[np.float32], y: object = None) -> Self:
        """Find the words of feature maps (n_images, n_maps, height, width): a descriptor is what is at one position."""
        from sklearn.cluster import MiniBatchKMeans

        rng = generator_from(self.random_state)
        n_images, n_maps, height, width = maps.shape
        n = min(_FOR_WORDS, n_images * height * width)
        if n < self.n_words:
            raise UsageError(f"{n} descriptors are too few for {self.n_words} words: give more images or fewer words")
        places = np.sort(rng.choice(n_images * height * width, n, replace=False))
        image, position = np.divmod(places, height * width)
        seen = maps.reshape(n_images, n_maps, -1)[image, :, position].astype(np.float32)
        means = MiniBatchKMeans(
            self.n_words, batch_size=4096, n_init=1, max_iter=100, random_state=int(rng.integers(2**31))
        ).fit(seen)
        self.centers_ = means.cluster_centers_.astype(np.float32)
        return self

    def transform(self, maps: NDArray[np.float32]) -> NDArray[np.int32]:
        """The word at each position, int32 (n_images, height, width)."""
        check_is_fitted(self)
        n_images, n_maps, height, width = maps.shape
        half_norms = np.square(self.centers_).sum(axis=1) / 2
        words = np.empty((n_images, height * width), np.int32)
        step = max(1, _WORDS_AT_ONCE // (height * width))
        for start in range(0, n_images, step):
            block = np.asarray(maps[start : start + step], np.float32).reshape(-1, n_maps, height * width)
            likeness = np.matmul(self.centers_, block) - half_norms[:, None]
            words[start : start + step] = likeness.argmax(axis=1)
        return words.reshape(n_images, height, width)


def pyramid_histograms(words: NDArray[np.integer], n_words: int) -> NDArray[np.float32]:
    """Histograms over the cells of a spatial pyramid, weighted so that their intersection is the pyramid match.

    Parameters
    ----------
    words : int (n_images, height, width)
    n_words : int

    Returns
    -------
    float32 (n_images, n_words · (1 + 4 + 16))
        Shares of an image's words; levels of 1, 4 and 16 cells weigh ¼, ¼ and ½ (Lazebnik et al. 2006, equation 3).
    """
    n_images, height, width = words.shape
    if min(height, width) < LEVELS[-1]:
        raise UsageError(
            f"a pyramid of {LEVELS[-1]}×{LEVELS[-1]} cells needs as many positions, but maps are {height}×{width}"
        )
    parts = []
    for level, n_cells in enumerate(LEVELS):
        row = np.arange(height) * n_cells // height
        column = np.arange(width) * n_cells // width
        cell = row[:, None] * n_cells + column
        bins = words + n_words * cell
        offset = n_words * n_cells**2 * np.arange(n_images)[:, None, None]
        counts = np.bincount((bins + offset).ravel(), minlength=n_images * n_words * n_cells**2)
        weight = 2.0 ** -(len(LEVELS) - 1) if level == 0 else 2.0 ** -(len(LEVELS) - level)
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
        Of histograms with themselves, positive semi-definite.
    """
    if first.shape[1] != second.shape[1]:
        raise UsageError(f"histograms of {first.shape[1]} and {second.shape[1]} bins cannot be compared")
    return sums_of_minima(first, second)


class PyramidMatchSVM(ClassifierMixin, BaseEstimator):
    """Support vectors, one class against all others, with the pyramid match kernel on feature maps.

    Parameters
    ----------
    n_words : int, default 400
    C : float, default 10.0
        Weight of errors, on the scale of a kernel whose diagonal is 1: almost every training image is then on its side
        of the margin, which is best where there are 30 of each class.
    random_state : int, Generator, RandomState or None
        Of the words.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    words_ : VisualWords

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
        """Fit on feature maps (n_images, n_maps, height, width) and their classes (n_images,)."""
        from sklearn.svm import SVC

        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError("a classifier needs images of at least two classes")
        progress = progress or Progress()
        with progress.phase("words", 1, "dictionaries") as phase:
            self.words_ = VisualWords(self.n_words, random_state=self.random_state).fit(maps)
            phase.advance()
        self._histograms = pyramid_histograms(self.words_.transform(maps), self.n_words)
        kernel = intersection_kernel(self._histograms, self._histograms).astype(np.float64)
        self._scale = float(np.mean(np.diag(kernel)))  # 1, but for rounding
        kernel /= self._scale

        def one_against_all(number: int) -> tuple[NDArray[np.float64], float]:
            machine = SVC(C=self.C, kernel="precomputed", cache_size=50).fit(kernel, codes == number)
            shares = np.zeros(len(codes))
            shares[machine.support_] = machine.dual_coef_[0]
            return shares, float(machine.intercept_[0])

        with progress.phase("support vectors", len(self.classes_), "classes") as phase:
            found = []
            for one in map_ordered(one_against_all, range(len(self.classes_))):
                found.append(one)
                phase.advance()
        self._shares = np.stack([shares for shares, _ in found], axis=1)
        self._intercept = np.array([intercept for _, intercept in found])
        return self

    def decision_function(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far on a class's side, (n_images, n_classes)."""
        check_is_fitted(self, "words_")
        histograms = pyramid_histograms(self.words_.transform(maps), self.n_words)
        return intersection_kernel(histograms, self._histograms) / self._scale @ self._shares + self._intercept

    def predict(self, maps: NDArray[np.float32]) -> NDArray:
        """The most likely class of each, (n_images,)."""
        return self.classes_[self.decision_function(maps).argmax(axis=1)]
