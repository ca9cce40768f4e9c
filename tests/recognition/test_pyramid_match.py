"""Pyramid match against loops written out, and its kernel's properties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import SVC

from striate.errors import UsageError
from striate.recognition.kernel_svm import KernelSVM
from striate.recognition.pyramid_match import PyramidMatchSVM, VisualWords, intersection_kernel, pyramid_histograms


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (5, 3, 7), (40, 33, 2500)])
def test_intersection_against_brute_force(rng: np.random.Generator, n: int, m: int, d: int) -> None:
    first, second = rng.random((n, d), dtype=np.float32), rng.random((m, d), dtype=np.float32)
    expected = np.minimum(first[:, None].astype(np.float64), second).sum(axis=2)
    np.testing.assert_allclose(intersection_kernel(first, second), expected, rtol=1e-5)


def test_pyramid_histograms_against_counting(rng: np.random.Generator) -> None:
    words = rng.integers(0, 5, (3, 9, 11))
    found = pyramid_histograms(words, 5)
    assert found.shape == (3, 5 * 21)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)  # a match of an image with itself
    at = 0
    for n_cells, weight in ((1, 0.25), (2, 0.25), (4, 0.5)):
        rows, columns = np.arange(9) * n_cells // 9, np.arange(11) * n_cells // 11
        for i in range(n_cells):
            for j in range(n_cells):
                cell = words[:, rows == i][:, :, columns == j]
                for word in range(5):
                    np.testing.assert_allclose(found[:, at], weight * (cell == word).sum(axis=(1, 2)) / 99, rtol=1e-6)
                    at += 1


def test_kernel_matrix_is_positive_semi_definite(rng: np.random.Generator) -> None:
    histograms = pyramid_histograms(rng.integers(0, 6, (60, 8, 8)), 6)
    kernel = intersection_kernel(histograms, histograms)
    np.testing.assert_array_equal(kernel, kernel.T)
    assert np.linalg.eigvalsh(kernel.astype(np.float64)).min() > -1e-5


def test_the_nearest_center_is_the_word(rng: np.random.Generator) -> None:
    maps = rng.standard_normal((20, 3, 5, 6), dtype=np.float32)
    descriptors = maps.transpose(0, 2, 3, 1)
    words = VisualWords(8, random_state=0).fit(descriptors.reshape(-1, 3))
    distances = np.square(descriptors[..., None, :] - words.centers_).sum(axis=-1)
    np.testing.assert_array_equal(words.of_maps(maps), distances.argmin(axis=-1))


def test_classifies_what_differs_in_place_alone(rng: np.random.Generator) -> None:
    """Both classes have the same parts; only the pyramid's cells tell where they are."""
    labels = np.arange(60) % 2
    maps = 0.1 * rng.standard_normal((60, 4, 8, 8), dtype=np.float32)
    maps[labels == 0, 0, :, :4] += 1
    maps[labels == 1, 0, :, 4:] += 1
    names = np.array(["left", "right"])[labels]
    machine = PyramidMatchSVM(6, random_state=0).fit(maps[:40], names[:40])
    assert (machine.predict(maps[40:]) == names[40:]).mean() > 0.9
    again = PyramidMatchSVM(6, random_state=0).fit(maps[:40], names[:40])
    np.testing.assert_array_equal(again.decision_function(maps), machine.decision_function(maps))


def test_support_vectors_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    samples = rng.standard_normal((60, 5))
    labels = np.arange(60) % 3
    samples[np.arange(60), labels] += 2
    scale = np.square(samples).sum(axis=1).mean()
    found = KernelSVM(C=2.0).fit(samples @ samples.T, labels)
    for number in range(3):
        machine = SVC(C=2.0, kernel="linear").fit(samples / np.sqrt(scale), labels == number)
        theirs = machine.decision_function(samples / np.sqrt(scale))
        np.testing.assert_allclose(found.decision_function(samples @ samples.T)[:, number], theirs, atol=1e-2)
    with pytest.raises(UsageError, match="square"):
        found.fit(np.ones((4, 3)), [0, 1, 0, 1])


def test_says_what_is_wrong(rng: np.random.Generator) -> None:
    maps = rng.standard_normal((4, 3, 4, 4), dtype=np.float32)
    with pytest.raises(UsageError, match="too few for 400 words"):
        PyramidMatchSVM().fit(maps, [0, 1, 0, 1])
    with pytest.raises(UsageError, match="two classes"):
        PyramidMatchSVM(4).fit(maps, ["a"] * 4)
    with pytest.raises(UsageError, match="4×4 cells"):
        pyramid_histograms(np.zeros((1, 3, 9), int), 2)
    with pytest.raises(UsageError, match="cannot be compared"):
        intersection_kernel(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32))
