"""Multinomial logistic regression for many features, and for samples that do not fit into memory.

The file is longer than 400 lines because the estimator and the fit on rows of a shared space belong together.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.errors import UsageError
from striate.model_file import ModelFileError
from striate.parameters import (
    Boolean,
    Choice,
    Integer,
    Real,
    Rule,
    Seed,
    Text,
    check_parameters,
    checked,
    plain,
    plain_parameters,
)
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.feature_space import (
    DenseBlocks,
    FeatureSpace,
    Standardization,
    non_finite,
    row_blocks,
    split_signs,
)
from striate.recognition.labels import check_targets, label_array
from striate.recognition.sample_space import SampleSpace
from striate.recognition.softmax import softmax
from striate.recognition.splits import stratified_folds
from striate.recognition.weight_decay import CrossValidation, Space, cross_validate, solve
from striate.samples import is_sparse
from striate.stored import ListOf, Table, array, field, part, with_parameters

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["DEFAULT_WEIGHT_DECAYS", "SoftmaxClassifier"]

DEFAULT_WEIGHT_DECAYS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# Used if no class has two samples to hold one out; on features of digits this decay was always close to the best.
_FALLBACK = 1e-3
_LARGEST_KERNEL = 10_000  # samples; above, the n × n matrix takes more than 400 MB
_FIVE_FOLDS_BELOW, _THREE_FOLDS_BELOW = 2_000, 10_000

_DECAY = Real(above=0)
_RULES: dict[str, Rule] = {
    "weight_decay": _DECAY | Choice("auto"),
    "n_folds": Integer(low=2) | Choice("auto"),
    "standardize": Boolean() | Choice("together"),
    "split": Boolean(),
    "calibrate": Boolean(),
    "max_iterations": Integer(low=1),
    "tolerance": Real(above=0),
    "random_state": Seed(),
}


class SoftmaxClassifier(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression whose weight decay is chosen by cross-validation, with calibrated probabilities.

    It minimizes, over the weights W of standardized features and the intercept b,

        mean cross-entropy + ½ · weight_decay · ‖W‖²,

    which is scikit-learn's objective with C = 1 / (weight_decay · n_samples); two classes have two rows of
    weights; scikit-learn's single row is their difference, and its C is then twice that.

    Parameters
    ----------
    weight_decay : float or "auto"
        "auto" chooses among `weight_decays` by the cross-entropy of held-out samples after calibration.
    weight_decays : sequence of float
        The candidates, for a mean loss; by default powers of ten from 10 to 1e-6. On small images the best is between 1
        and 1e-6; on tens of thousands of features of photographs 1e-5 was still better than 1e-4.
    n_folds : int or "auto"
        "auto" is 5 below 2,000 samples, 3 below 10,000, and above that a single split that holds out one fifth.
    standardize : bool or "together"
        Divide features by their standard deviation over the training samples; "together" divides all features
        by one number, so that their mean variance is 1: for features of one common scale, among which rare ones should
        not be amplified (codes, principal components). In cross-validation the deviations are those of all training
        samples, held-out ones included; labels are not used.
    split : bool
        Give each feature two weights, one for values above its mean over the training samples and one for values below:
        logits are then piecewise linear in a feature. On pooled features of digits the accuracy was 0.2 points higher
        with 100, 1,000 and 4,000 labels (validation), with twice the weights, and no more time if there are more
        features than samples.
    calibrate : bool
        Fit a temperature on held-out samples; `predict_proba` divides the logits by it. Predicted classes do not
        change.
    max_iterations : int
        Iterations of L-BFGS for each weight decay.
    tolerance : float
        Approximate relative error of the objective at which the solver stops.
    random_state : int, Generator, RandomState or None
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    coef_ : float32 or float64 (n_classes, n_features) or (n_classes, 2 n_features)
        Weights of raw features, not of standardized ones. With `split`, weights for values above `knots_`, then for
        values below.
    intercept_ : float32 or float64 (n_classes,)
    knots_ : float32 or float64 (n_features,), or None without `split`
        Means of the features.
    weight_decay_ : float
    temperature_ : float
        Above 1 if the uncalibrated classifier is overconfident; 1 if nothing could be held out.
    cross_validation_ : list of dict
        ``weight_decay``, ``accuracy``, ``log_loss`` (at the best temperature) and ``temperature`` on held-out samples.
    n_iter_ : int
        Iterations of the final fit.
    n_features_in_ : int

    Notes
    -----
    With more features than samples, features are read once, to compute the inner products of the samples
    (`SampleSpace`); otherwise they are read in blocks of rows, so that a memory map is never in memory as a whole
    (`FeatureSpace`). Both give the optimum of the same objective.

    The sample of a class with only one is in every training set and is never held out.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, What is the best multi-stage architecture for object recognition?, ICCV 2009:
    this classifier on hierarchies of features. Guo et al., ICML 2017: temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.recognition import SoftmaxClassifier
    >>> features = np.random.default_rng(0).normal(size=(40, 300))
    >>> labels = np.where(features[:, :20].sum(axis=1) > 0, "up", "down")
    >>> classifier = SoftmaxClassifier(random_state=0).fit(features, labels)
    >>> classifier.predict_proba(features[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        weight_decay: float | Literal["auto"] = "auto",
        weight_decays: Sequence[float] = DEFAULT_WEIGHT_DECAYS,
        n_folds: int | Literal["auto"] = "auto",
        standardize: bool | Literal["together"] = True,
        split: bool = False,
        calibrate: bool = True,
        max_iterations: int = 500,
        tolerance: float = 1e-4,
        random_state: RandomState = None,
    ) -> None:
        self.weight_decay = weight_decay
        self.weight_decays = weight_decays
        self.n_folds = n_folds
        self.standardize = standardize
        self.split = split
        self.calibrate = calibrate
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: NDArray, y: NDArray, *, progress: Progress | None = None) -> Self:
        """Choose the weight decay and find the optimum.

        Parameters
        ----------
        X : float16, float32 or float64 (n_samples, n_features)
            An array, a memory map or a SciPy sparse matrix, which is made dense in blocks. float16 is computed with as
            float32.
        y : (n_samples,)
            Classes: strings, integers or booleans; `classes_` and `predict` keep their type.
        progress : Progress, optional

        Raises
        ------
        UsageError
            For fewer than two classes, labels that are missing or not one for each sample, NaN or infinity, or a
            parameter out of range.
        """
        self._check_options()
        X = self._features(X, reset=True)
        y = label_array(y, n_samples=X.shape[0])
        check_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(
                f"all {len(y)} samples are of one class, {str(self.classes_[0])!r}; "
                "a classifier needs samples of at least two: shuffle data that are sorted by class"
            )
        standardization = Standardization(X, scale=self.standardize, split=self.split)
        space: SampleSpace | FeatureSpace
        if standardization.n_columns > X.shape[0] and X.shape[0] <= _LARGEST_KERNEL:
            space = SampleSpace(X, standardization)
        else:
            space = FeatureSpace(X, standardization)
        found = fit_rows(space, np.arange(len(y)), codes, len(self.classes_), self, progress=progress)
        coefficients = found.coefficients
        if isinstance(space, SampleSpace):
            coefficients = space.to_features(coefficients)
        of_standardized = coefficients.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # refused just below
            parts = of_standardized[:-1].reshape(-1, X.shape[1], len(self.classes_)) / standardization.scale[:, None]
            intercept = of_standardized[-1]
            self.knots_: NDArray | None = standardization.mean.astype(space.dtype) if self.split else None
            if not self.split:
                intercept = intercept - standardization.mean @ parts[0]
            self.coef_ = np.ascontiguousarray(parts.reshape(-1, len(self.classes_)).T, space.dtype)
            self.intercept_ = intercept.astype(space.dtype)
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            raise UsageError(f"features X are so small that their weights are infinity in {space.dtype}; scale them up")
        self.weight_decay_ = found.weight_decay
        self.temperature_ = found.temperature
        self.cross_validation_ = found.results
        self.n_iter_ = found.n_iterations
        return self

    def logits(self, X: NDArray) -> NDArray:
        """Logits of all classes before calibration, also if there are only two classes.

        Parameters
        ----------
        X : float16, float32 or float64 (n_samples, n_features)

        Returns
        -------
        logits : (n_samples, n_classes), float64 for float64 features, else float32
        """
        check_is_fitted(self)
        X = self._features(X, reset=False)
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        weights, intercept = self.coef_.T.astype(dtype, copy=False), self.intercept_.astype(dtype, copy=False)
        result = np.empty((X.shape[0], len(self.classes_)), dtype)
        for rows in row_blocks(*X.shape):
            block = np.asarray(X[rows]).astype(dtype, copy=False)
            with np.errstate(invalid="ignore", over="ignore"):  # refused just below
                columns = block if self.knots_ is None else split_signs(block - self.knots_.astype(dtype, copy=False))
                np.matmul(columns, weights, out=result[rows])
            if not np.isfinite(result[rows]).all():
                raise non_finite(rows.start, block)
        return result + intercept

    def decision_function(self, X: NDArray) -> NDArray:
        """Logits, (n_samples, n_classes); for two classes, as in scikit-learn, their difference, (n_samples,)."""
        logits = self.logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X: NDArray) -> NDArray:
        """The most probable class of each sample, (n_samples,)."""
        logits = self.logits(X)  # first, since it raises an error before fit
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X: NDArray) -> NDArray:
        """Calibrated probabilities, (n_samples, n_classes), in the order of `classes_`."""
        logits = self.logits(X)
        return softmax(logits / logits.dtype.type(self.temperature_))

    def to_state(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes an equal classifier."""
        check_is_fitted(self)
        header = {
            "classes": self.classes_.tolist(),
            "class_dtype": self.classes_.dtype.str,
            "parameters": {
                **plain_parameters(self, apart={"weight_decays"}),
                "weight_decays": plain("weight_decays", list(self.weight_decays)),
            },
            "weight_decay": self.weight_decay_,
            "temperature": self.temperature_,
            "cross_validation": self.cross_validation_,
            "n_iterations": self.n_iter_,
        }
        arrays = {"coefficients": self.coef_, "intercept": self.intercept_}
        if self.knots_ is not None:
            arrays["knots"] = self.knots_
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`, with the same parameters.

        Files of earlier versions hold no parameters; `weight_decay` is then set to the fitted one.
        """
        is_split = "knots" in arrays
        weight_decay = field(header, "weight_decay", Real(above=0))
        earlier = {"weight_decay": weight_decay, "split": is_split}
        given = field(header, "parameters", Table(), default=earlier)
        if "weight_decays" in given:
            with part("parameters"):
                given["weight_decays"] = tuple(field(given, "weight_decays", ListOf(_DECAY)))
        classifier: Self = with_parameters(cls, {"parameters": given})
        with part("parameters"):
            classifier._check_options()
        classifier.weight_decay_ = weight_decay
        classifier.classes_ = _stored_classes(header)
        n_classes = len(classifier.classes_)
        classifier.knots_ = array(arrays, "knots", (None,)) if is_split else None
        n_columns = None if classifier.knots_ is None else 2 * len(classifier.knots_)
        classifier.coef_ = array(arrays, "coefficients", (n_classes, n_columns))
        classifier.intercept_ = array(arrays, "intercept", (n_classes,))
        classifier.temperature_ = field(header, "temperature", Real(low=1e-6, high=1e6))
        classifier.cross_validation_ = field(header, "cross_validation", ListOf(Table()))
        classifier.n_iter_ = field(header, "n_iterations", Integer(low=0))
        classifier.n_features_in_ = classifier.coef_.shape[1] // (2 if is_split else 1)
        return classifier

    def _check_options(self) -> None:
        check_parameters(self, _RULES)
        candidates: Any = self.weight_decays
        if isinstance(candidates, str) or not isinstance(candidates, Iterable) or not (given := list(candidates)):
            raise UsageError(f"SoftmaxClassifier: weight_decays is {candidates!r}; it must be numbers, at least one")
        for decay in given:
            checked("one of weight_decays", decay, _DECAY)

    def _features(self, X: Any, *, reset: bool) -> Any:
        """Features in their dtype, float16 included; sparse ones as `DenseBlocks`."""
        try:
            X = validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32, np.float16],
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            raise UsageError(" ".join(str(error).split())) from error
        return DenseBlocks(X) if is_sparse(X) else X

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


_MOST_LETTERS = 4096  # of the name of a class


def _stored_classes(header: Mapping[str, Any]) -> NDArray[Any]:
    """The classes that a header lists, in their original type."""
    names = field(header, "classes", ListOf(Text() | Real() | Boolean()))
    word = field(header, "class_dtype", Text())
    if not re.fullmatch(r"[<>|]([biuf][1-8]|U[1-9][0-9]*|O)", word):
        raise ModelFileError(f"class_dtype is {word[:60]!r}; it must be a type of numbers or text, such as '<U5'")
    dtype = np.dtype(word)
    if dtype.kind == "U" and dtype.itemsize > 4 * _MOST_LETTERS:
        raise ModelFileError(f"class_dtype is {word[:60]!r}; names of classes have at most {_MOST_LETTERS:,} letters")
    try:
        classes = np.array(names, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        classes = np.zeros(0)
    if len(classes) < 2 or len(set(names)) < len(names) or classes.tolist() != names:
        raise ModelFileError(f"classes must be two or more different ones of the type {word}")
    return classes


class Fit:
    """The result of `fit_rows`.

    Attributes
    ----------
    coefficients : (n + 1, n_classes) or (n_columns + 1, n_classes)
        For a `SampleSpace`, the matrix A of W = Xᵀ A, where X are the training samples; for a `FeatureSpace`, W.
        The last row is the intercept.
    """

    def __init__(self, coefficients: NDArray, chosen: CrossValidation, n_iterations: int) -> None:
        self.coefficients = coefficients
        self.weight_decay = chosen.weight_decay
        self.temperature = chosen.temperature
        self.results = chosen.results
        self.n_iterations = n_iterations


def fit_rows(
    space: SampleSpace | Space,
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    options: SoftmaxClassifier,
    *,
    progress: Progress | None = None,
) -> Fit:
    """Fit to some samples of a space, so that many fits on the same features share its computations.

    Parameters
    ----------
    space : SampleSpace or FeatureSpace
    rows : integer (n,)
        The training samples, as rows of the space.
    labels : integer (n,)
        In 0 … n_classes − 1, each class at least once.
    n_classes : int
    options : SoftmaxClassifier
        Its parameters are used; it need not be fitted, and is not changed.
    progress : Progress, optional
    """
    from sklearn.exceptions import ConvergenceWarning

    of_samples = None
    problem: Space
    if isinstance(space, SampleSpace):
        problem = of_samples = space.coordinates(rows)
        rows = np.arange(len(rows))
    else:
        problem = space
    chosen = _choose(problem, rows, labels, n_classes, options, progress)
    with (progress or Progress()).phase("classifier", total=1, unit="fits") as phase:
        _, solution = solve(
            problem,
            rows,
            labels,
            n_classes,
            chosen.weight_decay,
            start=chosen.start,
            prepared=chosen.prepared,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
        )
        phase.advance()
    if solution.ended_by == "iterations":
        warnings.warn(
            f"logistic regression stopped after {solution.n_iterations} iterations, about "
            f"{solution.suboptimality / solution.value:.0e} of the value above the optimum; "
            "increase max_iterations or weight_decay",
            ConvergenceWarning,
            stacklevel=3,
        )
    coefficients = solution.coefficients if of_samples is None else of_samples.combination(solution.coefficients)
    return Fit(coefficients, chosen, max(solution.n_iterations, 1))


def _choose(
    space: Space,
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    options: SoftmaxClassifier,
    progress: Progress | None,
) -> CrossValidation:
    """Weight decay and temperature, by cross-validation unless neither is needed or nothing can be held out."""
    is_given = options.weight_decay != "auto"
    fallback = CrossValidation(float(options.weight_decay) if is_given else _FALLBACK, 1.0, [], None)
    if is_given and not options.calibrate:
        return fallback
    n_folds: int
    if options.n_folds == "auto":
        n_folds = 5 if len(rows) < _FIVE_FOLDS_BELOW or len(rows) >= _THREE_FOLDS_BELOW else 3
    else:
        n_folds = int(options.n_folds)
    single_split = options.n_folds == "auto" and len(rows) >= _THREE_FOLDS_BELOW
    folds = stratified_folds(labels, n_folds, random_state=generator_from(options.random_state))
    if not (folds >= 0).any():
        return fallback
    candidates = [float(options.weight_decay)] if is_given else [float(decay) for decay in options.weight_decays]
    found = cross_validate(
        space,
        rows,
        labels,
        n_classes,
        candidates,
        folds,
        single_split=single_split,
        prepare=True,
        max_iterations=options.max_iterations,
        progress=progress,
    )
    return found if options.calibrate else found._replace(temperature=1.0)
