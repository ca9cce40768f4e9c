"""Features of windows and bands: the same numbers both ways, what each extractor learns, files, broken input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from striate import model_file
from striate.errors import UsageError
from striate.learning.network import Network
from striate.robot import EXTRACTORS, BandFeatures, NetworkFeatures, features_of_state, learn_features
from striate.robot.features import network_layers

_LEARNED: dict[tuple[str, int], BandFeatures] = {}


def windows_of(rng: np.random.Generator, n: int, n_channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Noise with stripes that lie (0) or stand (1), at any phase."""
    labels = rng.integers(2, size=n)
    rows, columns = np.mgrid[:12, :25]
    phases = rng.uniform(0, 2 * np.pi, n)[:, np.newaxis, np.newaxis]
    stripes = np.where(labels[:, np.newaxis, np.newaxis] == 0, np.sin(rows + phases), np.sin(columns + phases))
    noise = rng.standard_normal((n, n_channels, 12, 25))
    return (noise + 1.2 * stripes[:, np.newaxis]).astype(np.float32), labels


def learned(kind: str, n_channels: int = 1) -> BandFeatures:
    """Learned once for all tests."""
    if (kind, n_channels) not in _LEARNED:
        windows, labels = windows_of(np.random.default_rng(3), 240, n_channels)
        _LEARNED[kind, n_channels] = learn_features(kind, windows, labels, n_epochs=8, random_state=0)
    return _LEARNED[kind, n_channels]


@pytest.mark.parametrize(("kind", "n_channels"), [("random", 3), ("random", 1), ("rbf", 3), ("drlim", 1)])
def test_a_band_has_the_features_of_its_windows(rng: np.random.Generator, kind: str, n_channels: int) -> None:
    features = learned(kind, n_channels)
    band = rng.standard_normal((n_channels, 20, 58)).astype(np.float32)
    for row_step in (1, 2):
        found = features.of_band(band, row_step=row_step)
        assert found.shape == (len(range(0, 9, row_step)), 9, 100)
        places = [(i, j) for i in range(found.shape[0]) for j in range(9)]
        windows = np.stack([
            band[:, row_step * i : row_step * i + 12, 4 * j : 4 * j + 25] for i, j in places
        ])  # fmt: skip
        np.testing.assert_allclose(features.of_windows(windows), found.reshape(-1, 100), rtol=1e-4, atol=1e-4)


def test_the_kernels_compute_the_network_that_was_learned(rng: np.random.Generator) -> None:
    network = Network.random(network_layers(3), "tanh", np.float32, rng)
    network.parameters["biases.0"] += rng.standard_normal(20).astype(np.float32)
    filters = [network.filters(number) for number in range(2)]
    features = NetworkFeatures(filters, [network.parameters[f"biases.{number}"] for number in range(2)], squashed=False)
    windows = rng.standard_normal((5, 3, 12, 25)).astype(np.float32)
    expected = network.outputs(windows.reshape(5, -1))
    np.testing.assert_allclose(features.of_windows(windows), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_features_are_standardized_tell_classes_apart_and_survive_a_file(
    rng: np.random.Generator, kind: str, tmp_path: Path
) -> None:
    features = learned(kind)
    windows, labels = windows_of(np.random.default_rng(3), 240)
    found = features.of_windows(windows)
    assert found.dtype == np.float32
    assert found.shape == (240, 100)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    assert (np.abs(found.std(axis=0) - 1) < 1e-2).mean() > 0.9  # but for constant features
    others, of_others = windows_of(rng, 300)
    classifier = LogisticRegression(C=0.01, max_iter=1000).fit(found, labels)
    assert classifier.score(features.of_windows(others), of_others) > 0.7
    model_file.write(tmp_path / "a.safetensors", *features.to_state(), kind="band-features")
    loaded = features_of_state(*model_file.read(tmp_path / "a.safetensors", kind="band-features"))
    np.testing.assert_array_equal(loaded.of_windows(others), features.of_windows(others))


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_a_seed_gives_the_same_bits(kind: str) -> None:
    windows, labels = windows_of(np.random.default_rng(4), 120)
    one, other = (learn_features(kind, windows, labels, n_epochs=1, random_state=5).to_state()[0] for _ in range(2))
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values)


def test_supervision_and_similarity_help(rng: np.random.Generator) -> None:
    windows, labels = windows_of(rng, 400)

    def separation(kind: str) -> float:
        """Distance of the class means, relative to the spread within classes."""
        found = learned(kind).of_windows(windows)
        apart = found[labels == 1].mean(axis=0) - found[labels == 0].mean(axis=0)
        spread = sum(found[labels == label].var(axis=0).sum() for label in (0, 1))
        return float(np.square(apart).sum() / spread)

    assert separation("supervised") > 1.5 * separation("random")
    assert separation("drlim") > 1.5 * separation("random")


def test_drlim_needs_no_labels(rng: np.random.Generator) -> None:
    windows, _ = windows_of(rng, 60)
    for versions in (None, np.repeat(np.arange(30), 2)):
        found = learn_features("drlim", windows, versions=versions, n_epochs=1, random_state=0)
        assert np.isfinite(found.of_windows(windows)).all()


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("supervised", None, "supervised features need labels"),
        ("supervised", np.full(20, -1), "supervised features need labels"),
        ("autoencoder + supervised", np.full(20, 2), "need windows of two classes, and all labels are 2"),
        ("drlim", np.full(20, 2), "need windows of two classes"),
        ("drlim + supervised", None, "drlim \\+ supervised features need labels"),
        ("random", np.zeros(3, int), "labels are 20 integers"),
        ("gabor", None, "kind is 'gabor'; it must be"),
    ],
)
def test_wrong_use_is_told(rng: np.random.Generator, kind: str, labels: Any, message: str) -> None:
    windows, _ = windows_of(rng, 20)
    with pytest.raises(UsageError, match=message):
        learn_features(kind, windows, labels, random_state=0)


def test_broken_windows_and_bands_are_told(rng: np.random.Generator) -> None:
    windows, _ = windows_of(rng, 20)
    features = learned("random")
    for wrong, message in (
        (windows[:, 0], "windows of shape"),
        (windows[..., :24], "12, 25"),
        (np.repeat(windows, 3, axis=1), r"\(n_windows, 1, 12, 25\)"),
        (np.where(np.arange(20)[:, None, None, None] == 7, np.nan, windows), "first in sample 7"),
    ):
        with pytest.raises(UsageError, match=message):
            features.of_windows(wrong)
    for band in (np.zeros((1, 11, 40)), np.zeros((1, 12, 24)), np.zeros((3, 12, 40)), np.full((1, 12, 40), np.nan)):
        with pytest.raises(UsageError, match="band"):
            features.of_band(band)
    with pytest.raises(UsageError, match="two windows or more"):
        learn_features("random", windows[:1])
    flat = np.zeros((20, 1, 12, 25), np.float32)  # a dead camera
    assert np.isfinite(learn_features("random", flat, random_state=0).of_windows(flat)).all()
    assert features.of_windows(windows[:0]).shape == (0, 100)
