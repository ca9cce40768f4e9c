"""Gaussian kernels of many samples by landmarks: optimality, an exact special case, and the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.recognition import SoftmaxClassifier, kernel_choice, landmarks
from striate.recognition.feature_space import Standardization
from striate.recognition.landmarks import LandmarkSpace
from striate.recognition.least_squares import solve_least_squares
from striate.recognition.sample_space import SampleSpace
from tests.recognition.test_gaussian_kernel import rings as named_rings

AUTO: dict[str, Any] = {"kernel": "auto", "loss": "auto", "random_state": 0}


def rings(rng: np.random.Generator, n_samples: int, n_features: int = 6) -> tuple[NDArray, NDArray[np.integer]]:
    features, names = named_rings(rng, n_samples, n_features)
    return features, np.unique(names, return_inverse=True)[1]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 59 samples are many, of which 40 are landmarks."""
    monkeypatch.setattr(kernel_choice, "LARGEST_KERNEL", 59)
    monkeypatch.setattr(landmarks, "_MOST", 40)


def fitted(features: NDArray, labels: NDArray[np.integer], held_out: int, **options: Any) -> landmarks.LandmarkFit:
    is_held_out = np.arange(len(labels)) < held_out
    space = LandmarkSpace(features, Standardization(features))
    rows = np.arange(len(labels))
    return space.fit(rows, labels, 3, is_held_out, random_state=0, **options)


def test_all_samples_as_landmarks_give_the_kernel_of_all(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 90)
    found = fitted(features, labels, 0, widths=[1.0], decays=[1e-2])
    space = SampleSpace(features, Standardization(features), width=1.0)
    kernel, gaussian = space.kernel_of(np.arange(90))
    assert gaussian is not None
    centered = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    decay = 1e-2 * gaussian.scale / centered.diagonal().mean()
    exact = solve_least_squares(kernel, np.eye(3)[labels], decay).coefficients
    scores = found.map.product(features, found.coefficients[:-1]) + found.coefficients[-1]
    np.testing.assert_allclose(scores, kernel @ exact[:-1] + exact[-1], atol=2e-4)


def test_coefficients_are_optimal(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "_MOST", 25)
    features, labels = rings(rng, 200)
    found = fitted(features, labels, 50, widths=[1.0, 2.0], decays=[1e-1, 1e-2])
    values = found.map.values(features, np.dtype(np.float64))
    of_landmarks = found.map.arrays["samples"] / found.map.arrays["factor"] + found.map.arrays["mean"]
    kernel = found.map.values(of_landmarks, np.dtype(np.float64))
    penalty = found.weight_decay * found.map.kernel.scale
    root = np.linalg.cholesky(kernel + landmarks._JITTER * found.map.kernel.scale * np.eye(25)).T
    system = np.vstack([np.c_[values, np.ones(200)], np.c_[np.sqrt(penalty) * root, np.zeros(25)]])
    targets = np.vstack([np.eye(3)[labels], np.zeros((25, 3))])
    best = np.linalg.lstsq(system, targets, rcond=None)[0]

    def energy(coefficients: NDArray) -> float:
        return float(np.sum((system @ coefficients - targets) ** 2))

    assert energy(found.coefficients.astype(float)) <= energy(best) * (1 + 1e-6)
    assert len(found.results) == 4
    assert found.weight_decay == min(found.results, key=lambda one: one["log_loss"])["weight_decay"]


@pytest.mark.usefixtures("few")
def test_many_samples_get_landmarks_where_they_are_better(rng: np.random.Generator, tmp_path: Path) -> None:
    features, labels = rings(rng, 1000)
    train = features[:600].astype(np.float16)
    np.save(tmp_path / "features.npy", train)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    found = SoftmaxClassifier(**AUTO).fit(mapped, labels[:600])
    assert found.kernel_ == "gaussian"
    assert found.coef_.shape == (3, 40)
    assert found.score(features[600:], labels[600:]) > 0.9
    again = SoftmaxClassifier.from_state(*found.to_state())
    np.testing.assert_array_equal(again.predict_proba(features), found.predict_proba(features))
    same = SoftmaxClassifier(**AUTO).fit(train, labels[:600])
    np.testing.assert_array_equal(same.coef_, found.coef_)
    assert found.predict_proba(features[600:]).max(axis=1).mean() > 0.5


@pytest.mark.usefixtures("few")
def test_many_samples_keep_the_linear_kernel_where_it_is_as_good(rng: np.random.Generator) -> None:
    features = rng.standard_normal((400, 5))
    labels = (features[:, 0] + 0.5 * rng.standard_normal(400) > 0).astype(int)
    found = SoftmaxClassifier(**AUTO).fit(features, labels)
    assert found.kernel_ == "linear"
    assert found.coef_.shape == (2, 5)


@pytest.mark.usefixtures("few")
def test_a_gaussian_kernel_of_many_samples_is_by_least_squares(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 300)
    for loss in ("auto", "squares"):
        found = SoftmaxClassifier(kernel="gaussian", loss=loss, random_state=0).fit(features, labels)
        assert found.coef_.shape == (3, 40)
        assert found.score(features, labels) > 0.9


@pytest.mark.usefixtures("few")
def test_groups_are_held_out_together(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 300)
    twice, of_both = np.tile(features, (2, 1)), np.tile(labels, 2)
    found = SoftmaxClassifier(**AUTO).fit(twice, of_both, groups=np.tile(np.arange(300), 2))
    plain = SoftmaxClassifier(**AUTO).fit(features, labels)
    losses = [min(one["log_loss"] for one in each.cross_validation_) for each in (found, plain)]
    assert losses[0] > 0.5 * losses[1]  # a copy in the training part would make it far smaller


@pytest.mark.usefixtures("few")
def test_many_features_are_projected(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "_MOST_AXES", 6)
    features, labels = rings(rng, 400)
    rotated = features @ np.linalg.qr(rng.standard_normal((30, 30)))[0][: features.shape[1]]
    options: dict[str, Any] = {"kernel": "gaussian", "loss": "auto", "standardize": "together", "random_state": 0}
    found = SoftmaxClassifier(**options).fit(rotated[:300], labels[:300])
    assert found.map_ is not None
    assert found.map_.arrays["axes"].shape == (30, 6)
    plain = SoftmaxClassifier(**options).fit(features[:300], labels[:300])
    assert np.mean(found.predict(rotated[300:]) == plain.predict(features[300:])) > 0.9
