from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as OfScikitLearn
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate.errors import UsageError
from striate.model_file import ModelFileError
from striate.recognition import SoftmaxClassifier, gaussian_kernel, kernel_choice, learning_curve
from striate.recognition.gaussian_kernel import GaussianKernel
from striate.recognition.splits import stratified_draws

EXACT: dict[str, Any] = {"random_state": 0, "calibrate": False, "tolerance": 1e-11, "max_iterations": 3000}


@parametrize_with_checks([SoftmaxClassifier(kernel="gaussian", random_state=0)])
def test_scikit_learn_contract(estimator: SoftmaxClassifier, check: Any) -> None:
    check(estimator)


def rings(rng: np.random.Generator, n_samples: int, n_features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Three classes at three distances from the middle, which no linear classifier tells apart."""
    labels = np.arange(n_samples) % 3
    directions = rng.standard_normal((n_samples, n_features))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    features = directions * (1.0 + labels[:, None]) + 0.1 * rng.standard_normal((n_samples, n_features))
    return 5 + 2 * features, np.array(["near", "middle", "far"])[labels]


def standardized(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    return (others - features.mean(axis=0)) / features.std(axis=0)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_features", [6, 200])
def test_equals_logistic_regression_on_the_kernels_explicit_map(
    rng: np.random.Generator, n_classes: int, n_features: int
) -> None:
    features, labels = rings(rng, 150, n_features)
    if n_classes == 2:
        features, labels = features[labels != "far"], labels[labels != "far"]
    train, test = features[:80], features[80:]
    decay, width = 0.01, 0.8
    ours = SoftmaxClassifier(kernel="gaussian", widths=[width], weight_decay=decay, **EXACT).fit(train, labels[:80])
    z = standardized(train, train)
    distances = ((z[:, None] - z) ** 2).sum(axis=2)
    median = np.median(distances[np.triu_indices(80, 1)])
    scale = (z**2).sum(axis=1).mean()  # features are about their mean
    gamma = 1 / (2 * width**2 * median)
    values, vectors = np.linalg.eigh(scale * rbf_kernel(z, gamma=gamma))
    to_map = vectors / np.sqrt(values)
    mapped, mapped_test = (scale * rbf_kernel(standardized(train, x), z, gamma=gamma) @ to_map for x in (train, test))
    c = (2 if n_classes == 2 else 1) / (decay * 80)
    peer = OfScikitLearn(C=c, tol=1e-9, solver="newton-cg", max_iter=1000).fit(mapped, labels[:80])
    np.testing.assert_allclose(ours.predict_proba(train), peer.predict_proba(mapped), atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(test), peer.predict_proba(mapped_test), atol=1e-5)
    assert ours.kernel_ == "gaussian"
    assert ours.map_ is not None
    np.testing.assert_allclose([ours.map_.kernel.variance, ours.map_.kernel.scale], [width**2 * median, scale])


def test_the_kernel_of_samples_is_that_of_the_formula(rng: np.random.Generator) -> None:
    own, others = rng.standard_normal((2, 7, 5))
    kernel = GaussianKernel(variance=3.0, scale=2.0)
    squares = [(x**2).sum(axis=1) for x in (own, others)]
    expected = 2 * np.exp(-((others[:, None] - own) ** 2).sum(axis=2) / 6)
    np.testing.assert_allclose(kernel.of(others @ own.T, *squares), expected)
    # Rounding never gives more than the value at distance 0.
    assert (kernel.of(own @ own.T + 1e-9, squares[0], squares[0]) <= 2).all()


@pytest.mark.parametrize("shape", [(60, 6), (60, 300)])
def test_a_wide_kernel_is_the_linear_one(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    features = rng.standard_normal(shape)
    labels = (features[:, 0] + 0.5 * rng.standard_normal(shape[0]) > 0).astype(int)
    wide = SoftmaxClassifier(kernel="gaussian", widths=[1e3], weight_decay=1e-8, **EXACT).fit(features, labels)
    assert wide.map_ is not None
    decay = 1e-8 * wide.map_.kernel.variance / wide.map_.kernel.scale
    linear = SoftmaxClassifier(weight_decay=decay, **EXACT).fit(features, labels)
    np.testing.assert_allclose(wide.predict_proba(features), linear.predict_proba(features), atol=1e-3)


@pytest.mark.parametrize(
    ("largest", "kept", "atol"),
    [(60 * 80, "float64", 1e-12), (60 * 20, "float16", 2e-2), (60 * 20 - 1, "axes", 0.15)],
)
def test_a_large_map_is_kept_in_fewer_numbers(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, largest: int, kept: str, atol: float
) -> None:
    features = (rng.standard_normal((80, 20)) * 0.7 ** np.arange(20)) @ rng.standard_normal((20, 20))
    labels = np.where(np.linalg.norm(features, axis=1) > np.median(np.linalg.norm(features, axis=1)), "far", "near")
    train, test = features[:60], features[60:]
    options: dict[str, Any] = {"kernel": "gaussian", "weight_decay": 1e-2, **EXACT}
    exact = SoftmaxClassifier(**options).fit(train, labels[:60])
    monkeypatch.setattr(gaussian_kernel, "_LARGEST", largest)
    smaller = SoftmaxClassifier(**options).fit(train, labels[:60])
    arrays, header = smaller.to_state()
    samples = arrays["gaussian.samples"]
    assert (samples.dtype == "float16") == (kept != "float64")
    assert ("gaussian.axes" in arrays) == (kept == "axes")
    large = sum(arrays[name].nbytes for name in ("gaussian.samples", "gaussian.axes") if name in arrays)
    assert large <= (8 if kept == "float64" else 2) * largest
    np.testing.assert_allclose(smaller.predict_proba(test), exact.predict_proba(test), atol=atol)
    if kept == "axes":
        axes = arrays["gaussian.axes"].astype(float)
        assert axes.shape == (20, largest // 80)
        np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=5e-3)
    again = SoftmaxClassifier.from_state(arrays, json.loads(json.dumps(header)))
    np.testing.assert_array_equal(again.logits(test), smaller.logits(test))
    assert again.n_features_in_ == 20
    assert again.kernel_ == "gaussian"


def test_projection_to_all_axes_loses_nothing_but_precision(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = rings(rng, 60, 20)
    features = features @ rng.standard_normal((20, 500))
    options: dict[str, Any] = {"kernel": "gaussian", "weight_decay": 1e-2, **EXACT}
    exact = SoftmaxClassifier(**options).fit(features[:30], labels[:30])
    monkeypatch.setattr(gaussian_kernel, "_LARGEST", 30 * 500 - 1)  # room for 28 axes
    smaller = SoftmaxClassifier(**options).fit(features[:30], labels[:30])
    assert smaller.map_ is not None
    assert smaller.map_.arrays["axes"].shape == (500, 20)
    np.testing.assert_allclose(smaller.logits(features), exact.logits(features), atol=0.05)


def test_cross_validation_chooses_the_kernel_that_the_data_need(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 300)
    found = SoftmaxClassifier(kernel="auto", random_state=0).fit(features[:150], labels[:150])
    assert found.kernel_ == "gaussian"
    assert found.score(features[150:], labels[150:]) > 0.9
    kinds = {(result["kernel"], result.get("width")) for result in found.cross_validation_}
    assert kinds == {("linear", None), ("gaussian", 1.0), ("gaussian", 2.0)}

    flat = rng.standard_normal((300, 6))
    side = np.where(flat[:, 0] + 0.7 * rng.standard_normal(300) > 0, "left", "right")
    plain = SoftmaxClassifier(kernel="auto", split="auto", random_state=0).fit(flat[:150], side[:150])
    assert (plain.kernel_, plain.map_, plain.knots_) == ("linear", None, None)


def test_cross_validation_splits_where_that_helps(rng: np.random.Generator) -> None:
    features = rng.standard_normal((400, 5))
    labels = np.abs(features[:, 0]) > 0.7
    bent = SoftmaxClassifier(split="auto", random_state=0).fit(features[:200], labels[:200])
    assert bent.knots_ is not None
    assert bent.score(features[200:], labels[200:]) > 0.9


def test_few_labels_get_the_prior(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 14)
    for n in (3, 14):  # one label per class; on average less than five
        found = SoftmaxClassifier(kernel="auto", split="auto", random_state=0).fit(features[:n], labels[:n])
        assert (found.kernel_, found.weight_decay_, found.knots_) == ("linear", 1e-5, None)
        assert len(found.cross_validation_) == (0 if n == 3 else 1)  # for the temperature
        np.testing.assert_array_equal(found.predict(features[:n]), labels[:n])
        gaussian = SoftmaxClassifier(kernel="gaussian", random_state=0).fit(features[:n], labels[:n])
        np.testing.assert_array_equal(gaussian.predict(features[:n]), labels[:n])
    given = SoftmaxClassifier(weight_decay=0.5, random_state=0).fit(features, labels)
    assert given.weight_decay_ == 0.5


def test_constant_features_and_equal_samples_are_no_error(rng: np.random.Generator) -> None:
    features, labels = rings(rng, 60)
    options: dict[str, Any] = {"kernel": "gaussian", "weight_decay": 0.1, **EXACT}
    plain = SoftmaxClassifier(**options).fit(features, labels)
    padded = np.hstack([features, np.full((60, 2), [0.1, -1e4])])
    found = SoftmaxClassifier(**options).fit(padded, labels)
    np.testing.assert_allclose(found.predict_proba(padded), plain.predict_proba(features), atol=1e-5)
    same = SoftmaxClassifier(**options).fit(np.full((60, 4), 0.3), labels)
    np.testing.assert_allclose(same.predict_proba(np.full((1, 4), 0.3)), 1 / 3, atol=1e-6)
    twice = SoftmaxClassifier(**options).fit(np.tile(features, (2, 1)), np.tile(labels, 2))
    assert twice.map_ is not None
    np.testing.assert_array_equal(twice.predict(features), plain.predict(features))


def test_too_many_samples_are_refused_or_linear(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = rings(rng, 60)
    monkeypatch.setattr(kernel_choice, "LARGEST_KERNEL", 59)
    with pytest.raises(UsageError, match=r"at most 59 samples, not 60; use loss=\"auto\""):
        SoftmaxClassifier(kernel="gaussian").fit(features, labels)
    assert SoftmaxClassifier(kernel="auto", random_state=0).fit(features, labels).kernel_ == "linear"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_in_prediction(rng: np.random.Generator, value: float) -> None:
    features, labels = rings(rng, 60)
    found = SoftmaxClassifier(kernel="gaussian", random_state=0).fit(features, labels)
    features[31, 4] = value
    with pytest.raises(UsageError, match=r"sample 31, feature 4"):
        found.predict(features)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("variance", 0.0), ("scale", -1.0), ("samples", np.zeros((60, 5))), ("squares", np.full(60, -1.0))],
)
def test_a_damaged_state_is_refused(rng: np.random.Generator, name: str, wrong: Any) -> None:
    arrays, header = SoftmaxClassifier(kernel="gaussian", random_state=0).fit(*rings(rng, 60)).to_state()
    if name in header["gaussian"]:
        header["gaussian"][name] = wrong
    else:
        arrays[f"gaussian.{name}"] = wrong
    with pytest.raises(ModelFileError, match=name):
        SoftmaxClassifier.from_state(arrays, header)


@pytest.mark.parametrize("kernel", ["gaussian", "auto"])
def test_a_learning_curve_fits_the_same_kernel(rng: np.random.Generator, kernel: Any) -> None:
    features, labels = rings(rng, 500)
    train, test = features[:200], features[200:]
    scaled = standardized(train, train), standardized(train, test)
    (point,) = learning_curve(
        train, labels[:200], test, labels[200:], n_labels=[120], n_draws=2, random_state=7, kernel=kernel
    )
    generator = np.random.default_rng(7)  # the protocol: first the draws, then the folds
    draws = stratified_draws(np.unique(labels[:200], return_inverse=True)[1], 120, 2, random_state=generator)
    seed = int(generator.integers(2**31))
    accuracies = []
    for rows in draws:
        classifier = SoftmaxClassifier(standardize=False, calibrate=False, kernel=kernel, random_state=seed)
        accuracies.append(np.mean(classifier.fit(scaled[0][rows], labels[rows]).predict(scaled[1]) == labels[200:]))
    np.testing.assert_allclose(point.accuracies, accuracies, atol=0.02)
    assert point.mean > 0.9


@pytest.mark.parametrize("largest", [10**6, 60 * 50 - 1], ids=["exact", "projected"])
def test_predictions_are_those_of_the_kernel_that_was_fitted(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(gaussian_kernel, "_LARGEST", largest)
    features, labels = rings(rng, 60, 50)
    decay = 1e-2
    found = SoftmaxClassifier(kernel="gaussian", weight_decay=decay, **EXACT).fit(features, labels)
    assert found.map_ is not None
    assert ("axes" in found.map_.arrays) == (largest < 60 * 50)
    # The gradient K(residuals + decay · A) vanishes, and K has full rank.
    residuals = (found.predict_proba(features) - (labels[:, None] == found.classes_)) / 60
    np.testing.assert_allclose(residuals + decay * found.coef_.T, 0, atol=2e-5)
