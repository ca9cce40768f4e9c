"""Accuracy as a function of the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Boolean, Choice, Integer, checked
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.feature_space import FeatureSpace, as_features, non_finite
from striate.recognition.kernel_choice import Fit, candidate_spaces, fit_rows
from striate.recognition.labels import label_array
from striate.recognition.landmarks import LandmarkSpace
from striate.recognition.metrics import standard_error, standard_error_of_accuracy
from striate.recognition.sample_space import SampleSpace, squared_norms
from striate.recognition.softmax_classifier import SoftmaxClassifier
from striate.recognition.splits import stratified_draws
from striate.threads import map_ordered, single_threaded_blas

__all__ = ["CurvePoint", "default_label_counts", "learning_curve", "point_of_one_fit"]

_LARGEST_CURVE = 6_000  # samples; their inner products are one matrix of 144 MB


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy for one number of labels.

    Attributes
    ----------
    n_labels : int
        In total, not per class.
    accuracies : tuple of float
        One per draw of the labels.
    mean : float
    standard_error : float
        Standard error of the mean.
    standard_error_is_of : "draws" or "test"
        "draws": over the draws of labels, all tested on the same samples. "test": with a single draw, the error due to
        the finite number of test samples.
    """

    n_labels: int
    accuracies: tuple[float, ...]
    mean: float
    standard_error: float
    standard_error_is_of: Literal["draws", "test"]


def learning_curve(
    train_features: NDArray,
    train_labels: Sequence | NDArray,
    test_features: NDArray,
    test_labels: Sequence | NDArray,
    *,
    n_labels: Sequence[int] | None = None,
    n_draws: int = 5,
    random_state: RandomState = None,
    progress: Progress | None = None,
    phase_name: str = "learning curve",
    standardize: bool | Literal["together"] = True,
    split: bool | Literal["auto"] = False,
    kernel: Literal["linear", "gaussian", "auto"] = "linear",
    loss: Literal["cross-entropy", "squares", "auto"] = "cross-entropy",
) -> list[CurvePoint]:
    """Accuracy of `SoftmaxClassifier` trained with some of the labels.

    Each fit chooses its own weight decay by cross-validation inside its labels. Features are standardized with the
    statistics of all training samples, labeled or not; their inner products are computed once.

    Parameters
    ----------
    train_features, test_features : float16, float32 or float64 (n_train, n_features), (n_test, n_features)
        At most 6,000 training samples.
    train_labels, test_labels : (n_train,), (n_test,)
    n_labels : sequence of int, optional
        Points of the curve, as total numbers of labels; by default `default_label_counts`.
    n_draws : int
        Number of stratified draws per point; one draw if all labels are used.
    random_state : int, Generator or None
    progress : Progress, optional
    phase_name : str
    standardize, split, kernel, loss
        As in `SoftmaxClassifier`.

    Returns
    -------
    points : list of CurvePoint
        In the order of `n_labels`.

    Raises
    ------
    UsageError
        For a point below the number of classes or above the number of training samples, if there is not one label for
        each sample, and for NaN or infinity.
    """
    train_features = as_features(train_features, "training features")
    test_features = as_features(test_features, "test features")
    standardize = checked("standardize", standardize, Boolean() | Choice("together"))
    split = checked("split", split, Boolean() | Choice("auto"))
    kernel = checked("kernel", kernel, Choice("linear", "gaussian", "auto"))
    train_labels, test_labels = label_array(train_labels), label_array(test_labels)
    for kind, features, labels in (
        ("training", train_features, train_labels),
        ("test", test_features, test_labels),
    ):
        if len(features) != len(labels) or not len(labels):
            raise UsageError(
                f"there are {len(features)} {kind} samples and {len(labels)} labels of them; "
                "give one label for each sample, and at least one"
            )
    n_draws = checked("n_draws", n_draws, Integer(low=1))
    if len(train_labels) > _LARGEST_CURVE:
        raise UsageError(
            f"a learning curve is for at most {_LARGEST_CURVE} training samples, not {len(train_labels)}; "
            "draw some of them"
        )
    classes, codes = np.unique(train_labels, return_inverse=True)
    if len(classes) < 2:
        raise UsageError("a learning curve needs training samples of at least two classes")
    counts = (
        default_label_counts(train_labels)
        if n_labels is None
        else [checked("one of n_labels", count, Integer(low=1)) for count in n_labels]
    )
    generator = generator_from(random_state)
    # Drawn before anything is computed, so that an impossible number raises an error at once.
    draws = [
        stratified_draws(codes, count, n_draws if count < len(codes) else 1, random_state=generator) for count in counts
    ]
    if not draws:
        return []
    options = SoftmaxClassifier(
        standardize=standardize,
        split=split,
        kernel=kernel,
        loss=checked("loss", loss, Choice("cross-entropy", "squares", "auto")),
        random_state=int(generator.integers(2**31)),
        calibrate=False,
    )
    points = []
    with (progress or Progress()).phase(phase_name, total=sum(map(len, draws)), unit="fits") as phase:
        candidates = candidate_spaces(train_features, options, len(classes), by_samples=True)
        spaces = [space for space in candidates if not isinstance(space, LandmarkSpace)]
        to_test = _TestProducts(spaces, test_features)

        def fit(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            found = fit_rows(spaces, rows, codes[rows], len(classes), options)
            logits = to_test.kernel(found, rows) @ found.coefficients[:-1] + found.coefficients[-1]
            return np.asarray(classes[logits.argmax(axis=1)] == test_labels)

        # Two draws at a time, each on at most two threads: the folds of one draw rarely divide evenly into threads.
        with single_threaded_blas():
            correct = map_ordered(fit, (rows for some in draws for rows in some), lookahead=2)
            for count, draws_of_count in zip(counts, draws, strict=True):
                of_count = []
                for right in islice(correct, len(draws_of_count)):
                    of_count.append(right)
                    phase.advance()
                    phase.note(f"{count} labels")
                points.append(_point(count, of_count))
    return points


class _TestProducts:
    """Kernels of test samples with training samples, from inner products that all fits share."""

    def __init__(self, spaces: Sequence[SampleSpace | FeatureSpace], features: NDArray) -> None:
        # Spaces of different widths share a standardization.
        self._products: dict[int, NDArray] = {}
        self._squares: dict[int, NDArray] = {}
        for space in spaces:
            key = id(space.standardization)
            assert isinstance(space, SampleSpace)
            if key not in self._products:
                with np.errstate(invalid="ignore", over="ignore"):  # an error is raised below
                    self._products[key] = space.kernel_with(features)
                if not np.isfinite(self._products[key]).all():
                    raise non_finite(0, features)
            if space.width is not None and key not in self._squares:
                self._squares[key] = squared_norms(space.standardization, features)

    def kernel(self, found: Fit, rows: NDArray[np.integer]) -> NDArray:
        """The kernel of all test samples with the training samples `rows`."""
        assert isinstance(found.space, SampleSpace)
        key = id(found.space.standardization)
        products = self._products[key][:, rows]
        if found.gaussian is None:
            return products
        return found.gaussian.of(products, found.space.squares[rows], self._squares[key])


def default_label_counts(labels: Sequence | NDArray) -> list[int]:
    """Numbers of labels that show the shape of a curve: 1, 3, 10, 30, … per class, and all.

    Parameters
    ----------
    labels : (n_samples,)
        Labels of the training samples.

    Returns
    -------
    counts : list of int
        Total numbers, ascending; if classes differ in size, a class contributes at most its size.
    """
    n_samples = len(labels)
    n_classes = len(np.unique(np.asarray(labels)))
    per_class = [digit * 10**power for power in range(7) for digit in (1, 3)]
    # A point close to the last one would add nothing.
    return [n * n_classes for n in per_class if n * n_classes <= n_samples * 0.8] + [n_samples]


def point_of_one_fit(n_labels: int, correct: Sequence[bool] | NDArray[np.bool_]) -> CurvePoint:
    """A point from a single classifier; its standard error is due to the finite test set.

    Parameters
    ----------
    n_labels : int
        Number of labels that it was trained with.
    correct : bool (n_test,)
        Whether each test sample was classified correctly.
    """
    return _point(n_labels, [np.asarray(correct, bool)])


def _point(n_labels: int, correct: list[NDArray[np.bool_]]) -> CurvePoint:
    accuracies = tuple(float(np.mean(values)) for values in correct)
    mean = float(np.mean(accuracies))
    if len(accuracies) > 1:
        return CurvePoint(n_labels, accuracies, mean, standard_error(accuracies), "draws")
    return CurvePoint(n_labels, accuracies, mean, standard_error_of_accuracy(mean, len(correct[0])), "test")
