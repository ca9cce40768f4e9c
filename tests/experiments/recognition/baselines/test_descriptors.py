"""Descriptors without learning: what they are invariant to, and what they say if a package is missing."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.experiments.recognition.baselines import hog, pixels, scattering, square


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((3, 3, 32, 32), dtype=np.float32)


def test_pixels_are_those_of_all_channels(images: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels(images)[1].reshape(3, 32, 32), images[1])


def test_histograms_do_not_depend_on_light(images: np.ndarray) -> None:
    describe = hog(8)
    found = describe(images)
    assert found.shape == (3, 3 * 3 * 4 * 9)
    assert found.dtype == np.float32
    np.testing.assert_allclose(describe((0.3 * images + 0.5).astype(np.float32)), found, atol=1e-4)
    assert not describe(np.full((1, 1, 32, 32), 0.4, np.float32)).any()


def test_the_strongest_channel_decides(images: np.ndarray) -> None:
    one_color = np.where(np.arange(3)[:, np.newaxis, np.newaxis] == 1, images, 0).astype(np.float32)
    np.testing.assert_allclose(hog(8)(one_color), hog(8)(images[:, 1:2]), atol=1e-6)


def test_an_edge_falls_into_the_bin_of_its_direction() -> None:
    image = np.zeros((1, 1, 16, 16), np.float32)
    image[..., 8:] = 1  # all gradients are horizontal
    per_bin = hog(8)(image).reshape(-1, 9)
    assert np.flatnonzero(per_bin.any(axis=0)).tolist() == [0]


def test_scattering_is_stable_and_keeps_channels_apart(images: np.ndarray) -> None:
    pytest.importorskip("kymatio")
    describe = scattering(32, 2)
    found = describe(images)
    assert found.shape == (3, 3 * 81 * 8 * 8)  # 1 + 2·8 + 8² averages of 4×4 pixels
    # The transform does not expand distances (Mallat 2012), but for the border, which is mirrored.
    other = images[::-1]
    distance = np.linalg.norm(np.square(describe(other)) - np.square(found))
    assert distance * 4 <= 1.2 * np.linalg.norm(other - images)
    np.testing.assert_allclose(describe(images[:, 1:2]), found.reshape(3, 3, -1)[:, 1], atol=1e-4)


class NoKymatio(MetaPathFinder):
    """What Python finds where kymatio is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "kymatio":
            raise ModuleNotFoundError("No module named 'kymatio'", name="kymatio")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [name for name in sys.modules if name.split(".")[0] == "kymatio"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(sys, "meta_path", [NoKymatio(), *sys.meta_path])
    with pytest.raises(UsageError, match=r"kymatio, which is not installed: pip install striate\[bench\]"):
        scattering(32, 2)


def test_squares_keep_all_of_an_image(rng: np.random.Generator) -> None:
    image = rng.random((3, 20, 50), dtype=np.float32)
    found = square(image, 16)
    assert found.shape == (3, 16, 16)
    assert 0 <= found.min() <= found.max() <= 1
    expected = np.asarray(Image.fromarray(image[2]).resize((16, 16), Image.Resampling.LANCZOS)).clip(0, 1)
    np.testing.assert_array_equal(found[2], expected)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), image.mean(axis=(1, 2)), atol=0.02)
    assert square(image[:, :16, :16], 16) is not None
