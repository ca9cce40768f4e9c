"""The V1-like model against its definition, step by step, and what is known of its filters and its responses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve
from sklearn.decomposition import PCA

from striate.errors import UsageError
from striate.experiments.recognition.baselines.v1_like import (
    principal_products,
    simple_cells,
    v1_filters,
    v1_like_features,
)
from striate.images import load_mnist_digits
from striate.recognition.kernel_svm import KernelSVM


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return gaussian_filter(rng.random((31, 37)), 1).astype(np.float32)


def normalized(maps: np.ndarray) -> np.ndarray:
    """Of every pixel, less the mean and over the norm of the 3×3 pixels around it in all maps: (n, height, width)."""
    n, height, width = maps.shape
    out = np.empty((n, height - 2, width - 2))
    for y in range(height - 2):
        for x in range(width - 2):
            window = maps[:, y : y + 3, x : x + 3]
            centered = window - window.mean()
            norm = np.linalg.norm(centered)
            out[:, y, x] = centered[:, 1, 1] / (norm if norm >= 1 else 1)
    return out


def test_the_family_of_filters() -> None:
    filters = v1_filters().astype(np.float64)
    assert filters.shape == (96, 43, 43)
    np.testing.assert_allclose(filters.mean(axis=(1, 2)), 0, atol=1e-8)
    np.testing.assert_allclose(np.square(filters).sum(axis=(1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(filters, filters[:, ::-1, ::-1], atol=1e-7)  # even
    # Each likes best the grating of its own wavelength, and of its own orientation.
    family = filters.reshape(6, 16, 43, 43)
    y, x = np.mgrid[:43, :43] - 21
    angles = np.pi * np.arange(16) / 16
    across = np.multiply.outer(np.cos(angles), x) + np.multiply.outer(np.sin(angles), y)
    for which, wavelength in enumerate((2, 3, 4, 6, 11, 18)):
        gratings = np.cos(2 * np.pi * across / wavelength)
        strength = np.einsum("oyx,pyx->op", family[which], gratings)
        np.testing.assert_array_equal(strength.argmax(axis=1), np.arange(16))
    horizontal = family[:, 0]
    spectra = np.abs(np.fft.rfft(horizontal.sum(axis=1), 396, axis=1))
    np.testing.assert_allclose(396 / spectra[:5].argmax(axis=1), (2, 3, 4, 6, 11), rtol=0.06)


def test_simple_cells_by_their_definition(image: np.ndarray) -> None:
    padded = np.pad(image.astype(np.float64), 1, mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).mean(axis=(2, 3))
    smooth = (smooth - smooth.mean()) / smooth.std()
    whole = normalized(smooth[np.newaxis])[0]
    found = simple_cells(image)
    assert found.shape == (96, 29, 35)
    assert found.min() == 0
    assert found.max() <= 1
    for which in (0, 17, 40, 95):
        full = convolve(whole, v1_filters()[which].astype(np.float64), mode="full")
        expected = np.clip(full[21:-21, 21:-21], 0, 1)
        np.testing.assert_allclose(found[which], expected, atol=1e-5)


def test_features_by_their_definition(image: np.ndarray) -> None:
    responses = normalized(simple_cells(image).astype(np.float64))
    _, height, width = responses.shape
    expected = np.empty((96, 30, 30))
    for i in range(30):
        for j in range(30):
            y, x = round(i * (height - 1) / 29), round(j * (width - 1) / 29)
            expected[:, i, j] = responses[:, max(0, y - 8) : y + 9, max(0, x - 8) : x + 9].sum(axis=(1, 2))
    found = v1_like_features(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-3)


def test_strong_responses_saturate() -> None:
    # A grating whose local norm is 1 everywhere: its own filter, of norm 1 over 43×43, gives more than 1 at crests.
    grating = np.cos(2 * np.pi * np.arange(80) / 11) * np.ones((80, 1))
    found = simple_cells(grating.astype(np.float32))
    assert found.max() == 1
    assert found.min() == 0


def test_a_constant_image_has_no_features() -> None:
    assert not v1_like_features(np.full((20, 30), 0.4, np.float32)).any()


def test_light_and_contrast_do_not_matter(image: np.ndarray) -> None:
    other = np.float32(0.5) * image + np.float32(0.2)
    np.testing.assert_allclose(v1_like_features(other), v1_like_features(image), atol=1e-2)


def test_products_are_those_of_principal_components(rng: np.random.Generator) -> None:
    features = rng.gamma(1.0, size=(20, 5000)).astype(np.float32)
    features[:, 7] = 0.25  # constant: standardized to 0
    train = features[:12]
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[7] = 1
    pca = PCA().fit((train - mean) / deviation)
    expected = pca.transform((features - mean) / deviation) @ pca.transform((train - mean) / deviation).T
    np.testing.assert_allclose(principal_products(features, train), expected, atol=0.5, rtol=1e-3)
    np.testing.assert_allclose(principal_products(train, train), expected[:12], atol=0.5, rtol=1e-3)


def test_it_learns_digits() -> None:
    images, labels = load_mnist_digits()
    chosen = np.concatenate([np.flatnonzero(labels == digit)[:24] for digit in np.unique(labels)[:4]])
    rows = np.stack([v1_like_features(images[index, 0]) for index in chosen])
    labels = labels[chosen]
    is_train = np.arange(len(labels)) % 24 < 16
    train = rows[is_train]
    machine = KernelSVM().fit(principal_products(train, train), labels[is_train])
    predicted = machine.predict(principal_products(rows[~is_train], train))
    assert np.mean(predicted == labels[~is_train]) > 0.85


def test_says_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="at least 5×5"):
        v1_like_features(np.zeros((4, 9), np.float32))
