"""The other estimators of this folder as scikit-learn wants them, with several settings, and their parameters."""

# mypy: disable-error-code="arg-type"
# Arguments of wrong types are what is tested.

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate.errors import UsageError
from striate.hierarchy import protocol
from striate.recognition import (
    ConformalRejection,
    ImageClassifier,
    KernelSVM,
    PyramidMatchSVM,
    SoftmaxClassifier,
    area_under_roc,
    confusion_matrix,
    learning_curve,
    strangeness,
)
from striate.recognition.pyramid_match import VisualWords, intersection_kernel, pyramid_histograms
from striate.recognition.splits import draw_fraction, draw_per_class, hold_out_fraction, stratified_folds
from tests.random_state import RandomState
from tests.recognition.digits import digits, quick


@parametrize_with_checks(
    [
        KernelSVM(),
        KernelSVM(C=np.float32(0.5)),
        KernelSVM(C=1000),
        VisualWords(2, random_state=0),
        VisualWords(np.int64(3), random_state=RandomState(0)),
    ]
)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", [ImageClassifier(), ImageClassifier(unknown=0.1), PyramidMatchSVM(4)])
def test_estimators_of_images_are_cloned_and_tagged(estimator: Any) -> None:
    tags = estimator.__sklearn_tags__()
    assert tags.estimator_type == "classifier"
    assert not tags.input_tags.two_d_array
    assert (tags.transformer_tags is not None) == hasattr(estimator, "transform")
    assert tags.target_tags.required
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    for name, value in estimator.get_params().items():
        assert copy.set_params(**{name: value}).get_params()[name] == value
    assert KernelSVM().__sklearn_tags__().input_tags.pairwise


@pytest.mark.parametrize("strength", [np.array(0.5), np.float16(0.5), Fraction(1, 2)])
def test_any_real_number_is_a_strength(strength: Any) -> None:
    kernel, classes = np.eye(6) + 0.1, np.arange(6) % 2
    found = KernelSVM(strength).fit(kernel, classes).decision_function(kernel)
    np.testing.assert_array_equal(found, KernelSVM(0.5).fit(kernel, classes).decision_function(kernel))


@pytest.mark.parametrize("wrong", [True, 1.0, float("nan"), object(), "x", [[1, 2], [3]], range(3), [], [-1.0]])
def test_candidates_are_checked_whether_used_or_not(wrong: Any) -> None:
    for decay in (0.1, "auto"):
        with pytest.raises(UsageError, match="weight_decays"):
            SoftmaxClassifier(weight_decay=decay, weight_decays=wrong).fit(np.eye(6), np.arange(6) % 2)


def test_fit_transform_is_fit_and_transform() -> None:
    images, labels = digits([0, 1], 8)
    np.testing.assert_array_equal(quick().fit_transform(images, labels), quick().fit(images, labels).transform(images))


SAMPLES = np.random.default_rng(0).random((12, 5))
LABELS = np.arange(12) % 2
MAPS = SAMPLES.reshape(12, 1, 1, 5) * np.ones((12, 2, 4, 1))
WRONG = ["many", -1, 0, 1.5j, float("nan"), [], {}, object()]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", list(ImageClassifier().get_params()))
def test_wrong_parameters_of_the_image_classifier_are_named(name: str, wrong: Any) -> None:
    if name == "random_state" and wrong == 0:
        pytest.skip("a good one")
    images, labels = digits([0, 1], 4)
    with pytest.raises(UsageError) as caught:
        quick(**{name: wrong}).fit(images, labels)
    assert name in str(caught.value) or (name == "architecture" and repr(wrong) in str(caught.value))


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_parameters_are_named(wrong: Any) -> None:
    for estimator, taken, name in (
        (KernelSVM(C=wrong), SAMPLES @ SAMPLES.T, "C"),
        (PyramidMatchSVM(C=wrong), MAPS, "C"),
        (PyramidMatchSVM(n_words=wrong), MAPS, "n_words"),
        (VisualWords(n_words=wrong), SAMPLES, "n_words"),
    ):
        with pytest.raises(UsageError, match=f"{type(estimator).__name__}: {name} is "):
            estimator.fit(taken, LABELS)
    for call, name in (
        (lambda: ConformalRejection(wrong), "error_rate"),
        (lambda: draw_per_class(LABELS, wrong), "number of samples to draw"),
        (lambda: draw_fraction(LABELS, wrong), "fraction"),
        (lambda: stratified_folds(LABELS, wrong), "folds"),
        (lambda: pyramid_histograms(np.zeros((1, 4, 4), int), wrong), "n_words"),
        (lambda: learning_curve(SAMPLES, LABELS, SAMPLES, LABELS, n_draws=wrong), "n_draws"),
        (lambda: learning_curve(SAMPLES, LABELS, SAMPLES, LABELS, n_labels=[wrong]), "n_labels"),
        (lambda: protocol(wrong), "protocol|names no filters"),
    ):
        with pytest.raises(UsageError, match=name):
            call()
    if wrong != 0:
        with pytest.raises(UsageError, match="random_state"):
            draw_per_class(LABELS, 2, random_state=wrong)
        with pytest.raises(UsageError, match="fraction"):
            hold_out_fraction(LABELS, wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: KernelSVM().fit(np.full((12, 12), np.nan), LABELS), "NaN"),
        (lambda: KernelSVM().fit(SAMPLES, LABELS), "square"),
        (lambda: KernelSVM().fit(SAMPLES @ SAMPLES.T, LABELS).predict(SAMPLES), "5 features"),
        (lambda: PyramidMatchSVM(3).fit(SAMPLES, LABELS), "n_images, channels, height, width"),
        (lambda: PyramidMatchSVM(3).fit(np.full_like(MAPS, np.nan), LABELS), "NaN"),
        (lambda: PyramidMatchSVM(3).fit(MAPS[:0], []), "no feature maps"),
        (lambda: PyramidMatchSVM(3).fit(MAPS, LABELS).predict(MAPS[:, :1]), "1 features"),
        (lambda: pyramid_histograms(np.full((1, 4, 4), 7), 7), "from 0 to 6"),
        (lambda: pyramid_histograms(np.zeros((4, 4), int), 7), "words must be integers"),
        (lambda: intersection_kernel(SAMPLES, -SAMPLES), "below 0"),
        (lambda: intersection_kernel(SAMPLES, SAMPLES[:, 0]), "shape"),
        (lambda: strangeness(LABELS), r"\(n_samples, n_classes\) is needed"),
        (lambda: ConformalRejection(0.1).fit(SAMPLES[:, 0]), "n_samples"),
        (lambda: ConformalRejection(0.1).fit(SAMPLES).is_unknown([np.nan, 1]), "shape"),
        (lambda: ConformalRejection(0.1).fit(SAMPLES).is_unknown([[np.nan, 1]]), "NaN"),
        (lambda: area_under_roc(np.array([np.nan]), np.array([1.0])), "without NaN"),
        (lambda: confusion_matrix([1, None], [1, 1]), "label 1 is None"),
        (lambda: learning_curve(SAMPLES[0], LABELS, SAMPLES, LABELS), "n_samples, n_features"),
        (lambda: learning_curve(SAMPLES.astype(str), LABELS, SAMPLES, LABELS), "real numbers"),
    ],
)
def test_what_cannot_be_worked_with_is_told(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
