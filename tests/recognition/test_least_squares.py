"""Least squares in the span of the samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from striate.errors import UsageError
from striate.recognition import SoftmaxClassifier
from striate.recognition.least_squares import calibrated_losses, solve_least_squares


@pytest.mark.parametrize("n_features", [3, 60])
@pytest.mark.parametrize("decay", [1e-3, 0.1])
def test_it_is_ridge_regression_and_leaving_one_out_is_exact(n_features: int, decay: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((25, n_features)) + 3
    labels = rng.integers(0, 3, 25)
    targets = np.eye(3)[labels]
    found = solve_least_squares(X @ X.T, targets, decay)
    penalty = decay * X.var(axis=0).sum()
    model = Ridge(alpha=penalty).fit(X, targets)
    new = rng.standard_normal((7, n_features))
    np.testing.assert_allclose(
        new @ X.T @ found.coefficients[:-1] + found.coefficients[-1], model.predict(new), atol=1e-8
    )
    expected = cross_val_predict(Ridge(alpha=penalty), X, targets, cv=LeaveOneOut())
    np.testing.assert_allclose(found.held_out, expected, atol=1e-7)


def test_single_precision_is_enough() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 500))
    targets = np.eye(4)[rng.integers(0, 4, 60)]
    exact = solve_least_squares(X @ X.T, targets, 1e-2)
    single = X.astype(np.float32)
    found = solve_least_squares(single @ single.T, targets, 1e-2)
    assert found.held_out.dtype == np.float32
    np.testing.assert_allclose(found.held_out, exact.held_out, atol=1e-3)


def test_samples_that_are_all_the_same_have_the_mean_of_the_others() -> None:
    targets = np.eye(2)[[0, 0, 1]]
    found = solve_least_squares(np.ones((3, 3)), targets, 0.1)
    np.testing.assert_allclose(found.held_out, np.array([[0.5, 0.5], [0.5, 0.5], [1, 0]]))
    np.testing.assert_allclose(found.coefficients[-1], np.array([2 / 3, 1 / 3]))


def test_classes_with_one_sample_are_not_judged() -> None:
    losses, temperature = calibrated_losses(np.eye(3), np.arange(3))
    assert len(losses) == 0
    assert temperature == 0.1
    losses, _ = calibrated_losses(np.array([[0.8, 0.1], [0.7, 0.2], [0.4, 0.5]]), np.array([0, 0, 1]))
    assert len(losses) == 2


def spheres(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that no plane divides."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    labels = np.arange(n) % 2
    X *= (np.where(labels, 2.5, 0.7) / np.linalg.norm(X, axis=1))[:, None]
    return X, np.where(labels, "far", "near")


def test_a_classifier_chooses_kernel_and_decay_and_is_calibrated() -> None:
    X, y = spheres(400)
    model = SoftmaxClassifier(loss="squares", kernel="auto", standardize="together", random_state=0).fit(X, y)
    assert model.kernel_ == "gaussian"
    new, of_new = spheres(400, seed=1)
    assert np.mean(model.predict(new) == of_new) > 0.98
    loss = -np.log(model.predict_proba(new)[np.arange(400), (of_new == "near").astype(int)]).mean()
    assert loss < 0.1
    again = SoftmaxClassifier.from_state(*model.to_state())
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
    assert again.loss == "squares"


def test_one_label_per_class_is_the_nearest_sample() -> None:
    X = np.random.default_rng(0).standard_normal((5, 200))
    model = SoftmaxClassifier(loss="squares", kernel="auto", split="auto", standardize="together").fit(
        X, np.array(list("abcde"))
    )
    noisy = X + 0.1 * np.random.default_rng(1).standard_normal(X.shape)
    assert model.predict(noisy).tolist() == list("abcde")
    assert (model.kernel_, model.weight_decay_) == ("linear", 0.01)


def test_many_samples_are_chosen_by_some_and_auto_is_cross_entropy_beyond_10_000() -> None:
    X, y = spheres(3000)
    model = SoftmaxClassifier(loss="auto", kernel="auto", standardize="together", random_state=0).fit(X, y)
    assert model.kernel_ == "gaussian"
    many = np.random.default_rng(0).standard_normal((10_002, 2))
    labels = (many[:, 0] > 0).astype(int)
    with pytest.raises(UsageError, match="at most 10,000 samples"):
        SoftmaxClassifier(loss="squares").fit(many, labels)
    assert SoftmaxClassifier(loss="auto", weight_decay=1e-3, calibrate=False).fit(many, labels).n_iter_ > 1
    with pytest.raises(UsageError, match="groups are for"):
        SoftmaxClassifier(loss="auto").fit(X, y, groups=np.arange(3000))
