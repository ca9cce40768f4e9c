from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.images import whiten


def power(image: np.ndarray, low: float, high: float) -> float:
    frequency = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None])
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    spectrum = np.abs(np.fft.rfft2(window * image)) ** 2
    return float(spectrum[(frequency >= low) & (frequency < high)].mean())


def test_a_spectrum_of_one_over_f_becomes_flat(rng: np.random.Generator) -> None:
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
    frequency[0, 0] = 1
    image = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((256, 256))) / frequency)[None]
    white = whiten(image)[0]
    assert white.dtype == np.float32
    assert power(image[0], 0.02, 0.04) / power(image[0], 0.16, 0.2) > 20
    assert power(white, 0.02, 0.04) / power(white, 0.16, 0.2) == pytest.approx(1, abs=0.3)
    assert power(white, 0.45, 0.5) < 0.15 * power(white, 0.1, 0.2)  # beyond the cutoff


def test_scale_and_brightness_do_not_matter_and_flat_channels_become_zero(rng: np.random.Generator) -> None:
    image = rng.uniform(0, 1, (2, 20, 31)).astype(np.float32)
    image[1] = 0.3
    white = whiten(image)
    assert white.shape == image.shape
    assert white[0].mean() == pytest.approx(0, abs=1e-6)
    assert white[0].std() == pytest.approx(1, abs=1e-5)
    assert not white[1].any()
    np.testing.assert_allclose(whiten(3 * image[:1] + 7), white[:1], atol=1e-4)


def test_wrong_use_is_said(rng: np.random.Generator) -> None:
    with pytest.raises(UsageError, match="channels, height, width"):
        whiten(np.zeros((4, 4)))
    with pytest.raises(UsageError, match="cutoff"):
        whiten(np.zeros((1, 4, 4)), cutoff=0)
